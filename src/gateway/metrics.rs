//! What the gateway counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::routes::{Destination, Routes};
use super::seats::Full;
use super::writer::Closed;
use crate::config::{Config, Feed};
use crate::core::sse::Coding;
use crate::listen::Request;
use crate::metrics::Registry;

/// Upper bounds for how long subscriptions are open, in seconds: from a tenth of one to a day.
const LIFETIMES: [f64; 12] = [
    0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 10800.0, 21600.0, 43200.0, 86400.0,
];

/// The words for a status: none, then its class.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// The families.
#[derive(Clone, Debug)]
pub struct Metrics {
    open: IntGaugeVec,
    opened: IntCounterVec,
    closed: IntCounterVec,
    lasted: HistogramVec,
    refused: IntCounterVec,
    forwarded: IntCounterVec,
    forwarding: HistogramVec,
    answers: IntCounterVec,
}

/// One open subscription, counted as such while it lives.
#[derive(Debug)]
pub struct Connection {
    feed: Arc<Feed>,
    since: Instant,
    open: IntGauge,
    closed: IntCounterVec,
    lasted: HistogramVec,
    /// The connection of an HTTP/2 stream is kept for its streams.
    _request: Option<Request>,
}

impl Metrics {
    /// Registers the families.
    pub fn new(registry: &Registry) -> Self {
        Self {
            open: registry.gauges(
                "connections",
                "Open subscriptions.",
                &["feed", "protocol", "encoding"],
            ),
            opened: registry.counters(
                "connections_opened_total",
                "Subscriptions that were answered with an event stream.",
                &["feed", "protocol", "encoding"],
            ),
            closed: registry.counters(
                "connections_closed_total",
                "Subscriptions that ended, by reason.",
                &["feed", "reason"],
            ),
            lasted: registry.seconds_in(
                &LIFETIMES,
                "connection_duration_seconds",
                "How long subscriptions that ended were open.",
                &["feed"],
            ),
            refused: registry.counters(
                "subscriptions_refused_total",
                "Subscriptions that were answered without an event stream, by reason.",
                &["feed", "reason"],
            ),
            forwarded: registry.counters(
                "forwarded_requests_total",
                "Requests passed through, by the class of the status that the client got.",
                &["route", "upstream", "status"],
            ),
            forwarding: registry.seconds(
                "forwarded_duration_seconds",
                "Time from the head of a request that is passed through to the end of its answer, \
                 without WebSockets and event streams.",
                &["route", "upstream"],
            ),
            answers: registry.counters(
                "json_answers_total",
                "Plain requests for a feed's document that were answered from memory, by outcome.",
                &["feed", "outcome"],
            ),
        }
    }

    pub(super) fn opened(
        &self,
        feed: &Arc<Feed>,
        protocol: &str,
        coding: Coding,
        request: Option<Request>,
    ) -> Connection {
        let labels = &[feed.path.as_str(), protocol, coding.name()];
        self.opened.with_label_values(labels).inc();
        let open: IntGauge = self.open.with_label_values(labels);
        open.inc();
        Connection {
            feed: Arc::clone(feed),
            since: Instant::now(),
            open,
            closed: self.closed.clone(),
            lasted: self.lasted.clone(),
            _request: request,
        }
    }

    pub(super) fn refused(&self, feed: &str, reason: &str) {
        let refused: IntCounter = self.refused.with_label_values(&[feed, reason]);
        refused.inc();
    }

    pub(super) fn answered(&self, feed: &str, outcome: &str) {
        self.answers.with_label_values(&[feed, outcome]).inc();
    }

    /// What is sure to be asked about is there from the start, at 0: the first time that something
    /// happens is a rise then, and not a series out of nowhere, which rates do not see.
    pub fn begin(&self, config: &Config) {
        for feed in &config.feeds {
            let path = feed.path.as_str();
            self.lasted.with_label_values(&[path]);
            for closed in Closed::ALL {
                self.closed.with_label_values(&[path, closed.reason()]);
            }
            for full in Full::ALL {
                self.refused.with_label_values(&[path, full.reason()]);
            }
        }
        for to in Routes::new(config.routes.clone()).destinations(&config.feeds) {
            let (route, upstream) = (to.name(), to.upstream().name.as_str());
            self.forwarding.with_label_values(&[route, upstream]);
            for class in CLASSES {
                self.forwarded.with_label_values(&[route, upstream, class]);
            }
        }
    }

    /// A request was passed through; `took` is none where the answer lasts as long as somebody
    /// likes.
    pub(super) fn forwarded(&self, to: &Destination, status: u16, took: Option<Duration>) {
        let class = CLASSES
            .get(usize::from(status / 100))
            .unwrap_or(&CLASSES[0]);
        let (route, upstream) = (to.name(), to.upstream().name.as_str());
        self.forwarded
            .with_label_values(&[route, upstream, class])
            .inc();
        if let Some(took) = took {
            self.forwarding
                .with_label_values(&[route, upstream])
                .observe(took.as_secs_f64());
        }
    }
}

impl Connection {
    pub(super) fn closed(self, reason: &str) {
        let feed = self.feed.path.as_str();
        self.closed.with_label_values(&[feed, reason]).inc();
        self.lasted
            .with_label_values(&[feed])
            .observe(self.since.elapsed().as_secs_f64());
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.dec();
    }
}
