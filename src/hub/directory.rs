//! Which topics there are on demand.
//!
//! Promises that a topic is found or made, and its demand registered, in one step, and that one is
//! dropped only while nobody demands it: no subscriber ever holds a topic that is no longer polled.
//! There are never more than the configuration allows; those that exist are kept.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::demand::Demand;
use super::key::Key;
use super::topic::Topic;
use crate::core::event::Mode;

/// How long a topic without a document is kept for nobody: long enough that a crowd which asks for
/// what does not exist asks the upstream once, too short to keep others from getting a topic.
const EMPTY_LINGER: Duration = Duration::from_secs(1);

/// Why there is no topic for a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// There are as many topics of this feed as there may be, or of all feeds together.
    Full,
    /// The process is about to leave.
    Draining,
}

/// The topics on demand, by feed and key.
#[derive(Debug)]
pub(super) struct Directory {
    feeds: Vec<HashMap<Arc<Key>, Arc<Topic>>>,
    all: usize,
    most: usize,
    draining: bool,
}

impl Directory {
    /// No topic of any of so many feeds, and at most so many in all.
    pub(super) fn new(feeds: usize, most: usize) -> Self {
        Self {
            feeds: (0..feeds).map(|_| HashMap::new()).collect(),
            all: 0,
            most,
            draining: false,
        }
    }

    /// The topic that this feed has under this key.
    pub(super) fn find(&self, feed: usize, key: &Key) -> Option<&Arc<Topic>> {
        self.feeds[feed].get(key)
    }

    /// The topic that this feed has under this key, demanded; if there is none, it is made, and
    /// returned once more to be announced. `most` is how many the feed may have.
    ///
    /// # Errors
    /// [`Unserved`] if there is none and none may be made.
    pub(super) fn demand(
        &mut self,
        feed: usize,
        most: usize,
        key: Key,
        mode: Mode,
        make: impl FnOnce(Arc<Key>) -> Arc<Topic>,
    ) -> Result<(Demand, Option<Arc<Topic>>), Unserved> {
        let topics = &mut self.feeds[feed];
        if let Some(topic) = topics.get(&key) {
            return Ok((topic.demand(mode), None));
        }
        if self.draining {
            return Err(Unserved::Draining);
        }
        if self.all >= self.most || topics.len() >= most {
            return Err(Unserved::Full);
        }
        let key = Arc::new(key);
        let topic = make(Arc::clone(&key));
        topics.insert(key, Arc::clone(&topic));
        self.all += 1;
        Ok((topic.demand(mode), Some(topic)))
    }

    /// Drops this topic, unless somebody demands it. True if it is gone.
    pub(super) fn retire(&mut self, feed: usize, topic: &Topic) -> bool {
        let Some(key) = topic.key().filter(|_| !topic.is_demanded()) else {
            return false;
        };
        let gone = self.feeds[feed].remove(key).is_some();
        self.all -= usize::from(gone);
        gone
    }

    /// No topic is made any more.
    pub(super) fn drain(&mut self) {
        self.draining = true;
    }

    /// Those of one feed, in no order.
    pub(super) fn of(&self, feed: usize) -> impl Iterator<Item = &Arc<Topic>> {
        self.feeds[feed].values()
    }

    /// Those of all feeds, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.feeds.iter().flat_map(HashMap::values)
    }
}

/// How long this topic is kept for nobody.
pub(super) fn patience(topic: &Topic) -> Duration {
    let linger = topic.feed().poll.linger;
    match topic.has_document() {
        true => linger,
        false => linger.min(EMPTY_LINGER),
    }
}
