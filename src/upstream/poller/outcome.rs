//! What becomes of a poll: where its outcome goes, and when that makes the next one due.
//!
//! Promises that each outcome reaches the topic's log or its health, the trail and the schedule, and
//! that a failure leaves the last good document in place.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::Poller;
use crate::core::event::{State, Timestamp};
use crate::core::health::Denial;
use crate::core::schedule::{Cadence, Hints, Hold, Next, Polled, Why};
use crate::core::trail::{self, Outcome};
use crate::upstream::gate::{Pass, Refused, Seat};
use crate::upstream::inquiry::{Failure, Found};

impl Poller {
    /// Polls once and puts the outcome in place.
    pub(super) async fn poll(&mut self, pass: Pass) -> Next {
        let started = self.clock.now();
        let feed = Arc::clone(self.feed());
        let is_conditional = self.schedule.trusts_validators(started);
        let answered = self
            .inquiry
            .ask(&feed, pass, is_conditional, &self.metrics)
            .await;
        let (at, is_whole) = (answered.at, answered.is_whole());
        if is_whole {
            self.schedule.was_whole(started);
        }
        let hints = answered.hints;
        let body_bytes = answered.body_bytes();
        if self.audience.has_changed().unwrap_or(false) {
            self.note_audience();
        }
        let wanted = self.interest.modes(Instant::now());
        let found = self
            .inquiry
            .read(answered.outcome, wanted, &self.metrics)
            .await;
        let found = match found {
            Ok(found) => found,
            Err(failure) => {
                let reason = self.reason(&failure);
                self.metrics.polled(failure.label());
                self.remember(started, body_bytes, failed(failure.label(), &reason));
                return self.failed(reason, failure.denial(), hints);
            }
        };
        self.metrics.polled(found.label());
        let outcome = self.accept(found, at).await;
        let changed = matches!(outcome, Outcome::Changed(_));
        self.remember(started, body_bytes, outcome);
        self.topic.served(is_whole);
        self.schedule.answered(&Polled {
            started,
            ended: self.clock.now(),
            changed,
            hints,
            share: self.share(),
        })
    }

    /// The upstream answered then: the topic is well, and has its change if there is one.
    async fn accept(&mut self, found: Found, at: Timestamp) -> Outcome {
        if self.topic.succeeded(at) {
            self.log_state();
        }
        self.learn(matches!(found, Found::Changed(_)));
        match found {
            Found::Changed(change) => {
                self.metrics.changed(&change);
                // Nobody may wait for this to its end.
                self.is_ahead = true;
                let id = self.backplane.publish(&self.topic, change).await;
                self.is_ahead = false;
                Outcome::Changed(id.sequence)
            }
            Found::Unchanged => Outcome::Unchanged,
            Found::NotModified => Outcome::NotModified,
        }
    }

    /// The milliseconds between two polls that its part of a shared budget allows.
    fn share(&self) -> u64 {
        let is_shared = self.feed().poll.cadence == Cadence::Fresh;
        let seat = self.seat.as_ref().filter(|_| is_shared);
        seat.map_or(1, Seat::interval)
    }

    /// Keeps for those who look from outside how the poll that began then came out.
    fn remember(&self, started: Timestamp, body_bytes: usize, outcome: Outcome) {
        let took = self.clock.now().since(started);
        let poll = trail::Polled {
            at: started,
            took: u32::try_from(took).unwrap_or(u32::MAX),
            body_bytes: u32::try_from(body_bytes).unwrap_or(u32::MAX),
            outcome,
        };
        self.topic.polled(poll, self.inquiry.weight());
    }

    /// What may be said of it. What is wrong with an answer for some clients only may name what is
    /// in it.
    fn reason(&self, failure: &Failure) -> String {
        match failure {
            Failure::Unreadable(error) if self.feed().is_confidential() => {
                format!("the answer cannot be read ({})", error.reason())
            }
            failure => failure.to_string(),
        }
    }

    /// The last good document stays, and the feed's health says why.
    fn failed(&mut self, reason: String, denial: Option<Denial>, hints: Hints) -> Next {
        let now = self.clock.now();
        self.note_failure(reason, denial, now);
        let health = self.topic.health();
        let failures = health.failures();
        let mut next = self.schedule.failed(failures, hints, now, rand::random());
        if next.why != Why::Backoff {
            return next;
        }
        // One poll tries as soon as the circuit breaker lets it.
        if let Some(at) = self.gate.tries_at().filter(|at| *at < next.at) {
            next = self.schedule.next(at.max(now), Why::Held(Hold::Breaker));
        }
        // Whether a refusal has lasted long enough to end the feed is asked on time.
        if let Some(at) = health.ends_at().filter(|at| *at < next.at) {
            next = self.schedule.next(at.max(now), Why::Refusal);
        }
        next
    }

    /// Nobody may ask the upstream, which is no success either.
    pub(super) fn turned_away(&self, refused: Refused) -> Next {
        let now = self.clock.now();
        let label = refused.refusal.hold.word();
        self.remember(now, 0, failed(label, &refused.reason));
        self.note_failure(refused.reason, None, now);
        let failures = self.topic.failures();
        self.schedule
            .refused(refused.refusal, failures, now, rand::random())
    }

    fn note_failure(&self, reason: String, denial: Option<Denial>, now: Timestamp) {
        let changed = self.topic.failed(reason, denial, now);
        // A first failure of a live feed is a blip; of any other it is news.
        let health = self.topic.health();
        if changed || (health.failures() == 1 && health.state() != State::Live) {
            self.log_state();
        }
    }

    /// Passes on what the documents taught. Noise is told, once, and never dropped: whether a client
    /// needs it is not for us to know.
    fn learn(&mut self, changed: bool) {
        let Some((lessons, wasted)) = self.inquiry.lessons(changed) else {
            return;
        };
        self.metrics.noise(lessons.noise.len(), wasted);
        let feed = Arc::clone(self.feed());
        let remedy = lessons.remedy(&feed);
        for place in self.topic.learnt(lessons) {
            let place = place.to_string();
            info!(
                feed = feed.path,
                place,
                %remedy,
                "changes at every poll; if no client needs it, put the remedy into `document`"
            );
        }
    }

    pub(super) fn log_state(&self) {
        let feed = &self.feed().path;
        let health = self.topic.health();
        if self.topic.identity().is_on_demand() {
            // Clients say which there are; a line for each would be theirs to write.
            let state = health.state().name();
            return debug!(feed, state, reason = health.reason(), "a topic's state");
        }
        match health.reason() {
            None => info!(feed, state = health.state().name(), "feed is live"),
            Some(reason) => warn!(
                feed,
                state = health.state().name(),
                failures = health.failures(),
                reason,
                ended = health.ended().map(Denial::reason),
                "poll failed"
            ),
        }
    }
}

fn failed(word: &'static str, reason: &impl ToString) -> Outcome {
    Outcome::Failed(Arc::new(trail::Failure {
        word,
        reason: reason.to_string(),
    }))
}
