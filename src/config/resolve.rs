//! From the file as written to the [`Config`]: the top of the file and the routes.
//!
//! Where something is wrong, a problem is noted and a stand-in takes its place, so that everything
//! else is checked too; the result counts only if no problem was noted.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use serde_yaml::Value;

use super::admin::admin;
use super::auth::auth;
use super::backplane::backplane;
use super::feed::feeds;
use super::fingerprint::Fingerprint;
use super::headers::{Sent, headers};
use super::keys::{ROUTE, SERVER, TOP};
use super::limits;
use super::listen::listeners;
use super::logs::logs;
use super::policy;
use super::section::Section;
use super::sheet::{Node, Sheet};
use super::shown::{self, Veils};
use super::traces::traces;
use super::upstream::Upstreams;
use super::{Auth, Config, Feed, Listener, Route, Server};

/// Reads the whole file. The result counts only if `sheet` holds no problem afterwards.
pub(super) fn config(value: &Value, sheet: &Sheet<'_>) -> Config {
    let root = Node::root(value, sheet);
    let top = root.section(&TOP);
    let server = server(&top.section("server", &SERVER));
    let upstreams = Upstreams::read(&top);
    let auth = auth(&top, &upstreams);
    let admin = admin(&top, &server.listen, &auth);
    let mut feeds = feeds(&top, &upstreams, &auth);
    limits::warn_of_unreachable(&top, &server.limits, &feeds);
    warn_of_hidden(&top, server.client.as_deref(), &feeds);
    let routes = routes(&top, &upstreams, &auth);
    if feeds.is_empty() && routes.is_empty() && !sheet.is_spoilt() {
        root.problem(
            "there is nothing to do: no feed, no proxy route",
            "give it a path to poll",
        );
    } else if feeds.is_empty() {
        root.warning(
            "there are no feeds: everything passes through, nothing is polled",
            "give it a path to poll",
        );
    }
    upstreams.warn_of_unused(&feeds, &routes, &auth);
    policy::warn_of_open(&top, &feeds, &routes);
    upstreams.warn_of_want(&feeds);
    upstreams.refuse_loops(&server.listen);
    let (tree, veils) = shown::shown(value, sheet.around);
    if !sheet.is_spoilt() {
        mark_feeds(&mut feeds, tree.clone(), &veils);
    }
    Config {
        server,
        admin,
        logs: logs(&top),
        traces: traces(&top),
        backplane: backplane(&top),
        auth,
        upstreams: upstreams.all(),
        feeds,
        routes,
        shown: shown::text(&tree),
        veils,
    }
}

/// Says of each feed what it means.
fn mark_feeds(feeds: &mut [Arc<Feed>], mut tree: Json, veils: &Veils) {
    veils.mark(&mut tree);
    for (index, feed) in feeds.iter_mut().enumerate() {
        let upstream = &tree["upstreams"][&feed.upstream.name];
        let fingerprint = Fingerprint::of(&tree["feeds"][index], upstream);
        if let Some(feed) = Arc::get_mut(feed) {
            feed.fingerprint = fingerprint;
        }
    }
}

fn server(section: &Section<'_>) -> Server {
    let standard = || vec![Listener::plain(([127, 0, 0, 1], 8080).into())];
    Server {
        listen: section
            .find("listen")
            .map_or_else(standard, |node| listeners(&node)),
        threads: threads(section),
        drain: section
            .find("drain")
            .and_then(|node| node.duration(Duration::ZERO))
            .unwrap_or(Duration::from_secs(5)),
        header_timeout: section
            .find("header_timeout")
            .and_then(|node| node.duration(Duration::from_millis(100)))
            .unwrap_or(Duration::from_secs(15)),
        limits: limits::limits(section),
        trusted_proxies: limits::trusted_proxies(section),
        client: client(section),
    }
}

/// Where browsers get the client module.
fn client(section: &Section<'_>) -> Option<String> {
    let Some(node) = section.find("client") else {
        return Some("/pollcast.js".to_owned());
    };
    if matches!(node.value(), Value::String(text) if text == "off") {
        return None;
    }
    node.path().map(|(path, _)| path)
}

/// Warns of feeds that answer at the client module's path.
fn warn_of_hidden(top: &Section<'_>, client: Option<&str>, feeds: &[Arc<Feed>]) {
    let Some(client) = client.filter(|_| !feeds.is_empty()) else {
        return;
    };
    let items = top.find("feeds").map_or_else(Vec::new, |node| node.items());
    for (item, feed) in items.iter().zip(feeds) {
        let mut router = matchit::Router::new();
        let is_feed = router.insert(feed.path.clone(), ()).is_ok() && router.at(client).is_ok();
        if is_feed {
            item.warning(
                format!("this feed answers at {client}, so that browsers do not get the client module there"),
                "name a path that no feed has in `server.client`, or `off`",
            );
        }
    }
}

fn threads(section: &Section<'_>) -> usize {
    let automatic = section.node.sheet().around.parallelism();
    let Some(node) = section.find("threads") else {
        return automatic;
    };
    match node.value() {
        Value::String(text) if text == "auto" => automatic,
        Value::String(text) if !text.contains("${") => {
            node.problem(
                "this is no number of threads",
                "write `auto`, or a number from 1 to 1024",
            );
            automatic
        }
        // Text that came from outside may say either.
        Value::String(_) => match node.text() {
            Some(scalar) if scalar.text == "auto" => automatic,
            Some(_) => node
                .integer(1..=1024)
                .map_or(automatic, |number| number as usize),
            None => automatic,
        },
        _ => node
            .integer(1..=1024)
            .map_or(automatic, |number| number as usize),
    }
}

/// Longest path first. Without `proxy`, everything goes to the only upstream.
fn routes(top: &Section<'_>, upstreams: &Upstreams<'_>, auth: &Auth) -> Vec<Arc<Route>> {
    let Some(node) = top.find("proxy") else {
        return match upstreams.all().as_slice() {
            [only] => vec![Arc::new(Route {
                path: "/".to_owned(),
                upstream: only.clone(),
                access: None,
                forward_credentials: false,
                headers: Vec::new(),
                preserve_host: false,
            })],
            _ => Vec::new(),
        };
    };
    let mut routes: Vec<Arc<Route>> = Vec::new();
    for item in node.items() {
        let route = route(&item, (upstreams, auth), &routes);
        routes.push(Arc::new(route));
    }
    routes.sort_by_key(|route| std::cmp::Reverse(route.path.len()));
    routes
}

fn route(
    item: &Node<'_>,
    (upstreams, auth): (&Upstreams<'_>, &Auth),
    earlier: &[Arc<Route>],
) -> Route {
    let section = item.section(&ROUTE);
    let mut path = String::new();
    if let Some(node) = section.require(
        "path",
        "write the path whose requests go there, such as \"/\"",
    ) && let Some((text, scalar)) = node.path()
    {
        // A prefix is matched at `/` boundaries, so that a `/` at its end says nothing.
        path = match text.trim_end_matches('/') {
            "" => "/".to_owned(),
            trimmed => trimmed.to_owned(),
        };
        if earlier.iter().any(|route| route.path == path) {
            node.problem(
                format!("{} is routed twice", scalar.shown()),
                "keep one of the routes",
            );
        }
    }
    let headers = headers(&section, Sent::WithPassThrough);
    let preserve_host = section
        .find("preserve_host")
        .and_then(|node| node.flag())
        .unwrap_or(false);
    if preserve_host && headers.iter().any(|(name, _)| *name == http::header::HOST) {
        section.node.problem(
            "`headers` sets `host`, and `preserve_host` keeps the client's",
            "keep one of them",
        );
    }
    Route {
        path,
        upstream: upstreams.refer(&section),
        access: policy::of_route(&section, auth),
        forward_credentials: section
            .find("forward_credentials")
            .and_then(|node| node.flag())
            .unwrap_or(false),
        headers,
        preserve_host,
    }
}
