//! One client's way through a topic, independent of how its bytes are written.

use std::sync::Arc;

use super::demand::Demand;
use super::topic::{Leaving, Topic};
use crate::core::cursor::{Cursor, Losses, Opening};
use crate::core::event::Timestamp;
use crate::core::sse::Frame;

/// A place in a topic. It keeps the topic polled while it lives.
#[derive(Debug)]
pub struct Subscription {
    demand: Demand,
    /// The place. Whoever takes what is [`Due`] there moves it to where that leads.
    pub cursor: Cursor,
    opening: Opening,
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
    /// Subscribers are sent away: when its moment has come, tell the client when to come back, unless
    /// there is nothing to come back to, then end the response.
    Leave(Leaving),
}

impl Subscription {
    pub(super) fn new(demand: Demand, cursor: Cursor, opening: Opening) -> Self {
        Self {
            demand,
            cursor,
            opening,
        }
    }

    /// How it began.
    pub fn opening(&self) -> Opening {
        self.opening
    }

    /// What it reads.
    pub fn topic(&self) -> &Arc<Topic> {
        self.demand.topic()
    }
}
