//! Events live in this process only: a restart is a new epoch.

use async_trait::async_trait;
use tokio::sync::{Mutex, OwnedRwLockWriteGuard, RwLock};

use std::sync::Arc;

use super::Backplane;
use crate::core::change::Change;
use crate::core::id::EventId;
use crate::hub::Topic;

/// The backplane of a single node.
#[derive(Debug, Default)]
pub struct Memory {
    /// Held by whoever publishes, and by one who lets nobody.
    open: Arc<RwLock<()>>,
    closed: Mutex<Option<OwnedRwLockWriteGuard<()>>>,
}

#[async_trait]
impl Backplane for Memory {
    async fn publish(&self, topic: &Topic, change: Change) -> EventId {
        let _open = self.open.read().await;
        topic.append(change)
    }

    async fn close(&self) {
        let mut closed = self.closed.lock().await;
        if closed.is_none() {
            *closed = Some(Arc::clone(&self.open).write_owned().await);
        }
    }

    async fn reopen(&self) {
        *self.closed.lock().await = None;
    }
}
