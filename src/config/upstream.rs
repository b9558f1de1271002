//! Upstreams as they are written in a configuration, and references to them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use serde_yaml::Value;
use url::{Host, Url};

use super::credentials::credentials;
use super::headers::{Sent, headers};
use super::keys::{UPSTREAM, nearest};
use super::pace::{pace, warn_of_want};
use super::section::Section;
use super::servers::Servers;
use super::sheet::Node;
use super::{Auth, Endpoint, Feed, Listener, Route, Upstream};
use crate::core::schedule::PaceRules;

/// The named backends, and where they stand in the file.
pub(super) struct Upstreams<'a> {
    entries: Vec<(Arc<Upstream>, Node<'a>)>,
}

impl<'a> Upstreams<'a> {
    /// Reads the section `upstreams`.
    pub(super) fn read(top: &Section<'a>) -> Self {
        let remedy = "name a backend, as in `upstreams: {shop: {url: \"http://127.0.0.1:9000\"}}`";
        let Some(node) = top.require("upstreams", remedy) else {
            return Self {
                entries: Vec::new(),
            };
        };
        let named = node.named();
        if named.is_empty() && matches!(node.value(), Value::Mapping(entries) if entries.is_empty())
        {
            node.problem("there is no upstream", remedy);
        }
        let entry = |(name, node): (String, Node<'a>)| (Arc::new(upstream(name, &node)), node);
        Self {
            entries: named.into_iter().map(entry).collect(),
        }
    }

    /// The upstream that `section` refers to.
    pub(super) fn refer(&self, section: &Section<'_>) -> Arc<Upstream> {
        // What is no name was told at its place, and might disturb a terminal here.
        let names = self
            .entries
            .iter()
            .map(|(upstream, _)| upstream.name.as_str());
        let names: Vec<&str> = names.filter(|name| is_name(name)).collect();
        let defined = match names.is_empty() {
            true => "define it under `upstreams`".to_owned(),
            false => format!("defined are: {}", names.join(", ")),
        };
        let Some((node, scalar)) = section
            .require("upstream", &defined)
            .and_then(|node| node.text().map(|scalar| (node, scalar)))
        else {
            return Arc::new(stand_in(String::new()));
        };
        if let Some((found, _)) = self
            .entries
            .iter()
            .find(|(upstream, _)| upstream.name == scalar.text)
        {
            return found.clone();
        }
        let remedy = match nearest(&scalar.text, &names).filter(|_| !scalar.foreign) {
            Some(nearest) => format!("did you mean `{nearest}`? {defined}"),
            None => defined,
        };
        node.problem(format!("there is no upstream {}", scalar.shown()), remedy);
        Arc::new(stand_in(String::new()))
    }

    /// All of them, in the file's order.
    pub(super) fn all(&self) -> Vec<Arc<Upstream>> {
        self.entries
            .iter()
            .map(|(upstream, _)| upstream.clone())
            .collect()
    }

    /// Refuses those that are the public listeners themselves: a request would go round for ever.
    pub(super) fn refuse_loops(&self, listen: &[Listener]) {
        for (upstream, node) in &self.entries {
            let servers = &upstream.servers.list;
            if servers.iter().any(|server| is_own(&server.at, listen)) {
                node.problem(
                    "this upstream is pollcast itself (server.listen)",
                    "write where the API is, or listen elsewhere",
                );
            }
        }
    }

    /// Warns of those whose feeds want more than they may have.
    pub(super) fn warn_of_want(&self, feeds: &[Arc<Feed>]) {
        for (upstream, node) in &self.entries {
            let mine = |feed: &&Arc<Feed>| feed.upstream.name == upstream.name;
            let feeds: Vec<_> = feeds.iter().filter(mine).collect();
            warn_of_want(node, &upstream.pace, &feeds);
        }
    }

    /// Warns of those that nothing refers to.
    pub(super) fn warn_of_unused(&self, feeds: &[Arc<Feed>], routes: &[Arc<Route>], auth: &Auth) {
        for (upstream, node) in &self.entries {
            let by_feed = feeds.iter().any(|feed| feed.upstream.name == upstream.name);
            let by_route = routes
                .iter()
                .any(|route| route.upstream.name == upstream.name);
            let forwards = &auth.forwards;
            let by_forward = forwards.iter().any(|it| it.upstream == upstream.name);
            if !by_feed && !by_route && !by_forward {
                node.warning(
                    "no feed and no proxy route uses this upstream",
                    "remove it, or refer to it",
                );
            }
        }
    }
}

/// Whether one of these listeners is what `server` leads to.
fn is_own(server: &Endpoint, listen: &[Listener]) -> bool {
    let port = server.port_or_known_default().unwrap_or_default();
    let local: Option<IpAddr> = match server.host() {
        Some(Host::Ipv4(ip)) => Some(ip.into()),
        Some(Host::Ipv6(ip)) => Some(ip.into()),
        Some(Host::Domain("localhost")) => Some(Ipv4Addr::LOCALHOST.into()),
        _ => None,
    };
    listen.iter().any(|listener| {
        let at = listener.address;
        let reached = |ip: IpAddr| at.ip() == ip || (at.ip().is_unspecified() && ip.is_loopback());
        at.port() == port && local.is_some_and(reached)
    })
}

fn upstream(name: String, node: &Node<'_>) -> Upstream {
    if !is_name(&name) {
        node.problem(
            "this is no name for an upstream (it becomes a metrics label)",
            "use 1 to 64 letters, digits, `_` or `-`",
        );
    }
    let section = node.section(&UPSTREAM);
    let mut upstream = stand_in(name);
    if let Some(servers) = Servers::read(&section) {
        upstream.url = servers.list[0].called.clone();
        upstream.servers = servers;
    }
    upstream.headers = headers(&section, Sent::WithPolls).into_iter().collect();
    upstream.credentials = section
        .find("credentials")
        .and_then(|node| credentials(&node, &upstream.headers));
    upstream.pace = pace(&section);
    upstream
}

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (1..=64).contains(&text.len()) && text.chars().all(plain)
}

/// Takes the place of what could not be read; never part of a valid configuration.
pub(super) fn stand_in(name: String) -> Upstream {
    let url = Url::parse("http://unresolved.invalid").expect("invariant: a constant URL");
    let url = Endpoint::from(url);
    Upstream {
        name,
        servers: Servers::single(url.clone()),
        url,
        headers: http::HeaderMap::new(),
        credentials: None,
        pace: PaceRules::default(),
    }
}
