//! What polling counts.

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::core::change::Change;
use crate::core::event::{Mode, Modes};
use crate::metrics::Registry;

/// What changes are encoded in on demand.
const FORMS: [Mode; 3] = [Mode::Patch, Mode::Merge, Mode::Items];

/// The families, each labelled by feed.
#[derive(Clone, Debug)]
pub struct Metrics {
    polls: IntCounterVec,
    requests: IntCounterVec,
    duration: HistogramVec,
    body_bytes: IntCounterVec,
    encoded_bytes: IntCounterVec,
    document_bytes: IntCounterVec,
    diff: HistogramVec,
    fallbacks: IntCounterVec,
    noise_bytes: IntCounterVec,
    noise_places: IntGaugeVec,
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
            requests: registry.counters(
                "poll_requests_total",
                "Requests that polls made: one each, and one more for each redirect, further page \
                 or repetition.",
                &["feed"],
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
            encoded_bytes: registry.counters(
                "encoded_bytes_total",
                "Bytes of what changes became in each form that they were encoded in.",
                &["feed", "form"],
            ),
            document_bytes: registry.counters(
                "document_bytes_total",
                "Bytes of the documents that changes led to.",
                &["feed"],
            ),
            diff: registry.seconds(
                "diff_duration_seconds",
                "Time to read an answer that has a body, to compare it and to encode what changed.",
                &["feed"],
            ),
            fallbacks: registry.counters(
                "snapshot_fallbacks_total",
                "Changes that somebody wanted in this form and that became a snapshot, as the form \
                 was no smaller or cannot say them.",
                &["feed", "form"],
            ),
            noise_bytes: registry.counters(
                "noise_bytes_total",
                "Bytes of events, about, that were spent on places whose value changes at every \
                 poll; each event counted once, however many subscribers got it.",
                &["feed"],
            ),
            noise_places: registry.gauges(
                "noise_places",
                "Places in the document whose value changes at every poll.",
                &["feed"],
            ),
        }
    }

    /// The metrics of one feed.
    pub fn feed(&self, path: &str) -> PollMetrics {
        PollMetrics {
            path: path.to_owned(),
            polls: self.polls.clone(),
            outcomes: Vec::new(),
            requests: self.requests.with_label_values(&[path]),
            duration: self.duration.with_label_values(&[path]),
            body_bytes: self.body_bytes.with_label_values(&[path]),
            encoded_bytes: FORMS
                .map(|form| self.encoded_bytes.with_label_values(&[path, form.name()])),
            document_bytes: self.document_bytes.with_label_values(&[path]),
            diff: self.diff.with_label_values(&[path]),
            fallbacks: FORMS.map(|form| self.fallbacks.with_label_values(&[path, form.name()])),
            noise_bytes: self.noise_bytes.with_label_values(&[path]),
            noise_places: self.noise_places.with_label_values(&[path]),
            places: 0,
        }
    }
}

/// The metrics of one poller, counted for its feed.
#[derive(Debug)]
pub struct PollMetrics {
    path: String,
    polls: IntCounterVec,
    /// Of `polls`, those that this one has counted in.
    outcomes: Vec<(&'static str, IntCounter)>,
    requests: IntCounter,
    duration: Histogram,
    body_bytes: IntCounter,
    /// As in [`FORMS`].
    encoded_bytes: [IntCounter; FORMS.len()],
    document_bytes: IntCounter,
    diff: Histogram,
    /// As in [`FORMS`].
    fallbacks: [IntCounter; FORMS.len()],
    noise_bytes: IntCounter,
    noise_places: IntGauge,
    /// What this one adds to the gauge.
    places: i64,
}

impl Drop for PollMetrics {
    fn drop(&mut self) {
        self.noise_places.sub(self.places);
    }
}

impl PollMetrics {
    pub(super) fn polled(&mut self, outcome: &'static str) {
        if let Some((_, known)) = self.outcomes.iter().find(|(each, _)| *each == outcome) {
            return known.inc();
        }
        let counter = self.polls.with_label_values(&[&self.path, outcome]);
        counter.inc();
        self.outcomes.push((outcome, counter));
    }

    pub(super) fn requested(&self) {
        self.requests.inc();
    }

    pub(super) fn answered(&self, took: Duration) {
        self.duration.observe(took.as_secs_f64());
    }

    pub(super) fn received(&self, bytes: usize) {
        self.body_bytes.inc_by(bytes as u64);
    }

    pub(super) fn read(&self, took: Duration) {
        self.diff.observe(took.as_secs_f64());
    }

    /// A document followed another, and these forms of the change were wanted.
    pub(super) fn fell_back(&self, wanted: Modes, change: &Change) {
        for (counter, form) in self.fallbacks.iter().zip(FORMS) {
            if wanted.contains(form) && change.size(form).is_none() {
                counter.inc();
            }
        }
    }

    pub(super) fn noise(&mut self, places: usize, bytes: u64) {
        self.noise_bytes.inc_by(bytes);
        let places = i64::try_from(places).unwrap_or(i64::MAX);
        self.noise_places.add(places - self.places);
        self.places = places;
    }

    pub(super) fn changed(&self, change: &Change) {
        self.document_bytes.inc_by(change.snapshot.len() as u64);
        for (counter, form) in self.encoded_bytes.iter().zip(FORMS) {
            counter.inc_by(change.size(form).unwrap_or_default() as u64);
        }
    }
}
