//! How an upstream is asked: method, path, query, headers and body of a feed's polls.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use serde_yaml::Value;

use super::headers::{Sent, headers, overlay};
use super::pages::pages;
use super::section::Section;
use super::sheet::Node;
use super::template::{self, Template};
use super::{Credentials, Pages, PollRequest, Upstream};

/// The section `request` of a feed whose public path is `public`.
pub(super) fn request(
    section: &Section<'_>,
    upstream: &Upstream,
    public: &str,
    captures: &[String],
) -> PollRequest {
    let node = section.find("path");
    let path = node.and_then(|node| template::path(&node, captures));
    let (path, shown) = match path {
        Some((path, scalar)) => (path, scalar.written),
        None => (Template::own_path(public, captures), public.to_owned()),
    };
    let query = query(section, captures);
    let shown = upstream.url.shown_below(&shown, !query.is_empty());
    let own = headers(section, Sent::WithPolls);
    for name in upstream.credentials.iter().flat_map(Credentials::names) {
        if let (true, Some(node)) = (
            own.iter().any(|(own, _)| own == name),
            section.find("headers"),
        ) {
            node.problem(
                format!("{name} is among the upstream's `credentials`"),
                "remove it here, or poll an upstream without them",
            );
        }
    }
    let mut request = PollRequest {
        method: method(section),
        path,
        query,
        headers: overlay(&upstream.headers, own),
        body: None,
        pages: section
            .find("pages")
            .and_then(|node| pages(&node))
            .map(Arc::new),
        shown,
    };
    body(section, &mut request);
    if let Some(pages) = &request.pages {
        refuse_counted(section, pages);
    }
    request
}

/// Refuses a value for what polls count in.
fn refuse_counted(section: &Section<'_>, pages: &Pages) {
    let query = section.find("query");
    for (name, node) in query.map_or_else(Vec::new, |node| node.named()) {
        if pages.counts_in(&name) {
            node.problem(
                "`pages` sets this parameter for each page",
                "remove it; where pages begin and how long they are stands in `pages`",
            );
        }
    }
}

fn query(section: &Section<'_>, captures: &[String]) -> Vec<(String, Template)> {
    let mut query = Vec::new();
    for (name, node) in section
        .find("query")
        .map_or_else(Vec::new, |node| node.named())
    {
        let values = match node.value() {
            Value::Sequence(_) => node.items(),
            _ => vec![node],
        };
        for value in values
            .iter()
            .filter_map(|node| template::value(node, captures))
        {
            query.push((name.clone(), value));
        }
    }
    query
}

fn method(section: &Section<'_>) -> Method {
    let Some((node, scalar)) = section
        .find("method")
        .and_then(|node| node.text().map(|scalar| (node, scalar)))
    else {
        return Method::GET;
    };
    match scalar.text.as_str() {
        "GET" => Method::GET,
        "POST" => Method::POST,
        _ => {
            let what = format!("{} is no method that polls have", scalar.shown());
            node.problem(what, "write `GET` or `POST`");
            Method::GET
        }
    }
}

/// Text is sent as it is, anything else as JSON.
fn body(section: &Section<'_>, request: &mut PollRequest) {
    let Some(node) = section.find("body") else {
        return;
    };
    let text = match node.value() {
        Value::Mapping(_) | Value::Sequence(_) => {
            let mut json = String::new();
            write_json(&node, &mut json);
            json
        }
        _ => match node.text() {
            Some(scalar) => scalar.text,
            None => return,
        },
    };
    if request.method == Method::GET {
        node.problem("a GET has no body", "write `method: POST` beside it");
    }
    request
        .headers
        .entry(header::CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("application/json"));
    request.body = Some(Bytes::from(text));
}

/// Writes a value as JSON, members in the file's order, everything put in that text refers to.
fn write_json(node: &Node<'_>, json: &mut String) {
    match node.value() {
        Value::Null => json.push_str("null"),
        Value::Bool(flag) => json.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) if number.as_f64().is_some_and(|n| !n.is_finite()) => {
            node.problem(
                "JSON has no such number",
                "write a finite one, or text in quotes",
            );
        }
        // YAML's own text of a float may lack what JSON wants.
        Value::Number(number) => match serde_json::to_string(number) {
            Ok(text) => json.push_str(&text),
            Err(_) => node.problem("JSON has no such number", "write it in quotes"),
        },
        Value::Sequence(_) => {
            json.push('[');
            for (index, item) in node.items().iter().enumerate() {
                if index > 0 {
                    json.push(',');
                }
                write_json(item, json);
            }
            json.push(']');
        }
        Value::Mapping(_) => {
            json.push('{');
            for (index, (name, member)) in node.named().iter().enumerate() {
                if index > 0 {
                    json.push(',');
                }
                quote(name, json);
                json.push(':');
                write_json(member, json);
            }
            json.push('}');
        }
        Value::String(_) | Value::Tagged(_) => {
            if let Some(scalar) = node.text() {
                quote(&scalar.text, json);
            }
        }
    }
}

fn quote(text: &str, json: &mut String) {
    // A JSON value displays as JSON; writing to text cannot fail.
    let _ = write!(json, "{}", serde_json::Value::from(text));
}

/// Shows what may be shown: query and body may hold secrets, header values are marked sensitive.
impl fmt::Debug for PollRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollRequest")
            .field("method", &self.method)
            .field("shown", &self.shown)
            .field("headers", &self.headers)
            .field("body_bytes", &self.body.as_ref().map(Bytes::len))
            .field("pages", &self.pages)
            .finish_non_exhaustive()
    }
}
