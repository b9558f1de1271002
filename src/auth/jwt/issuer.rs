//! One issuer of tokens: where a token is, and whether it is one of its own.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::header;
use jsonwebtoken::crypto::verify;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{Algorithm, Header, decode_header};
use openssl::sha::sha256;
use tokio::task::JoinSet;

use super::claims::{Claims, Verified};
use super::keys::{Key, Keys};
use super::known::Known;
use super::source::{NotRead, Shelf, client};
use crate::auth::asking::{Asking, Source};
use crate::auth::metrics::Metrics;
use crate::auth::open::Open;
use crate::auth::{Denied, Proof};
use crate::clock::Clock;
use crate::config::{self, ClaimRule, KeySource};
use crate::core::event::Timestamp;

/// The longest token, in bytes.
const LONGEST: usize = 8 << 10;
/// So many keys are tried for one token that does not name its own.
const TRIES: usize = 8;

/// An issuer of tokens. What looks after its keys ends with it.
pub struct Issuer {
    configured: Arc<config::Issuer>,
    shelf: Arc<Shelf>,
    sources: Vec<Source>,
    in_query: Vec<Source>,
    known: Known,
    _tasks: JoinSet<()>,
}

/// Why an issuer's tokens cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// Its keys cannot be read any more; they could when the configuration was checked.
    #[error("cannot use the keys of the issuer \"{issuer}\" (auth.jwt.{issuer}): {reason}")]
    Keys {
        /// Its name.
        issuer: String,
        /// Why not.
        reason: NotRead,
    },
    /// The client that fetches keys cannot be made.
    #[error("cannot set up the client that fetches keys (is the system's TLS store readable?)")]
    Client(#[from] reqwest::Error),
}

/// What a token says of itself before anything is verified.
struct Unverified {
    header: Header,
    claims: Claims,
}

impl Issuer {
    /// An issuer whose keys are fetched or read from now on. To be called inside a runtime.
    ///
    /// # Errors
    /// [`IssuerError`].
    pub fn start(
        configured: Arc<config::Issuer>,
        open: Arc<Open>,
        metrics: &Metrics,
    ) -> Result<Arc<Self>, IssuerError> {
        let shelf = Shelf::new(Arc::clone(&configured), open, metrics.clone());
        shelf.begin().map_err(|reason| IssuerError::Keys {
            issuer: configured.name.clone(),
            reason,
        })?;
        let mut tasks = JoinSet::new();
        match &configured.keys {
            KeySource::Url(url) => {
                tasks.spawn(Arc::clone(&shelf).keep_fetching(url.clone(), client()?));
            }
            KeySource::Jwks(path) | KeySource::Pem(path) => {
                tasks.spawn(Arc::clone(&shelf).keep_reading(path.clone()));
            }
            KeySource::Secret(secret) => {
                if let Some(path) = secret.file() {
                    tasks.spawn(Arc::clone(&shelf).keep_reading(path.clone()));
                }
            }
        }
        Ok(Arc::new(Self {
            sources: sources(&configured),
            in_query: configured
                .from
                .query
                .clone()
                .map(Source::Query)
                .into_iter()
                .collect(),
            known: Known::default(),
            configured,
            shelf,
            _tasks: tasks,
        }))
    }

    /// Whether it is this one, as it is configured.
    pub fn is(&self, configured: &config::Issuer) -> bool {
        *self.configured == *configured
    }

    /// Whether the key of this token is still in use.
    pub fn stands_by(&self, token: &Verified) -> bool {
        self.shelf.keys().is_some_and(|keys| keys.has(&token.key))
    }

    /// The request's token, if it is one of this issuer's, with claims as wanted.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn proof(
        &self,
        rules: &[ClaimRule],
        asking: &Asking<'_>,
        clock: Clock,
    ) -> Result<Proof, Denied> {
        let (source, text) = self.find(asking).ok_or(Denied::Missing)?;
        let token = self.verified(&text, clock).await?;
        token.claims.meet(rules, asking.captures)?;
        Ok(Proof::Token {
            issuer: self.configured.name.clone(),
            token,
            source: source.clone(),
            besides: self.in_query.clone(),
        })
    }

    fn find<'a>(&self, asking: &Asking<'a>) -> Option<(&Source, Cow<'a, str>)> {
        let mut found = self.sources.iter();
        found.find_map(|source| Some((source, asking.find(source)?)))
    }

    async fn verified(&self, text: &str, clock: Clock) -> Result<Arc<Verified>, Denied> {
        if text.len() > LONGEST {
            return Err(Denied::Invalid);
        }
        let hash = sha256(text.as_bytes());
        if let Some(token) = self.known.get(&hash)
            && self.stands_by(&token)
        {
            token.claims.check(&self.configured, clock.now())?;
            return Ok(token);
        }
        let token = Arc::new(self.verified_anew(text, clock).await?);
        self.known.put(hash, &token);
        Ok(token)
    }

    async fn verified_anew(&self, text: &str, clock: Clock) -> Result<Verified, Denied> {
        let token = self.read(text)?;
        let keys = match self.shelf.keys() {
            Some(keys) => keys,
            None => self.shelf.first_keys().await.ok_or(Denied::Unavailable)?,
        };
        let now = clock.now();
        if let Some(verified) = self.verify(text, &token, &keys, now) {
            return verified;
        }
        // No key goes by that name: perhaps there is a new one.
        let keys = self.shelf.other_keys().await.ok_or(Denied::Unavailable)?;
        self.verify(text, &token, &keys, clock.now())
            .unwrap_or(Err(Denied::Invalid))
    }

    /// What can be said of a token without a key: its form, and whose it claims to be.
    fn read(&self, text: &str) -> Result<Unverified, Denied> {
        if text.split('.').count() != 3 {
            return Err(Denied::Invalid);
        }
        let header = decode_header(text).map_err(|_| Denied::Invalid)?;
        if !self.configured.algorithms.contains(&header.alg) || !is_plain(&header) {
            return Err(Denied::Invalid);
        }
        let claims: Claims = insecure_decode_claims(text).map_err(|_| Denied::Invalid)?;
        match claims.are_of(&self.configured.issuer) {
            true => Ok(Unverified { header, claims }),
            false => Err(Denied::Invalid),
        }
    }

    /// Verifies with each key that it may be signed with; `None` if there is no such key.
    fn verify(
        &self,
        text: &str,
        token: &Unverified,
        keys: &Keys,
        now: Timestamp,
    ) -> Option<Result<Verified, Denied>> {
        // Whoever's token is too old, or for somebody else, makes nobody work.
        let expires = match token.claims.check(&self.configured, now) {
            Ok(expires) => expires,
            Err(denied) => return Some(Err(denied)),
        };
        let mut fitting = keys
            .for_token(token.header.kid.as_deref(), token.header.alg)
            .peekable();
        fitting.peek()?;
        let key = fitting
            .take(TRIES)
            .find(|key| is_signed(text, key, token.header.alg));
        Some(key.ok_or(Denied::Invalid).map(|key| Verified {
            claims: token.claims.clone(),
            expires,
            key: key.print,
        }))
    }
}

fn sources(configured: &config::Issuer) -> Vec<Source> {
    let from = &configured.from;
    let header = from
        .header
        .clone()
        .map(|name| match name == header::AUTHORIZATION {
            true => Source::Bearer,
            false => Source::Header(name),
        });
    let cookie = from.cookie.clone().map(Source::Cookie);
    let query = from.query.clone().map(Source::Query);
    header.into_iter().chain(cookie).chain(query).collect()
}

/// Whether it is a signed token and no more: not nested, compressed or encrypted, without extensions
/// that must be understood (RFC 7515 section 4.1.11), and no other kind of token (RFC 8725 section
/// 3.11; `at+jwt` is RFC 9068's).
fn is_plain(header: &Header) -> bool {
    let is_token = |kind: &String| {
        let kind = kind.to_ascii_lowercase();
        matches!(
            kind.strip_prefix("application/").unwrap_or(&kind),
            "jwt" | "at+jwt"
        )
    };
    header.crit.is_none()
        && header.enc.is_none()
        && header.zip.is_none()
        && header.cty.is_none()
        && !header.extras.inner().contains_key("b64")
        && header.typ.as_ref().is_none_or(is_token)
}

/// Whether the signature is this key's: what the token says was read already.
fn is_signed(text: &str, key: &Key, algorithm: Algorithm) -> bool {
    let parts = text.rsplit_once('.');
    parts.is_some_and(|(message, signature)| {
        verify(signature, message.as_bytes(), &key.decoding, algorithm).unwrap_or(false)
    })
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("name", &self.configured.name)
            .finish_non_exhaustive()
    }
}
