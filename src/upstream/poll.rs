//! A whole poll of one upstream, however many requests it takes.

use std::time::Duration;

use async_trait::async_trait;
use http::HeaderMap;
use url::Url;

use super::ask::Ask;
use super::client::{ClientError, Exchange, Reply, Validators, http};
use super::error::PollError;
use crate::config::Upstream;

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
        let poll = async {
            let exchange = Exchange {
                http: &self.http,
                ask,
                credentials: &HeaderMap::new(),
                known,
                before,
            };
            exchange.run(&mut ask.url(&self.base), max_bytes).await
        };
        tokio::time::timeout(timeout, poll)
            .await
            .unwrap_or_else(|_| PollError::Timeout(timeout).into())
    }
}
