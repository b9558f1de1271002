//! Feeds as they are written in a configuration: what is polled, and how often.

use std::sync::Arc;
use std::time::Duration;

use super::deliver::deliver;
use super::events::events;
use super::headers::{Sent, headers, overlay};
use super::keys::{DELIVER, DOCUMENT, EVENTS, FEED, POLL, REQUEST};
use super::parameters::{parameters, refuse_keep};
use super::section::Section;
use super::sheet::Node;
use super::template::{self, Template};
use super::upstream::Upstreams;
use super::{Document, Events, Feed, Idle, Poll, PollRequest, Upstream};
use crate::core::document::View;
use crate::core::event::Mode;
use crate::core::json::{Pattern, Pointer, PointerError};

/// The feeds, in the file's order.
pub(super) fn feeds(top: &Section<'_>, upstreams: &Upstreams<'_>) -> Vec<Arc<Feed>> {
    let mut paths = Paths::default();
    let items = top.find("feeds").map_or_else(Vec::new, |node| node.items());
    items
        .iter()
        .map(|item| Arc::new(feed(item, upstreams, &mut paths)))
        .collect()
}

/// The paths of earlier feeds: those of which each is for other requests, by their captures.
type Paths = matchit::Router<()>;

fn feed(item: &Node<'_>, upstreams: &Upstreams<'_>, paths: &mut Paths) -> Feed {
    let section = item.section(&FEED);
    let (path, captures) = path(&section, paths);
    let upstream = upstreams.refer(&section);
    let request_section = section.section("request", &REQUEST);
    let request = request(&request_section, &upstream, &path, &captures);
    let parameters = parameters(&section, &request_section, (&path, captures), &request);
    let events = events(&section.section("events", &EVENTS));
    let poll_section = section.section("poll", &POLL);
    let poll = poll(&poll_section);
    if parameters.is_some() {
        refuse_keep(&poll_section, &poll);
    }
    Feed {
        poll,
        parameters,
        document: document(&section.section("document", &DOCUMENT), &events),
        deliver: deliver(&section.section("deliver", &DELIVER), &events),
        path,
        upstream,
        request,
        events,
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

fn request(
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
    let mut query = Vec::new();
    for (name, node) in section
        .find("query")
        .map_or_else(Vec::new, |node| node.named())
    {
        let values = match node.value() {
            serde_yaml::Value::Sequence(_) => node.items(),
            _ => vec![node],
        };
        for value in values
            .iter()
            .filter_map(|node| template::value(node, captures))
        {
            query.push((name.clone(), value));
        }
    }
    let named: Vec<String> = captures.iter().map(|name| format!("{{{name}}}")).collect();
    let pairs: Vec<(String, String)> = query
        .iter()
        .map(|(name, value): &(String, Template)| (name.clone(), value.text(&named)))
        .collect();
    PollRequest {
        url: upstream.url.below(&path.path(&named), &shown, &pairs),
        path,
        query,
        headers: overlay(&upstream.headers, headers(section, Sent::WithPolls)),
    }
}

fn poll(section: &Section<'_>) -> Poll {
    let duration = |key, least, standard| {
        section
            .find(key)
            .and_then(|node| node.duration(least))
            .unwrap_or(standard)
    };
    Poll {
        interval: duration(
            "interval",
            Duration::from_millis(10),
            Duration::from_secs(2),
        ),
        timeout: duration("timeout", Duration::from_millis(1), Duration::from_secs(5)),
        idle: idle(section),
        linger: duration("linger", Duration::ZERO, Duration::from_secs(30)),
    }
}

fn idle(section: &Section<'_>) -> Idle {
    let Some(node) = section.find("idle") else {
        return Idle::Pause;
    };
    let Some(scalar) = node.text() else {
        return Idle::Pause;
    };
    match scalar.text.as_str() {
        "pause" => Idle::Pause,
        "keep" => Idle::Keep,
        _ => {
            node.problem(
                format!("{} is no idle policy", scalar.shown()),
                "write `pause` or `keep`",
            );
            Idle::Pause
        }
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
