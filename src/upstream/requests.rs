//! The requests of one poll, on their way through the upstream's gate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::error::PollError;
use super::gate::Gate;
use super::metrics::PollMetrics;
use super::poll::BeforeRequest;
use crate::clock::Clock;
use crate::core::event::Timestamp;

/// A pass is for a request that goes out now; one that waits longer for a token or an address, in
/// milliseconds, would go out together with all others that wait for it.
const PASS_HOLDS: u64 = 50;

/// The requests of one poll: each is counted, and all but the first, which has a pass, go through
/// the gate one by one.
pub(super) struct Requests<'a> {
    metrics: &'a PollMetrics,
    gate: &'a Gate,
    clock: Clock,
    started: Timestamp,
    timeout: Duration,
    is_first: AtomicBool,
}

impl<'a> Requests<'a> {
    /// Those of a poll that begins now, with a pass, and may take so long.
    pub(super) fn new(
        metrics: &'a PollMetrics,
        gate: &'a Gate,
        clock: Clock,
        timeout: Duration,
    ) -> Self {
        Self {
            metrics,
            gate,
            clock,
            started: clock.now(),
            timeout,
            is_first: AtomicBool::new(true),
        }
    }
}

#[async_trait]
impl BeforeRequest for Requests<'_> {
    async fn request(&self) -> Result<(), PollError> {
        let millis = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        let by = self.started.after(millis);
        let may_ask = if !self.is_first.swap(false, Ordering::Relaxed) {
            self.gate.further(by).await
        } else if self.clock.now().since(self.started) > PASS_HOLDS {
            self.gate.afresh(by).await
        } else {
            true
        };
        if !may_ask {
            return Err(PollError::Held(self.timeout));
        }
        self.metrics.requested();
        Ok(())
    }
}
