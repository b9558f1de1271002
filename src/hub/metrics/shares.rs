//! What one topic adds to its feed's gauges.

use std::sync::Arc;

use prometheus::IntGauge;

use super::FeedMetrics;
use crate::core::event::{State, Timestamp};

/// What one topic adds to its feed's gauges, taken out again when this is dropped.
#[derive(Debug)]
pub(in crate::hub) struct Shares {
    metrics: Arc<FeedMetrics>,
    /// Paused if none.
    state: Option<State>,
    held: (i64, i64),
}

impl Shares {
    /// A topic that was never polled.
    pub(in crate::hub) fn new(metrics: Arc<FeedMetrics>) -> Self {
        metrics.topics.inc();
        metrics.gauge(None).inc();
        Self {
            metrics,
            state: None,
            held: (0, 0),
        }
    }

    /// It is not polled now.
    pub(in crate::hub) fn paused(&mut self) {
        self.enter(None);
    }

    /// It is in this state, and this was its last success.
    pub(in crate::hub) fn state(&mut self, state: State, last_success: Option<Timestamp>) {
        self.enter(Some(state));
        advance(&self.metrics.last_success, last_success);
    }

    /// This was its last change.
    pub(in crate::hub) fn changed(&self, at: Option<Timestamp>) {
        advance(&self.metrics.last_change, at);
    }

    /// It keeps so many events of so many bytes.
    pub(in crate::hub) fn holds(&mut self, (events, bytes): (usize, usize)) {
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

/// The newest moment of all topics.
fn advance(newest: &IntGauge, at: Option<Timestamp>) {
    let seconds = at.map_or(0, |at| at.0 / 1000);
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    newest.set(newest.get().max(seconds));
}
