//! Header maps of a configuration.
//!
//! Promises that values are marked sensitive and never enter a message.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::section::Section;
use super::sheet::Node;
use super::{Credentials, Upstream};

/// What headers of the configuration are put on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// The polls of a feed.
    WithPolls,
    /// Requests of clients on their way to the upstream.
    WithPassThrough,
}

/// Headers that look like they prove who is asking.
const CREDENTIALS: [&str; 7] = [
    "authorization",
    "cookie",
    "x-api-key",
    "api-key",
    "x-auth-token",
    "x-access-token",
    "private-token",
];

/// The headers under the key `headers`, names distinct.
pub(super) fn headers(section: &Section<'_>, sent: Sent) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (written, node) in section
        .find("headers")
        .map_or_else(Vec::new, |node| node.named())
    {
        let Some(name) = name(&written, &node, sent) else {
            continue;
        };
        if headers.iter().any(|(other, _)| *other == name) {
            node.problem(
                "the header is set twice",
                "header names ignore case; keep one",
            );
            continue;
        }
        if let Some(value) = value(&node) {
            headers.push((name, value));
        }
    }
    headers
}

/// The upstream's headers with the feed's laid over them.
pub(super) fn overlay(upstream: &HeaderMap, feed: Vec<(HeaderName, HeaderValue)>) -> HeaderMap {
    let mut headers = upstream.clone();
    for (name, value) in feed {
        headers.insert(name, value);
    }
    headers
}

/// The names of the headers with which a feed's polls carry credentials.
pub(super) fn credentials(headers: &HeaderMap, upstream: &Upstream) -> Vec<String> {
    let looks_so = CREDENTIALS.iter().map(|name| HeaderName::from_static(name));
    let mut names: Vec<_> = looks_so.filter(|name| headers.contains_key(name)).collect();
    for name in upstream.credentials.iter().flat_map(Credentials::names) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names.iter().map(ToString::to_string).collect()
}

/// The name of a header that may be configured.
pub(super) fn name(written: &str, node: &Node<'_>, sent: Sent) -> Option<HeaderName> {
    let Ok(name) = HeaderName::from_bytes(written.as_bytes()) else {
        node.problem(
            "this is no header name",
            "write letters, digits and `-` only",
        );
        return None;
    };
    if let Some((reason, remedy)) = refusal(&name, sent) {
        node.problem(reason, remedy);
        return None;
    }
    Some(name)
}

fn value(node: &Node<'_>) -> Option<HeaderValue> {
    let scalar = node.scalar()?;
    let Ok(mut value) = HeaderValue::from_str(&scalar.text) else {
        node.problem(
            "the value holds a character that no header may hold (it is not shown, it may be secret)",
            "write printable ASCII without line breaks",
        );
        return None;
    };
    value.set_sensitive(true);
    Some(value)
}

/// Why a header cannot be configured, and the remedy.
pub(super) fn refusal(name: &HeaderName, sent: Sent) -> Option<(&'static str, &'static str)> {
    const REMOVE: &str = "remove it";
    match name.as_str() {
        "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer" | "upgrade" => Some((
            "this header belongs to one connection (RFC 9110, section 7.6.1)",
            REMOVE,
        )),
        "content-length" | "transfer-encoding" => Some((
            "this header frames the message, which pollcast does itself",
            REMOVE,
        )),
        name if name.starts_with("proxy-") => Some((
            "this header is meant for a proxy, and no upstream sees it",
            "use `authorization`",
        )),
        _ => match *name {
            header::IF_NONE_MATCH
            | header::IF_MODIFIED_SINCE
            | header::IF_MATCH
            | header::IF_UNMODIFIED_SINCE
            | header::IF_RANGE
            | header::RANGE
                if sent == Sent::WithPolls =>
            {
                Some((
                    "a poll is made conditional by pollcast itself, and always asks for the whole answer",
                    REMOVE,
                ))
            }
            _ => None,
        },
    }
}
