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
//! | `directory` | which topics there are on demand |
//! | `common` | what the topics of a feed share |
//! | `demand`, `followers`, `subscription` | who listens, who is woken, who reads where |
//! | `report`, `metrics` | what is told of it |
//! | `spared` | which requests the upstream was spared |

mod common;
mod demand;
mod directory;
mod followers;
mod identity;
mod intact;
mod key;
mod metrics;
mod report;
mod spared;
mod subscription;
mod target;
mod topic;

use std::sync::{Arc, Mutex, MutexGuard};

use matchit::Router;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

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
pub use report::{Glance, Lessons, Newest, Recent, Report};
pub use subscription::{Due, Subscription, Then};
pub use target::Target;
pub use topic::{Topic, Warmth};

use crate::clock::Clock;
use crate::config::{Config, Feed};
use crate::core::event::Mode;
use crate::core::id::{Epoch, TopicId};

/// Every topic of this process.
#[derive(Debug)]
pub struct Hub {
    /// The feeds, in the configuration's order, each with its topic if that stands for ever.
    feeds: Vec<(Arc<Common>, Option<Arc<Topic>>)>,
    /// The feeds' numbers by path.
    router: Router<usize>,
    /// A std mutex: held for a look-up and the making of a topic, never across an await.
    directory: Mutex<Directory>,
    /// Topics that are to be polled from now on; there are never more than the directory allows.
    announced: UnboundedSender<Arc<Topic>>,
    secret: Secret,
    clock: Clock,
}

/// The feed that a request's path is for.
#[derive(Clone, Debug)]
pub struct Place {
    number: usize,
    common: Arc<Common>,
    /// What the path captures, as it stands there, in the order of the feed's captures.
    pub captures: Vec<String>,
}

impl Place {
    /// Which feed it is.
    pub fn feed(&self) -> &Arc<Feed> {
        self.common.feed()
    }
}

impl Hub {
    /// The hub of these feeds, with the topics that stand for ever, and the others as they are
    /// demanded.
    pub fn new(
        config: &Config,
        metrics: &Metrics,
        clock: Clock,
    ) -> (Arc<Self>, UnboundedReceiver<Arc<Topic>>) {
        let mut router = Router::new();
        let mut feeds = Vec::new();
        for (number, feed) in config.feeds.iter().enumerate() {
            // The configuration has refused paths of which one is for the requests of another.
            let _ = router.insert(feed.path.clone(), number);
            let common = Common::new(Arc::clone(feed), metrics);
            let standing = match feed.parameters {
                None => {
                    let identity = Identity::only(feed, fresh(), clock.now());
                    Some(Topic::new(Arc::clone(&common), identity))
                }
                Some(_) => None,
            };
            feeds.push((common, standing));
        }
        let (announced, announcements) = unbounded_channel();
        let most = config.server.limits.topics;
        let hub = Self {
            directory: Mutex::new(Directory::new(feeds.len(), most)),
            feeds,
            router,
            announced,
            secret: Secret::new(rand::random()),
            clock,
        };
        (Arc::new(hub), announcements)
    }

    /// The feed whose path this is; literal segments go before captures.
    pub fn at(&self, path: &str) -> Option<Place> {
        let found = self.router.at(path).ok()?;
        let (common, _) = &self.feeds[*found.value];
        Some(Place {
            number: *found.value,
            common: Arc::clone(common),
            captures: found
                .params
                .iter()
                .map(|(_, value)| value.to_owned())
                .collect(),
        })
    }

    /// The topic for these particulars, if there is one.
    pub fn topic(&self, place: &Place, particulars: &Particulars) -> Option<Arc<Topic>> {
        if let (_, Some(topic)) = &self.feeds[place.number] {
            return Some(Arc::clone(topic));
        }
        let key = self.key(place.feed(), particulars);
        self.lock().find(place.number, &key).cloned()
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
        let (common, standing) = &self.feeds[place.number];
        if let Some(topic) = standing {
            return Ok(topic.demand(mode));
        }
        let feed = common.feed();
        let key = self.key(feed, particulars);
        let most = feed
            .parameters
            .as_ref()
            .map_or(0, |parameters| parameters.topics);
        let make = |key| {
            let identity = Identity::new(feed, Some(key), particulars, fresh(), self.clock.now());
            Topic::new(Arc::clone(common), identity)
        };
        let (demand, new) = self.lock().demand(place.number, most, key, mode, make)?;
        if let Some(topic) = new {
            // Nobody receives once the runtime ends.
            let _ = self.announced.send(topic);
        }
        Ok(demand)
    }

    /// Waits until nobody has listened to this topic for as long as it is kept for nobody, and
    /// drops it, or until it gave way to another. A topic that stands for ever is never dropped.
    pub async fn abandoned(&self, topic: &Arc<Topic>) {
        let is_of = |(common, _): &(Arc<Common>, _)| Arc::ptr_eq(common, topic.common());
        let Some(number) = self.feeds.iter().position(is_of) else {
            return std::future::pending().await;
        };
        let mut audience = topic.audience();
        loop {
            // The topic holds the sender.
            let _ = audience
                .wait_for(|audience| audience.listening() == 0)
                .await;
            let came = timeout(patience(topic), audience.changed()).await;
            let mut directory = self.lock();
            let is_over = match came {
                Ok(_) => directory.has_dropped(number, topic),
                Err(_) => directory.retire(number, topic),
            };
            if is_over {
                return;
            }
        }
    }

    /// The topics that stand for ever.
    pub fn standing(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.feeds.iter().filter_map(|(_, topic)| topic.as_ref())
    }

    /// Every feed, in the configuration's order, with its topics in no order.
    pub fn feeds(&self) -> impl Iterator<Item = (&Arc<Feed>, Vec<Arc<Topic>>)> {
        self.counted()
            .map(|(common, topics)| (common.feed(), topics))
    }

    /// The same, each with what is counted for it.
    pub fn counted(&self) -> impl Iterator<Item = (&Arc<Common>, Vec<Arc<Topic>>)> {
        self.feeds
            .iter()
            .enumerate()
            .map(|(number, (common, standing))| {
                let mut topics: Vec<_> = standing.iter().cloned().collect();
                topics.extend(self.lock().of(number).cloned());
                (common, topics)
            })
    }

    /// The topic with this id.
    pub fn find(&self, id: TopicId) -> Option<Arc<Topic>> {
        let is_it = |topic: &&Arc<Topic>| topic.identity().id() == id;
        let standing = self.standing().find(is_it).cloned();
        standing.or_else(|| self.lock().all().find(is_it).cloned())
    }

    /// The topics that there are of this feed, in no order.
    pub fn topics(&self, place: &Place) -> Vec<Arc<Topic>> {
        match &self.feeds[place.number] {
            (_, Some(topic)) => vec![Arc::clone(topic)],
            _ => self.lock().of(place.number).cloned().collect(),
        }
    }

    /// Tells every subscriber to go: the process is about to leave.
    pub fn drain(&self) {
        self.standing().for_each(|topic| topic.drain());
        let mut directory = self.lock();
        directory.drain();
        directory.all().for_each(|topic| topic.drain());
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
