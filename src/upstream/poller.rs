//! The task that polls for one topic.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::ask::Ask;
use super::client::{Answer, Validators};
use super::error::PollError;
use super::interest::Interest;
use super::metrics::PollMetrics;
use super::poll::Client;
use super::reading::{Reading, Unreadable, apart};
use super::transform::Workers;
use crate::backplane::Backplane;
use crate::clock::Clock;
use crate::config::{Feed, Idle};
use crate::core::change::Change;
use crate::core::document::{Document, Observation, Rejected};
use crate::core::event::{Modes, State, Timestamp};
use crate::core::health::Denial;
use crate::core::poke;
use crate::core::schedule::Schedule;
use crate::hub::{Audience, Lessons, Topic};

/// Polls one topic for as long as somebody listens.
pub struct Poller {
    topic: Arc<Topic>,
    client: Client,
    ask: Ask,
    backplane: Arc<dyn Backplane>,
    clock: Clock,
    metrics: PollMetrics,
    schedule: Schedule,
    reading: Reading,
    document: Document,
    /// The length of what it holds.
    document_bytes: usize,
    /// How many of its places were passed on as noise.
    noisy_places: usize,
    /// Of the answer that `document` was read from.
    validators: Validators,
    audience: watch::Receiver<Audience>,
    pokes: watch::Receiver<u64>,
    interest: Interest,
}

/// Why a poll changed nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Poll(#[from] PollError),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(transparent)]
    Rejected(#[from] Rejected),
}

impl Poller {
    /// A poller that has not started. To be called within a runtime.
    pub fn new(
        topic: Arc<Topic>,
        client: Client,
        workers: &Workers,
        backplane: Arc<dyn Backplane>,
        clock: Clock,
        metrics: PollMetrics,
    ) -> Self {
        let feed = topic.feed();
        Self {
            schedule: Schedule::new(feed.poll.interval, &topic.identity().offset_key()),
            reading: Reading::new(feed, workers),
            document: Document::new(feed.document.view.clone()),
            document_bytes: 0,
            noisy_places: 0,
            validators: Validators::default(),
            audience: topic.audience(),
            pokes: topic.pokes(),
            interest: interest(feed),
            ask: Ask::of(feed, topic.identity().target()),
            topic,
            client,
            backplane,
            clock,
            metrics,
        }
    }

    /// Polls until the task is dropped. A feed that is kept polled starts at its own offset; one
    /// that waits for demand starts the moment somebody comes.
    pub async fn run(mut self) {
        if self.feed().poll.idle == Idle::Keep {
            let first = self.clock.instant(self.schedule.tick(self.clock.now()));
            tokio::select! {
                () = sleep_until(first) => {}
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
            self.note_audience();
            self.topic.resumed(self.clock.now());
            self.poll_while_wanted().await;
            self.topic.cooled(self.clock.now());
        }
    }

    /// Polls until nobody has listened for `linger`, or the feed has ended and nobody asks anew.
    async fn poll_while_wanted(&mut self) {
        loop {
            let started = self.clock.now();
            // Whoever pokes from now on wants another poll than this one.
            self.pokes.mark_unchanged();
            // In a box: most of a poller's memory is that of a poll under way.
            let succeeded = Box::pin(self.poll()).await;
            self.topic.warmed();
            let next = self.next_poll(started, succeeded);
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

    /// Polls once and puts the outcome in place. True if the upstream's answer was accepted.
    async fn poll(&mut self) -> bool {
        let outcome = self.ask().await;
        let now = self.clock.now();
        let label = match &outcome {
            Ok((label, _)) => label,
            Err(Failure::Poll(error)) => error.outcome(),
            Err(Failure::Unreadable(error)) => error.reason(),
            Err(Failure::Rejected(error)) => error.reason(),
        };
        self.metrics.polled(label);
        match outcome {
            Ok((_, change)) => {
                if self.topic.succeeded(now) {
                    self.log_state();
                }
                if let Some(change) = change {
                    self.metrics.changed(&change);
                    self.document_bytes = change.snapshot.len();
                    self.learn();
                    self.backplane.publish(&self.topic, change).await;
                } else if self.noisy_places != self.document.findings().len() {
                    self.learn();
                }
                true
            }
            Err(failure) => {
                let denial = match &failure {
                    Failure::Poll(error) => error.denial(),
                    Failure::Unreadable(_) | Failure::Rejected(_) => None,
                };
                let changed = self.topic.failed(failure.to_string(), denial, now);
                // A first failure of a live feed is a blip; of any other it is news.
                let health = self.topic.health();
                if changed || (health.failures() == 1 && health.state() != State::Live) {
                    self.log_state();
                }
                false
            }
        }
    }

    /// Asks the upstream and reads the answer: the outcome's label, and the change if there is one.
    async fn ask(&mut self) -> Result<(&'static str, Option<Change>), Failure> {
        let feed = Arc::clone(self.feed());
        let started = Instant::now();
        let reply = self
            .client
            .poll(
                &self.ask,
                &self.validators,
                feed.poll.timeout,
                feed.document.max_bytes,
                &self.metrics,
            )
            .await;
        self.metrics.answered(started.elapsed());
        let Answer::Body { body, validators } = reply.outcome? else {
            self.document.not_modified();
            return Ok(("not_modified", None));
        };
        self.metrics.received(body.len());
        if self.audience.has_changed().unwrap_or(false) {
            self.note_audience();
        }
        let Some(body) = self.reading.read(body).await? else {
            self.document.not_modified();
            self.validators = validators;
            return Ok(("unchanged", None));
        };
        self.document.want(self.interest.modes(Instant::now()));
        let bytes = body.len().max(self.document.body_len());
        let observation = apart(bytes, || self.document.observe(body))?;
        self.reading.accepted();
        self.validators = validators;
        Ok(match observation {
            Observation::Unchanged => ("unchanged", None),
            Observation::Changed(change) => ("changed", Some(change)),
        })
    }

    /// Passes on what the documents taught. Noise is told, once, and never dropped: whether a client
    /// needs it is not for us to know.
    fn learn(&mut self) {
        let lessons = Lessons {
            document_bytes: self.document_bytes,
            keys: self.document.keys(),
            noise: self.document.findings(),
        };
        self.noisy_places = lessons.noise.len();
        self.metrics
            .noise(self.noisy_places, self.document.take_wasted());
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

    fn next_poll(&self, started: Timestamp, succeeded: bool) -> Timestamp {
        let now = self.clock.now();
        if succeeded {
            return self.schedule.after_success(started, now);
        }
        let health = self.topic.health();
        let next = self
            .schedule
            .after_failure(health.failures(), now, rand::random::<u64>());
        // Whether a refusal has lasted long enough to end the feed is asked on time.
        health.ends_at().map_or(next, |at| next.min(at.max(now)))
    }

    /// Sleeps until the next poll, minding who listens, who pokes, and how long the upstream has been
    /// silent.
    async fn wait_until(&mut self, next: Timestamp) {
        let ended = self.clock.now();
        let mut next = self.clock.instant(next);
        loop {
            let down_at = self.topic.health().down_at();
            let wake = down_at.map_or(next, |at| self.clock.instant(at).min(next));
            tokio::select! {
                () = sleep_until(wake) => {
                    if self.topic.passed(self.clock.now()) {
                        self.log_state();
                    }
                    if Instant::now() >= next {
                        return;
                    }
                }
                _ = self.audience.changed() => self.note_audience(),
                _ = self.pokes.changed() => {
                    let failures = self.topic.health().failures();
                    let earliest = poke::earliest(failures, ended, rand::random::<u64>());
                    next = next.min(self.clock.instant(earliest));
                }
            }
        }
    }

    /// Waits until somebody asks for a feed that has ended.
    async fn await_newcomer(&mut self) {
        self.topic.cooled(self.clock.now());
        let so_far = self.audience.borrow_and_update().arrived();
        let _ = self
            .audience
            .wait_for(|audience| audience.arrived() > so_far)
            .await;
    }

    fn note_audience(&mut self) {
        let audience = *self.audience.borrow_and_update();
        self.interest.note(audience, Instant::now());
    }

    fn log_state(&self) {
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

    fn feed(&self) -> &Arc<Feed> {
        self.topic.feed()
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
