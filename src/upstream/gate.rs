//! The gate through which all polls of one upstream pass.
//!
//! The async side of [`crate::core::schedule`]'s `Pace` and `Shares`: a poll that may start gets a
//! [`Pass`], one that must wait gets it later, and one that may not ask is told why. Promises that a
//! pass given back or dropped lets the next one in, and that who stopped waiting costs nothing.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::sleep_until;
use tracing::{info, warn};

use super::gate_metrics::GateMetrics;
use crate::clock::Clock;
use crate::core::event::Timestamp;
use crate::core::schedule::{
    Ending, Entry, Grant, Hold, Member, Pace, PaceRules, Quota, Refusal, Shares,
    Turn as BreakerTurn,
};
use crate::hub::intact;

/// One upstream's gate.
#[derive(Debug)]
pub struct Gate {
    upstream: String,
    clock: Clock,
    metrics: GateMetrics,
    /// A std mutex: held for a few field accesses, never across an await.
    inner: Mutex<Inner>,
    /// Counts how often the circuit breaker closed.
    reopened: watch::Sender<u64>,
}

#[derive(Debug)]
struct Inner {
    pace: Pace<Waiter>,
    shares: Shares,
    /// When a timer looks at the queue.
    timer: Option<Timestamp>,
}

type Waiter = oneshot::Sender<Result<Pass, Refused>>;

/// The turn of a poll that waits; whoever drops it leaves the queue.
pub type Turn = oneshot::Receiver<Result<Pass, Refused>>;

/// What becomes of a poll that is due.
#[derive(Debug)]
pub enum Entrance {
    /// It may start.
    Granted(Pass),
    /// It waits for its turn, for this reason.
    Held(Hold, Turn),
    /// Nobody may ask.
    Refused(Refused),
}

/// Nobody may ask, and the words for it.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Why, and until when.
    pub refusal: Refusal,
    /// For the feed's health.
    pub reason: String,
}

/// The right to poll once; given back when dropped.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    grant: Option<Grant>,
}

/// The place of one topic among those that share the upstream's budget; given up when dropped.
#[derive(Debug)]
pub struct Seat {
    gate: Arc<Gate>,
    id: u64,
}

/// What is known of an upstream at one moment.
#[derive(Clone, Debug)]
pub struct GateReport {
    /// Its name.
    pub upstream: String,
    /// The limits that hold.
    pub rules: PaceRules,
    /// The circuit breaker: `closed`, `open` or `half_open`.
    pub state: &'static str,
    /// When that began.
    pub since: Timestamp,
    /// Failures in a row.
    pub failures: u32,
    /// Polls under way.
    pub in_flight: u32,
    /// Polls that wait for their turn.
    pub waiting: usize,
    /// Polls of the budget that may start at once.
    pub budget_left: Option<u64>,
    /// Until when it asked for a pause.
    pub paused_until: Option<Timestamp>,
    /// Requests that it leaves us, and until when.
    pub quota: Option<(u64, Timestamp)>,
}

impl Gate {
    /// An open gate, nobody in it.
    pub(super) fn new(
        upstream: &str,
        rules: PaceRules,
        clock: Clock,
        metrics: GateMetrics,
    ) -> Self {
        let now = clock.now();
        let pace = Pace::new(rules, now);
        metrics.state(pace.breaker().word());
        Self {
            upstream: upstream.to_owned(),
            clock,
            metrics,
            inner: Mutex::new(Inner {
                pace,
                shares: Shares::new(rules.budget),
                timer: None,
            }),
            reopened: watch::Sender::new(0),
        }
    }

    /// A poll is due. `urgent`: somebody waits for its answer.
    pub fn enter(self: &Arc<Self>, urgent: bool) -> Entrance {
        let now = self.clock.now();
        let mut inner = self.lock();
        match inner.pace.enter(urgent, now) {
            Entry::Granted(grant) => {
                self.tell(&inner);
                Entrance::Granted(self.pass(grant))
            }
            Entry::Refused(refusal) => {
                self.metrics.held_back(refusal.hold);
                Entrance::Refused(self.refused(&inner, refusal))
            }
            Entry::Held(hold) => {
                self.metrics.held_back(hold);
                let (sender, receiver) = oneshot::channel();
                inner.pace.wait(sender, urgent);
                self.serve(inner);
                Entrance::Held(hold, receiver)
            }
        }
    }

    /// A topic is due, and may not ask for a reason of its own.
    pub fn turn_away(&self, refusal: Refusal) -> Refused {
        self.metrics.held_back(refusal.hold);
        self.refused(&self.lock(), refusal)
    }

    /// Waits until a poll that is under way may ask once more. False, at once, if that is not before
    /// `by`.
    pub async fn further(&self, by: Timestamp) -> bool {
        let now = self.clock.now();
        let at = self.lock().pace.further(now, by);
        self.wait_for(at, now).await
    }

    /// Waits until a poll that was let in a while ago may ask for the first time. False, at once, if
    /// that is not before `by`.
    pub async fn afresh(&self, by: Timestamp) -> bool {
        let now = self.clock.now();
        let at = self.lock().pace.afresh(now, by);
        self.wait_for(at, now).await
    }

    async fn wait_for(&self, at: Option<Timestamp>, now: Timestamp) -> bool {
        if let Some(at) = at.filter(|at| *at > now) {
            sleep_until(self.clock.instant(at)).await;
        }
        at.is_some()
    }

    /// The upstream asked to be left alone for so many milliseconds.
    pub fn pause(self: &Arc<Self>, millis: u64) {
        let mut inner = self.lock();
        inner.pace.pause(self.clock.now().after(millis));
        self.serve(inner);
    }

    /// The upstream told how many requests it leaves us.
    pub fn note(&self, quota: Quota) {
        self.lock().pace.note(quota, self.clock.now());
    }

    /// A topic is polled from now on, and takes part in sharing the budget.
    pub fn join(self: &Arc<Self>, member: Member) -> Seat {
        let id = self.lock().shares.join(member);
        Seat {
            gate: Arc::clone(self),
            id,
        }
    }

    /// Follows every closing of the circuit breaker.
    pub fn reopened(&self) -> watch::Receiver<u64> {
        self.reopened.subscribe()
    }

    /// When the next poll may try, if the circuit breaker is open.
    pub fn tries_at(&self) -> Option<Timestamp> {
        self.lock().pace.breaker().tries_at()
    }

    /// Follows these limits from now on.
    pub fn follow(self: &Arc<Self>, rules: PaceRules) {
        let mut inner = self.lock();
        if *inner.pace.rules() == rules {
            return;
        }
        inner.shares.follow(rules.budget);
        let turn = inner.pace.follow(rules, self.clock.now());
        self.turned(&inner, turn, false);
        self.serve(inner);
    }

    /// What is known of it now.
    pub fn report(&self) -> GateReport {
        let now = self.clock.now();
        let inner = self.lock();
        let (pace, breaker) = (&inner.pace, inner.pace.breaker());
        GateReport {
            upstream: self.upstream.clone(),
            rules: *pace.rules(),
            state: breaker.word(),
            since: breaker.since(),
            failures: breaker.failures(),
            in_flight: pace.in_flight(),
            waiting: pace.waiting(),
            budget_left: pace.budget_left(now),
            paused_until: pace.paused_until(now),
            quota: pace.quota(now),
        }
    }

    fn ended(self: &Arc<Self>, grant: Grant, ending: Ending) {
        let now = self.clock.now();
        let mut inner = self.lock();
        let turn = inner.pace.ended(grant, ending, now, rand::random());
        self.turned(&inner, turn, grant.is_probe());
        self.serve(inner);
    }

    /// Tells of a change of the circuit breaker.
    fn turned(&self, inner: &Inner, turn: BreakerTurn, was_probe: bool) {
        let breaker = inner.pace.breaker();
        let (upstream, failures) = (&self.upstream, breaker.failures());
        match turn {
            BreakerTurn::Same => {}
            // A probe that failed is no news.
            BreakerTurn::Opened if was_probe => {}
            BreakerTurn::Opened => warn!(upstream, failures, "circuit breaker opens"),
            BreakerTurn::Closed => {
                info!(upstream, "circuit breaker closes");
                self.reopened.send_modify(|count| *count += 1);
            }
        }
    }

    /// Lets in who may start, and sees to it that the others are looked after in time.
    fn serve(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>) {
        let now = self.clock.now();
        let served = inner.pace.serve(now, |waiter| !waiter.is_closed());
        if let Some(at) = served.again
            && inner.timer.is_none_or(|timer| at < timer)
        {
            inner.timer = self.wake_at(at).then_some(at);
        }
        self.tell(&inner);
        let told = served.waiters.into_iter().map(|(waiter, outcome)| {
            let outcome = outcome.map(|grant| self.pass(grant));
            (
                waiter,
                outcome.map_err(|refusal| self.refused(&inner, refusal)),
            )
        });
        let told: Vec<_> = told.collect();
        drop(inner);
        for (waiter, outcome) in told {
            // Who left a moment ago gives the pass back by dropping it.
            let _ = waiter.send(outcome);
        }
    }

    /// Looks at the queue at that time. False where there is no runtime any more.
    fn wake_at(self: &Arc<Self>, at: Timestamp) -> bool {
        let Ok(runtime) = Handle::try_current() else {
            return false;
        };
        let (gate, wake) = (Arc::downgrade(self), self.clock.instant(at));
        runtime.spawn(async move {
            sleep_until(wake).await;
            let Some(gate) = gate.upgrade() else {
                return;
            };
            let mut inner = gate.lock();
            if inner.timer == Some(at) {
                inner.timer = None;
            }
            gate.serve(inner);
        });
        true
    }

    fn pass(self: &Arc<Self>, grant: Grant) -> Pass {
        Pass {
            gate: Arc::clone(self),
            grant: Some(grant),
        }
    }

    fn refused(&self, inner: &Inner, refusal: Refusal) -> Refused {
        let upstream = &self.upstream;
        let until = refusal.until.map(|until| until.to_string());
        let reason = match (refusal.hold, until) {
            (Hold::Breaker, until) => format!(
                "not asked: upstream {upstream} failed {} times in a row (circuit_breaker); {}",
                inner.pace.breaker().failures(),
                until.map_or("one poll tries now".to_owned(), |until| format!(
                    "one poll tries at {until}"
                ))
            ),
            (Hold::Quota, Some(until)) => {
                format!("not asked: upstream {upstream} leaves us no request until {until}")
            }
            (_, Some(until)) => {
                format!("not asked: upstream {upstream} asked for a pause until {until}")
            }
            (hold, None) => format!("not asked: {}", hold.sentence()),
        };
        Refused { refusal, reason }
    }

    fn tell(&self, inner: &Inner) {
        let pace = &inner.pace;
        self.metrics.load(pace.in_flight(), pace.waiting());
        self.metrics.state(pace.breaker().word());
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        intact(self.inner.lock(), "an upstream's gate")
    }
}

impl Pass {
    /// Whether it is the one poll that tries while the circuit breaker is open.
    pub fn is_probe(&self) -> bool {
        self.grant.as_ref().is_some_and(Grant::is_probe)
    }

    /// The poll is over, and this is what it says of the upstream.
    pub fn ended(mut self, ending: Ending) {
        if let Some(grant) = self.grant.take() {
            self.gate.ended(grant, ending);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(grant) = self.grant.take() {
            self.gate.ended(grant, Ending::Unknown);
        }
    }
}

impl Seat {
    /// Others listen.
    pub fn heard_by(&self, subscribers: usize) {
        self.gate.lock().shares.heard_by(self.id, subscribers);
    }

    /// The interval that there is for this topic, in milliseconds.
    pub fn interval(&self) -> u64 {
        let now = self.gate.clock.now();
        self.gate.lock().shares.interval(self.id, now)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.gate.lock().shares.leave(self.id);
    }
}
