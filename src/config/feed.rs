//! Feeds as they are written in a configuration: what is polled, and what of it counts.

use std::sync::Arc;

use super::deliver::deliver;
use super::document::document;
use super::events::events;
use super::export::{Meanings, export};
use super::fingerprint::Fingerprint;
use super::keys::{DELIVER, DOCUMENT, EVENTS, FEED, REQUEST};
use super::parameters::{parameters, refuse_keep};
use super::poll::poll;
use super::request::request;
use super::section::Section;
use super::sheet::Node;
use super::template;
use super::upstream::Upstreams;
use super::{Feed, Json, Parameters};
use crate::formats::Format;

/// The feeds, in the file's order.
pub(super) fn feeds(top: &Section<'_>, upstreams: &Upstreams<'_>) -> Vec<Arc<Feed>> {
    let (mut paths, mut meanings) = (Paths::default(), Meanings::default());
    let items = top.find("feeds").map_or_else(Vec::new, |node| node.items());
    items
        .iter()
        .map(|item| Arc::new(feed(item, upstreams, &mut paths, &mut meanings)))
        .collect()
}

/// The paths of earlier feeds: those of which each is for other requests, by their captures.
type Paths = matchit::Router<()>;

fn feed(
    item: &Node<'_>,
    upstreams: &Upstreams<'_>,
    paths: &mut Paths,
    meanings: &mut Meanings,
) -> Feed {
    let section = item.section(&FEED);
    let (path, captures) = path(&section, paths);
    let upstream = upstreams.refer(&section);
    let request_section = section.section("request", &REQUEST);
    let request = request(&request_section, &upstream, &path, &captures);
    let sections = (&section, &request_section);
    let parameters = parameters(sections, (&path, captures), &request, &upstream);
    let events = events(&section.section("events", &EVENTS));
    let mut poll = poll(&section);
    let document_section = section.section("document", &DOCUMENT);
    let document = document(&document_section, &events);
    if request.pages.is_some() && document.format != Format::Json {
        refuse_format(&document_section);
    }
    if parameters.is_some() {
        refuse_keep(&section, &poll);
    }
    Feed {
        export: export(&section, parameters.as_ref(), &mut poll, meanings),
        poll,
        document,
        deliver: deliver(&section.section("deliver", &DELIVER), &events),
        json: json(&section, parameters.as_ref()),
        parameters,
        path,
        upstream,
        request,
        events,
        fingerprint: Fingerprint::default(),
    }
}

/// The public path, and the names of its captures.
fn path(section: &Section<'_>, paths: &mut Paths) -> (String, Vec<String>) {
    let stand_in = ("/".to_owned(), Vec::new());
    let Some(node) = section.require("path", "write the public path, such as \"/orders\"") else {
        return stand_in;
    };
    let Some((path, scalar)) = node.path_with_captures() else {
        return stand_in;
    };
    let captures = match template::captures(&path) {
        Ok(captures) => captures,
        Err(what) => {
            node.problem(
                format!("{} {what}", scalar.shown()),
                "write captures as whole segments, as in \"/orders/{id}\", with names of a-z, 0-9 and _",
            );
            return stand_in;
        }
    };
    if paths.insert(path.clone(), ()).is_err() {
        let what = match captures.is_empty() {
            true => format!("an earlier feed has the path {}", scalar.shown()),
            false => format!(
                "an earlier feed is for the same requests as {}",
                scalar.shown()
            ),
        };
        node.problem(what, "give each feed a path of its own");
    }
    (path, captures)
}

/// Refuses to merge pages of another format than JSON.
fn refuse_format(document: &Section<'_>) {
    if let Some(node) = document.find("format") {
        node.problem(
            "the answers come in pages (request.pages), and only JSON pages can be merged",
            "write `json`, or remove `pages`",
        );
    }
}

fn json(section: &Section<'_>, parameters: Option<&Parameters>) -> Json {
    let Some(node) = section.find("json") else {
        return Json::Pass;
    };
    let Some(scalar) = node.text() else {
        return Json::Pass;
    };
    match scalar.text.as_str() {
        "pass" => Json::Pass,
        "latest" => {
            if parameters.is_some_and(|parameters| parameters.client_body.is_some()) {
                node.problem(
                    "the documents of this feed belong to bodies of clients (request.client_body), \
                     and a plain GET has none",
                    "write `pass`",
                );
            }
            Json::Latest
        }
        _ => {
            node.problem(
                format!("{} is no way to answer plain requests", scalar.shown()),
                "write `pass` or `latest`",
            );
            Json::Pass
        }
    }
}
