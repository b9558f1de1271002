//! The times at which one topic is polled.

use std::time::Duration;

use super::adaptive::Adaptive;
use super::backoff::{LONGEST, backoff};
use super::beat::Beat;
use super::grid::Grid;
use super::hints::{Hints, Respect};
use super::hold::Hold;
use super::next::{Next, Why};
use super::pace::Refusal;
use super::{DAY, millis};
use crate::core::event::Timestamp;

/// How a topic's polls follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cadence {
    /// One interval apart.
    Fixed,
    /// Faster while the document changes, slower while it rests.
    Adaptive {
        /// Not faster.
        least: Duration,
        /// Not slower.
        most: Duration,
    },
    /// As often as the upstream's budget allows, the interval apart at best.
    Fresh,
}

/// What the configuration says of a topic's schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// From the start of one poll to the start of the next; where adaptive polls begin.
    pub interval: Duration,
    /// How it varies.
    pub cadence: Cadence,
    /// Whether polls are moved to just after changes that come on a steady beat.
    pub align: bool,
    /// Which wishes of the upstream count.
    pub respect: Respect,
    /// At least so often a poll is sent without validators.
    pub revalidate: Duration,
}

/// The schedule of one topic.
#[derive(Clone, Debug)]
pub struct Schedule {
    plan: Plan,
    interval: u64,
    grid: Grid,
    adaptive: Option<Adaptive>,
    beat: Beat,
    /// When the last whole answer was asked for.
    whole_at: Option<Timestamp>,
    /// Until when the last failure asked for a pause.
    not_before: Option<Timestamp>,
}

/// A poll that the upstream answered.
#[derive(Clone, Copy, Debug)]
pub struct Polled {
    /// When it started.
    pub started: Timestamp,
    /// When it was over.
    pub ended: Timestamp,
    /// Whether the document was another one.
    pub changed: bool,
    /// What the head of the answer asks for.
    pub hints: Hints,
    /// The interval that the upstream's budget leaves this topic, in milliseconds.
    pub share: u64,
}

impl Schedule {
    /// A schedule whose phase is taken from the topic's key.
    pub fn new(plan: Plan, key: &str) -> Self {
        let interval = millis(plan.interval);
        let adaptive = match plan.cadence {
            Cadence::Adaptive { least, most } => {
                Some(Adaptive::new(interval, millis(least), millis(most)))
            }
            Cadence::Fixed | Cadence::Fresh => None,
        };
        Self {
            plan,
            interval,
            grid: Grid::new(key),
            adaptive,
            beat: Beat::default(),
            whole_at: None,
            not_before: None,
        }
    }

    /// The first poll of a topic that is polled for nobody.
    pub fn first(&self, now: Timestamp) -> Next {
        self.next(self.grid.tick(self.interval, now), Why::Interval)
    }

    /// The poll after one that was answered.
    ///
    /// On a fixed interval it is a tick of the topic's grid at least half an interval after the
    /// start, since a first poll on demand may lie anywhere between two ticks. It never overlaps
    /// the one before, and what the upstream asks for only ever makes it later.
    pub fn answered(&mut self, poll: &Polled) -> Next {
        self.not_before = None;
        let usual = self.usual(poll);
        let (usual, why) = self.just_after_change(poll).unwrap_or(usual);
        let mut next = self.next(usual.max(poll.ended), why);
        let hints = poll.hints.heeded(self.plan.respect);
        // Who set a longest interval knows better how long an answer holds.
        let fresh_for = hints.fresh_for.map(|wish| wish.min(self.most()));
        let wishes = [
            (poll.started, hints.poll_interval, Why::PollInterval),
            (poll.ended, fresh_for, Why::MaxAge),
        ];
        for (from, wish, why) in wishes {
            if let Some(at) = wish.map(|wish| from.after(wish)).filter(|at| *at > next.at) {
                next = self.next(at, why);
            }
        }
        next
    }

    /// When the next poll would be if the beat of changes alone counted.
    fn just_after_change(&mut self, poll: &Polled) -> Option<(Timestamp, Why)> {
        if !self.plan.align || self.plan.cadence == Cadence::Fresh {
            return None;
        }
        let Polled { started, ended, .. } = *poll;
        self.beat
            .observe(started, ended, poll.changed, self.interval);
        let at = self.beat.aim(started, self.interval)?;
        Some((at, Why::Beat(self.beat.period()?)))
    }

    /// When the next poll would be if the upstream asked for nothing.
    fn usual(&mut self, poll: &Polled) -> (Timestamp, Why) {
        match (self.plan.cadence, &mut self.adaptive) {
            (_, Some(adaptive)) => {
                adaptive.observe(poll.changed, poll.started);
                self.interval = adaptive.interval();
                let why = match poll.changed {
                    true => Why::Changing,
                    false => Why::Resting,
                };
                (poll.started.after(self.interval), why)
            }
            (Cadence::Fresh, _) if poll.share > millis(self.plan.interval) => {
                self.interval = poll.share;
                (poll.started.after(self.interval), Why::Budget)
            }
            _ => {
                self.interval = millis(self.plan.interval);
                let earliest = poll.started.after(self.interval.div_ceil(2));
                let tick = self.grid.tick(self.interval, earliest.max(poll.ended));
                (tick, Why::Interval)
            }
        }
    }

    /// The poll after `failures` failures in a row, the last of which ended at `now`: backoff with
    /// full jitter, and not before the upstream wants it. `random` is uniform in `0..=u64::MAX`.
    pub fn failed(&mut self, failures: u32, hints: Hints, now: Timestamp, random: u64) -> Next {
        let wish = hints.heeded(self.plan.respect).retry_after;
        let delay = backoff(self.interval, failures, random);
        match wish.filter(|wish| *wish > delay) {
            Some(wish) => {
                let until = Some(now.after(wish));
                self.not_before = until;
                let hold = Hold::RetryAfter;
                self.refused(Refusal { hold, until }, failures, now, random)
            }
            None => self.next(now.after(delay), Why::Backoff),
        }
    }

    /// Why this topic may not be asked at `now`, if its last failure asked for a pause.
    pub fn pause(&self, now: Timestamp) -> Option<Refusal> {
        let until = self.not_before.filter(|until| *until > now);
        until.is_some().then_some(Refusal {
            hold: Hold::RetryAfter,
            until,
        })
    }

    /// The attempt after one that was turned away at `now`: when the upstream may be asked again.
    /// Meanwhile failures are counted as often as after real ones: a feed that nobody asks for is
    /// not live.
    pub fn refused(&self, refusal: Refusal, failures: u32, now: Timestamp, random: u64) -> Next {
        let wake = now.after(backoff(self.interval, failures, random));
        // One poll is enough to try whether a circuit breaker can close. Where all may go at once,
        // each does at its place.
        let at = refusal.until.map_or(wake, |until| match refusal.hold {
            Hold::Breaker => until.max(now.after(1)),
            _ => self.returning(until.max(now)).at,
        });
        Next {
            wake: wake.min(at),
            ..self.next(at, Why::Held(refusal.hold))
        }
    }

    /// When this topic is asked again after its upstream came back at `now`: at its own tick within
    /// an interval, a minute at most.
    pub fn returning(&self, now: Timestamp) -> Next {
        let window = self.interval.min(LONGEST);
        self.next(self.grid.tick(window, now), Why::Recovery)
    }

    /// This time, whatever the schedule says.
    pub fn next(&self, at: Timestamp, why: Why) -> Next {
        Next {
            at,
            wake: at,
            interval: self.interval,
            why,
        }
    }

    /// Whether a poll at `now` may be conditional; validators lie, and a whole answer tells.
    pub fn trusts_validators(&self, now: Timestamp) -> bool {
        let trusted = |at: Timestamp| now.since(at) < millis(self.plan.revalidate);
        self.whole_at.is_some_and(trusted)
    }

    /// A whole answer came to a poll that started at `started`.
    pub fn was_whole(&mut self, started: Timestamp) {
        self.whole_at = Some(started);
    }

    /// Milliseconds from poll to poll at present.
    pub fn interval(&self) -> u64 {
        self.interval
    }

    fn most(&self) -> u64 {
        match self.plan.cadence {
            Cadence::Adaptive { most, .. } => millis(most),
            Cadence::Fixed | Cadence::Fresh => DAY,
        }
    }
}

#[cfg(test)]
mod tests;
