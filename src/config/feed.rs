//! Feeds as they are written in a configuration: what is polled, and how often.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::deliver::deliver;
use super::document::document;
use super::events::events;
use super::headers::credentials;
use super::keys::{DELIVER, DOCUMENT, EVENTS, FEED, POLL, REQUEST};
use super::request::request;
use super::section::Section;
use super::sheet::Node;
use super::upstream::Upstreams;
use super::{Feed, Idle, Json, Poll, PollRequest, Upstream};

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
    share(&section, &request, &upstream);
    let events = events(&section.section("events", &EVENTS));
    Feed {
        poll: poll(&section.section("poll", &POLL)),
        document: document(&section.section("document", &DOCUMENT), &events),
        deliver: deliver(&section.section("deliver", &DELIVER), &events),
        json: json(&section),
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

/// Checks the only sharing there is, and warns where it shows a secret's view to everyone.
fn share(section: &Section<'_>, request: &PollRequest, upstream: &Upstream) {
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
    let names = credentials(&request.headers, upstream);
    if !names.is_empty() {
        node.as_ref().unwrap_or(&section.node).warning(
            format!("polls carry credentials ({}), and everyone who can reach the feed sees what they may see", names.join(", ")),
            "make sure that the document is meant for every client",
        );
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

fn json(section: &Section<'_>) -> Json {
    let Some(node) = section.find("json") else {
        return Json::Pass;
    };
    let Some(scalar) = node.text() else {
        return Json::Pass;
    };
    match scalar.text.as_str() {
        "pass" => Json::Pass,
        "latest" => Json::Latest,
        _ => {
            node.problem(
                format!("{} is no way to answer plain requests", scalar.shown()),
                "write `pass` or `latest`",
            );
            Json::Pass
        }
    }
}
