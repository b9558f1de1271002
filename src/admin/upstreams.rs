//! What is known of each upstream, as JSON.
//!
//! Promises that the names of fields stay, that a field without a value is `null`, and that nothing
//! is shown that polls are sent with.

use serde::Serialize;

use crate::upstream::{GateReport, Gates};

/// Every upstream that a feed polls, by name, as a JSON array.
pub(super) fn list(gates: &Gates) -> String {
    let upstreams: Vec<Upstream> = gates.reports().into_iter().map(Upstream::from).collect();
    let mut text =
        serde_json::to_string(&upstreams).expect("invariant: names and numbers can be written");
    text.push('\n');
    text
}

#[derive(Serialize)]
struct Upstream {
    name: String,
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

impl From<GateReport> for Upstream {
    fn from(report: GateReport) -> Self {
        let budget = report.rules.budget.zip(report.budget_left);
        Self {
            name: report.upstream,
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
