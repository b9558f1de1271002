//! One client's way through a topic, independent of how its bytes are written.

use std::sync::Arc;

use tokio::sync::watch;

use super::demand::Demand;
use super::topic::Topic;
use crate::core::cursor::Cursor;
use crate::core::sse::Frame;

/// A place in a topic and the means to wait there. It keeps the topic polled while it lives.
#[derive(Debug)]
pub struct Subscription {
    demand: Demand,
    cursor: Cursor,
    version: watch::Receiver<u64>,
}

/// What a writer is to do next.
#[derive(Debug)]
pub enum Step {
    /// Send this, then ask again.
    Send(Arc<Frame>),
    /// The client is up to date; wait for [`Subscription::woken`].
    Wait,
    /// The feed is over: send this, then end the response.
    End(Arc<Frame>),
    /// The process is about to leave: tell the client when to come back, then end the response.
    Leave,
}

impl Subscription {
    pub(super) fn new(demand: Demand, cursor: Cursor, version: watch::Receiver<u64>) -> Self {
        Self {
            demand,
            cursor,
            version,
        }
    }

    /// Takes the next step.
    pub fn step(&mut self) -> Step {
        self.demand.topic().step(&mut self.cursor)
    }

    /// Waits until the topic changed since the last wait. Cancel-safe.
    pub async fn woken(&mut self) {
        if self.version.changed().await.is_err() {
            // The topic is kept alive by `demand`, so its sender cannot be gone.
            std::future::pending::<()>().await;
        }
    }

    /// What it reads.
    pub fn topic(&self) -> &Arc<Topic> {
        self.demand.topic()
    }
}
