//! How a feed's events are sent, as it is written in a configuration.

use std::time::Duration;

use serde_yaml::Value;
use url::Url;

use super::events::{event_name, named, same};
use super::keys::{CORS, HEARTBEAT};
use super::limits;
use super::section::Section;
use super::sheet::Node;
use super::{Compression, Cors, Deliver, Events, Heartbeat};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Reads the section `deliver`.
pub(super) fn deliver(section: &Section<'_>, events: &Events) -> Deliver {
    let duration = |key, least, standard| {
        section
            .find(key)
            .and_then(|node| node.duration(least))
            .unwrap_or(standard)
    };
    Deliver {
        retry: duration("retry", MILLISECOND, SECOND * 3),
        heartbeat: heartbeat(section, events),
        write_timeout: duration("write_timeout", MILLISECOND, SECOND * 30),
        max_lifetime: section
            .find("max_lifetime")
            .and_then(|node| node.duration(SECOND)),
        max_subscribers: limits::subscribers(section, "max_subscribers"),
        end_after: duration("end_after", Duration::ZERO, SECOND * 30),
        compression: compression(section),
        cors: cors(&section.section("cors", &CORS)),
    }
}

fn compression(section: &Section<'_>) -> Compression {
    let Some(node) = section.find("compression") else {
        return Compression::Gzip;
    };
    let remedy = "write `gzip` or `off`";
    if let Value::Bool(_) = node.value() {
        node.wrong_type("a way to compress", remedy);
        return Compression::Gzip;
    }
    let Some(scalar) = node.text() else {
        return Compression::Gzip;
    };
    match scalar.text.as_str() {
        "off" => Compression::Off,
        "gzip" => Compression::Gzip,
        _ => {
            node.problem(format!("{} is no way to compress", scalar.shown()), remedy);
            Compression::Gzip
        }
    }
}

/// A duration alone, or a mapping with `every` and `event`.
fn heartbeat(section: &Section<'_>, events: &Events) -> Heartbeat {
    let mut heartbeat = Heartbeat {
        every: SECOND * 15,
        event: None,
    };
    let Some(node) = section.find("heartbeat") else {
        return heartbeat;
    };
    let Value::Mapping(_) = node.value() else {
        heartbeat.every = node.duration(SECOND).unwrap_or(heartbeat.every);
        return heartbeat;
    };
    let section = node.section(&HEARTBEAT);
    if let Some(every) = section.find("every").and_then(|node| node.duration(SECOND)) {
        heartbeat.every = every;
    }
    let Some(node) = section.find("event") else {
        return heartbeat;
    };
    heartbeat.event = event_name(&node);
    if let Some(name) = &heartbeat.event
        && let Some((event, _)) = named(&events.names, &events.modes)
            .into_iter()
            .find(|(_, other)| same(other, name))
    {
        node.problem(
            format!(
                "the heartbeat has the name of `{event}`, so that clients cannot tell them apart"
            ),
            "choose another name, such as `ping`, or leave `event` out for a comment",
        );
    }
    heartbeat
}

fn cors(section: &Section<'_>) -> Cors {
    let credentials = section
        .find("credentials")
        .and_then(|node| node.flag())
        .unwrap_or(false);
    let items = section
        .find("origins")
        .map_or_else(Vec::new, |node| node.items());
    if credentials && items.is_empty() {
        section.node.problem(
            "credentials are allowed, but no origin is",
            "list the `origins` that may read the feed",
        );
    }
    let mut origins: Vec<String> = Vec::new();
    for item in &items {
        let Some(origin) = origin(item, credentials) else {
            continue;
        };
        if origins.contains(&origin) {
            item.problem("the origin is listed twice", "remove one");
        }
        origins.push(origin);
    }
    Cors {
        origins,
        credentials,
    }
}

/// Reads an origin as a browser sends it (WHATWG HTML, section 7.1.1: serialisation).
fn origin(node: &Node<'_>, credentials: bool) -> Option<String> {
    const EXAMPLE: &str =
        "write scheme, host and port as the browser sends them, such as \"https://app.example\"";
    let scalar = node.text()?;
    // What stands before an `@` may be a password.
    let shown = match scalar.text.contains('@') {
        true => "this".to_owned(),
        false => scalar.shown(),
    };
    let refuse = |what: &str, remedy: &str| {
        node.problem(format!("{shown} {what}"), remedy);
        None
    };
    match scalar.text.as_str() {
        "*" if credentials => {
            return refuse(
                "cannot go with `credentials: true`",
                "list the origins that may read the feed",
            );
        }
        "*" => {
            return refuse(
                "would let every page read the feed",
                "list the origins that may",
            );
        }
        "null" => {
            return refuse(
                "is what any sandboxed page sends",
                "list the origins that may read the feed",
            );
        }
        _ => {}
    }
    match serialised(&scalar.text) {
        Some(origin) if origin == scalar.text => Some(origin),
        Some(origin) if !scalar.foreign && !scalar.text.contains('@') => {
            refuse("is no origin", &format!("write {origin:?}"))
        }
        _ => refuse("is no origin", EXAMPLE),
    }
}

/// The origin of a URL.
fn serialised(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?;
    Some(match url.origin() {
        tuple if tuple.is_tuple() => tuple.ascii_serialization(),
        // Extensions and apps have origins that the URL standard calls opaque.
        _ => format!("{}://{host}", url.scheme()),
    })
}
