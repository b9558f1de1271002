//! What the gateway counts.

use std::sync::Arc;

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::config::Feed;
use crate::listen::Request;
use crate::metrics::Registry;

/// The families.
#[derive(Clone, Debug)]
pub struct Metrics {
    open: IntGaugeVec,
    opened: IntCounterVec,
    closed: IntCounterVec,
    refused: IntCounterVec,
    forwarded: IntCounterVec,
    answers: IntCounterVec,
}

/// One open subscription, counted as such while it lives.
#[derive(Debug)]
pub struct Connection {
    feed: Arc<Feed>,
    open: IntGauge,
    closed: IntCounterVec,
    /// The connection of an HTTP/2 stream is kept for its streams.
    _request: Option<Request>,
}

impl Metrics {
    /// Registers the families.
    pub fn new(registry: &Registry) -> Self {
        Self {
            open: registry.gauges("connections", "Open subscriptions.", &["feed", "protocol"]),
            opened: registry.counters(
                "connections_opened_total",
                "Subscriptions that were answered with an event stream.",
                &["feed", "protocol"],
            ),
            closed: registry.counters(
                "connections_closed_total",
                "Subscriptions that ended, by reason.",
                &["feed", "reason"],
            ),
            refused: registry.counters(
                "subscriptions_refused_total",
                "Subscriptions that were answered without an event stream, by reason.",
                &["feed", "reason"],
            ),
            forwarded: registry.counters(
                "forwarded_requests_total",
                "Requests passed through, by the class of the status that the client got.",
                &["upstream", "status"],
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
        request: Option<Request>,
    ) -> Connection {
        let labels = &[feed.path.as_str(), protocol];
        self.opened.with_label_values(labels).inc();
        let open: IntGauge = self.open.with_label_values(labels);
        open.inc();
        Connection {
            feed: Arc::clone(feed),
            open,
            closed: self.closed.clone(),
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

    pub(super) fn forwarded(&self, upstream: &str, status: u16) {
        let class = match status {
            100..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            500..600 => "5xx",
            _ => "none",
        };
        self.forwarded.with_label_values(&[upstream, class]).inc();
    }
}

impl Connection {
    pub(super) fn closed(self, reason: &str) {
        self.closed
            .with_label_values(&[self.feed.path.as_str(), reason])
            .inc();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.dec();
    }
}
