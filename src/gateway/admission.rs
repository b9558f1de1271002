//! The door: counts what must be finished before the process leaves, and shuts behind the last.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Requests and streams that are under way.
#[derive(Debug, Default)]
pub struct Admission {
    in_flight: TaskTracker,
    shut: AtomicBool,
}

impl Admission {
    /// Counts a request for as long as the token lives; taken before [`Self::is_shut`] is asked.
    pub(super) fn token(&self) -> TaskTrackerToken {
        self.in_flight.token()
    }

    /// Counts tasks that outlive their request.
    pub(super) fn tracker(&self) -> TaskTracker {
        self.in_flight.clone()
    }

    /// Whether nobody may be answered any more: the process could be gone before the answer's end.
    pub(super) fn is_shut(&self) -> bool {
        self.shut.load(Ordering::SeqCst)
    }

    /// How much is under way.
    pub fn open(&self) -> usize {
        self.in_flight.len()
    }

    /// Waits until nothing is under way, and lets nothing begin from then on.
    pub async fn finished(&self) {
        self.in_flight.close();
        self.in_flight.wait().await;
        self.shut.store(true, Ordering::SeqCst);
        // Whoever took a token just before is still served.
        self.in_flight.wait().await;
    }
}
