//! What a topic's poller and the backplane say.

use super::{Leaving, Topic};
use crate::config::Idle;
use crate::core::change::Change;
use crate::core::event::Timestamp;
use crate::core::health::Denial;
use crate::core::id::EventId;
use crate::core::json::Pattern;
use crate::core::schedule::Next;
use crate::core::trail::{Changed, Polled};
use crate::hub::report::Lessons;

impl Topic {
    /// Makes this change the newest event, brought by the answer that was the last success.
    pub fn append(&self, change: Change) -> EventId {
        let mut inner = self.lock();
        let forms = change.forms();
        let document_bytes = change.snapshot.len();
        inner.changed = inner.health.last_success();
        let at = inner.changed;
        let id = inner.log.append(change, at);
        inner.shares.changed(at);
        if let Some(at) = at {
            inner.trail.changed(Changed {
                sequence: id.sequence,
                at,
                document_bytes,
            });
        }
        self.metrics().published(forms);
        let held = inner.log.held();
        inner.shares.holds(held);
        drop(inner);
        self.wake();
        id
    }

    /// A poll ended so; to be said after everything else that it brought.
    pub fn polled(&self, poll: Polled) {
        self.lock().trail.polled(poll);
    }

    /// A poll succeeded, and its answer came at that moment; to be said before its change is
    /// published. True if the state changed.
    pub fn succeeded(&self, at: Timestamp) -> bool {
        self.lock().refused = None;
        self.update(|health| health.succeeded(at))
    }

    /// What a poll's answer said is in place; it had a body if it `is_whole`. To be said once of
    /// each success.
    pub fn served(&self, is_whole: bool) {
        let listening = self.audience.borrow().listening();
        let mut inner = self.lock();
        let requests = inner.spared.polled(listening);
        let bytes = match is_whole {
            true => inner.log.document_bytes(),
            false => 0,
        };
        drop(inner);
        self.metrics().spared(requests, bytes);
    }

    /// A poll failed. True if the state changed.
    pub fn failed(&self, reason: String, denial: Option<Denial>, now: Timestamp) -> bool {
        self.update(|health| health.failed(reason, denial, now))
    }

    /// Time passed without a poll. True if the state changed.
    pub fn passed(&self, now: Timestamp) -> bool {
        self.update(|health| health.passed(now))
    }

    /// Takes in what the documents taught so far. Returns the noise that was never told before in
    /// this process. What documents of some clients taught is told to nobody: places are made of
    /// the names in them.
    pub fn learnt(&self, lessons: Lessons) -> Vec<Pattern> {
        let lessons = match self.feed().is_confidential() {
            true => lessons.without_names(),
            false => lessons,
        };
        let new = self.common.first(&lessons.noise);
        self.lock().lessons = lessons;
        new
    }

    /// A poll was answered and its outcome is in place: who waited for it may look.
    pub fn warmed(&self) {
        let mut inner = self.lock();
        if !inner.warm {
            inner.warm = true;
            inner.refused = inner.health.denied();
            drop(inner);
            self.wake();
        }
    }

    /// Polling stopped, as it does when nobody listens: what is held can no longer pass for live.
    pub fn cooled(&self, now: Timestamp) {
        let mut inner = self.lock();
        inner.polled = self.feed().poll.idle == Idle::Keep;
        inner.warm = false;
        inner.refused = None;
        inner.next = None;
        inner.health.paused(now);
        inner.renew_notice();
        inner.shares.paused();
    }

    /// When the next poll is, and why.
    pub fn planned(&self, next: Next) {
        self.lock().next = Some(next);
    }

    /// Polling begins again.
    pub fn resumed(&self, now: Timestamp) {
        let mut inner = self.lock();
        inner.polled = true;
        inner.health.resumed(now);
    }

    /// Every subscription ends, none begins.
    pub fn depart(&self, leaving: Leaving) {
        self.lock().leaving = Some(leaving);
        self.wake();
    }
}
