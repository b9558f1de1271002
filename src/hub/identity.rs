//! Which topic of its feed one is.

use std::sync::Arc;

use bytes::Bytes;

use super::key::{Key, Particulars};
use super::target::{self, Target};
use crate::config::Feed;
use crate::core::event::Timestamp;
use crate::core::id::{Epoch, TopicId};

/// What stays the same for the whole life of a topic.
#[derive(Debug)]
pub struct Identity {
    /// Its place among the feed's topics; none where there is one only.
    key: Option<Arc<Key>>,
    name: String,
    target: Target,
    epoch: Epoch,
    made: Timestamp,
}

impl Identity {
    /// The only topic of its feed. `epoch` must be fresh.
    pub fn only(feed: &Feed, epoch: Epoch, now: Timestamp) -> Self {
        Self::new(feed, None, &Particulars::default(), epoch, now)
    }

    /// The topic of its feed for these particulars. `epoch` must be fresh.
    pub(super) fn new(
        feed: &Feed,
        key: Option<Arc<Key>>,
        particulars: &Particulars,
        epoch: Epoch,
        now: Timestamp,
    ) -> Self {
        Self {
            key,
            name: target::name(feed, particulars),
            target: Target::new(feed, particulars),
            epoch,
            made: now,
        }
    }

    /// The same topic, of a feed that is asked or told in another way.
    pub(super) fn again(&self, feed: &Feed) -> Self {
        Self {
            key: self.key.clone(),
            name: self.name.clone(),
            target: self.target.again(feed),
            epoch: self.epoch,
            made: self.made,
        }
    }

    /// What clients ask for to get it: the path, and the forwarded query if there is one. Topics
    /// that differ in what must not be shown have the same.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is sent upstream for it.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// About what it takes, in bytes: what clients sent to get it.
    pub(super) fn weight(&self) -> usize {
        let body = self.target.body.as_ref().map_or(0, Bytes::len);
        body + self.target.path.len() + self.name.len()
    }

    /// Whether it exists for those only who demand it, and is dropped after the last.
    pub fn is_on_demand(&self) -> bool {
        self.key.is_some()
    }

    /// What spreads the polls of topics over time: the path for one that stands for ever, whose
    /// place then stays, and what no other has for one on demand.
    pub fn offset_key(&self) -> String {
        match self.key {
            Some(_) => self.epoch.to_string(),
            None => self.name.clone(),
        }
    }

    /// When it was made.
    pub fn made(&self) -> Timestamp {
        self.made
    }

    /// Which one it is for those who look from outside.
    pub fn id(&self) -> TopicId {
        TopicId {
            made: self.made,
            epoch: self.epoch,
        }
    }

    /// The life in which its events count.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What tells it from the others of its feed, credentials digested; empty where there is one only.
    pub fn key_bytes(&self) -> Vec<u8> {
        self.key.as_ref().map_or_else(Vec::new, |key| key.bytes())
    }

    pub(super) fn key(&self) -> Option<&Arc<Key>> {
        self.key.as_ref()
    }
}
