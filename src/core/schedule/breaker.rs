//! The circuit breaker of one upstream: who fails too often in a row is left alone.
//!
//! Failures count over all topics of the upstream, as far as they are [believed](super::Witness). While the breaker is open nobody asks; then one
//! poll tries (half-open), and either closes it or begins a longer pause.

use super::backoff::backoff;
use crate::core::event::Timestamp;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerRules {
    /// Failures in a row that open it; at least one.
    pub failures: u32,
    /// The first pause in milliseconds; later ones are `max(open, random(0, min(60 s, open x 2^n)))`.
    pub open: u64,
}

impl Default for BreakerRules {
    /// A second, since each feed that fails backs off besides: a short restart of the upstream must
    /// not keep its feeds stale for longer than it took.
    fn default() -> Self {
        Self {
            failures: 10,
            open: 1000,
        }
    }
}

/// A circuit breaker; one without rules never opens.
#[derive(Clone, Debug)]
pub struct Breaker {
    rules: Option<BreakerRules>,
    state: State,
    since: Timestamp,
    /// Failures in a row.
    failures: u32,
    /// Probes that failed since it opened.
    probes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Timestamp },
    Probing,
}

/// Whether a poll may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Yes.
    Open,
    /// As the one that tries.
    Probe,
    /// Not before this time; `None` while another one tries.
    Shut(Option<Timestamp>),
}

/// What a change of a breaker means to those who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing.
    Same,
    /// Nobody asks from now on.
    Opened,
    /// Everybody may ask again.
    Closed,
}

impl Breaker {
    /// A closed one.
    pub fn new(rules: Option<BreakerRules>, now: Timestamp) -> Self {
        Self {
            rules,
            state: State::Closed,
            since: now,
            failures: 0,
            probes: 0,
        }
    }

    /// Whether a poll may start now.
    pub fn passage(&self, now: Timestamp) -> Passage {
        match self.state {
            State::Closed => Passage::Open,
            State::Open { until } if until <= now => Passage::Probe,
            State::Open { until } => Passage::Shut(Some(until)),
            State::Probing => Passage::Shut(None),
        }
    }

    /// One poll tries.
    pub fn probe(&mut self, now: Timestamp) {
        self.enter(State::Probing, now);
    }

    /// The upstream answered, whatever it said below 500. `probe`: to the one that tried.
    pub fn answered(&mut self, probe: bool, now: Timestamp) -> Turn {
        match self.state {
            State::Closed => {
                self.failures = 0;
                Turn::Same
            }
            State::Probing if probe => {
                self.failures = 0;
                self.probes = 0;
                self.enter(State::Closed, now);
                Turn::Closed
            }
            // Asked before it opened: an answer of the past.
            _ => Turn::Same,
        }
    }

    /// No connection, no answer in time, or a 5xx.
    pub fn failed(&mut self, probe: bool, now: Timestamp, random: u64) -> Turn {
        let Some(rules) = self.rules else {
            return Turn::Same;
        };
        self.failures = self.failures.saturating_add(1);
        match self.state {
            State::Closed if self.failures >= rules.failures => {
                let until = now.after(rules.open);
                self.enter(State::Open { until }, now);
                Turn::Opened
            }
            State::Probing if probe => {
                self.probes = self.probes.saturating_add(1);
                let until = now.after(backoff(rules.open, self.probes, random));
                self.enter(State::Open { until }, now);
                Turn::Opened
            }
            _ => Turn::Same,
        }
    }

    /// A poll ended without telling anything. If it was the one that tried, the next one may.
    pub fn unknown(&mut self, probe: bool, now: Timestamp) {
        if probe && self.state == State::Probing {
            self.enter(State::Open { until: now }, now);
        }
    }

    /// Follows these rules from now on; one that is open stays so until a probe, unless there are
    /// no rules any more.
    pub fn follow(&mut self, rules: Option<BreakerRules>, now: Timestamp) -> Turn {
        self.rules = rules;
        if rules.is_some() || self.state == State::Closed {
            return Turn::Same;
        }
        self.enter(State::Closed, now);
        Turn::Closed
    }

    /// When one poll may try, if it is open.
    pub fn tries_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Open { until } => Some(until),
            State::Closed | State::Probing => None,
        }
    }

    /// `closed`, `open` or `half_open`.
    pub fn word(&self) -> &'static str {
        match self.state {
            State::Closed => "closed",
            State::Open { .. } => "open",
            State::Probing => "half_open",
        }
    }

    /// When this state began.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    fn enter(&mut self, state: State, now: Timestamp) {
        self.state = state;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: BreakerRules = BreakerRules {
        failures: 3,
        open: 1000,
    };

    fn at(millis: u64) -> Timestamp {
        Timestamp(millis)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::new(Some(RULES), at(0));
        let turns = [1, 2, 3].map(|n| breaker.failed(false, at(n), 0));
        assert_eq!(turns, [Turn::Same, Turn::Same, Turn::Opened]);
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_between_them_does_not() {
        let mut breaker = Breaker::new(Some(RULES), at(0));
        for n in 0..100 {
            assert_eq!(breaker.failed(false, at(n), 0), Turn::Same);
            assert_eq!(breaker.failed(false, at(n), 0), Turn::Same);
            breaker.answered(false, at(n));
            assert_eq!(breaker.passage(at(n)), Passage::Open);
        }
        let breaker = opened();
        assert_eq!(breaker.passage(at(5)), Passage::Shut(Some(at(1003))));
        assert_eq!((breaker.word(), breaker.since()), ("open", at(3)));
    }

    #[test]
    fn one_tries_at_a_time_and_its_answer_closes_it() {
        let mut breaker = opened();
        assert_eq!(breaker.passage(at(1003)), Passage::Probe);
        breaker.probe(at(1003));
        assert_eq!(breaker.passage(at(1003)), Passage::Shut(None));
        assert_eq!(breaker.answered(false, at(1004)), Turn::Same, "an old one");
        assert_eq!(breaker.failed(false, at(1004), 0), Turn::Same, "an old one");
        assert_eq!(breaker.answered(true, at(1005)), Turn::Closed);
        assert_eq!(breaker.passage(at(1005)), Passage::Open);
        assert_eq!(breaker.failures(), 0);
    }

    #[test]
    fn each_failed_probe_makes_the_pause_longer_up_to_a_minute() {
        let mut breaker = opened();
        let mut now = 1003;
        let mut longest = 0;
        for _ in 0..20 {
            breaker.probe(at(now));
            assert_eq!(breaker.failed(true, at(now), u64::MAX), Turn::Opened);
            let Passage::Shut(Some(until)) = breaker.passage(at(now)) else {
                panic!("open");
            };
            assert!(until.0 - now >= longest.min(59_999));
            longest = until.0 - now;
            now = until.0;
        }
        assert_eq!(longest, 59_999);
    }

    #[test]
    fn a_probe_that_never_ends_leaves_room_for_the_next() {
        let mut breaker = opened();
        breaker.probe(at(1003));
        breaker.unknown(true, at(1010));
        assert_eq!(breaker.passage(at(1010)), Passage::Probe);
    }

    #[test]
    fn without_rules_it_never_opens() {
        let mut breaker = Breaker::new(None, at(0));
        for n in 0..1000 {
            assert_eq!(breaker.failed(false, at(n), 0), Turn::Same);
        }
        let mut breaker = opened();
        assert_eq!(breaker.follow(None, at(9)), Turn::Closed);
        assert_eq!(breaker.passage(at(9)), Passage::Open);
    }
}
