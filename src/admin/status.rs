//! `/api/status`: everything at a glance.

use std::cmp::Reverse;
use std::sync::Arc;

use serde::Serialize;

use super::json;
use super::parts::{Key, Noise, PAUSED, Plan, Quiet, Subscribers, state, taught, time};
use super::upstreams::{self, Upstream};
use super::view::View;
use crate::core::event::Timestamp;
use crate::core::quiet::Reason;
use crate::hub::{Budget, Common, Report, Topic};

#[derive(Serialize)]
struct Status<'a> {
    version: &'static str,
    started: String,
    ready: bool,
    listeners: &'a [String],
    totals: Totals,
    memory: Memory,
    feeds: Vec<Feed<'a>>,
    upstreams: Vec<Upstream<'a>>,
}

#[derive(Default, Serialize)]
struct Totals {
    subscribers: usize,
    feeds: usize,
    topics: usize,
    spared_requests: u64,
    spared_bytes: u64,
    sent_bytes: u64,
    polls: u64,
}

/// What all topics together hold, and may hold.
#[derive(Serialize)]
struct Memory {
    held_bytes: usize,
    budget_bytes: Option<usize>,
}

/// A feed; of one with parameters, what its topics are together.
#[derive(Serialize)]
struct Feed<'a> {
    path: &'a str,
    upstream: &'a str,
    parameters: bool,
    state: &'static str,
    since: Option<String>,
    last_success: Option<String>,
    last_change: Option<String>,
    reason: Option<String>,
    subscribers: Subscribers,
    topics: usize,
    max_topics: usize,
    last_event_id: Option<String>,
    document_bytes: usize,
    events: usize,
    history_bytes: usize,
    polls: u64,
    sent_bytes: u64,
    spared_requests: u64,
    spared_bytes: u64,
    #[serde(flatten)]
    plan: Plan,
    quiet: Option<Quiet>,
    noise: Vec<Noise>,
    keys: Vec<Key>,
    topic_id: Option<String>,
}

/// What is known only of a feed's one topic.
#[derive(Default)]
struct OfOne {
    last_event_id: Option<String>,
    plan: Plan,
    quiet: Option<Quiet>,
    noise: Vec<Noise>,
    keys: Vec<Key>,
    topic_id: Option<String>,
}

/// All of it, compact JSON.
pub(super) fn text(view: &View) -> String {
    let in_force = view.in_force.load();
    let (now, polls) = (view.clock.now(), view.polls.polls());
    let mut counted: Vec<_> = view.hub.counted();
    counted.sort_by(|(a, _), (b, _)| a.feed().path.cmp(&b.feed().path));
    let feeds = counted.iter().map(|(common, topics)| {
        let polls = polls.get(&common.feed().path).copied();
        Feed::new(common, topics, polls.unwrap_or(0), now)
    });
    let feeds: Vec<_> = feeds.collect();
    json(&Status {
        version: env!("CARGO_PKG_VERSION"),
        started: view.started.to_string(),
        ready: view.is_ready(),
        listeners: &in_force.listeners,
        totals: Totals::of(&feeds),
        memory: Memory::of(view.hub.budget()),
        feeds,
        upstreams: upstreams::list(&in_force.peers, &view.gates),
    })
}

impl Memory {
    fn of(budget: &Budget) -> Self {
        Self {
            held_bytes: budget.held().total(),
            budget_bytes: Some(budget.limit()).filter(|limit| *limit < usize::MAX),
        }
    }
}

impl Totals {
    fn of(feeds: &[Feed<'_>]) -> Self {
        let mut totals = Self::default();
        for feed in feeds {
            totals.subscribers += feed.subscribers.total();
            totals.feeds += 1;
            totals.topics += feed.topics;
            totals.spared_requests += feed.spared_requests;
            totals.spared_bytes += feed.spared_bytes;
            totals.sent_bytes += feed.sent_bytes;
            totals.polls += feed.polls;
        }
        totals
    }
}

impl<'a> Feed<'a> {
    fn new(common: &'a Common, topics: &[Arc<Topic>], polls: u64, now: Timestamp) -> Self {
        let feed = common.feed();
        let reports: Vec<_> = topics.iter().map(|topic| topic.report()).collect();
        // The worst, and of equal ones the one that has been so for longest.
        let worst = reports
            .iter()
            .max_by_key(|report| (severity(state(report)), Reverse(report.health.since())));
        let (spared_requests, spared_bytes) = common.metrics().spared_so_far();
        let one = match (topics, reports.as_slice()) {
            ([topic], [report]) if feed.parameters.is_none() => OfOne::new(topic, report, now),
            _ => OfOne::of_many(&reports),
        };
        Self {
            path: &feed.path,
            upstream: &feed.upstream.name,
            parameters: feed.parameters.is_some(),
            state: worst.map_or(PAUSED, state),
            since: worst.map(|report| report.health.since().to_string()),
            last_success: time(
                reports
                    .iter()
                    .filter_map(|it| it.health.last_success())
                    .max(),
            ),
            last_change: time(reports.iter().filter_map(|it| it.changed).max()),
            reason: worst.and_then(|report| report.health.reason().map(str::to_owned)),
            subscribers: Subscribers::of(reports.iter().map(|report| &report.audience)),
            topics: topics.len(),
            max_topics: feed.parameters.as_ref().map_or(1, |it| it.topics),
            last_event_id: one.last_event_id,
            document_bytes: reports.iter().map(|it| it.lessons.document_bytes).sum(),
            events: reports.iter().map(|report| report.events).sum(),
            history_bytes: reports.iter().map(|report| report.history_bytes).sum(),
            polls,
            sent_bytes: common.metrics().delivery().sent_so_far(),
            spared_requests,
            spared_bytes,
            plan: one.plan,
            quiet: one.quiet,
            noise: one.noise,
            keys: one.keys,
            topic_id: one.topic_id,
        }
    }
}

impl OfOne {
    fn new(topic: &Topic, report: &Report, now: Timestamp) -> Self {
        let (keys, noise) = taught(topic.feed(), report.lessons.clone());
        Self {
            last_event_id: report.last_event_id.map(|id| id.to_string()),
            plan: report.next.into(),
            quiet: Quiet::of(report, now),
            noise,
            keys,
            topic_id: Some(topic.identity().id().to_string()),
        }
    }

    /// Of many topics only the next poll is that of the feed.
    fn of_many(reports: &[Report]) -> Self {
        let polls = reports.iter().filter_map(|report| report.next);
        let is_asked_for = reports.iter().any(|report| report.is_wanted);
        let quiet = (!is_asked_for).then(|| Quiet {
            reason: Reason::Paused.word(),
            text: "nobody asks for any of its documents".to_owned(),
        });
        Self {
            plan: Plan::at(polls.map(|next| next.at).min()),
            quiet,
            ..Self::default()
        }
    }
}

fn severity(state: &str) -> u8 {
    match state {
        "down" => 3,
        "stale" => 2,
        "live" => 1,
        _ => 0,
    }
}
