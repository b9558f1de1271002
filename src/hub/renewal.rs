//! From the feeds of one configuration to those of the next.
//!
//! Promises that a feed which stays is not touched, that one which continues takes its log and its
//! document along, topic by topic, once nobody polls for the old one any more, and that whoever
//! listens to what is over is told so.

use std::sync::Arc;
use std::time::Duration;

use super::table::{Fate, Slot, Table};
use super::topic::{Departure, Leaving, Topic};
use super::{Common, Hub, Identity, fresh};
use crate::config::{Config, Feed};

/// Subscribers that are sent away come back, each at the cost of a connection: so long for each.
const EACH: Duration = Duration::from_millis(1);

/// The feeds of a configuration that is not in force yet.
#[derive(Debug)]
pub struct Renewal {
    next: Arc<Table>,
    /// Those that continue: what they were, what they are.
    continued: Vec<(Arc<Slot>, Arc<Slot>)>,
    /// Those that there are no more, as they were.
    gone: Vec<(Arc<Slot>, Departure)>,
    /// How many topics on demand there may be.
    most: usize,
    /// What all topics may hold, in bytes.
    memory: usize,
}

impl Renewal {
    /// The feeds whose subscribers are sent away.
    pub fn leaving(&self) -> impl Iterator<Item = Arc<Feed>> {
        let continued = self.continued.iter().map(|(old, _)| old);
        let gone = self.gone.iter().map(|(old, _)| old);
        let feed = |slot: &Arc<Slot>| Arc::clone(slot.common.feed());
        continued.chain(gone).map(feed)
    }
}

impl Hub {
    /// Makes ready for the feeds of another configuration, of which each is new, or what `fate` says
    /// of it. Nothing changes until the [switch](Self::switch).
    pub fn prepare(&self, config: &Config, fate: impl Fn(&Feed) -> Fate) -> Renewal {
        let table = self.table();
        let (mut continued, mut gone) = (Vec::new(), Vec::new());
        let mut next = |feed: &Arc<Feed>| {
            let Some(old) = table.named(&feed.path) else {
                return self.slot(feed, None);
            };
            match fate(feed) {
                Fate::Stays => return Arc::clone(old),
                Fate::BeginsAnew => {}
                Fate::Continues => {
                    let slot = self.slot(feed, old.standing.as_ref());
                    continued.push((Arc::clone(old), Arc::clone(&slot)));
                    return slot;
                }
            }
            gone.push((Arc::clone(old), Departure::Changed));
            self.slot(feed, None)
        };
        let next = Table::new(config.feeds.iter().map(&mut next).collect());
        let is_removed = |slot: &&Arc<Slot>| next.named(&slot.common.feed().path).is_none();
        let removed = table.slots.iter().filter(is_removed);
        gone.extend(removed.map(|slot| (Arc::clone(slot), Departure::Removed)));
        Renewal {
            next: Arc::new(next),
            continued,
            gone,
            most: config.server.limits.topics,
            memory: config.server.limits.memory.bytes,
        }
    }

    fn slot(&self, feed: &Arc<Feed>, old: Option<&Arc<Topic>>) -> Arc<Slot> {
        let common = Common::new(Arc::clone(feed), &self.metrics);
        let standing = match (&feed.parameters, old) {
            (Some(_), _) => None,
            (None, Some(old)) => Some(Topic::following(Arc::clone(&common), old)),
            (None, None) => {
                let identity = Identity::only(feed, fresh(), self.clock.now());
                Some(self.make(&common, identity))
            }
        };
        Arc::new(Slot { common, standing })
    }

    /// Puts the feeds in force: newcomers find them, and their topics are polled. Those that were
    /// before are served until they [retire](Self::retire).
    pub fn switch(&self, renewal: &Renewal) {
        self.metrics.budget().allow(renewal.memory);
        let table = self.table();
        let new = renewal.next.slots.iter();
        let new: Vec<_> = new.filter(|slot| !table.has(slot)).collect();
        let mut directory = self.lock();
        directory.follow(renewal.most);
        for slot in &new {
            directory.open(&slot.common);
        }
        self.table.store(Arc::clone(&renewal.next));
        drop(directory);
        for topic in new.iter().filter_map(|slot| slot.standing.clone()) {
            self.announce(topic);
        }
    }

    /// Ends what is in force no more: it is polled no longer, and its subscribers are sent away, one
    /// after the other, within this time at most.
    pub fn retire(&self, renewal: Renewal, longest: Duration) {
        let (mut leaving, mut removed) = (Vec::new(), Vec::new());
        for (old, new) in &renewal.continued {
            let mut directory = self.lock();
            let topics = directory.close(&old.common);
            for topic in &topics {
                let next = Topic::following(Arc::clone(&new.common), topic);
                if directory.find_like(&next).is_none() {
                    directory.place(Arc::clone(&next));
                    self.announce(next);
                }
            }
            drop(directory);
            leaving.extend(topics.into_iter().chain(old.standing.clone()));
        }
        for (old, why) in &renewal.gone {
            let on_demand = self.lock().close(&old.common);
            let topics: Vec<_> = on_demand.into_iter().chain(old.standing.clone()).collect();
            topics.iter().for_each(|topic| self.recall.forget(topic));
            match why {
                Departure::Removed => removed.extend(topics),
                _ => leaving.extend(topics),
            }
        }
        // In this order: nobody is to look at a log that was taken along.
        send_away(&leaving, Departure::Changed, longest);
        send_away(&removed, Departure::Removed, longest);
        for topic in leaving.iter().chain(&removed) {
            topic.leave_behind();
        }
    }
}

/// Sends the subscribers of these topics away.
pub(super) fn send_away(topics: &[Arc<Topic>], why: Departure, longest: Duration) {
    let listening: usize = topics.iter().map(|topic| topic.listening()).sum();
    let within = EACH.saturating_mul(u32::try_from(listening).unwrap_or(u32::MAX));
    let leaving = Leaving {
        why,
        within: within.min(longest),
    };
    topics.iter().for_each(|topic| topic.depart(leaving));
}
