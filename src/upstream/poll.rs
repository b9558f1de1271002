//! A whole poll of one upstream, however many requests it takes.

use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, StatusCode};
use url::Url;

use super::ask::Ask;
use super::client::{Answer, ClientError, Exchange, Reply, Validators, http};
use super::error::PollError;
use super::pages::Walk;
use crate::config::Upstream;

/// Pages from this length on are read apart from the event loop.
const INLINE_BYTES: usize = 64 * 1024;

/// Asks one upstream, for all of its feeds: one connection pool.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
}

/// Asked before each request that a poll makes: the first, and each for a redirect or another page.
#[async_trait]
pub trait BeforeRequest: Send + Sync {
    /// Returns when the request may go out.
    async fn request(&self);
}

impl Client {
    /// A client that ignores proxies of the environment and never leaves the upstream's origin.
    ///
    /// # Errors
    /// [`ClientError`] if TLS cannot be set up.
    pub fn new(upstream: &Upstream) -> Result<Self, ClientError> {
        Ok(Self {
            http: http()?,
            base: Url::clone(&upstream.url),
        })
    }

    /// Polls once. `timeout` covers everything from the first connection to the last byte;
    /// `max_bytes` bounds the decoded body. `known` makes a GET conditional. The reply's outcome is
    /// a [`PollError`] for whatever is not a whole body or an expected 304.
    pub(super) async fn poll(
        &self,
        ask: &Ask,
        known: &Validators,
        timeout: Duration,
        max_bytes: usize,
        before: &dyn BeforeRequest,
    ) -> Reply {
        let exchange = Exchange {
            http: &self.http,
            ask,
            credentials: &HeaderMap::new(),
            known,
            before,
        };
        let poll = async {
            let mut url = ask.url(&self.base);
            match &ask.pages {
                None => exchange.run(&mut url, max_bytes).await,
                Some(pages) => all_pages(&exchange, Walk::new(pages.clone(), url), max_bytes).await,
            }
        };
        tokio::time::timeout(timeout, poll)
            .await
            .unwrap_or_else(|_| PollError::Timeout(timeout).into())
    }
}

/// Asks for one page after the other, and merges them. No page is asked for conditionally: that one
/// of them is the same says nothing of the others.
async fn all_pages(exchange: &Exchange<'_>, mut walk: Walk, max_bytes: usize) -> Reply {
    let mut next = Some(walk.first());
    let (mut head, mut left) = (HeaderMap::new(), max_bytes);
    while let Some(mut url) = next {
        let reply = exchange.run(&mut url, left).await;
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

/// Reads a large body apart from the event loop.
fn apart<T>(bytes: usize, read: impl FnOnce() -> T) -> T {
    match bytes {
        0..INLINE_BYTES => read(),
        _ => tokio::task::block_in_place(read),
    }
}
