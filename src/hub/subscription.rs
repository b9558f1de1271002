//! One client's way through a topic, independent of how its bytes are written.

use std::sync::Arc;

use super::demand::Demand;
use super::topic::Topic;
use crate::core::cursor::{Cursor, Losses};
use crate::core::event::Timestamp;
use crate::core::sse::Frame;

/// A place in a topic. It keeps the topic polled while it lives.
#[derive(Debug)]
pub struct Subscription {
    demand: Demand,
    /// The place. Whoever takes what is [`Due`] there moves it to where that leads.
    pub cursor: Cursor,
}

/// What everyone at the same place is to get.
#[derive(Debug)]
pub struct Due {
    /// To be sent, in this order.
    pub frames: Vec<Arc<Frame>>,
    /// When the answers came that brought the changes among them, as far as that is known.
    pub came: Vec<Timestamp>,
    /// Where that leads.
    pub after: Cursor,
    /// What is lost on the way.
    pub losses: Losses,
    /// What comes then.
    pub then: Then,
}

/// What a writer does after it has sent what was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The client is up to date: wait until the topic changes.
    Wait,
    /// Ask again; this was not all.
    More,
    /// The feed is over: end the response.
    End,
    /// The process is about to leave: tell the client when to come back, then end the response.
    Leave,
}

impl Subscription {
    pub(super) fn new(demand: Demand, cursor: Cursor) -> Self {
        Self { demand, cursor }
    }

    /// What it reads.
    pub fn topic(&self) -> &Arc<Topic> {
        self.demand.topic()
    }
}
