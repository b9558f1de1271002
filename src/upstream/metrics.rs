//! What polling counts.

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

use crate::metrics::Registry;

/// The families, each labelled by feed.
#[derive(Clone, Debug)]
pub struct Metrics {
    polls: IntCounterVec,
    duration: HistogramVec,
    body_bytes: IntCounterVec,
    patch_bytes: IntCounterVec,
    document_bytes: IntCounterVec,
}

impl Metrics {
    /// Registers the families.
    pub fn new(registry: &Registry) -> Self {
        Self {
            polls: registry.counters(
                "polls_total",
                "Polls by outcome: changed, unchanged, not_modified, or why they failed.",
                &["feed", "outcome"],
            ),
            duration: registry.seconds(
                "poll_duration_seconds",
                "Time from a poll's start to its answer's last byte, or to its failure.",
                &["feed"],
            ),
            body_bytes: registry.counters(
                "poll_body_bytes_total",
                "Bytes of answers after decoding.",
                &["feed"],
            ),
            patch_bytes: registry.counters(
                "patch_bytes_total",
                "Bytes of the patches that changes became.",
                &["feed"],
            ),
            document_bytes: registry.counters(
                "document_bytes_total",
                "Bytes of the documents that changes led to.",
                &["feed"],
            ),
        }
    }

    /// The metrics of one feed.
    pub fn feed(&self, path: &str) -> PollMetrics {
        PollMetrics {
            path: path.to_owned(),
            polls: self.polls.clone(),
            duration: self.duration.with_label_values(&[path]),
            body_bytes: self.body_bytes.with_label_values(&[path]),
            patch_bytes: self.patch_bytes.with_label_values(&[path]),
            document_bytes: self.document_bytes.with_label_values(&[path]),
        }
    }
}

/// The metrics of one feed's polls.
#[derive(Debug)]
pub struct PollMetrics {
    path: String,
    polls: IntCounterVec,
    duration: Histogram,
    body_bytes: IntCounter,
    patch_bytes: IntCounter,
    document_bytes: IntCounter,
}

impl PollMetrics {
    pub(super) fn polled(&self, outcome: &str) {
        self.polls.with_label_values(&[&self.path, outcome]).inc();
    }

    pub(super) fn answered(&self, took: Duration) {
        self.duration.observe(took.as_secs_f64());
    }

    pub(super) fn received(&self, bytes: usize) {
        self.body_bytes.inc_by(bytes as u64);
    }

    pub(super) fn changed(&self, document: usize, patch: Option<usize>) {
        self.document_bytes.inc_by(document as u64);
        self.patch_bytes.inc_by(patch.unwrap_or_default() as u64);
    }
}
