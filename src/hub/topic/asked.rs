//! What subscribers ask of a topic.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::{Departure, Inner, Topic, Warmth};
use crate::core::cursor::{Cursor, Losses};
use crate::core::event::Mode;
use crate::core::health::Denial;
use crate::core::id::EventId;
use crate::core::log::Log;
use crate::core::sse::{Coding, Frame, Kind};
use crate::hub::demand::{Audience, Demand};
use crate::hub::followers::{Followers, Following};
use crate::hub::report::Newest;
use crate::hub::subscription::{Due, Subscription, Then};

/// At most so much is due at once, so that a reader who missed much shares the writer's time with
/// the others; a single frame may be larger.
const MAX_FRAMES_DUE: usize = 16;
const MAX_BYTES_DUE: usize = 64 << 10;
/// The word in an `end` event for a feed that the configuration has no more.
const REMOVED: &str = "removed";

impl Topic {
    /// Declares interest, which gets the topic polled and its changes encoded in this mode.
    pub fn demand(self: &Arc<Self>, mode: Mode) -> Demand {
        Demand::new(Arc::clone(self), mode)
    }

    pub(in crate::hub) fn announce(&self, change: impl FnOnce(&mut Audience)) {
        self.audience.send_modify(change);
        if self.audience.borrow().listening() == 0 {
            self.lock().quiet_since = Some(Instant::now());
        }
    }

    /// Places a subscriber, in the mode that it demands. Nothing published from now on can pass it
    /// by.
    pub fn subscribe(
        &self,
        demand: Demand,
        coding: Coding,
        last_id: Option<&[u8]>,
    ) -> Subscription {
        let (cursor, opening) = Cursor::open(&self.lock().log, demand.mode(), coding, last_id);
        self.metrics().opened(opening);
        Subscription::new(demand, cursor, opening)
    }

    /// Wakes `waker` at every change from now on, for as long as the result lives.
    pub fn follow(self: &Arc<Self>, waker: Waker) -> Following {
        Following::new(Arc::clone(self), waker)
    }

    pub(in crate::hub) fn followers(&self) -> &Followers {
        &self.followers
    }

    /// Waits until a poll was answered since polling last began, at most `patience`.
    pub async fn warm(&self, patience: Duration) -> Warmth {
        let mut version = self.version.subscribe();
        let answered = async {
            loop {
                if let Some(warmth) = self.warmth() {
                    return warmth;
                }
                if version.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        match tokio::time::timeout(patience, answered).await {
            Ok(warmth) => warmth,
            Err(_) => self.ended().map_or(Warmth::Ready, Warmth::Denied),
        }
    }

    fn warmth(&self) -> Option<Warmth> {
        let inner = self.lock();
        if inner.leaving.is_some() {
            return Some(Warmth::Draining);
        }
        inner
            .warm
            .then(|| inner.denied().map_or(Warmth::Ready, Warmth::Denied))
    }

    /// The newest document and what is to be said of it, all of one moment.
    pub fn newest(&self) -> Newest {
        let mut inner = self.lock();
        Newest {
            document: inner.log.latest(),
            changed: inner.changed,
            last_success: inner.health.last_success(),
            state: inner.health.state(),
            reason: inner.health.reason().map(str::to_owned),
            denied: inner.denied(),
            draining: inner.leaving.is_some(),
        }
    }

    /// Whether a poll was answered since polling last began.
    pub fn is_warm(&self) -> bool {
        self.lock().warm
    }

    /// Somebody who did not wait for a poll was told the newest document, or that it is the one that
    /// he has, in so many bytes of it.
    pub fn answered(&self, bytes: usize) {
        let requests = self.lock().spared.asked();
        self.metrics().spared(requests, bytes);
    }

    /// Waits until there is a newer event than this one, or none will come.
    pub async fn newer_than(&self, id: EventId) {
        let mut version = self.version.subscribe();
        let is_awaited = || {
            let inner = self.lock();
            let is_over = inner.leaving.is_some() || inner.health.ended().is_some();
            !is_over && inner.log.newest_id() == Some(id)
        };
        while is_awaited() && version.changed().await.is_ok() {}
    }

    /// The refusal that ended this feed, if one did.
    pub fn ended(&self) -> Option<Denial> {
        self.lock().health.ended()
    }

    /// What a reader at this place is to get, a bounded part of it if there is much. The same for
    /// all who stand there, until the topic changes.
    pub fn due(&self, cursor: Cursor) -> Due {
        let mut due = Due {
            frames: Vec::new(),
            came: Vec::new(),
            after: cursor,
            losses: Losses::default(),
            then: Then::More,
        };
        let mut inner = self.lock();
        let Inner {
            log,
            notice,
            health,
            leaving,
            ..
        } = &mut *inner;
        if let Some(leaving) = *leaving {
            if leaving.why == Departure::Removed {
                due.frames.push(Arc::new(end(log, REMOVED)));
            }
            due.then = Then::Leave(leaving);
            return due;
        }
        let mut bytes = 0;
        while due.frames.len() < MAX_FRAMES_DUE && bytes < MAX_BYTES_DUE {
            let was_at = due.after.sequence();
            let Some(frame) = due.after.next(log, notice.as_ref()) else {
                due.then = Then::Wait;
                if let Some(denial) = health.ended() {
                    due.frames.push(Arc::new(end(log, denial.reason())));
                    due.then = Then::End;
                }
                break;
            };
            if due.after.sequence() != was_at {
                due.came.extend(log.came(due.after.sequence()));
            }
            bytes += frame.size();
            due.frames.push(frame);
        }
        due.losses = due.after.take_losses();
        due
    }
}

fn end(log: &Log, reason: &str) -> Frame {
    let data = format!(r#"{{"reason":"{reason}"}}"#);
    Frame::event(Kind::End, &log.names().end, None, data.as_bytes())
}
