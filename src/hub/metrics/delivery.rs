//! What is counted of the way to subscribers, by those who write.

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::core::cursor::Losses;
use crate::core::event::Timestamp;
use crate::core::sse::gzip::Form;
use crate::core::sse::{Coding, Kind};
use crate::metrics::Registry;

/// The families, each labelled by feed.
#[derive(Clone, Debug)]
pub(super) struct Deliveries {
    delivered: IntCounterVec,
    sent_bytes: IntCounterVec,
    skipped: IntCounterVec,
    lagged: IntCounterVec,
    blocks: IntCounterVec,
    frames_encoded: IntCounterVec,
    frames_sent: IntCounterVec,
    latency: HistogramVec,
    blocked: IntGaugeVec,
}

/// Those of one feed, looked up once.
#[derive(Debug)]
pub struct Delivery {
    delivered: [IntCounter; Kind::ALL.len()],
    sent_bytes: IntCounter,
    skipped: IntCounter,
    lagged: IntCounter,
    blocks: [IntCounter; Form::ALL.len()],
    frames_encoded: [IntCounter; Coding::ALL.len()],
    frames_sent: [IntCounter; Coding::ALL.len()],
    latency: Histogram,
    blocked: IntGauge,
}

impl Deliveries {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
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
        }
    }

    pub(super) fn feed(&self, path: &str) -> Delivery {
        let feed = &[path];
        Delivery {
            delivered: Kind::ALL.map(|kind| self.delivered.with_label_values(&[path, kind.name()])),
            sent_bytes: self.sent_bytes.with_label_values(feed),
            skipped: self.skipped.with_label_values(feed),
            lagged: self.lagged.with_label_values(feed),
            blocks: Form::ALL.map(|form| self.blocks.with_label_values(&[path, form.name()])),
            frames_encoded: Coding::ALL
                .map(|form| self.frames_encoded.with_label_values(&[path, form.name()])),
            frames_sent: Coding::ALL
                .map(|form| self.frames_sent.with_label_values(&[path, form.name()])),
            latency: self.latency.with_label_values(feed),
            blocked: self.blocked.with_label_values(feed),
        }
    }
}

impl Delivery {
    /// Bytes of event streams written so far.
    pub fn sent_so_far(&self) -> u64 {
        self.sent_bytes.get()
    }

    /// Subscribers lost this together.
    pub fn lost(&self, losses: Losses) {
        self.skipped.inc_by(losses.skipped);
        self.lagged.inc_by(losses.lagged);
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
