//! What is remembered of topics of former lives.
//!
//! The hub asks when it makes a topic, and tells when one is dropped. Must never block: it is called
//! while the directory is held.

use std::fmt::Debug;

use super::identity::Identity;
use super::topic::Topic;
use crate::config::Feed;
use crate::core::past::Past;

/// Who remembers.
pub trait Recall: Debug + Send + Sync {
    /// What keys of topics are digested with; the same in the next life if topics are remembered.
    fn secret(&self) -> [u8; 32];

    /// What this topic was, if it is remembered; told once.
    fn recall(&self, feed: &Feed, identity: &Identity) -> Option<Past>;

    /// The topic was dropped, and shall not be remembered.
    fn forget(&self, topic: &Topic);
}

/// Remembers nothing.
#[derive(Debug)]
pub struct Nothing;

impl Recall for Nothing {
    fn secret(&self) -> [u8; 32] {
        rand::random()
    }

    fn recall(&self, _: &Feed, _: &Identity) -> Option<Past> {
        None
    }

    fn forget(&self, _: &Topic) {}
}
