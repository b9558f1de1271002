//! The seam between those who find changes and the logs that subscribers read.
//!
//! Owns who gives a change its id. Promises that a published change is in the topic's log of every
//! node that serves it, in the same order and under the same id.

pub mod file;
mod handed;
mod held;
mod memory;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use file::File;
pub use handed::Handed;
pub use held::Held;
pub use memory::Memory;

use crate::config::{self, Config};
use crate::core::change::Change;
use crate::core::id::EventId;
use crate::hub::{Recall, Topic};
use crate::metrics::Registry;

const UNCLAIMED: Duration = Duration::from_secs(600);

/// What one process runs with.
#[derive(Clone)]
pub struct Running {
    /// Where its pollers publish.
    pub backplane: Arc<dyn Backplane>,
    /// What its hub remembers of former lives.
    pub recall: Arc<dyn Recall>,
}

/// Starts the backplane of this configuration; `handed` is what another process gave of its logs.
/// To be called within a runtime.
///
/// # Errors
/// [`file::OpenError`] if events cannot be kept as it says.
pub fn start(
    config: &Config,
    registry: &Registry,
    handed: Handed,
) -> Result<Running, file::OpenError> {
    let metrics = file::Metrics::new(registry);
    handed.keep_for(unclaimed_for(config));
    let store = match &config.backplane {
        config::Backplane::Memory => {
            return Ok(Running {
                backplane: Arc::new(Held::new(Arc::new(Memory))),
                recall: Arc::new(handed),
            });
        }
        config::Backplane::File(store) => store,
    };
    let file = File::open(config, store, metrics)?;
    tokio::spawn(Arc::clone(&file).keep());
    Ok(Running {
        backplane: Arc::new(Held::new(file.clone())),
        recall: Arc::new(handed::HandedBeside {
            handed,
            store: file,
        }),
    })
}

/// How long somebody may take to come back for what a topic was in a former life: as long as the
/// topic itself would have been kept, at least.
fn unclaimed_for(config: &Config) -> Duration {
    let lingers = config.feeds.iter().map(|feed| feed.poll.linger);
    lingers.max().unwrap_or_default().max(UNCLAIMED)
}

/// Where events are kept and shared.
#[async_trait]
pub trait Backplane: Send + Sync {
    /// Makes this change the topic's newest event and returns its id.
    async fn publish(&self, topic: &Topic, change: Change) -> EventId;

    /// Sees to it that everything published is on the disk, and lets go of it, so that another process
    /// can go on from there. What is published afterwards is kept in memory, under fresh epochs.
    async fn close(&self) {}

    /// Takes hold again of what was closed, which another process may have written to meanwhile. If
    /// that fails, it is tried again now and then.
    ///
    /// # Errors
    /// [`file::OpenError`] if it is not to be had.
    async fn reopen(&self) -> Result<(), file::OpenError> {
        Ok(())
    }
}
