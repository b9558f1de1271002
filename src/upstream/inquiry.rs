//! One topic's question to its upstream, and what the answers to it mean.
//!
//! Owns the request, the document as of the last accepted answer, and the validators that belong to
//! it. Promises that the upstream's gate learns how each poll ended, and that an answer which cannot
//! be read leaves document and validators as they were.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use tokio::time::Instant;

use super::ask::Ask;
use super::client::{Answer, Reply, Validators};
use super::error::PollError;
use super::export::Exporter;
use super::gate::{Gate, Pass};
use super::hints;
use super::metrics::PollMetrics;
use super::poll::Client;
use super::reading::{Reading, Unreadable, apart};
use super::requests::Requests;
use super::transform::Workers;
use crate::clock::Clock;
use crate::config::Feed;
use crate::core::change::Change;
use crate::core::document::{self, Document, Observation, Rejected};
use crate::core::event::{Modes, Timestamp};
use crate::core::health::Denial;
use crate::core::schedule::{Ending, Hints};
use crate::hub::{Lessons, Topic};
use crate::traces::{Side, Span};

/// What one topic asks, and what it holds.
pub(super) struct Inquiry {
    client: Client,
    ask: Ask,
    gate: Arc<Gate>,
    clock: Clock,
    reading: Reading,
    document: Document,
    exporter: Option<Exporter>,
    /// The length of what it holds.
    document_bytes: usize,
    /// How many of its places were passed on as noise.
    noisy_places: usize,
    /// Of the answer that `document` was read from.
    validators: Validators,
}

/// What an upstream answered.
pub(super) struct Answered {
    /// What the head asks for, as far as the feed heeds it.
    pub(super) hints: Hints,
    /// When its last byte came, or when it failed.
    pub(super) at: Timestamp,
    /// A body or its absence, to be [read](Inquiry::read).
    pub(super) outcome: Result<Answer, PollError>,
}

/// What an answer that can be read says.
pub(super) enum Found {
    /// Another document.
    Changed(Change),
    /// The same document.
    Unchanged,
    /// That it is the same one.
    NotModified,
}

/// Why a poll changed nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Poll(#[from] PollError),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(transparent)]
    Rejected(#[from] Rejected),
}

impl Found {
    /// A short word for a metric's label; one of a fixed few.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Found::Changed(_) => "changed",
            Found::Unchanged => "unchanged",
            Found::NotModified => "not_modified",
        }
    }
}

impl Failure {
    /// A short word for a metric's label; one of a fixed few.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Failure::Poll(error) => error.outcome(),
            Failure::Unreadable(error) => error.reason(),
            Failure::Rejected(error) => error.reason(),
        }
    }

    /// The refusal it is, if it is one.
    pub(super) fn denial(&self) -> Option<Denial> {
        match self {
            Failure::Poll(error) => error.denial(),
            Failure::Unreadable(_) | Failure::Rejected(_) => None,
        }
    }
}

impl Answered {
    /// Whether it is a body, and not the word that nothing changed.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.outcome, Ok(Answer::Body { .. }))
    }

    /// The length of its body; 0 without one.
    pub(super) fn body_bytes(&self) -> usize {
        match &self.outcome {
            Ok(Answer::Body { body, .. }) => body.len(),
            _ => 0,
        }
    }
}

impl Inquiry {
    /// Nothing was asked yet; answers are compared with `document`, or else with what the topic holds,
    /// if there is something. To be called within a runtime.
    pub(super) fn new(
        topic: &Topic,
        document: Option<Document>,
        client: Client,
        gate: Arc<Gate>,
        workers: &Workers,
        exporter: Option<Exporter>,
        clock: Clock,
    ) -> Self {
        let feed = topic.feed();
        let held = topic.held();
        let document_bytes = held.as_ref().map_or(0, Bytes::len);
        let document = document.unwrap_or_else(|| {
            let mut document = Document::new(feed.document.view.clone());
            if let Some(held) = held {
                document.go_on_from(held);
            }
            document
        });
        Self {
            client,
            ask: Ask::of(feed, topic.identity().target()),
            gate,
            clock,
            reading: Reading::new(feed, workers),
            document,
            exporter,
            document_bytes,
            noisy_places: 0,
            validators: Validators::default(),
        }
    }

    /// The first answer is compared with nothing.
    pub(super) fn forget(&mut self) {
        self.document.forget_before();
    }

    /// What answers are compared with; to be taken from an inquiry that is over.
    pub(super) fn take_document(&mut self) -> Document {
        let none = Document::new(document::View::default());
        std::mem::replace(&mut self.document, none)
    }

    /// Asks the upstream, conditionally if it is to be believed that nothing changed.
    pub(super) async fn ask(
        &self,
        feed: &Feed,
        pass: Pass,
        is_conditional: bool,
        metrics: &PollMetrics,
    ) -> Answered {
        let started = Instant::now();
        let validators = match is_conditional {
            true => &self.validators,
            false => &Validators::default(),
        };
        let requests = Requests::new(metrics, &self.gate, self.clock, feed.poll.timeout);
        let mut span = self.client.tracer().span(Side::Client, None);
        let reply = self
            .client
            .poll(
                &self.ask,
                validators,
                feed.poll.timeout,
                feed.document.max_bytes,
                (&requests, span.operation()),
            )
            .await;
        let at = self.clock.now();
        if span.is_recorded() {
            self.describe(&mut span, feed, &reply);
        }
        metrics.answered(started.elapsed());
        let hints = hints::read(&reply.head, at).heeded(feed.poll.respect);
        self.tell_gate(pass, &reply, hints);
        Answered {
            hints,
            at,
            outcome: reply.outcome,
        }
    }

    /// Says what became of a poll, however many requests it took.
    fn describe(&self, span: &mut Span, feed: &Feed, reply: &Reply) {
        let method = self.ask.method.as_str();
        span.name(format!("poll {}", feed.path));
        span.text("http.request.method", method);
        span.text("pollcast.feed", feed.path.as_str());
        span.text("pollcast.upstream", feed.upstream.name.as_str());
        span.text(
            "pollcast.outcome",
            match &reply.outcome {
                Ok(Answer::Body { .. }) => "body",
                Ok(Answer::NotModified) => "not_modified",
                Err(error) => error.outcome(),
            },
        );
        match &reply.outcome {
            Ok(Answer::Body { body, .. }) => {
                let bytes = i64::try_from(body.len()).unwrap_or(i64::MAX);
                span.number("http.response.body.size", bytes);
            }
            Ok(Answer::NotModified) => {}
            Err(error) => span.failed(error.outcome()),
        }
    }

    /// Tells the upstream's gate what this answer means to all of its topics.
    fn tell_gate(&self, pass: Pass, reply: &Reply, hints: Hints) {
        if let Some(quota) = hints.quota {
            self.gate.note(quota);
        }
        let overloaded = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ];
        if let Err(PollError::Status(status)) = &reply.outcome
            && overloaded.contains(status)
            && let Some(pause) = hints.retry_after
        {
            self.gate.pause(pause);
        }
        pass.ended(ending(reply));
    }

    /// Reads an answer, and encodes what changed for `wanted`.
    ///
    /// # Errors
    /// [`Failure`] if there is no document in it.
    pub(super) async fn read(
        &mut self,
        outcome: Result<Answer, PollError>,
        wanted: Modes,
        metrics: &PollMetrics,
    ) -> Result<Found, Failure> {
        let Answer::Body { body, validators } = outcome? else {
            self.document.not_modified();
            return Ok(Found::NotModified);
        };
        metrics.received(body.len());
        let started = Instant::now();
        let found = self.take(body, validators, wanted, metrics).await;
        metrics.read(started.elapsed());
        found
    }

    async fn take(
        &mut self,
        body: Bytes,
        validators: Validators,
        wanted: Modes,
        metrics: &PollMetrics,
    ) -> Result<Found, Failure> {
        let Some(body) = self.reading.read(body).await? else {
            self.document.not_modified();
            self.validators = validators;
            return Ok(Found::Unchanged);
        };
        self.document.want(wanted);
        let held = self.document.body_len();
        let bytes = body.len().max(held);
        let observation = apart(bytes, || self.document.observe(body))?;
        self.reading.accepted();
        if let Some(exporter) = &mut self.exporter {
            exporter.take(&self.document);
        }
        self.validators = validators;
        Ok(match observation {
            Observation::Unchanged => Found::Unchanged,
            Observation::Changed(change) => {
                if held > 0 {
                    metrics.fell_back(wanted, &change);
                }
                self.document_bytes = change.snapshot.len();
                Found::Changed(change)
            }
        })
    }

    /// What the documents taught, and how many bytes went into noise since this was asked last; none
    /// if nothing is new, which a change always is.
    pub(super) fn lessons(&mut self, changed: bool) -> Option<(Lessons, u64)> {
        if !changed && self.noisy_places == self.document.findings().len() {
            return None;
        }
        let lessons = Lessons {
            document_bytes: self.document_bytes,
            keys: self.document.keys(),
            noise: self.document.findings(),
        };
        self.noisy_places = lessons.noise.len();
        Some((lessons, self.document.take_wasted()))
    }
}

/// How a poll ended for the upstream's circuit breaker: a body that nobody can read is an answer, a
/// connection that ends without one is none. Where nothing was asked, nobody knows.
fn ending(reply: &Reply) -> Ending {
    match &reply.outcome {
        Err(PollError::Status(status)) if status.is_server_error() => Ending::Failed,
        Err(PollError::Timeout(_) | PollError::Connect(_)) => Ending::Failed,
        Err(PollError::Body(_)) if reply.head.is_empty() => Ending::Failed,
        Err(PollError::NoToken(_) | PollError::Held(_)) => Ending::Unknown,
        _ => Ending::Answered,
    }
}
