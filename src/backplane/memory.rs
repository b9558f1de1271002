//! Events live in this process only: a restart is a new epoch.

use async_trait::async_trait;

use super::Backplane;
use crate::core::change::Change;
use crate::core::id::EventId;
use crate::hub::Topic;

/// The backplane of a single node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory;

#[async_trait]
impl Backplane for Memory {
    async fn publish(&self, topic: &Topic, change: Change) -> EventId {
        topic.append(change)
    }
}
