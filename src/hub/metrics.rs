//! What the hub counts.

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
            state: registry.gauges(
                "feed_state",
                "1 for the state the feed is in, 0 for the others; paused while nobody listens.",
                &["feed", "state"],
            ),
            last_success: registry.gauges(
                "last_success_timestamp_seconds",
                "When the feed's last poll succeeded, in Unix time; 0 before the first.",
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
    paused: IntGauge,
    state: [IntGauge; State::ALL.len()],
    last_success: IntGauge,
    history_events: IntGauge,
    history_bytes: IntGauge,
}

impl FeedMetrics {
    pub(super) fn published(&self, forms: Modes, held: (usize, usize)) {
        let forms = match forms {
            Modes::NONE => Modes::NONE.with(Mode::Snapshot),
            forms => forms,
        };
        for (counter, form) in self.published.iter().zip(Mode::ALL) {
            counter.inc_by(u64::from(forms.contains(form)));
        }
        self.history_events
            .set(i64::try_from(held.0).unwrap_or(i64::MAX));
        self.history_bytes
            .set(i64::try_from(held.1).unwrap_or(i64::MAX));
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

    pub(super) fn paused(&self) {
        self.state.iter().for_each(|gauge| gauge.set(0));
        self.paused.set(1);
    }

    pub(super) fn state(&self, state: State, last_success_seconds: u64) {
        self.paused.set(0);
        for (gauge, each) in self.state.iter().zip(State::ALL) {
            gauge.set(i64::from(each == state));
        }
        self.last_success
            .set(i64::try_from(last_success_seconds).unwrap_or(i64::MAX));
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
