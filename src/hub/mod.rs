//! Topics by key, and what is known of each: its log, its health, who listens.
//!
//! Owns the one road to a subscriber, the topic's log. Promises that whoever waits on a topic is
//! woken by every change. Must never poll, and must never write to a client: it announces demand,
//! and pollers listen; it wakes subscriptions, and writers write.
//!
//! A plain feed has one topic, which stands for ever. A feed with parameters has one for each key
//! that somebody demands, and for a while after.
//!
//! | room | what it knows |
//! |---|---|
//! | `topic` | one live document: its log, what polls say, who waits for it |
//! | `key`, `identity`, `target` | what tells the topics of a feed apart, and what is sent upstream for each |
//! | `table` | the feeds of one configuration |
//! | `directory` | which topics there are on demand |
//! | `renewal` | from one configuration to the next |
//! | `common` | what the topics of a feed share |
//! | `demand`, `followers`, `subscription` | who listens, who is woken, who reads where |
//! | `budget` | what all topics hold together, and what goes when that is too much |
//! | `report`, `metrics` | what is told of it |
//! | `spared` | which requests the upstream was spared |

mod budget;
mod common;
mod demand;
mod directory;
mod followers;
mod identity;
mod intact;
mod key;
mod metrics;
mod recall;
mod renewal;
mod report;
mod spared;
mod subscription;
mod table;
mod target;
mod topic;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

pub use budget::Budget;
pub use common::Common;
pub use demand::{Audience, Demand, Listeners};
pub use directory::Unserved;
use directory::{Directory, patience};
pub use followers::Following;
pub use identity::Identity;
pub use intact::intact;
pub use key::{Credentials, Particulars};
use key::{Key, Secret};
pub use metrics::{Blocked, FeedMetrics, Metrics};
pub use recall::{Nothing, Recall};
pub use renewal::Renewal;
pub use report::{Glance, Lessons, Newest, Recent, Report};
pub use subscription::{Due, Subscription, Then};
use table::Slot;
pub use table::{Fate, Place, Table};
pub use target::Target;
pub use topic::{Departure, Leaving, Topic, Upcoming, Warmth};

use crate::clock::Clock;
use crate::config::{Config, Feed};
use crate::core::event::Mode;
use crate::core::id::{Epoch, TopicId};

/// Every topic of this process.
#[derive(Debug)]
pub struct Hub {
    /// The feeds of the configuration in force.
    table: ArcSwap<Table>,
    /// A std mutex: held for a look-up and the making of a topic, never across an await.
    directory: Mutex<Directory>,
    /// Topics that are to be polled from now on.
    announced: UnboundedSender<Arc<Topic>>,
    metrics: Metrics,
    secret: Secret,
    recall: Arc<dyn Recall>,
    clock: Clock,
}

impl Hub {
    /// The hub of these feeds, with the topics that stand for ever, and the others as they are
    /// demanded; each is announced, to be polled.
    pub fn new(
        config: &Config,
        metrics: &Metrics,
        clock: Clock,
    ) -> (Arc<Self>, UnboundedReceiver<Arc<Topic>>) {
        Self::recalling(config, metrics, clock, Arc::new(Nothing))
    }

    /// The same, whose topics go on where they were as far as they are remembered.
    pub fn recalling(
        config: &Config,
        metrics: &Metrics,
        clock: Clock,
        recall: Arc<dyn Recall>,
    ) -> (Arc<Self>, UnboundedReceiver<Arc<Topic>>) {
        let (announced, announcements) = unbounded_channel();
        let budget = metrics.budget();
        budget.allow(config.server.limits.memory.bytes);
        let directory = Directory::new(config.server.limits.topics, Arc::clone(budget));
        let hub = Self {
            table: ArcSwap::from_pointee(Table::new(Vec::new())),
            directory: Mutex::new(directory),
            announced,
            metrics: metrics.clone(),
            secret: Secret::new(recall.secret()),
            recall,
            clock,
        };
        let first = hub.prepare(config, |_| Fate::BeginsAnew);
        hub.switch(&first);
        (Arc::new(hub), announcements)
    }

    /// What all topics hold together.
    pub fn budget(&self) -> &Budget {
        self.metrics.budget()
    }

    /// The feeds of the configuration in force.
    pub fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// The feed whose path this is, as things stand.
    pub fn at(&self, path: &str) -> Option<Place> {
        self.table.load().at(path)
    }

    /// The topic for these particulars, if there is one.
    pub fn topic(&self, place: &Place, particulars: &Particulars) -> Option<Arc<Topic>> {
        if let Some(topic) = &place.slot.standing {
            return Some(Arc::clone(topic));
        }
        let key = self.key(place.feed(), particulars);
        self.lock().find(&place.slot.common, &key).cloned()
    }

    /// Declares interest in the topic for these particulars, which gets it polled and its changes
    /// encoded in this mode. A topic that does not exist yet is made and announced.
    ///
    /// # Errors
    /// [`Unserved`] if there is none and none may be made.
    pub fn demand(
        &self,
        place: &Place,
        particulars: &Particulars,
        mode: Mode,
    ) -> Result<Demand, Unserved> {
        let Slot { common, standing } = &*place.slot;
        if let Some(topic) = standing {
            return Ok(topic.demand(mode));
        }
        let feed = common.feed();
        let key = self.key(feed, particulars);
        let make = |key| {
            let identity = Identity::new(feed, Some(key), particulars, fresh(), self.clock.now());
            self.make(common, identity)
        };
        let (demand, new) = self.lock().demand(common, key, mode, make)?;
        if let Some(topic) = new {
            self.announce(topic);
        }
        Ok(demand)
    }

    /// Waits until this topic is over: its feed is gone or another one; or, for one on demand,
    /// nobody has listened for as long as it is kept for nobody, so that it is dropped here, or it
    /// gave way to another.
    pub async fn abandoned(&self, topic: &Arc<Topic>) {
        if !topic.identity().is_on_demand() {
            return topic.left_behind().await;
        }
        tokio::select! {
            () = topic.left_behind() => {}
            () = self.unwanted(topic) => {}
        }
    }

    async fn unwanted(&self, topic: &Arc<Topic>) {
        let mut audience = topic.audience();
        loop {
            // The topic holds the sender.
            let _ = audience
                .wait_for(|audience| audience.listening() == 0)
                .await;
            // Whatever was announced up to here counts as seen, and it may have given way already.
            let mut is_over = self.drops(topic, false);
            if is_over == Some(false) {
                let came = timeout(patience(topic), audience.changed()).await;
                is_over = self.drops(topic, came.is_err());
            }
            match is_over {
                Some(false) => {}
                Some(true) => return self.recall.forget(topic),
                // Another one goes on with what is remembered of it, or it was forgotten already.
                None => return topic.left_behind().await,
            }
        }
    }

    /// Whether this topic is dropped, now if it `may_be`; none if its feed is over.
    fn drops(&self, topic: &Arc<Topic>, may_be: bool) -> Option<bool> {
        let mut directory = self.lock();
        directory.is_open(topic.common()).then(|| match may_be {
            true => directory.retire(topic),
            false => directory.has_dropped(topic),
        })
    }

    /// Every feed, in the configuration's order, with its topics in no order.
    pub fn feeds(&self) -> Vec<(Arc<Feed>, Vec<Arc<Topic>>)> {
        let counted = self.counted().into_iter();
        counted
            .map(|(common, topics)| (Arc::clone(common.feed()), topics))
            .collect()
    }

    /// The same, each with what is counted for it.
    pub fn counted(&self) -> Vec<(Arc<Common>, Vec<Arc<Topic>>)> {
        let table = self.table();
        let counted = table.slots.iter();
        counted
            .map(|slot| (Arc::clone(&slot.common), self.topics_of(slot)))
            .collect()
    }

    /// The topic with this id.
    pub fn find(&self, id: TopicId) -> Option<Arc<Topic>> {
        let is_it = |topic: &&Arc<Topic>| topic.identity().id() == id;
        let table = self.table();
        let mut standing = table.slots.iter().filter_map(|it| it.standing.as_ref());
        let standing = standing.find(is_it).cloned();
        standing.or_else(|| self.lock().all().find(is_it).cloned())
    }

    /// The topics that there are of this feed, in no order.
    pub fn topics(&self, place: &Place) -> Vec<Arc<Topic>> {
        self.topics_of(&place.slot)
    }

    fn topics_of(&self, slot: &Slot) -> Vec<Arc<Topic>> {
        match &slot.standing {
            Some(topic) => vec![Arc::clone(topic)],
            None => self.lock().of(&slot.common).cloned().collect(),
        }
    }

    /// Tells every subscriber to go, one after the other, all of them within this time at most: the
    /// process is about to leave.
    pub fn drain(&self, longest: Duration) {
        let table = self.table();
        let mut directory = self.lock();
        directory.drain();
        let standing = table.slots.iter().filter_map(|it| it.standing.as_ref());
        let topics: Vec<_> = standing.chain(directory.all()).cloned().collect();
        drop(directory);
        renewal::send_away(&topics, Departure::Process, longest);
    }

    fn make(&self, common: &Arc<Common>, identity: Identity) -> Arc<Topic> {
        let common = Arc::clone(common);
        match self.recall.recall(common.feed(), &identity) {
            Some(past) => Topic::continued(common, identity, past),
            None => Topic::new(common, identity),
        }
    }

    fn announce(&self, topic: Arc<Topic>) {
        // Nobody receives once the runtime ends.
        let _ = self.announced.send(topic);
    }

    fn key(&self, feed: &Feed, particulars: &Particulars) -> Key {
        let parameters = feed.parameters.as_ref();
        let names = parameters.map_or(&[][..], |parameters| &parameters.credentials);
        Key::new(particulars, names, &self.secret)
    }

    fn lock(&self) -> MutexGuard<'_, Directory> {
        intact(self.directory.lock(), "the directory of topics")
    }
}

fn fresh() -> Epoch {
    Epoch::from_random(rand::random())
}
