//! The seam between those who find changes and the logs that subscribers read.
//!
//! Owns who gives a change its id. Promises that a published change is in the topic's log of every
//! node that serves it, in the same order and under the same id.

mod held;
mod memory;

use async_trait::async_trait;

pub use held::Held;
pub use memory::Memory;

use crate::core::change::Change;
use crate::core::id::EventId;
use crate::hub::Topic;

/// Where events are kept and shared.
#[async_trait]
pub trait Backplane: Send + Sync {
    /// Makes this change the topic's newest event and returns its id.
    async fn publish(&self, topic: &Topic, change: Change) -> EventId;

    /// Sees to it that everything that was published is kept, and lets go of it, so that another
    /// process can go on from there.
    async fn close(&self) {}

    /// Takes hold again of what was closed, since no other process went on.
    async fn reopen(&self) {}
}
