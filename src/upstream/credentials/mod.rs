//! What polls prove themselves with: secrets in files that rotate, and tokens.
//!
//! Owns what is sent as proof, and when it is renewed. Promises that no secret enters a log, an
//! error or debug output, and that no authorization server is asked more often than need be.

mod token;
mod tokens;
mod transport;
mod watched;

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::error::PollError;
use crate::config::{self, Upstream, basic, bearer, plain};
use tokens::Tokens;
pub use transport::{ClientError, NoToken};
use watched::Watched;

/// What the polls of one upstream prove themselves with.
#[derive(Debug)]
pub(super) struct Credentials(Kind);

#[derive(Debug)]
enum Kind {
    /// Headers, each made of one secret; none where there are no credentials.
    Headers(Vec<(HeaderName, Arc<Watched<HeaderValue>>)>),
    /// A bearer token.
    Token(Arc<Tokens>),
}

impl Credentials {
    /// What the configuration says of this upstream.
    ///
    /// # Errors
    /// [`ClientError`] if no client for the token endpoint can be made.
    pub(super) fn new(configured: &Arc<Upstream>) -> Result<Self, ClientError> {
        let upstream = &configured.name;
        let authorization = |watched: Option<Arc<_>>| {
            let header = watched.map(|watched| (header::AUTHORIZATION, watched));
            Kind::Headers(header.into_iter().collect())
        };
        let kind = match configured.credentials.as_ref() {
            None => Kind::Headers(Vec::new()),
            Some(config::Credentials::Basic { username, password }) => {
                let username = username.clone();
                authorization(Watched::new(upstream, password, move |password| {
                    Some(basic(&username, password))
                }))
            }
            Some(config::Credentials::Bearer(token)) => {
                authorization(Watched::new(upstream, token, bearer))
            }
            Some(config::Credentials::Headers(headers)) => {
                let watched = |(name, secret): &(HeaderName, _)| {
                    Some((name.clone(), Watched::new(upstream, secret, plain)?))
                };
                Kind::Headers(headers.iter().filter_map(watched).collect())
            }
            Some(config::Credentials::OAuth2(grant)) => {
                Kind::Token(Tokens::new(configured, Arc::clone(grant))?)
            }
        };
        Ok(Self(kind))
    }

    /// The headers to be sent, values marked sensitive.
    ///
    /// # Errors
    /// [`PollError::NoToken`] while there is no token.
    pub(super) async fn headers(&self) -> Result<HeaderMap, PollError> {
        let mut map = HeaderMap::new();
        match &self.0 {
            Kind::Headers(headers) => {
                for (name, watched) in headers {
                    map.insert(name.clone(), watched.current().await);
                }
            }
            Kind::Token(tokens) => {
                map.insert(header::AUTHORIZATION, tokens.current().await?);
            }
        }
        Ok(map)
    }

    /// After the upstream answered 401 to `refused`: other headers, if there are others.
    ///
    /// # Errors
    /// [`PollError::NoToken`] if another token is needed and none to be had.
    pub(super) async fn renewed(
        &self,
        refused: &HeaderMap,
    ) -> Result<Option<HeaderMap>, PollError> {
        let mut map = HeaderMap::new();
        match &self.0 {
            Kind::Headers(headers) => {
                for (name, watched) in headers {
                    map.insert(name.clone(), watched.reread().await);
                }
            }
            Kind::Token(tokens) => {
                if let Some(refused) = refused.get(header::AUTHORIZATION)
                    && let Some(token) = tokens.other_than(refused).await?
                {
                    map.insert(header::AUTHORIZATION, token);
                }
            }
        }
        Ok(Some(map).filter(|map| map != refused && !map.is_empty()))
    }

    /// Notes that the upstream took what was sent.
    pub(super) fn accepted(&self) {
        if let Kind::Token(tokens) = &self.0 {
            tokens.accepted();
        }
    }
}
