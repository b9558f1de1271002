//! What the hub counts.

mod delivery;
mod shares;

use std::sync::Arc;

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use delivery::Deliveries;
pub use delivery::{Blocked, Delivery};
pub(super) use shares::Shares;

use super::budget::Budget;
use crate::core::cursor::Opening;
use crate::core::event::{Mode, Modes, State};
use crate::metrics::Registry;

/// The families, each labelled by feed.
#[derive(Clone, Debug)]
pub struct Metrics {
    published: IntCounterVec,
    deliveries: Deliveries,
    openings: IntCounterVec,
    pokes: IntCounterVec,
    spared_requests: IntCounterVec,
    spared_bytes: IntCounterVec,
    topics: IntGaugeVec,
    state: IntGaugeVec,
    last_success: IntGaugeVec,
    last_change: IntGaugeVec,
    history_events: IntGaugeVec,
    history_bytes: IntGaugeVec,
    shed: IntCounterVec,
    budget: Arc<Budget>,
}

impl Metrics {
    /// Registers the families.
    pub fn new(registry: &Registry) -> Self {
        Self {
            published: registry.counters(
                "events_published_total",
                "Changes that entered a feed's log, once for each form they were encoded in, or as \
                 snapshot where there is none.",
                &["feed", "form"],
            ),
            deliveries: Deliveries::new(registry),
            openings: registry.counters(
                "subscriptions_total",
                "Subscriptions by how they began: fresh, resumed (exactly the missed events), \
                 condensed (a snapshot instead), or reset with its reason.",
                &["feed", "opening"],
            ),
            pokes: registry.counters(
                "pokes_total",
                "How often the admin API was asked to poll now.",
                &["feed"],
            ),
            spared_requests: registry.counters(
                "spared_requests_total",
                "Requests that the upstream was spared: at each poll one for each subscriber but \
                 the first, and plain requests answered from memory; at least so many.",
                &["feed"],
            ),
            spared_bytes: registry.counters(
                "spared_bytes_total",
                "Bytes of document that spared requests would have been answered with; at least \
                 so many.",
                &["feed"],
            ),
            topics: registry.gauges("topics", "Topics there are of the feed.", &["feed"]),
            state: registry.gauges(
                "feed_state",
                "How many topics of the feed are in each state, one in all for a feed without \
                 parameters; paused while nobody listens.",
                &["feed", "state"],
            ),
            last_success: registry.gauges(
                "last_success_timestamp_seconds",
                "When a poll of the feed last succeeded, in Unix time; 0 before the first.",
                &["feed"],
            ),
            last_change: registry.gauges(
                "last_change_timestamp_seconds",
                "When a poll of the feed last brought a change, in Unix time; 0 before the first.",
                &["feed"],
            ),
            history_events: registry.gauges("history_events", "Events kept for resume.", &["feed"]),
            history_bytes: registry.gauges("history_bytes", "Bytes kept for resume.", &["feed"]),
            shed: registry.counters(
                "memory_shed_events_total",
                "Events that left a feed's history early, since all topics together held more than \
                 they may.",
                &["feed"],
            ),
            budget: Budget::new(registry),
        }
    }

    /// What all topics hold together.
    pub(super) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// The metrics of one feed.
    pub fn feed(&self, path: &str) -> FeedMetrics {
        let feed = &[path];
        for opening in Opening::ALL {
            self.openings.with_label_values(&[path, opening.name()]);
        }
        FeedMetrics {
            published: Mode::ALL.map(|form| self.published.with_label_values(&[path, form.name()])),
            delivery: self.deliveries.feed(path),
            openings: self.openings.clone(),
            pokes: self.pokes.with_label_values(feed),
            spared_requests: self.spared_requests.with_label_values(feed),
            spared_bytes: self.spared_bytes.with_label_values(feed),
            topics: self.topics.with_label_values(feed),
            paused: self.state.with_label_values(&[path, "paused"]),
            state: State::ALL.map(|state| self.state.with_label_values(&[path, state.name()])),
            last_success: self.last_success.with_label_values(feed),
            last_change: self.last_change.with_label_values(feed),
            history_events: self.history_events.with_label_values(feed),
            history_bytes: self.history_bytes.with_label_values(feed),
            shed: self.shed.with_label_values(feed),
            path: path.to_owned(),
        }
    }
}

/// The metrics of one feed, looked up once.
#[derive(Debug)]
pub struct FeedMetrics {
    path: String,
    published: [IntCounter; Mode::ALL.len()],
    delivery: Delivery,
    openings: IntCounterVec,
    pokes: IntCounter,
    spared_requests: IntCounter,
    spared_bytes: IntCounter,
    topics: IntGauge,
    paused: IntGauge,
    state: [IntGauge; State::ALL.len()],
    last_success: IntGauge,
    last_change: IntGauge,
    history_events: IntGauge,
    history_bytes: IntGauge,
    shed: IntCounter,
}

impl FeedMetrics {
    pub(super) fn published(&self, forms: Modes) {
        let forms = match forms {
            Modes::NONE => Modes::NONE.with(Mode::Snapshot),
            forms => forms,
        };
        for (counter, form) in self.published.iter().zip(Mode::ALL) {
            counter.inc_by(u64::from(forms.contains(form)));
        }
    }

    pub(super) fn opened(&self, opening: Opening) {
        let labels = &[self.path.as_str(), opening.name()];
        self.openings.with_label_values(labels).inc();
    }

    /// What its writers count.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    pub(super) fn shed(&self, events: usize) {
        self.shed.inc_by(events as u64);
    }

    pub(super) fn poked(&self) {
        self.pokes.inc();
    }

    /// What counts the topics in this state; paused if none.
    fn gauge(&self, state: Option<State>) -> &IntGauge {
        state.map_or(&self.paused, |state| &self.state[state as usize])
    }

    /// Requests that the upstream was spared so far, and their bytes.
    pub fn spared_so_far(&self) -> (u64, u64) {
        (self.spared_requests.get(), self.spared_bytes.get())
    }

    /// The upstream was spared so many requests, each of which had brought so many bytes.
    pub(super) fn spared(&self, requests: u64, bytes: usize) {
        self.spared_requests.inc_by(requests);
        self.spared_bytes.inc_by(requests * bytes as u64);
    }
}
