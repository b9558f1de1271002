//! What the gates of upstreams count.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::core::schedule::Hold;
use crate::metrics::Registry;

/// What a circuit breaker can be.
const STATES: [&str; 3] = ["closed", "open", "half_open"];

/// The families, each labelled by upstream.
#[derive(Clone, Debug)]
pub struct GatesMetrics {
    held_back: IntCounterVec,
    in_flight: IntGaugeVec,
    waiting: IntGaugeVec,
    state: IntGaugeVec,
}

impl GatesMetrics {
    /// Registers the families.
    pub fn new(registry: &Registry) -> Self {
        Self {
            held_back: registry.counters(
                "polls_held_back_total",
                "Polls that were due and had to wait or were not sent, by reason.",
                &["upstream", "reason"],
            ),
            in_flight: registry.gauges("polls_in_flight", "Polls under way.", &["upstream"]),
            waiting: registry.gauges(
                "polls_waiting",
                "Polls that wait for their turn at the upstream's limits.",
                &["upstream"],
            ),
            state: registry.gauges(
                "circuit_breaker_state",
                "1 for the state that the upstream's circuit breaker is in.",
                &["upstream", "state"],
            ),
        }
    }

    /// The metrics of one upstream.
    pub(super) fn upstream(&self, name: &str) -> GateMetrics {
        GateMetrics {
            held_back: Hold::ALL.map(|hold| {
                let labels = [name, hold.word()];
                (hold, self.held_back.with_label_values(&labels))
            }),
            in_flight: self.in_flight.with_label_values(&[name]),
            waiting: self.waiting.with_label_values(&[name]),
            state: STATES.map(|state| (state, self.state.with_label_values(&[name, state]))),
        }
    }
}

/// The metrics of one upstream's gate.
#[derive(Debug)]
pub(super) struct GateMetrics {
    held_back: [(Hold, IntCounter); Hold::ALL.len()],
    in_flight: IntGauge,
    waiting: IntGauge,
    state: [(&'static str, IntGauge); STATES.len()],
}

impl GateMetrics {
    pub(super) fn held_back(&self, hold: Hold) {
        let counters = self.held_back.iter();
        for (_, counter) in counters.filter(|(each, _)| *each == hold) {
            counter.inc();
        }
    }

    pub(super) fn load(&self, in_flight: u32, waiting: usize) {
        self.in_flight.set(i64::from(in_flight));
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    pub(super) fn state(&self, state: &str) {
        for (each, gauge) in &self.state {
            gauge.set(i64::from(*each == state));
        }
    }
}
