//! A whole poll of one upstream, however many requests it takes.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, StatusCode};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::ask::Ask;
use super::client::{Answer, Exchange, Reply, Validators};
use super::credentials::{ClientError, Credentials, NoToken};
use super::error::PollError;
use super::pages::Walk;
use super::reading::apart;
use crate::config::Upstream;
use crate::core::trace::Parent;
use crate::peers::{Group, Server};
use crate::traces::Tracer;

/// Asks the servers of one upstream, for all of its feeds.
#[derive(Clone)]
pub struct Client {
    group: Arc<Group>,
    credentials: Arc<Credentials>,
    tracer: Tracer,
}

/// Asked before each request that a poll makes: the first, and each for a redirect or another page.
#[async_trait]
pub trait BeforeRequest: Send + Sync {
    /// Returns when the request may go out.
    ///
    /// # Errors
    /// [`PollError::Held`] if it may not go out before the poll's time is over.
    async fn request(&self) -> Result<(), PollError>;
}

impl Client {
    /// A client of this upstream, whose servers are those of `group`; `tracer` is told of its polls.
    ///
    /// # Errors
    /// [`ClientError`] if no client for a token endpoint can be made.
    pub fn new(
        upstream: &Arc<Upstream>,
        group: Arc<Group>,
        tracer: Tracer,
    ) -> Result<Self, ClientError> {
        Ok(Self {
            group,
            credentials: Arc::new(Credentials::new(upstream)?),
            tracer,
        })
    }

    /// Who is told of polls.
    pub(super) fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// Polls once, as a part of `trace` if there is one. `timeout` covers everything, from credentials to the last byte;
    /// `max_bytes` bounds the decoded body. `known` makes a GET conditional. The reply's outcome is
    /// a [`PollError`] for whatever is not a whole body or an expected 304.
    pub(super) async fn poll(
        &self,
        ask: &Ask,
        known: &Validators,
        timeout: Duration,
        max_bytes: usize,
        (before, trace): (&dyn BeforeRequest, Option<Parent>),
    ) -> Reply {
        let deadline = Instant::now() + timeout;
        let credentials = match timeout_at(deadline, self.credentials.headers()).await {
            Ok(Ok(headers)) => headers,
            Ok(Err(error)) => return error.into(),
            Err(_) => return PollError::NoToken(NoToken::Timeout(timeout)).into(),
        };
        let server = match timeout_at(deadline, self.group.pick(ask.key())).await {
            Ok(Ok(server)) => server,
            Ok(Err(error)) => return PollError::Connect(error.to_string()).into(),
            Err(_) => return PollError::Timeout(timeout).into(),
        };
        let mut url = ask.url(server.base());
        let mut asking = Asking {
            client: self,
            server,
            ask,
            known,
            before,
            trace,
            credentials,
            is_renewed: false,
            is_moved: false,
        };
        // Where it is: it is large, and would be moved at each poll.
        let poll = pin!(async {
            match &ask.pages {
                None => asking.get(&mut url, max_bytes).await,
                Some(pages) => asking.all(Walk::new(pages.clone(), url), max_bytes).await,
            }
        });
        timeout_at(deadline, poll)
            .await
            .unwrap_or_else(|_| PollError::Timeout(timeout).into())
    }
}

/// One poll under way.
struct Asking<'a> {
    client: &'a Client,
    ask: &'a Ask,
    known: &'a Validators,
    before: &'a dyn BeforeRequest,
    trace: Option<Parent>,
    /// What it proves itself with, and whether that was renewed since it began.
    credentials: HeaderMap,
    is_renewed: bool,
    /// Who is asked, and whether there was no connection to the one before.
    server: Server,
    is_moved: bool,
}

impl Asking<'_> {
    /// Asks at `url`, which becomes where the answer came from. A 401 is answered with other
    /// credentials, if there are others, once in a poll.
    async fn get(&mut self, url: &mut Url, max_bytes: usize) -> Reply {
        let mut moved = url.clone();
        let mut reply = self.reach(&mut moved, max_bytes).await;
        let is_refused = matches!(
            reply.outcome,
            Err(PollError::Status(StatusCode::UNAUTHORIZED))
        );
        if is_refused && !self.is_renewed {
            self.is_renewed = true;
            match self.client.credentials.renewed(&self.credentials).await {
                Ok(None) => {}
                Ok(Some(credentials)) => {
                    self.credentials = credentials;
                    moved = url.clone();
                    reply = self.reach(&mut moved, max_bytes).await;
                }
                Err(error) => reply.outcome = Err(error),
            }
        }
        if reply.outcome.is_ok() {
            self.client.credentials.accepted();
        }
        *url = moved;
        reply
    }

    /// Asks at `url`; of another server, once in a poll, if there is no connection to this one.
    async fn reach(&mut self, url: &mut Url, max_bytes: usize) -> Reply {
        let mut moved = self.server.url(url);
        let reply = self.exchange().run(&mut moved, max_bytes).await;
        *url = moved;
        if !matches!(reply.outcome, Err(PollError::Connect(_))) || self.is_moved {
            return reply;
        }
        let tried = std::slice::from_ref(&self.server);
        let Some(other) = self.client.group.other(self.ask.key(), tried) else {
            return reply;
        };
        (self.server, self.is_moved) = (other, true);
        *url = self.server.url(url);
        self.exchange().run(url, max_bytes).await
    }

    fn exchange(&self) -> Exchange<'_> {
        Exchange {
            server: &self.server,
            ask: self.ask,
            credentials: &self.credentials,
            known: self.known,
            before: self.before,
            trace: self.trace,
        }
    }

    /// Asks for one page after the other, and merges them. No page is asked for conditionally: that
    /// one of them is the same says nothing of the others.
    async fn all(&mut self, mut walk: Walk, max_bytes: usize) -> Reply {
        let mut next = Some(walk.first());
        let (mut head, mut left) = (HeaderMap::new(), max_bytes);
        while let Some(mut url) = next {
            let reply = self.get(&mut url, left).await;
            head = reply.head;
            let turned = match reply.outcome {
                Ok(Answer::Body { body, .. }) => {
                    left -= body.len();
                    apart(body.len(), || walk.turn(&url, &head, body)).map_err(PollError::from)
                }
                Ok(Answer::NotModified) => Err(PollError::Status(StatusCode::NOT_MODIFIED)),
                Err(PollError::TooLarge(_)) => Err(PollError::TooLarge(max_bytes)),
                Err(error) => Err(error),
            };
            next = match turned {
                Ok(next) => next,
                Err(error) => {
                    let outcome = Err(error);
                    return Reply { head, outcome };
                }
            };
        }
        let body = walk.finish().unwrap_or_default();
        let validators = Validators::default();
        let outcome = Ok(Answer::Body { body, validators });
        Reply { head, outcome }
    }
}
