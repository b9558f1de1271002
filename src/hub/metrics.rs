//! What the hub counts.

use std::sync::Arc;

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::core::cursor::{Losses, Opening};
use crate::core::event::{Mode, Modes, State};
use crate::core::sse::Kind;
use crate::core::sse::gzip::Form;
use crate::metrics::Registry;

/// The families, each labelled by feed.
#[derive(Clone, Debug)]
pub struct Metrics {
    published: IntCounterVec,
    delivered: IntCounterVec,
    sent_bytes: IntCounterVec,
    skipped: IntCounterVec,
    lagged: IntCounterVec,
    openings: IntCounterVec,
    pokes: IntCounterVec,
    blocks: IntCounterVec,
    topics: IntGaugeVec,
    state: IntGaugeVec,
    last_success: IntGaugeVec,
    history_events: IntGaugeVec,
    history_bytes: IntGaugeVec,
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
            delivered: registry.counters(
                "events_delivered_total",
                "Events written to subscribers, by type.",
                &["feed", "event"],
            ),
            sent_bytes: registry.counters(
                "sent_bytes_total",
                "Bytes of event streams written to subscribers, compressed where they are, before transfer \
                 coding.",
                &["feed"],
            ),
            skipped: registry.counters(
                "events_skipped_total",
                "Events that slow or returning subscribers did not get because a newer snapshot \
                 replaced them.",
                &["feed"],
            ),
            lagged: registry.counters(
                "subscribers_lagged_total",
                "How often the log moved past a subscriber, which was then reset.",
                &["feed"],
            ),
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
            blocks: registry.counters(
                "gzip_blocks_total",
                "Compressed blocks of shared events that were made, by form.",
                &["feed", "form"],
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
            history_events: registry.gauges("history_events", "Events kept for resume.", &["feed"]),
            history_bytes: registry.gauges("history_bytes", "Bytes kept for resume.", &["feed"]),
        }
    }

    /// The metrics of one feed.
    pub fn feed(&self, path: &str) -> FeedMetrics {
        let feed = &[path];
        FeedMetrics {
            published: Mode::ALL.map(|form| self.published.with_label_values(&[path, form.name()])),
            delivered: Kind::ALL.map(|kind| self.delivered.with_label_values(&[path, kind.name()])),
            sent_bytes: self.sent_bytes.with_label_values(feed),
            skipped: self.skipped.with_label_values(feed),
            lagged: self.lagged.with_label_values(feed),
            openings: self.openings.clone(),
            pokes: self.pokes.with_label_values(feed),
            blocks: Form::ALL.map(|form| self.blocks.with_label_values(&[path, form.name()])),
            topics: self.topics.with_label_values(feed),
            paused: self.state.with_label_values(&[path, "paused"]),
            state: State::ALL.map(|state| self.state.with_label_values(&[path, state.name()])),
            last_success: self.last_success.with_label_values(feed),
            history_events: self.history_events.with_label_values(feed),
            history_bytes: self.history_bytes.with_label_values(feed),
            path: path.to_owned(),
        }
    }
}

/// The metrics of one feed, looked up once.
#[derive(Debug)]
pub struct FeedMetrics {
    path: String,
    published: [IntCounter; Mode::ALL.len()],
    delivered: [IntCounter; Kind::ALL.len()],
    sent_bytes: IntCounter,
    skipped: IntCounter,
    lagged: IntCounter,
    openings: IntCounterVec,
    pokes: IntCounter,
    blocks: [IntCounter; Form::ALL.len()],
    topics: IntGauge,
    paused: IntGauge,
    state: [IntGauge; State::ALL.len()],
    last_success: IntGauge,
    history_events: IntGauge,
    history_bytes: IntGauge,
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
        let word = match opening {
            Opening::Fresh => "fresh",
            Opening::Resumed => "resumed",
            Opening::Condensed => "condensed",
            Opening::Reset(reason) => reason.name(),
        };
        self.openings.with_label_values(&[&self.path, word]).inc();
    }

    pub(super) fn poked(&self) {
        self.pokes.inc();
    }

    /// Subscribers lost this together.
    pub fn lost(&self, losses: Losses) {
        self.skipped.inc_by(losses.skipped);
        self.lagged.inc_by(losses.lagged);
    }

    /// What counts the topics in this state; paused if none.
    fn gauge(&self, state: Option<State>) -> &IntGauge {
        state.map_or(&self.paused, |state| &self.state[state as usize])
    }

    /// So many compressed blocks of each form were made.
    pub fn compressed(&self, blocks: &[u64; Form::ALL.len()]) {
        for (counter, count) in self.blocks.iter().zip(blocks) {
            counter.inc_by(*count);
        }
    }

    /// Events of these kinds and this many bytes reached the sockets of subscribers.
    pub fn delivered(&self, events: &[u64; Kind::ALL.len()], bytes: u64) {
        for (counter, count) in self.delivered.iter().zip(events) {
            // A zero costs as much as any number: the line in memory is shared.
            if *count > 0 {
                counter.inc_by(*count);
            }
        }
        self.sent_bytes.inc_by(bytes);
    }
}

/// What one topic adds to its feed's gauges, taken out again when this is dropped.
#[derive(Debug)]
pub(super) struct Shares {
    metrics: Arc<FeedMetrics>,
    /// Paused if none.
    state: Option<State>,
    held: (i64, i64),
}

impl Shares {
    /// A topic that was never polled.
    pub(super) fn new(metrics: Arc<FeedMetrics>) -> Self {
        metrics.topics.inc();
        metrics.gauge(None).inc();
        Self {
            metrics,
            state: None,
            held: (0, 0),
        }
    }

    /// It is not polled now.
    pub(super) fn paused(&mut self) {
        self.enter(None);
    }

    /// It is in this state; its last success was so many seconds after the Unix epoch.
    pub(super) fn state(&mut self, state: State, last_success: u64) {
        self.enter(Some(state));
        let seconds = i64::try_from(last_success).unwrap_or(i64::MAX);
        let newest = &self.metrics.last_success;
        newest.set(newest.get().max(seconds));
    }

    /// It keeps so many events of so many bytes.
    pub(super) fn holds(&mut self, (events, bytes): (usize, usize)) {
        let number = |n| i64::try_from(n).unwrap_or(i64::MAX);
        let held = (number(events), number(bytes));
        self.metrics.history_events.add(held.0 - self.held.0);
        self.metrics.history_bytes.add(held.1 - self.held.1);
        self.held = held;
    }

    fn enter(&mut self, state: Option<State>) {
        if state != self.state {
            self.metrics.gauge(state).inc();
            self.metrics.gauge(self.state).dec();
            self.state = state;
        }
    }
}

impl Drop for Shares {
    fn drop(&mut self) {
        self.holds((0, 0));
        self.metrics.gauge(self.state).dec();
        self.metrics.topics.dec();
    }
}
