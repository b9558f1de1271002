//! The task that polls for one topic.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::client::{Answer, Client, PollError, Validators};
use super::metrics::PollMetrics;
use crate::backplane::Backplane;
use crate::clock::Clock;
use crate::config::{Feed, Idle};
use crate::core::document::{Change, Document, Observation, Rejected, View};
use crate::core::event::{State, Timestamp};
use crate::core::health::{Denial, Health};
use crate::core::schedule::Schedule;
use crate::hub::Topic;

/// Bodies from this length on are read apart from the event loop.
const INLINE_BYTES: usize = 64 * 1024;

/// Polls one topic for as long as somebody listens.
pub struct Poller {
    topic: Arc<Topic>,
    client: Client,
    backplane: Arc<dyn Backplane>,
    clock: Clock,
    metrics: PollMetrics,
    schedule: Schedule,
    document: Document,
    /// Of the answer that `document` was read from.
    validators: Validators,
    listeners: watch::Receiver<usize>,
    /// Since when nobody has listened; `None` while somebody does.
    idle_since: Option<Instant>,
}

/// Why a poll changed nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Poll(#[from] PollError),
    #[error(transparent)]
    Rejected(#[from] Rejected),
}

impl Poller {
    /// A poller that has not started.
    pub fn new(
        topic: Arc<Topic>,
        client: Client,
        backplane: Arc<dyn Backplane>,
        clock: Clock,
        metrics: PollMetrics,
    ) -> Self {
        let feed = topic.feed();
        let view = View {
            select: feed.document.select.clone(),
            ignore: feed.document.ignore.clone(),
            key: feed.document.key.clone(),
        };
        Self {
            schedule: Schedule::new(feed.poll.interval, &feed.path),
            document: Document::new(view),
            validators: Validators::default(),
            listeners: topic.listeners(),
            idle_since: None,
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
                _ = self.listeners.wait_for(|count| *count > 0) => {}
            }
        }
        loop {
            if self.feed().poll.idle == Idle::Pause {
                // The topic holds the sender, and this task the topic.
                let _ = self.listeners.wait_for(|count| *count > 0).await;
            }
            self.note_listeners();
            self.topic.resumed(self.clock.now());
            self.poll_while_wanted().await;
            self.topic.cooled(self.clock.now());
        }
    }

    /// Polls until nobody has listened for `linger`, or the feed has ended and nobody asks anew.
    async fn poll_while_wanted(&mut self) {
        loop {
            let started = self.clock.now();
            let succeeded = self.poll().await;
            self.topic.warmed();
            let next = self.next_poll(started, succeeded);
            self.wait_until(next).await;
            if self.feed().poll.idle == Idle::Keep {
                continue;
            }
            if self.topic.ended().is_some() {
                return self.await_newcomer().await;
            }
            let linger = self.feed().poll.linger;
            if self
                .idle_since
                .is_some_and(|since| since.elapsed() >= linger)
            {
                return;
            }
        }
    }

    /// Polls once and puts the outcome in place. True if the upstream's answer was accepted.
    async fn poll(&mut self) -> bool {
        let started = Instant::now();
        let outcome = self.ask().await;
        let now = self.clock.now();
        let label = match &outcome {
            Ok((label, _)) => label,
            Err(Failure::Poll(error)) => error.outcome(),
            Err(Failure::Rejected(error)) => error.reason(),
        };
        self.metrics.polled(label, started.elapsed());
        match outcome {
            Ok((_, change)) => {
                if self.topic.succeeded(now) {
                    self.log_state();
                }
                if let Some(change) = change {
                    let patch = change.patch.as_ref().map(bytes::Bytes::len);
                    self.metrics.changed(change.snapshot.len(), patch);
                    self.backplane.publish(&self.topic, change).await;
                }
                true
            }
            Err(failure) => {
                let denial = match &failure {
                    Failure::Poll(error) => error.denial(),
                    Failure::Rejected(_) => None,
                };
                let changed = self.topic.failed(failure.to_string(), denial, now);
                // A first failure of a live feed is a blip; of any other it is news.
                let news =
                    |health: &Health| health.failures() == 1 && health.state() != State::Live;
                if changed || self.topic.health(news) {
                    self.log_state();
                }
                false
            }
        }
    }

    /// Asks the upstream and reads the answer: the outcome's label, and the change if there is one.
    async fn ask(&mut self) -> Result<(&'static str, Option<Change>), Failure> {
        let feed = Arc::clone(self.feed());
        let answer = self
            .client
            .poll(
                &feed.request,
                &self.validators,
                feed.poll.timeout,
                feed.document.max_bytes,
            )
            .await?;
        let Answer::Body { body, validators } = answer else {
            return Ok(("not_modified", None));
        };
        self.metrics.received(body.len());
        // A large document takes long enough to starve the other tasks of this thread.
        let observation = match body.len() {
            0..INLINE_BYTES => self.document.observe(body),
            _ => tokio::task::block_in_place(|| self.document.observe(body)),
        }?;
        self.validators = validators;
        Ok(match observation {
            Observation::Unchanged => ("unchanged", None),
            Observation::Changed(change) => ("changed", Some(change)),
        })
    }

    fn next_poll(&self, started: Timestamp, succeeded: bool) -> Timestamp {
        let now = self.clock.now();
        if succeeded {
            return self.schedule.after_success(started, now);
        }
        let (failures, ends_at) = self
            .topic
            .health(|health| (health.failures(), health.ends_at()));
        let next = self
            .schedule
            .after_failure(failures, now, rand::random::<u64>());
        // Whether a refusal has lasted long enough to end the feed is asked on time.
        ends_at.map_or(next, |at| next.min(at.max(now)))
    }

    /// Sleeps until the next poll, minding who listens and how long the upstream has been silent.
    async fn wait_until(&mut self, next: Timestamp) {
        let next = self.clock.instant(next);
        loop {
            let down_at = self.topic.health(Health::down_at);
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
                _ = self.listeners.changed() => self.note_listeners(),
            }
        }
    }

    /// Waits until somebody asks for a feed that has ended.
    async fn await_newcomer(&mut self) {
        self.topic.cooled(self.clock.now());
        loop {
            // Whoever comes as another leaves does not change the count.
            let _ = self.listeners.changed().await;
            if *self.listeners.borrow_and_update() > 0 {
                return;
            }
        }
    }

    fn note_listeners(&mut self) {
        let listened = *self.listeners.borrow_and_update() > 0;
        self.idle_since = (!listened).then(Instant::now);
    }

    fn log_state(&self) {
        let feed = &self.feed().path;
        self.topic.health(|health| match health.reason() {
            None => info!(feed, state = health.state().name(), "feed is live"),
            Some(reason) => warn!(
                feed,
                state = health.state().name(),
                failures = health.failures(),
                reason,
                ended = health.ended().map(Denial::reason),
                "poll failed"
            ),
        });
    }

    fn feed(&self) -> &Arc<Feed> {
        self.topic.feed()
    }
}
