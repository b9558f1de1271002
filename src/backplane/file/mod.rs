//! Events in a file as well, so that the next process goes on where this one was.
//!
//! Owns the store. Promises that an event is written before anybody gets it, that an id is never used
//! for two events whatever becomes of process, machine and disk, and that feeds go on in memory while
//! the disk does not take anything. A disk that hangs holds up the feeds that are kept on it, and
//! an upgrade, but nothing else.
//!
//! | room | what it knows |
//! |---|---|
//! | `desk` | the open store: what is known of each topic in it |
//! | `table` | the SQL |
//! | `codec` | events, lineages and documents as bytes |
//! | `life` | whether the store holds all that was ever written |
//! | `mark` | what a topic is known by |
//! | `metrics`, `error` | what is counted, why a store cannot be opened |

pub(super) mod codec;
mod desk;
mod error;
mod life;
pub(super) mod mark;
mod metrics;
mod table;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use desk::{Desk, Event, WriteError, fresh, place};
pub use error::OpenError;
use mark::Secret;
pub use metrics::Metrics;
use table::Mark;

use super::{Backplane, unclaimed_for};
use crate::config::{Config, Feed, Store, Synced};
use crate::core::change::Change;
use crate::core::id::{EventId, TopicId};
use crate::core::past::Past;
use crate::hub::{Identity, Recall, Topic};

/// What is appended between two tidyings of the store, in bytes.
const APPENDED: u64 = 4 << 20;
/// Between two attempts to write while the disk does not take anything.
const RETRY: Duration = Duration::from_secs(1);
/// Between two attempts to open it again, which may mean to read all of it.
const REOPEN: Duration = Duration::from_secs(10);

/// The backplane of a single node that outlives the process.
#[derive(Debug)]
pub struct File {
    config: Store,
    /// What nobody asked for in this time is forgotten.
    unclaimed_for: Duration,
    secret: Secret,
    /// Tokio's: whoever waits for a slow disk must not hold up a thread.
    desk: tokio::sync::Mutex<Counter>,
    /// What topics were before that nobody asked for yet. A std mutex: held for a look-up.
    pasts: Mutex<HashMap<Mark, Past>>,
    /// Topics to be forgotten. A std mutex: held to add to it.
    gone: Mutex<Vec<(Mark, Option<TopicId>)>>,
    /// Topics that were made of what stood here. A std mutex: held to add to it.
    claimed: Mutex<Vec<(Mark, TopicId)>>,
    metrics: Metrics,
}

/// The desk, as far as it is open.
#[derive(Debug)]
struct Counter {
    desk: Option<Desk>,
    /// When the disk last did not take anything, while it does not.
    failing_since: Option<Instant>,
    /// Whether the desk is closed though it should not be.
    is_lost: bool,
}

impl File {
    /// Opens the store of this configuration.
    ///
    /// # Errors
    /// [`OpenError`] if it is not to be had, in which case it is as it was.
    pub fn open(config: &Config, store: &Store, metrics: Metrics) -> Result<Arc<Self>, OpenError> {
        let is_kept = |feed: &&Arc<Feed>| store.private || !feed.is_confidential();
        let feeds = config.feeds.iter();
        let kept: Vec<_> = feeds.filter(is_kept).map(|it| it.path.clone()).collect();
        let keeps = |feed: &str| kept.iter().any(|it| it == feed);
        let opened = Desk::open(store, store.sync == Synced::Always, keeps)?;
        Ok(Arc::new(Self {
            config: store.clone(),
            unclaimed_for: unclaimed_for(config),
            secret: Secret::new(opened.secret),
            desk: tokio::sync::Mutex::new(Counter {
                desk: Some(opened.desk),
                failing_since: None,
                is_lost: false,
            }),
            pasts: Mutex::new(opened.pasts),
            gone: Mutex::default(),
            claimed: Mutex::default(),
            metrics,
        }))
    }

    /// Syncs and tidies the store for as long as the result is awaited.
    pub async fn keep(self: Arc<Self>) {
        let started = Instant::now();
        let pause = match self.config.sync {
            Synced::Always => RETRY,
            Synced::Every(period) => period,
        };
        let mut is_claimed = false;
        loop {
            sleep(pause).await;
            if !is_claimed && started.elapsed() >= self.unclaimed_for {
                let unclaimed = std::mem::take(&mut *lock(&self.pasts));
                lock(&self.gone).extend(unclaimed.into_keys().map(|mark| (mark, None)));
                is_claimed = true;
            }
            if self.is_lost_long().await {
                // What is wrong was said when it was tried first.
                let _ = self.reopen().await;
            }
            if let Err(error) = self.sync().await {
                let mut counter = self.desk.lock().await;
                if let Some(desk) = &mut counter.desk {
                    desk.doubt();
                    desk.estrange();
                }
                self.failed(&mut counter, &error);
            }
        }
    }

    async fn is_lost_long(&self) -> bool {
        let counter = self.desk.lock().await;
        let is_long = |at: Instant| at.elapsed() >= REOPEN;
        counter.is_lost && counter.failing_since.is_some_and(is_long)
    }

    async fn sync(&self) -> Result<(), WriteError> {
        let mut counter = self.desk.lock().await;
        if counter.failing_since.is_some() {
            return Ok(());
        }
        let Some(desk) = &mut counter.desk else {
            return Ok(());
        };
        let gone = std::mem::take(&mut *lock(&self.gone));
        for (mark, id) in std::mem::take(&mut *lock(&self.claimed)) {
            desk.claim(&mark, id);
        }
        let size = aside(|| {
            if !gone.is_empty() {
                desk.forget(&gone)?;
            }
            desk.tidy(APPENDED)
        })?;
        self.metrics
            .bytes
            .set(i64::try_from(size).unwrap_or(i64::MAX));
        let unsynced = desk.take_unsynced()?;
        drop(counter);
        let Some(file) = unsynced.filter(|_| self.config.sync != Synced::Always) else {
            return Ok(());
        };
        let began = Instant::now();
        tokio::task::spawn_blocking(move || file.sync_data())
            .await
            .map_err(std::io::Error::other)??;
        self.metrics.sync.observe(began.elapsed().as_secs_f64());
        Ok(())
    }

    fn mark(&self, topic: &Topic) -> Mark {
        topic.mark(|| self.secret.mark(topic.feed(), topic.identity()))
    }

    fn keeps(&self, feed: &Feed) -> bool {
        self.config.private || !feed.is_confidential()
    }

    /// Writes the topic's next event, if the disk takes it. Afterwards its epoch is one in which that
    /// event may be appended.
    async fn write(&self, topic: &Topic, change: &Change) {
        let mark = self.mark(topic);
        let mut counter = self.desk.lock().await;
        let is_retry = counter.failing_since.is_some();
        let is_early = counter.failing_since.is_some_and(|at| at.elapsed() < RETRY);
        let Some(desk) = counter.desk.as_mut().filter(|_| !is_early) else {
            // What stands in the store of this epoch is not for this process to know.
            topic.go_on_in(fresh());
            return;
        };
        for (mark, id) in std::mem::take(&mut *lock(&self.claimed)) {
            desk.claim(&mark, id);
        }
        let mut event = Event {
            mark,
            topic,
            upcoming: topic.upcoming(),
            change,
        };
        let written = match desk.is_in_step(&event) && !is_retry {
            true => aside(|| desk.add(&event)),
            false => {
                if event.upcoming.sequence > 1 {
                    topic.go_on_in(fresh());
                    event.upcoming = topic.upcoming();
                }
                aside(|| desk.put(&event))
            }
        };
        match written {
            Ok(()) => {
                self.metrics.writes.inc();
                self.recovered(&mut counter);
            }
            Err(error) => {
                desk.lose(&mark);
                topic.go_on_in(fresh());
                self.failed(&mut counter, &error);
            }
        }
    }

    fn failed(&self, counter: &mut Counter, error: &WriteError) {
        self.metrics.failures.inc();
        self.metrics.degraded.set(1);
        if counter.failing_since.replace(Instant::now()).is_none() {
            warn!(
                store = %place(&self.config).display(),
                %error,
                "the store cannot be written; events are kept in memory only until it can"
            );
        }
    }

    fn recovered(&self, counter: &mut Counter) {
        if counter.failing_since.take().is_some() {
            self.metrics.degraded.set(0);
            info!(store = %place(&self.config).display(), "the store is written again");
        }
    }
}

#[async_trait]
impl Backplane for File {
    async fn publish(&self, topic: &Topic, change: Change) -> EventId {
        if self.keeps(topic.feed()) {
            self.write(topic, &change).await;
        }
        topic.append(change)
    }

    async fn close(&self) {
        let mut counter = self.desk.lock().await;
        counter.is_lost = false;
        let Some(desk) = counter.desk.take() else {
            return;
        };
        if let Err(error) = aside(|| desk.close()) {
            self.failed(&mut counter, &error);
        }
    }

    async fn reopen(&self) -> Result<(), OpenError> {
        let mut counter = self.desk.lock().await;
        if counter.desk.is_some() {
            return Ok(());
        }
        let always = self.config.sync == Synced::Always;
        let opened = aside(|| Desk::open(&self.config, always, |_| true));
        counter.is_lost = opened.is_err();
        if counter.is_lost {
            self.metrics.failures.inc();
            self.metrics.degraded.set(1);
            counter.failing_since = Some(Instant::now());
        }
        let mut desk = opened?.desk;
        // Somebody else may have written: nothing that stands there is in step with a topic.
        desk.estrange();
        counter.desk = Some(desk);
        Ok(())
    }
}

impl Recall for File {
    fn secret(&self) -> [u8; 32] {
        self.secret.bytes()
    }

    fn recall(&self, feed: &Feed, identity: &Identity) -> Option<Past> {
        let mark = self.secret.mark(feed, identity);
        let past = lock(&self.pasts).remove(&mark)?;
        lock(&self.claimed).push((mark, identity.id()));
        Some(past)
    }

    fn forget(&self, topic: &Topic) {
        let mark = self.mark(topic);
        lock(&self.gone).push((mark, Some(topic.identity().id())));
    }
}

/// Does what may block: whoever else is to run on this thread runs on another meanwhile.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|it| it.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked in between has only left something out.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
