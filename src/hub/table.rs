//! The feeds of one configuration, by path.
//!
//! Promises that a feed whose definition stays what it was is the same slot in one table and the
//! next, with its topics.

use std::sync::Arc;

use matchit::Router;

use super::common::Common;
use super::topic::Topic;
use crate::config::Feed;

/// One feed, with its topic if that stands for ever.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) common: Arc<Common>,
    pub(super) standing: Option<Arc<Topic>>,
}

/// Every feed of one configuration.
#[derive(Debug)]
pub struct Table {
    /// In the configuration's order.
    pub(super) slots: Vec<Arc<Slot>>,
    router: Router<Arc<Slot>>,
}

/// The feed that a request's path is for.
#[derive(Clone, Debug)]
pub struct Place {
    pub(super) slot: Arc<Slot>,
    /// What the path captures, as it stands there, in the order of the feed's captures.
    pub captures: Vec<String>,
}

/// What becomes of a feed when the configuration changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing that concerns it changed.
    Stays,
    /// It is asked or told in another way, of the same document: its ids stay good.
    Continues,
    /// Its document is another one.
    BeginsAnew,
}

impl Place {
    /// Which feed it is.
    pub fn feed(&self) -> &Arc<Feed> {
        self.slot.common.feed()
    }
}

impl Table {
    pub(super) fn new(slots: Vec<Arc<Slot>>) -> Self {
        let mut router = Router::new();
        for slot in &slots {
            // The configuration has refused paths of which one is for the requests of another.
            let _ = router.insert(slot.common.feed().path.clone(), Arc::clone(slot));
        }
        Self { slots, router }
    }

    /// The feed whose path this is; literal segments go before captures.
    pub fn at(&self, path: &str) -> Option<Place> {
        let found = self.router.at(path).ok()?;
        let values = found.params.iter().map(|(_, value)| value.to_owned());
        Some(Place {
            slot: Arc::clone(found.value),
            captures: values.collect(),
        })
    }

    /// The slot of the feed with this path, as it is configured.
    pub(super) fn named(&self, path: &str) -> Option<&Arc<Slot>> {
        // The router takes a path with captures for one with values.
        let found = self.router.at(path).ok().map(|found| found.value);
        let is_it = |slot: &&Arc<Slot>| slot.common.feed().path == path;
        found
            .filter(is_it)
            .or_else(|| self.slots.iter().find(is_it))
    }

    /// Whether this slot is in it.
    pub(super) fn has(&self, slot: &Arc<Slot>) -> bool {
        let own = self.named(&slot.common.feed().path);
        own.is_some_and(|own| Arc::ptr_eq(own, slot))
    }
}
