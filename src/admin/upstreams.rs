//! What is known of each upstream, as JSON.
//!
//! Promises what `feeds` does: names of fields stay, a field without a value is `null`, no secret is
//! shown.

use serde::Serialize;

use crate::peers::{Group, Peers, ServerReport};

/// Every upstream, in the configuration's order, as a JSON array.
pub(super) fn list(peers: &Peers) -> String {
    let upstreams: Vec<_> = peers
        .all()
        .map(|(name, group)| Upstream::new(name, group))
        .collect();
    let mut text =
        serde_json::to_string(&upstreams).expect("invariant: names and numbers can be written");
    text.push('\n');
    text
}

#[derive(Serialize)]
struct Upstream<'a> {
    name: &'a str,
    servers: Vec<Server>,
}

#[derive(Serialize)]
struct Server {
    server: String,
    address: Option<String>,
    weight: usize,
    healthy: bool,
    since: Option<String>,
    last_error: Option<String>,
}

impl<'a> Upstream<'a> {
    fn new(name: &'a str, group: &Group) -> Self {
        let servers = group.report().into_iter().map(Server::from).collect();
        Self { name, servers }
    }
}

impl From<ServerReport> for Server {
    fn from(report: ServerReport) -> Self {
        let since = |time| humantime::format_rfc3339_millis(time).to_string();
        Self {
            server: report.server,
            address: report.address,
            weight: report.weight,
            healthy: report.healthy,
            since: report.since.map(since),
            last_error: report.last_error,
        }
    }
}
