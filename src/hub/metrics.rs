//! What the hub counts.

mod shares;

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

pub(super) use shares::Shares;

use crate::core::cursor::{Losses, Opening};
use crate::core::event::{Mode, Modes, State, Timestamp};
use crate::core::sse::gzip::Form;
use crate::core::sse::{Coding, Kind};
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
    frames_encoded: IntCounterVec,
    frames_sent: IntCounterVec,
    latency: HistogramVec,
    blocked: IntGaugeVec,
    spared_requests: IntCounterVec,
    spared_bytes: IntCounterVec,
    topics: IntGaugeVec,
    state: IntGaugeVec,
    last_success: IntGaugeVec,
    last_change: IntGaugeVec,
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
            frames_encoded: registry.counters(
                "frames_encoded_total",
                "Frames that were made of events, by content coding, to be shared by all who get \
                 the same; without signs of life and reconnection times.",
                &["feed", "form"],
            ),
            frames_sent: registry.counters(
                "frames_sent_total",
                "Frames of events written to subscribers, by content coding; without signs of \
                 life and reconnection times.",
                &["feed", "form"],
            ),
            latency: registry.seconds(
                "delivery_latency_seconds",
                "Time from the last byte of a poll's answer until the change that it brought was \
                 written to a subscriber who was up to date before.",
                &["feed"],
            ),
            blocked: registry.gauges(
                "subscribers_blocked",
                "Subscribers whose connection takes no bytes at present.",
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
            frames_encoded: Coding::ALL
                .map(|form| self.frames_encoded.with_label_values(&[path, form.name()])),
            frames_sent: Coding::ALL
                .map(|form| self.frames_sent.with_label_values(&[path, form.name()])),
            latency: self.latency.with_label_values(feed),
            blocked: self.blocked.with_label_values(feed),
            spared_requests: self.spared_requests.with_label_values(feed),
            spared_bytes: self.spared_bytes.with_label_values(feed),
            topics: self.topics.with_label_values(feed),
            paused: self.state.with_label_values(&[path, "paused"]),
            state: State::ALL.map(|state| self.state.with_label_values(&[path, state.name()])),
            last_success: self.last_success.with_label_values(feed),
            last_change: self.last_change.with_label_values(feed),
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
    frames_encoded: [IntCounter; Coding::ALL.len()],
    frames_sent: [IntCounter; Coding::ALL.len()],
    latency: Histogram,
    blocked: IntGauge,
    spared_requests: IntCounter,
    spared_bytes: IntCounter,
    topics: IntGauge,
    paused: IntGauge,
    state: [IntGauge; State::ALL.len()],
    last_success: IntGauge,
    last_change: IntGauge,
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

    /// The upstream was spared so many requests, each of which had brought so many bytes.
    pub(super) fn spared(&self, requests: u64, bytes: usize) {
        self.spared_requests.inc_by(requests);
        self.spared_bytes.inc_by(requests * bytes as u64);
    }

    /// So many frames of events were made, by content coding.
    pub fn encoded(&self, frames: &[u64; Coding::ALL.len()]) {
        add(&self.frames_encoded, frames);
    }

    /// Changes whose answers came at these moments have now reached so many subscribers.
    pub fn arrived(&self, changes: &[(Timestamp, u64)], now: Timestamp) {
        let latency = self.latency.local();
        for (came, subscribers) in changes {
            let seconds = Duration::from_millis(now.since(*came)).as_secs_f64();
            (0..*subscribers).for_each(|_| latency.observe(seconds));
        }
        latency.flush();
    }

    /// The connection of one more subscriber takes no bytes, for as long as the result lives.
    pub fn blocked(&self) -> Blocked {
        self.blocked.inc();
        Blocked(self.blocked.clone())
    }

    /// So many compressed blocks of each form were made.
    pub fn compressed(&self, blocks: &[u64; Form::ALL.len()]) {
        add(&self.blocks, blocks);
    }

    /// So many events of these kinds, in so many frames by content coding, and this many bytes
    /// reached the sockets of subscribers.
    pub fn delivered(
        &self,
        events: &[u64; Kind::ALL.len()],
        frames: &[u64; Coding::ALL.len()],
        bytes: u64,
    ) {
        add(&self.delivered, events);
        add(&self.frames_sent, frames);
        self.sent_bytes.inc_by(bytes);
    }
}

/// A subscriber whose connection takes no bytes, counted as such while this lives.
#[derive(Debug)]
pub struct Blocked(IntGauge);

impl Drop for Blocked {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn add(counters: &[IntCounter], counts: &[u64]) {
    for (counter, count) in counters.iter().zip(counts) {
        // A zero costs as much as any number: the line in memory is shared.
        if *count > 0 {
            counter.inc_by(*count);
        }
    }
}
