//! What one upstream bears: which of the polls that are due may start, and in which order.
//!
//! Limits, budget, the upstream's own wishes and the circuit breaker meet here. Polls that only have
//! to wait stand in a queue, first come, first served; those that somebody waits for stand in one
//! of their own, from which three of four are taken, so that nobody starves. A topic has one poll
//! at a time, so that it stands behind everybody else after each. Where nobody may ask at all, polls
//! are turned away with the reason instead: silence would pass for health.

use std::collections::VecDeque;

use super::breaker::{Breaker, BreakerRules, Passage, Turn};
use super::hints::Quota;
use super::hold::Hold;
use super::rate::{Allowance, Rate};
use crate::core::event::Timestamp;

/// Of so many polls taken from the queues while somebody waits in both, one is a routine poll.
const ROUTINE_EVERY: u32 = 4;

/// What one upstream bears of our polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaceRules {
    /// Polls at one time; at least one.
    pub max_in_flight: u32,
    /// Polls that start in any second; any number if none.
    pub max_requests_per_second: Option<u32>,
    /// Polls over time; any number if none.
    pub budget: Option<Allowance>,
    /// When to leave it alone; never if none.
    pub circuit_breaker: Option<BreakerRules>,
}

impl Default for PaceRules {
    /// What an upstream bears of which nothing is said.
    fn default() -> Self {
        Self {
            max_in_flight: 64,
            max_requests_per_second: None,
            budget: None,
            circuit_breaker: Some(BreakerRules::default()),
        }
    }
}

/// The polls of one upstream that are under way and that wait; `W` is a poll that waits.
#[derive(Debug)]
pub struct Pace<W> {
    rules: PaceRules,
    in_flight: u32,
    rate: Option<Rate>,
    budget: Option<Rate>,
    breaker: Breaker,
    paused_until: Timestamp,
    quota: Option<Window>,
    /// Somebody waits for their answer.
    urgent: VecDeque<W>,
    routine: VecDeque<W>,
    /// Urgent polls that were taken since a routine one.
    urgent_in_row: u32,
}

/// The requests that the upstream leaves us until a moment.
#[derive(Clone, Copy, Debug)]
struct Window {
    remaining: u64,
    until: Timestamp,
    /// When the last poll started that counts against it.
    last: Timestamp,
}

/// A poll may start; to be given back with [`Pace::ended`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Grant {
    /// Whether it is the one that tries while the circuit breaker is open.
    probe: bool,
}

/// Nobody may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub hold: Hold,
    /// Until when, as far as it is known.
    pub until: Option<Timestamp>,
}

/// What becomes of a poll that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// It starts.
    Granted(Grant),
    /// It has to wait: [`Pace::wait`].
    Held(Hold),
    /// It cannot start, and does not wait.
    Refused(Refusal),
}

/// How a poll ended, as far as the upstream's strength is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// An answer, whatever it says, below 500.
    Answered,
    /// No connection, no answer in time, a 5xx.
    Failed,
    /// Nobody knows.
    Unknown,
}

/// What those who waited get now, and when to look again.
#[derive(Debug)]
pub struct Served<W> {
    /// Each with its grant, or the reason why it has to go.
    pub waiters: Vec<(W, Result<Grant, Refusal>)>,
    /// When the first of the others may start, unless a poll's end lets it.
    pub again: Option<Timestamp>,
}

/// Why the next poll cannot start.
enum Obstacle {
    Wait(Hold, Option<Timestamp>),
    Refuse(Refusal),
}

impl Grant {
    /// Whether it is the one that tries.
    pub fn is_probe(&self) -> bool {
        self.probe
    }
}

impl<W> Pace<W> {
    /// Nothing is under way.
    pub fn new(rules: PaceRules, now: Timestamp) -> Self {
        Self {
            rules,
            in_flight: 0,
            rate: rules.max_requests_per_second.map(Rate::per_second),
            budget: rules.budget.map(Rate::of),
            breaker: Breaker::new(rules.circuit_breaker, now),
            paused_until: Timestamp(0),
            quota: None,
            urgent: VecDeque::new(),
            routine: VecDeque::new(),
            urgent_in_row: 0,
        }
    }

    /// A poll is due. It starts at once only if nobody waits who came before.
    pub fn enter(&mut self, urgent: bool, now: Timestamp) -> Entry {
        match self.obstacle(urgent, now) {
            Err(Obstacle::Refuse(refusal)) => Entry::Refused(refusal),
            Err(Obstacle::Wait(hold, _)) => Entry::Held(hold),
            Ok(_) if self.waiting() > 0 => Entry::Held(self.first_hold(now)),
            Ok(probe) => Entry::Granted(self.start(probe, now)),
        }
    }

    /// A poll waits for its turn.
    pub fn wait(&mut self, waiter: W, urgent: bool) {
        match urgent {
            true => self.urgent.push_back(waiter),
            false => self.routine.push_back(waiter),
        }
    }

    /// Takes from the queues who may start, and all of them when nobody may. `is_there` tells who
    /// has not given up.
    pub fn serve(&mut self, now: Timestamp, is_there: impl Fn(&W) -> bool) -> Served<W> {
        let mut served = Served {
            waiters: Vec::new(),
            again: None,
        };
        loop {
            for queue in [&mut self.urgent, &mut self.routine] {
                while queue.front().is_some_and(|waiter| !is_there(waiter)) {
                    queue.pop_front();
                }
            }
            let Some(urgent) = self.whose_turn() else {
                return served;
            };
            let granted = match self.obstacle(urgent, now) {
                Ok(probe) => Ok(self.start(probe, now)),
                Err(Obstacle::Refuse(refusal)) => Err(refusal),
                Err(Obstacle::Wait(_, again)) => {
                    served.again = again;
                    return served;
                }
            };
            let (queue, in_row) = match urgent {
                true => (&mut self.urgent, self.urgent_in_row + 1),
                false => (&mut self.routine, 0),
            };
            self.urgent_in_row = in_row;
            served
                .waiters
                .extend(queue.pop_front().map(|waiter| (waiter, granted)));
        }
    }

    /// A poll that is under way asks once more, for another page or after a redirect. Returns when it
    /// may: limits in time hold for it as well, and it stands before the polls that wait. `None`, and
    /// nothing is taken, if that is later than `by`.
    pub fn further(&mut self, now: Timestamp, by: Timestamp) -> Option<Timestamp> {
        reserve([self.rate.as_mut(), self.budget.as_mut()], now, by)
    }

    /// A poll that was held up after it was let in, and did not ask yet, takes a place in another
    /// second; of the budget it has its part. Otherwise as [`further`](Self::further).
    pub fn afresh(&mut self, now: Timestamp, by: Timestamp) -> Option<Timestamp> {
        reserve([self.rate.as_mut(), None], now, by)
    }

    /// A poll ended. `random` is uniform in `0..=u64::MAX`.
    pub fn ended(&mut self, grant: Grant, ending: Ending, now: Timestamp, random: u64) -> Turn {
        self.in_flight = self.in_flight.saturating_sub(1);
        match ending {
            Ending::Answered => self.breaker.answered(grant.probe, now),
            Ending::Failed => self.breaker.failed(grant.probe, now, random),
            Ending::Unknown => {
                self.breaker.unknown(grant.probe, now);
                Turn::Same
            }
        }
    }

    /// The upstream asked to be left alone until then.
    pub fn pause(&mut self, until: Timestamp) {
        self.paused_until = self.paused_until.max(until);
    }

    /// The upstream told what it leaves us. Of answers that cross, the smaller number holds until
    /// its time is over, and no longer: windows of a second or two follow each other so closely
    /// that what is left of one would else be carried into the next.
    pub fn note(&mut self, quota: Quota, now: Timestamp) {
        let until = now.after(quota.resets_in);
        let known = self.quota.filter(|known| known.until > now);
        // Resets are told in whole seconds, so that those of one window differ by as much.
        let same = known.filter(|known| known.until.0.abs_diff(until.0) <= 2000);
        if same.is_some_and(|known| known.remaining <= quota.remaining) {
            return;
        }
        self.quota = Some(Window {
            remaining: quota.remaining,
            until,
            last: known.map_or(now, |known| known.last),
        });
    }

    /// Follows these rules from now on.
    pub fn follow(&mut self, rules: PaceRules, now: Timestamp) -> Turn {
        if rules.max_requests_per_second != self.rules.max_requests_per_second {
            self.rate = rules.max_requests_per_second.map(Rate::per_second);
        }
        if rules.budget != self.rules.budget {
            self.budget = rules.budget.map(Rate::of);
        }
        self.rules = rules;
        self.breaker.follow(rules.circuit_breaker, now)
    }

    /// The rules that it follows.
    pub fn rules(&self) -> &PaceRules {
        &self.rules
    }

    /// Its circuit breaker.
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Polls under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Polls that wait for their turn.
    pub fn waiting(&self) -> usize {
        self.urgent.len() + self.routine.len()
    }

    /// Polls of the budget that may start at once.
    pub fn budget_left(&self, now: Timestamp) -> Option<u64> {
        self.budget.as_ref().map(|budget| budget.left(now))
    }

    /// Until when the upstream asked to be left alone, if it did.
    pub fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        (self.paused_until > now).then_some(self.paused_until)
    }

    /// Requests that the upstream leaves us, and until when.
    pub fn quota(&self, now: Timestamp) -> Option<(u64, Timestamp)> {
        let window = self.quota.filter(|window| window.until > now)?;
        Some((window.remaining, window.until))
    }

    /// From which queue the next poll comes; `None` if nobody waits.
    fn whose_turn(&self) -> Option<bool> {
        match (self.urgent.is_empty(), self.routine.is_empty()) {
            (true, true) => None,
            (true, false) => Some(false),
            (false, true) => Some(true),
            (false, false) => Some(self.urgent_in_row + 1 < ROUTINE_EVERY),
        }
    }

    /// What holds the first of those who wait.
    fn first_hold(&self, now: Timestamp) -> Hold {
        let urgent = self.whose_turn().unwrap_or(false);
        match self.obstacle(urgent, now) {
            Err(Obstacle::Wait(hold, _)) => hold,
            _ => Hold::InFlight,
        }
    }

    /// Whether the next poll may start, and whether as a probe.
    fn obstacle(&self, urgent: bool, now: Timestamp) -> Result<bool, Obstacle> {
        let refuse = |hold, until| Err(Obstacle::Refuse(Refusal { hold, until }));
        if self.paused_until > now {
            return refuse(Hold::RetryAfter, Some(self.paused_until));
        }
        let quota = self.quota.filter(|window| window.until > now);
        if let Some(window) = quota.filter(|window| window.remaining == 0) {
            return refuse(Hold::Quota, Some(window.until));
        }
        let probe = match self.breaker.passage(now) {
            Passage::Open => false,
            Passage::Probe => true,
            Passage::Shut(until) => return refuse(Hold::Breaker, until),
        };
        let wait = |hold, at| Err(Obstacle::Wait(hold, at));
        if self.in_flight >= self.rules.max_in_flight {
            return wait(Hold::InFlight, None);
        }
        for (rate, hold) in [(&self.rate, Hold::Rate), (&self.budget, Hold::Budget)] {
            let ready_at = rate.as_ref().map(Rate::ready_at);
            if let Some(at) = ready_at.filter(|at| *at > now) {
                return wait(hold, Some(at));
            }
        }
        // What is left is spread over the time that is left; who waits for an answer goes first.
        let spread = quota.map(|window| window.next()).filter(|at| *at > now);
        match spread {
            Some(at) if !urgent => wait(Hold::Quota, Some(at)),
            _ => Ok(probe),
        }
    }

    fn start(&mut self, probe: bool, now: Timestamp) -> Grant {
        self.in_flight += 1;
        for rate in [&mut self.rate, &mut self.budget] {
            rate.iter_mut().for_each(|rate| rate.take(now));
        }
        if let Some(window) = &mut self.quota {
            window.remaining = window.remaining.saturating_sub(1);
            window.last = now;
        }
        if probe {
            self.breaker.probe(now);
        }
        Grant { probe }
    }
}

/// The earliest moment at which all of these let one more start, which is taken.
fn reserve(mut rates: [Option<&mut Rate>; 2], now: Timestamp, by: Timestamp) -> Option<Timestamp> {
    let ready = rates.iter().flatten().map(|rate| rate.ready_at());
    let at = ready.fold(now, Timestamp::max);
    if at > by {
        return None;
    }
    for rate in rates.iter_mut().flatten() {
        rate.take(at);
    }
    Some(at)
}

impl Window {
    /// When the next routine poll may start.
    fn next(&self) -> Timestamp {
        let left = self.until.since(self.last);
        self.last.after(left / self.remaining.saturating_add(1))
    }
}

#[cfg(test)]
mod tests;
