//! Writing event streams: the seam behind which subscribers are served.
//!
//! Owns the connections of all subscribers. Promises that a frame once begun is finished before
//! anything else is written, that a client which takes no bytes for too long is cut off, and that
//! one which leaves is noticed. How the work is shared out is this module's secret: today each
//! subscriber has a task.

mod task;

use std::time::Duration;

use pingora::protocols::Stream;
use tokio_util::task::TaskTracker;

use super::metrics::Connection;
use super::seats::Seat;
use crate::core::sse::{Frame, Framing};
use crate::hub::Subscription;

/// One response to be written: its head is on the wire (perhaps unflushed), its body is not.
pub struct Delivery {
    /// What is sent.
    pub subscription: Subscription,
    /// Where to.
    pub stream: Stream,
    /// How the body is delimited.
    pub framing: Framing,
    /// Its place among those who may subscribe, kept until the stream is over.
    pub seat: Seat,
    /// Counts it as open.
    pub connection: Connection,
}

/// Serves every subscriber that it adopts.
#[derive(Clone, Debug)]
pub struct Writers {
    tasks: TaskTracker,
}

impl Writers {
    /// Writers whose open streams `tasks` counts.
    pub fn new(tasks: TaskTracker) -> Self {
        Self { tasks }
    }

    /// Serves this subscriber until it leaves or is sent away.
    pub fn adopt(&self, delivery: Delivery) {
        self.tasks.spawn(task::serve(delivery));
    }
}

/// The reconnection time for one client: the feed's, give or take half, so that a crowd which was
/// cut off together does not come back together.
pub(super) fn retry(configured: Duration) -> Frame {
    let millis = u64::try_from(configured.as_millis()).unwrap_or(u64::MAX);
    let half = millis / 2;
    Frame::retry(rand::random_range(
        millis - half..=millis.saturating_add(half),
    ))
}
