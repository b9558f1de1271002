//! A backplane that can be stopped: whoever publishes meanwhile waits.
//!
//! Promises that between [`Backplane::close`] and [`Backplane::reopen`] no id is given, so that
//! another process may give the next one.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Mutex, OwnedRwLockWriteGuard, RwLock};

use super::Backplane;
use super::file::OpenError;
use crate::core::change::Change;
use crate::core::id::EventId;
use crate::hub::Topic;

/// Another backplane, behind a door.
pub struct Held {
    behind: Arc<dyn Backplane>,
    /// Shared by those who publish, and taken whole by one who stops them.
    door: Arc<RwLock<()>>,
    shut: Mutex<Option<OwnedRwLockWriteGuard<()>>>,
}

impl Held {
    /// This backplane, which is open.
    pub fn new(behind: Arc<dyn Backplane>) -> Self {
        Self {
            behind,
            door: Arc::default(),
            shut: Mutex::default(),
        }
    }
}

#[async_trait]
impl Backplane for Held {
    async fn publish(&self, topic: &Topic, change: Change) -> EventId {
        let _open = self.door.read().await;
        self.behind.publish(topic, change).await
    }

    async fn close(&self) {
        let mut shut = self.shut.lock().await;
        if shut.is_none() {
            *shut = Some(Arc::clone(&self.door).write_owned().await);
            self.behind.close().await;
        }
    }

    async fn reopen(&self) -> Result<(), OpenError> {
        let mut shut = self.shut.lock().await;
        if shut.is_some() {
            let outcome = self.behind.reopen().await;
            *shut = None;
            return outcome;
        }
        Ok(())
    }
}
