//! The one clock: wall time that never jumps.
//!
//! Anchored once at start and carried on by the monotonic clock, so that a corrected system clock
//! can neither end a feed nor stop a poller. What it prints may drift from the wall by as much as
//! the system clock was corrected since start.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep_until};

use crate::core::event::Timestamp;

/// Reads and awaits [`Timestamp`]s.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    started_at: Timestamp,
}

impl Clock {
    /// Anchors the clock now.
    pub fn start() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            started: Instant::now(),
            started_at: Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or_default()),
        }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or_default();
        Timestamp(self.started_at.0 + elapsed)
    }

    /// The moment to sleep until so that [`Self::now`] is at least `at` afterwards.
    pub fn instant(&self, at: Timestamp) -> Instant {
        self.started + Duration::from_millis(at.0.saturating_sub(self.started_at.0))
    }

    /// Waits until then; for ever if there is no such time.
    pub async fn reached(&self, at: Option<Timestamp>) {
        match at {
            Some(at) => sleep_until(self.instant(at)).await,
            None => std::future::pending().await,
        }
    }
}
