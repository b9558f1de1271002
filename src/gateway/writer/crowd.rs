//! The subscribers of one topic in one shard.
//!
//! Owns what they have in common. Most stand at the same place of the topic's log: what is due
//! there is asked of the topic once, and is the same shared bytes for all.

use std::sync::Arc;

use super::batch::{Batch, Tally};
use crate::clock::Clock;
use crate::core::cursor::{Cursor, Losses};
use crate::core::event::Timestamp;
use crate::core::sse::{Frame, Kind, Wire};
use crate::hub::{Following, Then, Topic};

/// Places that are remembered; subscribers that resume may all stand apart.
const MAX_PLACES: usize = 16;

/// Those who read one topic.
#[derive(Debug)]
pub struct Crowd {
    /// What they read.
    pub topic: Arc<Topic>,
    /// Their indices in the shard, in no order.
    pub members: Vec<u32>,
    /// What is due at the places where they stand, until the topic changes.
    places: Vec<(Cursor, Wire, Arc<Offer>)>,
    /// The place that is forgotten next.
    oldest: usize,
    /// The sign of life, for each way of writing it.
    heartbeats: Vec<(Wire, Arc<Batch>)>,
    tally: Tally,
    /// When the answers came that brought live changes, and how many got them.
    arrived: Vec<(Timestamp, u64)>,
    losses: Losses,
    /// The time.
    pub clock: Clock,
    is_served: bool,
    _following: Following,
}

/// What is due at one place.
#[derive(Debug)]
pub struct Offer {
    /// What to write; empty if nothing is due.
    pub batch: Arc<Batch>,
    /// Where that leads.
    pub after: Cursor,
    /// What comes then.
    pub then: Then,
    losses: Losses,
}

impl Crowd {
    /// Nobody yet. `following` is what wakes the shard when the topic changes.
    pub fn new(topic: Arc<Topic>, following: Following, clock: Clock) -> Self {
        Self {
            topic,
            members: Vec::new(),
            places: Vec::new(),
            oldest: 0,
            heartbeats: Vec::new(),
            tally: Tally::default(),
            arrived: Vec::new(),
            losses: Losses::default(),
            clock,
            is_served: false,
            _following: following,
        }
    }

    /// What is due at this place. Whoever asks takes it.
    pub fn take(&mut self, cursor: Cursor, wire: Wire) -> Arc<Offer> {
        let known = |place: &&(Cursor, Wire, _)| place.0 == cursor && place.1 == wire;
        let offer = match self.places.iter().find(known) {
            Some((_, _, offer)) => Arc::clone(offer),
            None => self.ask(cursor, wire),
        };
        self.losses += offer.losses;
        offer
    }

    fn ask(&mut self, cursor: Cursor, wire: Wire) -> Arc<Offer> {
        let due = self.topic.due(cursor);
        let batch = Batch::of(due.frames, wire).telling(due.came);
        let metrics = self.topic.metrics().delivery();
        metrics.compressed(batch.blocks());
        metrics.encoded(batch.encoded());
        let offer = Arc::new(Offer {
            batch: Arc::new(batch),
            after: due.after,
            then: due.then,
            losses: due.losses,
        });
        let place = (cursor, wire, Arc::clone(&offer));
        if self.places.len() < MAX_PLACES {
            self.places.push(place);
        } else {
            self.places[self.oldest] = place;
            self.oldest = (self.oldest + 1) % MAX_PLACES;
        }
        offer
    }

    /// The topic changed: what was due is no longer.
    pub fn forget(&mut self) {
        self.places.clear();
        self.oldest = 0;
    }

    /// The sign of life.
    pub fn heartbeat(&mut self, wire: Wire) -> Arc<Batch> {
        if let Some((_, batch)) = self.heartbeats.iter().find(|(other, _)| *other == wire) {
            return Arc::clone(batch);
        }
        let frame = Arc::clone(self.topic.heartbeat());
        let batch = Arc::new(Batch::of(vec![frame], wire));
        self.heartbeats.push((wire, Arc::clone(&batch)));
        batch
    }

    /// The last that somebody gets whose grant is over.
    pub fn unauthorized(&self, wire: Wire) -> Batch {
        let name = &self.topic.feed().events.names.end;
        let frame = Frame::event(Kind::End, name, None, br#"{"reason":"unauthorized"}"#);
        Batch::of(vec![Arc::new(frame)], wire)
    }

    /// One of them got this; what it tells was news if that one was up to date before.
    pub fn delivered(&mut self, batch: &Batch, is_live: bool) {
        self.tally.add(batch.tally());
        for came in batch.came().iter().filter(|_| is_live) {
            match self.arrived.iter_mut().find(|(other, _)| other == came) {
                Some((_, subscribers)) => *subscribers += 1,
                None => self.arrived.push((*came, 1)),
            }
        }
    }

    /// Whether one of them is served now for the first time since the last report.
    pub fn is_served_first(&mut self) -> bool {
        !std::mem::replace(&mut self.is_served, true)
    }

    /// Tells the metrics what happened since the last time. If the shard `rests` now, nothing is
    /// kept from the log either.
    pub fn report(&mut self, rests: bool) {
        self.is_served = false;
        if rests {
            self.forget();
        }
        let tally = std::mem::take(&mut self.tally);
        let metrics = self.topic.metrics().delivery();
        if tally.bytes > 0 {
            metrics.delivered(&tally.events, &tally.frames, tally.bytes);
        }
        if !self.arrived.is_empty() {
            metrics.arrived(&self.arrived, self.clock.now());
            self.arrived.clear();
        }
        let losses = std::mem::take(&mut self.losses);
        if losses != Losses::default() {
            metrics.lost(losses);
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.report(true);
    }
}
