//! What is known of each upstream, as JSON.
//!
//! Promises what `feeds` does: names of fields stay, a field without a value is `null`, no secret is
//! shown.

use serde::Serialize;

use crate::peers::{Group, Peers, ServerReport};
use crate::upstream::{GateReport, Gates};

/// Every upstream, in the configuration's order.
pub(super) fn list<'a>(peers: &'a Peers, gates: &Gates) -> Vec<Upstream<'a>> {
    let mut reports = gates.reports();
    peers
        .all()
        .map(|(name, group)| {
            let at = reports.iter().position(|report| report.upstream == name);
            let polls = at.map(|at| Polls::from(reports.swap_remove(at)));
            Upstream::new(name, group, polls)
        })
        .collect()
}

#[derive(Serialize)]
pub(super) struct Upstream<'a> {
    name: &'a str,
    servers: Vec<Server>,
    /// Every upstream has a gate.
    #[serde(flatten)]
    polls: Option<Polls>,
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
    fn new(name: &'a str, group: &Group, polls: Option<Polls>) -> Self {
        let servers = group.report().into_iter().map(Server::from).collect();
        Self {
            name,
            servers,
            polls,
        }
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

/// What its feeds ask of it.
#[derive(Serialize)]
struct Polls {
    circuit_breaker: &'static str,
    since: String,
    failures: u32,
    in_flight: u32,
    waiting: usize,
    max_in_flight: u32,
    max_requests_per_second: Option<u32>,
    budget: Option<Budget>,
    paused_until: Option<String>,
    quota: Option<Quota>,
}

#[derive(Serialize)]
struct Budget {
    polls: u64,
    period_ms: u128,
    left: u64,
}

#[derive(Serialize)]
struct Quota {
    remaining: u64,
    until: String,
}

impl From<GateReport> for Polls {
    fn from(report: GateReport) -> Self {
        let budget = report.rules.budget.zip(report.budget_left);
        Self {
            circuit_breaker: report.state,
            since: report.since.to_string(),
            failures: report.failures,
            in_flight: report.in_flight,
            waiting: report.waiting,
            max_in_flight: report.rules.max_in_flight,
            max_requests_per_second: report.rules.max_requests_per_second,
            budget: budget.map(|(allowance, left)| Budget {
                polls: allowance.polls,
                period_ms: allowance.period.as_millis(),
                left,
            }),
            paused_until: report.paused_until.map(|until| until.to_string()),
            quota: report.quota.map(|(remaining, until)| Quota {
                remaining,
                until: until.to_string(),
            }),
        }
    }
}
