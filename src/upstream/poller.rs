//! The task that polls for one topic.
//!
//! Owns when it asks: who listens, what the schedule says, whose turn it is. What becomes of an
//! answer is `outcome`'s.

mod outcome;

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::gate::{Entrance, Gate, Pass, Refused, Seat, Turn};
use super::inquiry::Inquiry;
use super::interest::Interest;
use super::metrics::PollMetrics;
use super::poll::Client;
use super::transform::Workers;
use crate::backplane::Backplane;
use crate::clock::Clock;
use crate::config::{Feed, Idle};
use crate::core::event::Modes;
use crate::core::schedule::{Cadence, Member, Next, Schedule, Why, poked};
use crate::hub::{Audience, Topic};

/// Polls one topic for as long as somebody listens.
pub struct Poller {
    topic: Arc<Topic>,
    gate: Arc<Gate>,
    /// Its part in the upstream's budget, while it is polled.
    seat: Option<Seat>,
    /// Whether the first answer since polling last began is still to come.
    is_cold: bool,
    backplane: Arc<dyn Backplane>,
    clock: Clock,
    metrics: PollMetrics,
    schedule: Schedule,
    inquiry: Inquiry,
    /// Whether answers are compared with a document that is not published yet.
    is_ahead: bool,
    audience: watch::Receiver<Audience>,
    pokes: watch::Receiver<u64>,
    interest: Interest,
}

impl Poller {
    /// A poller that has not started. To be called within a runtime.
    pub fn new(
        topic: Arc<Topic>,
        client: Client,
        gate: Arc<Gate>,
        workers: &Workers,
        backplane: Arc<dyn Backplane>,
        clock: Clock,
        metrics: PollMetrics,
    ) -> Self {
        let feed = topic.feed();
        Self {
            schedule: Schedule::new(feed.poll.plan(), &topic.identity().offset_key()),
            inquiry: Inquiry::new(
                &topic,
                topic.document(),
                client,
                Arc::clone(&gate),
                workers,
                metrics.exporter(&topic),
                clock,
            ),
            is_ahead: false,
            pokes: topic.pokes(),
            audience: topic.audience(),
            interest: interest(feed),
            topic,
            gate,
            seat: None,
            is_cold: true,
            backplane,
            clock,
            metrics,
        }
    }

    /// The same, but the first answer is compared with nothing.
    pub(super) fn afresh(mut self) -> Self {
        self.inquiry.forget();
        self
    }

    /// Polls until the task is dropped. A feed that is kept polled starts at its own offset; one
    /// that waits for demand starts the moment somebody comes.
    pub async fn run(mut self) {
        if self.feed().poll.idle == Idle::Keep {
            let first = self.schedule.first(self.clock.now());
            self.topic.planned(first);
            tokio::select! {
                () = sleep_until(self.clock.instant(first.at)) => {}
                _ = self.audience.wait_for(|audience| audience.listening() > 0) => {}
                _ = self.pokes.changed() => {}
            }
        }
        loop {
            if self.feed().poll.idle == Idle::Pause {
                // The topic holds the sender, and this task the topic.
                let _ = self
                    .audience
                    .wait_for(|audience| audience.listening() > 0)
                    .await;
            }
            self.seat = Some(self.gate.join(self.member()));
            self.note_audience();
            self.topic.resumed(self.clock.now());
            self.poll_while_wanted().await;
            self.seat = None;
            self.topic.cooled(self.clock.now());
        }
    }

    /// Polls until nobody has listened for `linger`, or the feed has ended and nobody asks anew.
    async fn poll_while_wanted(&mut self) {
        self.is_cold = true;
        loop {
            let next = match self.enter().await {
                Ok(pass) => {
                    // Whoever pokes from now on wants another poll than this one.
                    self.pokes.mark_unchanged();
                    // In a box: most of a poller's memory is that of a poll under way.
                    Box::pin(self.poll(pass)).await
                }
                Err(refused) => self.turned_away(refused),
            };
            self.is_cold = false;
            self.topic.planned(next);
            self.topic.warmed();
            self.wait_until(next).await;
            if self.feed().poll.idle == Idle::Keep {
                continue;
            }
            if self.topic.ended().is_some() {
                return self.await_newcomer().await;
            }
            if self.interest.is_over(Instant::now()) {
                return;
            }
        }
    }

    /// Waits for its turn among the polls of this upstream, which comes sooner once somebody waits
    /// for the first answer.
    async fn enter(&mut self) -> Result<Pass, Refused> {
        if let Some(refusal) = self.schedule.pause(self.clock.now()) {
            return Err(self.gate.turn_away(refusal));
        }
        loop {
            let urgent = self.is_awaited();
            let (hold, turn) = match self.gate.enter(urgent) {
                Entrance::Granted(pass) => return Ok(pass),
                Entrance::Refused(refused) => return Err(refused),
                Entrance::Held(hold, turn) => (hold, turn),
            };
            let now = self.clock.now();
            self.topic.planned(self.schedule.next(now, Why::Held(hold)));
            if let Some(outcome) = self.await_turn(turn, urgent).await {
                return outcome;
            }
        }
    }

    /// Waits in the queue; `None` if it should stand in the other one.
    async fn await_turn(&mut self, mut turn: Turn, urgent: bool) -> Option<Result<Pass, Refused>> {
        while urgent || !self.is_awaited() {
            let down_at = self.topic.down_at();
            tokio::select! {
                outcome = &mut turn => {
                    return Some(outcome.expect("invariant: the gate answers whoever still waits"));
                }
                _ = self.audience.changed() => self.note_audience(),
                () = self.clock.reached(down_at) => self.pass_time(),
            }
        }
        None
    }

    /// Whether somebody waits for the first answer.
    fn is_awaited(&self) -> bool {
        self.is_cold && self.audience.borrow().listening() > 0
    }

    /// Sleeps until the next poll, minding who listens, who pokes, how long the upstream has
    /// been silent, and whether it came back.
    async fn wait_until(&mut self, mut next: Next) {
        let ended = self.clock.now();
        let mut reopened = self.gate.reopened();
        reopened.mark_unchanged();
        let is_left_alone = self.topic.failures() > 0;
        loop {
            let due = self.clock.instant(next.wake);
            let down_at = self.topic.down_at();
            let wake = down_at.map_or(due, |at| self.clock.instant(at).min(due));
            tokio::select! {
                () = sleep_until(wake) => {
                    // Time alone changes nothing where no failure is to be counted from.
                    if down_at.is_some() {
                        self.pass_time();
                    }
                    if Instant::now() >= due {
                        return;
                    }
                }
                _ = self.audience.changed() => self.note_audience(),
                _ = reopened.changed(), if is_left_alone => {
                    let back = self.schedule.returning(self.clock.now());
                    if back.at < next.wake {
                        next = back;
                        self.topic.planned(next);
                    }
                }
                _ = self.pokes.changed() => {
                    let failures = self.topic.failures();
                    let at = ended.after(poked(failures, rand::random()));
                    if at < next.wake {
                        next = self.schedule.next(at, Why::Poke);
                        self.topic.planned(next);
                    }
                }
            }
        }
    }

    fn pass_time(&self) {
        if self.topic.passed(self.clock.now()) {
            self.log_state();
        }
    }

    /// Waits until somebody asks for a feed that has ended.
    async fn await_newcomer(&mut self) {
        // In this order: whoever comes amid it finds the refusal, or is waited for.
        let so_far = self.audience.borrow_and_update().arrived();
        self.topic.cooled(self.clock.now());
        let _ = self
            .audience
            .wait_for(|audience| audience.arrived() > so_far)
            .await;
    }

    fn note_audience(&mut self) {
        let audience = *self.audience.borrow_and_update();
        if let Some(seat) = &self.seat {
            seat.heard_by(audience.listening());
        }
        self.interest.note(audience, Instant::now());
    }

    /// What this topic wants of the upstream's budget.
    fn member(&self) -> Member {
        let poll = &self.feed().poll;
        Member {
            every: u64::try_from(poll.interval.as_millis()).unwrap_or(u64::MAX),
            fixed: poll.cadence != Cadence::Fresh,
            subscribers: self.audience.borrow().listening(),
        }
    }

    fn feed(&self) -> &Arc<Feed> {
        self.topic.feed()
    }
}

impl Drop for Poller {
    /// Leaves the document to whoever polls next, unless it may be what made this one fail, or
    /// subscribers do not hold it: who goes on from what the topic holds tells them the change.
    fn drop(&mut self) {
        if !std::thread::panicking() && !self.is_ahead {
            self.topic.leave(self.inquiry.take_document());
        }
    }
}

/// A feed that is polled for nobody keeps its first mode ready for whoever comes back; the others
/// only for as long as they were in use.
fn interest(feed: &Feed) -> Interest {
    let always = match feed.poll.idle {
        Idle::Keep => Modes::NONE.with(feed.events.mode),
        Idle::Pause => Modes::NONE,
    };
    Interest::new(feed.poll.linger, always)
}
