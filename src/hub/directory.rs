//! Which topics there are on demand.
//!
//! Promises that a topic is found or made, and its demand registered, in one step, and that one is
//! dropped only while nobody demands it: no subscriber ever holds a topic that is no longer polled.
//! There are never more than the configuration allows; of those that exist, only such as
//! nobody demands any more give way to others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::budget::Budget;
use super::common::Common;
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
    /// All topics together keep as much as they may, even without their histories.
    Memory,
    /// The process is about to leave.
    Draining,
}

/// The topics on demand, by feed and key.
#[derive(Debug)]
pub(super) struct Directory {
    /// By the address of what a feed's topics have in common, which these keep from changing.
    feeds: HashMap<usize, Shelf>,
    all: usize,
    most: usize,
    draining: bool,
    budget: Arc<Budget>,
}

/// The topics of one feed.
#[derive(Debug)]
struct Shelf {
    /// How many there may be.
    most: usize,
    topics: HashMap<Arc<Key>, Arc<Topic>>,
    _common: Arc<Common>,
}

impl Directory {
    /// No topic of any feed, and at most so many in all.
    pub(super) fn new(most: usize, budget: Arc<Budget>) -> Self {
        Self {
            feeds: HashMap::new(),
            all: 0,
            most,
            draining: false,
            budget,
        }
    }

    /// From now on there are at most so many in all; those beyond stay until they are dropped.
    pub(super) fn follow(&mut self, most: usize) {
        self.most = most;
    }

    /// Makes place for the topics of this feed.
    pub(super) fn open(&mut self, common: &Arc<Common>) {
        let parameters = common.feed().parameters.as_ref();
        let shelf = Shelf {
            most: parameters.map_or(0, |parameters| parameters.topics),
            topics: HashMap::new(),
            _common: Arc::clone(common),
        };
        self.feeds.insert(address(common), shelf);
    }

    /// Takes all topics of this feed away; there will be no other.
    pub(super) fn close(&mut self, common: &Arc<Common>) -> Vec<Arc<Topic>> {
        let shelf = self.feeds.remove(&address(common));
        let topics: Vec<_> = shelf.map_or_else(Vec::new, |it| it.topics.into_values().collect());
        self.all -= topics.len();
        topics
    }

    /// Whether topics of this feed may be made.
    pub(super) fn is_open(&self, common: &Arc<Common>) -> bool {
        self.feeds.contains_key(&address(common))
    }

    /// Puts a topic under its key, where there is none yet.
    pub(super) fn place(&mut self, topic: Arc<Topic>) {
        let shelf = self.feeds.get_mut(&address(topic.common()));
        if let (Some(shelf), Some(key)) = (shelf, topic.identity().key()) {
            let key = Arc::clone(key);
            self.all += usize::from(shelf.topics.insert(key, topic).is_none());
        }
    }

    /// The topic that this feed has under this key.
    pub(super) fn find(&self, common: &Arc<Common>, key: &Key) -> Option<&Arc<Topic>> {
        self.feeds.get(&address(common))?.topics.get(key)
    }

    /// The topic that the feed of this one has under its key.
    pub(super) fn find_like(&self, topic: &Topic) -> Option<&Arc<Topic>> {
        self.find(topic.common(), topic.identity().key()?)
    }

    /// The topic that this feed has under this key, demanded; if there is none, it is made, and
    /// returned once more to be announced.
    ///
    /// # Errors
    /// [`Unserved`] if there is none and none may be made.
    pub(super) fn demand(
        &mut self,
        common: &Arc<Common>,
        key: Key,
        mode: Mode,
        make: impl FnOnce(Arc<Key>) -> Arc<Topic>,
    ) -> Result<(Demand, Option<Arc<Topic>>), Unserved> {
        let feed = address(common);
        let shelf = self.feeds.get(&feed).ok_or(Unserved::Draining)?;
        if let Some(topic) = shelf.topics.get(&key) {
            return Ok((topic.demand(mode), None));
        }
        if self.draining {
            return Err(Unserved::Draining);
        }
        let is_full = if shelf.topics.len() >= shelf.most {
            !self.make_room(Some(feed))
        } else {
            self.all >= self.most && !self.make_room(None)
        };
        if is_full {
            return Err(Unserved::Full);
        }
        if !self.make_memory() {
            return Err(Unserved::Memory);
        }
        let topic = make(Arc::new(key));
        self.place(Arc::clone(&topic));
        Ok((topic.demand(mode), Some(topic)))
    }

    /// Drops topics that last for nobody until there is memory for one more. False if there is not.
    fn make_memory(&mut self) -> bool {
        let lacking = self.budget.lacks();
        if lacking == 0 {
            return true;
        }
        let idle = self.all().filter(|topic| !topic.is_demanded());
        if idle.map(|topic| topic.weight().kept).sum::<usize>() < lacking {
            return false;
        }
        let mut freed = 0;
        while freed < lacking {
            let Some(kept) = self.drop_idlest(None) else {
                return false;
            };
            freed += kept;
        }
        true
    }

    /// Drops the topic that has lasted longest for nobody, of this feed or of all. False if there is
    /// none.
    fn make_room(&mut self, feed: Option<usize>) -> bool {
        self.drop_idlest(feed).is_some()
    }

    /// The same. Returns the bytes that it kept.
    fn drop_idlest(&mut self, feed: Option<usize>) -> Option<usize> {
        let shelves = self.feeds.iter();
        let shelves = shelves.filter(|(at, _)| feed.is_none_or(|feed| **at == feed));
        let topics = shelves.flat_map(|(_, shelf)| shelf.topics.values());
        let idle = topics.filter(|topic| !topic.is_demanded());
        let topic = idle.min_by_key(|topic| topic.quiet_since())?;
        let topic = Arc::clone(topic);
        self.retire(&topic);
        // Whoever keeps it polled has to look.
        topic.announce(|_| ());
        Some(topic.weight().kept)
    }

    /// Whether this topic was dropped.
    pub(super) fn has_dropped(&self, topic: &Arc<Topic>) -> bool {
        let held = self.find_like(topic);
        !held.is_some_and(|held| Arc::ptr_eq(held, topic))
    }

    /// Drops this topic, unless somebody demands it. True if it is gone.
    pub(super) fn retire(&mut self, topic: &Arc<Topic>) -> bool {
        // Another topic may have taken its place since it was dropped.
        if self.has_dropped(topic) {
            return topic.identity().is_on_demand();
        }
        if topic.is_demanded() {
            return false;
        }
        let shelf = self.feeds.get_mut(&address(topic.common()));
        if let (Some(shelf), Some(key)) = (shelf, topic.identity().key()) {
            shelf.topics.remove(key);
            self.all -= 1;
        }
        true
    }

    /// No topic is made any more.
    pub(super) fn drain(&mut self) {
        self.draining = true;
    }

    /// Those of one feed, in no order.
    pub(super) fn of(&self, common: &Arc<Common>) -> impl Iterator<Item = &Arc<Topic>> {
        let shelf = self.feeds.get(&address(common)).into_iter();
        shelf.flat_map(|shelf| shelf.topics.values())
    }

    /// Those of all feeds, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Topic>> {
        let shelves = self.feeds.values();
        shelves.flat_map(|shelf| shelf.topics.values())
    }
}

fn address(common: &Arc<Common>) -> usize {
    Arc::as_ptr(common) as usize
}

/// How long this topic is kept for nobody.
pub(super) fn patience(topic: &Topic) -> Duration {
    let linger = topic.feed().poll.linger;
    match topic.has_document() {
        true => linger,
        false => linger.min(EMPTY_LINGER),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::clock::Clock;
    use crate::config::{Config, System};
    use crate::hub::{Hub, Metrics, Particulars, Place};
    use crate::metrics::Registry;

    /// A hub with a feed of at most three topics, four in all, and another feed.
    fn hub() -> Arc<Hub> {
        let text = "server: {limits: {topics: 4}}\n\
                    upstreams: {a: {url: 'http://a'}}\n\
                    feeds:\n\
                    - {path: '/a/{id}', upstream: a, topics: 3, poll: {linger: 5s}}\n\
                    - {path: '/b/{id}', upstream: a}\n\
                    - {path: '/c', upstream: a}";
        let (config, _) = Config::parse(text, &System::new("")).unwrap();
        let metrics = Metrics::new(&Registry::default());
        Hub::new(&config, &metrics, Clock::start()).0
    }

    fn at(hub: &Hub, path: &str) -> (Place, Particulars) {
        let place = hub.at(path).unwrap();
        let particulars = Particulars {
            captures: place.captures.clone(),
            ..Particulars::default()
        };
        (place, particulars)
    }

    fn demand(hub: &Hub, path: &str) -> Result<Demand, Unserved> {
        let (place, particulars) = at(hub, path);
        hub.demand(&place, &particulars, Mode::Patch)
    }

    #[tokio::test]
    async fn each_bound_is_reached_by_itself_and_what_exists_is_served() {
        let hub = hub();
        let held: Vec<_> = ["/a/1", "/a/2", "/a/3"]
            .iter()
            .map(|path| demand(&hub, path).unwrap())
            .collect();
        assert_eq!(demand(&hub, "/a/4").unwrap_err(), Unserved::Full);
        let other = demand(&hub, "/b/1").unwrap();
        assert_eq!(demand(&hub, "/b/2").unwrap_err(), Unserved::Full);
        let again = demand(&hub, "/a/1").unwrap();
        assert!(Arc::ptr_eq(again.topic(), held[0].topic()));
        assert!(demand(&hub, "/c").is_ok());
        hub.drain(Duration::ZERO);
        assert!(
            demand(&hub, "/b/1").is_ok(),
            "it says itself that it leaves"
        );
        drop((held, other));
        assert_eq!(demand(&hub, "/b/9").unwrap_err(), Unserved::Draining);
    }

    #[tokio::test(start_paused = true)]
    async fn a_topic_is_dropped_when_nobody_has_listened_for_long_enough() {
        let hub = hub();
        let (place, particulars) = at(&hub, "/a/1");
        let first = demand(&hub, "/a/1").unwrap();
        let topic = Arc::clone(first.topic());
        let abandoned = hub.abandoned(&topic);
        tokio::pin!(abandoned);
        let mut is_over = async |after: Duration| timeout(after, &mut abandoned).await.is_ok();
        assert!(!is_over(Duration::from_secs(3600)).await);
        drop(first);
        // Who comes in between begins the wait anew.
        assert!(!is_over(EMPTY_LINGER / 2).await);
        drop(demand(&hub, "/a/1").unwrap());
        assert!(!is_over(EMPTY_LINGER * 3 / 4).await);
        assert!(hub.topic(&place, &particulars).is_some());
        assert!(is_over(EMPTY_LINGER).await);
        assert!(hub.topic(&place, &particulars).is_none());
        let next = demand(&hub, "/a/1").unwrap();
        assert_ne!(next.topic().identity().epoch(), topic.identity().epoch());
    }

    #[tokio::test(start_paused = true)]
    async fn a_topic_is_over_when_it_gave_way_before_anybody_saw_that_its_client_left() {
        let hub = hub();
        let first = demand(&hub, "/a/1").unwrap();
        let topic = Arc::clone(first.topic());
        let others = ["/a/2", "/a/3"].map(|path| demand(&hub, path).unwrap());
        let abandoned = hub.abandoned(&topic);
        tokio::pin!(abandoned);
        assert!(timeout(EMPTY_LINGER, &mut abandoned).await.is_err());
        drop(first);
        let newcomer = demand(&hub, "/a/4").unwrap();
        assert!(timeout(EMPTY_LINGER / 2, abandoned).await.is_ok());
        drop((others, newcomer));
    }

    #[tokio::test(start_paused = true)]
    async fn a_topic_whose_feed_is_over_waits_for_the_one_that_takes_over() {
        let hub = hub();
        let first = demand(&hub, "/a/1").unwrap();
        let topic = Arc::clone(first.topic());
        let abandoned = hub.abandoned(&topic);
        tokio::pin!(abandoned);
        let mut is_over = async |after: Duration| timeout(after, &mut abandoned).await.is_ok();
        assert_eq!(hub.lock().close(topic.common()).len(), 1);
        drop(first);
        assert!(!is_over(Duration::from_secs(3600)).await);
        topic.leave_behind();
        assert!(is_over(Duration::from_secs(1)).await);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn nobody_holds_a_topic_that_was_dropped() {
        let hub = hub();
        let (place, particulars) = at(&hub, "/a/1");
        let visits = (0..8).map(|_| {
            let (hub, place, particulars) = (hub.clone(), place.clone(), particulars.clone());
            tokio::task::spawn_blocking(move || {
                for _ in 0..2000 {
                    let held = hub.demand(&place, &particulars, Mode::Patch).unwrap();
                    let found = hub.topic(&place, &particulars).unwrap();
                    assert!(Arc::ptr_eq(&found, held.topic()));
                    assert!(!hub.lock().retire(held.topic()), "somebody holds it");
                    drop(held);
                    hub.lock().retire(&found);
                }
            })
        });
        for visit in visits.collect::<Vec<_>>() {
            visit.await.unwrap();
        }
        let directory = hub.lock();
        assert_eq!((directory.all, directory.all().count()), (0, 0));
    }
}
