//! Feeds as they are written in a configuration: what is polled, and what of it counts.

use std::collections::HashSet;
use std::sync::Arc;

use super::deliver::deliver;
use super::events::events;
use super::headers::{Sent, credentials, headers, overlay};
use super::keys::{DELIVER, DOCUMENT, EVENTS, FEED, REQUEST};
use super::poll::poll;
use super::section::Section;
use super::sheet::Node;
use super::upstream::Upstreams;
use super::{Document, Events, Feed, PollRequest, Upstream};
use crate::core::document::View;
use crate::core::event::Mode;
use crate::core::json::{Pattern, Pointer, PointerError};

/// The feeds, in the file's order.
pub(super) fn feeds(top: &Section<'_>, upstreams: &Upstreams<'_>) -> Vec<Arc<Feed>> {
    let mut paths = HashSet::new();
    let items = top.find("feeds").map_or_else(Vec::new, |node| node.items());
    items
        .iter()
        .map(|item| Arc::new(feed(item, upstreams, &mut paths)))
        .collect()
}

fn feed(item: &Node<'_>, upstreams: &Upstreams<'_>, paths: &mut HashSet<String>) -> Feed {
    let section = item.section(&FEED);
    let path = path(&section, paths);
    let upstream = upstreams.refer(&section);
    let request = request(&section.section("request", &REQUEST), &upstream, &path);
    share(&section, &request);
    let events = events(&section.section("events", &EVENTS));
    Feed {
        poll: poll(&section),
        document: document(&section.section("document", &DOCUMENT), &events),
        deliver: deliver(&section.section("deliver", &DELIVER), &events),
        path,
        upstream,
        request,
        events,
    }
}

fn path(section: &Section<'_>, paths: &mut HashSet<String>) -> String {
    let Some(node) = section.require("path", "write the public path, such as \"/orders\"") else {
        return "/".to_owned();
    };
    let Some((path, scalar)) = node.path() else {
        return "/".to_owned();
    };
    if !paths.insert(path.clone()) {
        node.problem(
            format!("an earlier feed has the path {}", scalar.shown()),
            "give each feed a path of its own",
        );
    }
    path
}

fn request(section: &Section<'_>, upstream: &Upstream, public: &str) -> PollRequest {
    let path = section.find("path").and_then(|node| node.path());
    let (path, shown) = match path {
        Some((path, scalar)) => (path, scalar.written),
        None => (public.to_owned(), public.to_owned()),
    };
    let mut query = Vec::new();
    for (name, node) in section
        .find("query")
        .map_or_else(Vec::new, |node| node.named())
    {
        let values = match node.value() {
            serde_yaml::Value::Sequence(_) => node.items(),
            _ => vec![node],
        };
        for scalar in values.iter().filter_map(Node::scalar) {
            query.push((name.clone(), scalar.text));
        }
    }
    PollRequest {
        url: upstream.url.below(&path, &shown, &query),
        headers: overlay(&upstream.headers, headers(section, Sent::WithPolls)),
    }
}

/// Checks the only sharing there is, and warns where it shows a secret's view to everyone.
fn share(section: &Section<'_>, request: &PollRequest) {
    let node = section.find("share");
    if let Some(node) = &node {
        let later = |text: &str| text == "per_credential";
        match node.value() {
            serde_yaml::Value::Mapping(entries)
                if entries.keys().filter_map(|key| key.as_str()).any(later) =>
            {
                node.problem("`per_credential` is not supported yet", "write `everyone`");
            }
            _ => match node.text() {
                Some(scalar) if later(&scalar.text) => {
                    node.problem("`per_credential` is not supported yet", "write `everyone`");
                }
                Some(scalar) if scalar.text != "everyone" => {
                    node.problem(
                        format!("{} is no way of sharing", scalar.shown()),
                        "write `everyone`",
                    );
                }
                _ => {}
            },
        }
    }
    let names = credentials(&request.headers);
    if !names.is_empty() {
        node.as_ref().unwrap_or(&section.node).warning(
            format!("polls carry credentials ({}), and everyone who can reach the feed sees what they may see", names.join(", ")),
            "make sure that the document is meant for every client",
        );
    }
}

fn document(section: &Section<'_>, events: &Events) -> Document {
    let ignore = section
        .find("ignore")
        .map_or_else(Vec::new, |node| node.items());
    let text = |node: &Node<'_>| node.text().map(|scalar| scalar.text);
    let key = section.find("key").and_then(|node| {
        let key = text(&node)?;
        if key.is_empty() {
            node.problem(
                "the key has no name",
                "write the name of the member that identifies an element, such as `id`",
            );
        }
        Some(key)
    });
    let view = View {
        select: section
            .find("select")
            .and_then(|node| pointer(&node, Pointer::parse))
            .unwrap_or_default(),
        ignore: ignore
            .iter()
            .filter_map(|node| pointer(node, Pattern::parse))
            .collect(),
        key,
        items: items(section, events),
    };
    Document {
        view,
        max_bytes: section
            .find("max_bytes")
            .and_then(|node| node.size(1..=1 << 30))
            .unwrap_or(16 << 20),
    }
}

/// Where the items are, which only one mode asks.
fn items(section: &Section<'_>, events: &Events) -> Pointer {
    let Some(node) = section.find("items") else {
        return Pointer::default();
    };
    if !events.modes.contains(&Mode::Items) {
        node.warning(
            "`items` is not among `events.modes`, so that nobody is told of items",
            "add it there, or remove this key",
        );
    }
    pointer(&node, Pointer::parse).unwrap_or_default()
}

/// Reads a pointer, and keeps a text that came from outside the file out of the message.
fn pointer<T>(node: &Node<'_>, parse: impl Fn(&str) -> Result<T, PointerError>) -> Option<T> {
    let scalar = node.text()?;
    match parse(&scalar.text) {
        Ok(pointer) => Some(pointer),
        Err(PointerError::NoSlash(_)) => {
            node.problem(
                format!("{} is no JSON Pointer", scalar.shown()),
                "begin it with `/`, as in \"/items/0\"",
            );
            None
        }
        Err(error) => {
            node.problem(
                format!("{} is no JSON Pointer: {error}", scalar.shown()),
                "see RFC 6901",
            );
            None
        }
    }
}
