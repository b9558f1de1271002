//! The seam between those who find changes and the logs that subscribers read.
//!
//! Owns who gives a change its id. Promises that a published change is in the topic's log of every
//! node that serves it, in the same order and under the same id.

mod memory;

use async_trait::async_trait;

pub use memory::Memory;

use crate::core::change::Change;
use crate::core::id::EventId;
use crate::hub::Topic;

/// Where events are kept and shared.
#[async_trait]
pub trait Backplane: Send + Sync {
    /// Makes this change the topic's newest event and returns its id.
    async fn publish(&self, topic: &Topic, change: Change) -> EventId;

    /// Lets nobody publish from now on: who wants to waits. Everything that was published is kept
    /// by then, and another process may go on with it.
    async fn close(&self);

    /// Goes on after [`Self::close`], since no other process has.
    async fn reopen(&self);
}
