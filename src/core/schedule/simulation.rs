//! Thousands of topics on one upstream in virtual time, over the very pieces that polls run on.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::time::Duration;

use super::*;
use crate::core::event::Timestamp;

/// What an answer takes, in milliseconds; a refused connection takes one.
const LATENCY: u64 = 20;
const START: u64 = 1_700_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// This topic is due, unless it was planned anew since.
    Due(usize, u64),
    Answer(usize),
    Timer,
}

struct Topic {
    schedule: Schedule,
    failures: u32,
    grant: Option<Grant>,
    is_idle: bool,
    wake: Timestamp,
    version: u64,
    started: Timestamp,
    /// Whether the upstream was up when it was asked.
    is_up: bool,
    answers: Vec<Timestamp>,
}

struct World {
    now: Timestamp,
    pace: Pace<usize>,
    topics: Vec<Topic>,
    events: BinaryHeap<Reverse<(Timestamp, What)>>,
    timer: Option<Timestamp>,
    outage: Range<u64>,
    starts: Vec<u64>,
    dice: u64,
}

impl World {
    fn new(count: usize, interval: u64, rules: PaceRules, outage: Range<u64>) -> Self {
        let plan = Plan {
            interval: Duration::from_millis(interval),
            cadence: Cadence::Fixed,
            align: false,
            respect: Respect::ALL,
            revalidate: Duration::from_secs(600),
        };
        let now = Timestamp(START);
        let mut world = Self {
            now,
            pace: Pace::new(rules, now),
            topics: Vec::new(),
            events: BinaryHeap::new(),
            timer: None,
            outage: START + outage.start..START + outage.end,
            starts: Vec::new(),
            dice: 7,
        };
        for n in 0..count {
            let schedule = Schedule::new(plan, &format!("/feeds/{n}"));
            let first = schedule.first(now);
            world.topics.push(Topic {
                schedule,
                failures: 0,
                grant: None,
                is_idle: true,
                wake: now,
                version: 0,
                started: now,
                is_up: true,
                answers: Vec::new(),
            });
            world.plan(n, first);
        }
        world
    }

    /// The generator of Knuth's MMIX.
    fn random(&mut self) -> u64 {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.dice
    }

    fn plan(&mut self, n: usize, next: Next) {
        let topic = &mut self.topics[n];
        topic.version += 1;
        (topic.is_idle, topic.wake) = (true, next.wake);
        let event = (next.wake.max(self.now), What::Due(n, topic.version));
        self.events.push(Reverse(event));
    }

    fn run_until(&mut self, end: u64) {
        while let Some(Reverse((at, what))) = self.events.pop() {
            if at.0 >= START + end {
                self.events.push(Reverse((at, what)));
                return;
            }
            self.now = at;
            match what {
                What::Due(n, version) if self.topics[n].version == version => self.due(n),
                What::Due(..) => {}
                What::Answer(n) => self.answer(n),
                What::Timer => {
                    self.timer = self.timer.filter(|timer| *timer != at);
                    self.serve();
                }
            }
        }
    }

    fn due(&mut self, n: usize) {
        self.topics[n].is_idle = false;
        match self.pace.enter(false, self.now) {
            Entry::Granted(grant) => self.start(n, grant),
            Entry::Refused(refusal) => self.refuse(n, refusal),
            Entry::Held(_) => {
                self.pace.wait(n, false);
                self.serve();
            }
        }
    }

    fn serve(&mut self) {
        let served = self.pace.serve(self.now, |_| true);
        for (n, outcome) in served.waiters {
            match outcome {
                Ok(grant) => self.start(n, grant),
                Err(refusal) => self.refuse(n, refusal),
            }
        }
        if let Some(at) = served.again
            && self.timer.is_none_or(|timer| at < timer)
        {
            self.timer = Some(at);
            self.events.push(Reverse((at, What::Timer)));
        }
    }

    fn start(&mut self, n: usize, grant: Grant) {
        let is_up = !self.outage.contains(&self.now.0);
        let topic = &mut self.topics[n];
        assert!(topic.grant.is_none(), "its own polls never overlap");
        (topic.grant, topic.started, topic.is_up) = (Some(grant), self.now, is_up);
        self.starts.push(self.now.0 - START);
        let took = if is_up { LATENCY } else { 1 };
        self.events
            .push(Reverse((self.now.after(took), What::Answer(n))));
    }

    fn refuse(&mut self, n: usize, refusal: Refusal) {
        let random = self.random();
        let topic = &mut self.topics[n];
        topic.failures += 1;
        let next = topic
            .schedule
            .refused(refusal, topic.failures, self.now, random);
        self.plan(n, next);
    }

    fn answer(&mut self, n: usize) {
        let (random, now) = (self.random(), self.now);
        let topic = &mut self.topics[n];
        let grant = topic.grant.take().expect("a poll under way");
        let ending = match topic.is_up {
            true => Ending::Answered,
            false => Ending::Failed,
        };
        let turn = self.pace.ended(grant, ending, now, random);
        let tries_at = self.pace.breaker().tries_at();
        let next = if topic.is_up {
            topic.failures = 0;
            topic.answers.push(now);
            topic.schedule.answered(&Polled {
                started: topic.started,
                ended: now,
                changed: false,
                hints: Hints::default(),
                share: 1,
            })
        } else {
            topic.failures += 1;
            let next = topic
                .schedule
                .failed(topic.failures, Hints::default(), now, random);
            let at = tries_at.map_or(next.at, |at| at.max(now).min(next.at));
            topic.schedule.next(at, next.why)
        };
        self.plan(n, next);
        if turn == Turn::Closed {
            self.come_back();
        }
        self.serve();
    }

    fn come_back(&mut self) {
        for n in 0..self.topics.len() {
            let topic = &self.topics[n];
            let back = topic.schedule.returning(self.now);
            if topic.is_idle && topic.failures > 0 && back.at < topic.wake {
                self.plan(n, back);
            }
        }
    }

    /// The most starts in any second of this time.
    fn most_in_a_second(&self, within: Range<u64>) -> usize {
        let starts: Vec<u64> = self
            .starts
            .iter()
            .copied()
            .filter(|at| within.contains(at))
            .collect();
        let until = |at: u64| starts.partition_point(|each| *each < at + 1000);
        let counts = starts.iter().enumerate().map(|(n, at)| until(*at) - n);
        counts.max().unwrap_or(0)
    }
}

const MINUTE: u64 = 60_000;

fn rules(rate: Option<u32>) -> PaceRules {
    PaceRules {
        max_requests_per_second: rate,
        ..PaceRules::default()
    }
}

#[test]
fn after_ten_minutes_of_outage_the_first_minute_never_exceeds_the_rate() {
    const RATE: u32 = 200;
    let outage = MINUTE..11 * MINUTE;
    // Five thousand topics want 2,500 polls a second.
    let mut world = World::new(5000, 2000, rules(Some(RATE)), outage.clone());
    world.run_until(13 * MINUTE);
    let asked = world.starts.iter().filter(|at| outage.contains(at)).count();
    assert!(
        (10..400).contains(&asked),
        "polls of the upstream that is down: {asked}"
    );
    assert!(world.most_in_a_second(0..MINUTE) <= RATE as usize);
    let recovery = 11 * MINUTE..12 * MINUTE;
    let most = world.most_in_a_second(recovery.clone());
    assert!((190..=RATE as usize).contains(&most), "{most}");
    // The rate is used as soon as one poll found out: every topic is back in a minute and a half.
    let back = Timestamp(START + 11 * MINUTE);
    for topic in &world.topics {
        let first = topic
            .answers
            .iter()
            .find(|at| **at >= back)
            .expect("it came back");
        assert!(first.since(back) < MINUTE + 30_000);
    }
}

#[test]
fn topics_that_come_back_without_a_rate_are_spread_over_their_interval() {
    let outage = MINUTE..11 * MINUTE;
    let mut world = World::new(5000, 10_000, rules(None), outage);
    world.run_until(13 * MINUTE);
    // Evenly it would be 500 polls a second.
    let most = world.most_in_a_second(11 * MINUTE..13 * MINUTE);
    assert!(most <= 600, "{most}");
    let quiet = world.most_in_a_second(0..MINUTE);
    assert!(most <= quiet + quiet / 10, "{most} beside {quiet}");
}

#[test]
fn under_scarcity_every_topic_has_as_many_turns() {
    let mut world = World::new(1000, 1000, rules(Some(100)), 0..0);
    world.run_until(2 * MINUTE);
    let turns = |topic: &Topic| topic.answers.len();
    let (least, most) = (
        world.topics.iter().map(turns).min().unwrap(),
        world.topics.iter().map(turns).max().unwrap(),
    );
    assert!(least >= 11 && most <= least + 1, "{least} to {most}");
    let waits = |topic: &Topic| {
        topic
            .answers
            .windows(2)
            .map(|pair| pair[1].since(pair[0]))
            .max()
    };
    let longest = world.topics.iter().filter_map(waits).max().unwrap();
    let shortest = world.topics.iter().filter_map(waits).min().unwrap();
    assert!(longest < 2 * shortest, "{shortest} to {longest}");
}

#[test]
fn no_more_polls_are_under_way_than_allowed() {
    let limits = PaceRules {
        max_in_flight: 3,
        ..rules(None)
    };
    let mut world = World::new(200, 1000, limits, 0..0);
    world.run_until(MINUTE);
    // Three at a time, twenty milliseconds each.
    let most = world.most_in_a_second(0..MINUTE);
    assert!((145..=153).contains(&most), "{most}");
}
