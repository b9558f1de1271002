//! What is counted of who is let in. No label comes from a client.

use prometheus::{IntCounterVec, IntGaugeVec};

use crate::metrics::Registry;

/// Decisions, and where keys come from.
#[derive(Clone, Debug)]
pub struct Metrics {
    decisions: IntCounterVec,
    refreshes: IntCounterVec,
    keys: IntGaugeVec,
    questions: IntCounterVec,
    tickets: IntCounterVec,
}

impl Metrics {
    /// Registers the families.
    pub fn new(registry: &Registry) -> Self {
        Self {
            decisions: registry.counters(
                "auth_decisions_total",
                "Requests for what not everybody may have, by the way in that was taken, or was \
                 nearest to it, and outcome.",
                &["place", "method", "outcome"],
            ),
            refreshes: registry.counters(
                "auth_jwks_refreshes_total",
                "Attempts to fetch or read the keys of an issuer of tokens, by outcome.",
                &["issuer", "outcome"],
            ),
            questions: registry.counters(
                "auth_forward_requests_total",
                "Decisions of a service that decides who is let in, by outcome; cached ones were not \
                 asked for.",
                &["service", "outcome"],
            ),
            tickets: registry.counters(
                "auth_tickets_total",
                "Tickets that were asked for, by outcome.",
                &["outcome"],
            ),
            keys: registry.gauges(
                "auth_jwks_keys",
                "Keys of an issuer of tokens that are in use; without any, its tokens let in nobody.",
                &["issuer"],
            ),
        }
    }

    /// A request was judged.
    pub fn decided(&self, place: &str, method: &str, outcome: &str) {
        self.decisions
            .with_label_values(&[place, method, outcome])
            .inc();
    }

    /// There is this service.
    pub fn begin_forward(&self, service: &str) {
        for outcome in ["admitted", "refused", "failed", "cached"] {
            self.questions.with_label_values(&[service, outcome]);
        }
    }

    /// A decision of this service was had.
    pub fn forwarded(&self, service: &str, outcome: &str) {
        self.questions.with_label_values(&[service, outcome]).inc();
    }

    /// A ticket was asked for.
    pub fn ticket(&self, outcome: &str) {
        self.tickets.with_label_values(&[outcome]).inc();
    }

    /// The keys of this issuer were read, so many, or could not be.
    pub fn refreshed(&self, issuer: &str, keys: Option<usize>) {
        let outcome = if keys.is_some() { "success" } else { "failure" };
        self.refreshes.with_label_values(&[issuer, outcome]).inc();
        if let Some(keys) = keys {
            self.held(issuer, keys);
        }
    }

    /// So many keys of this issuer are in use.
    pub fn held(&self, issuer: &str, keys: usize) {
        let keys = i64::try_from(keys).unwrap_or(i64::MAX);
        self.keys.with_label_values(&[issuer]).set(keys);
    }
}
