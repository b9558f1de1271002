//! Who is let in: proofs of clients, judged by the policies of feeds and routes.
//!
//! Owns what is known of keys, issuers and their tokens, and every grant that somebody is served by.
//! Promises that a proof enters no log, metric, error or debug output; that whatever cannot be
//! verified lets in nobody; and that no number of wrong proofs makes anything grow. Must never look
//! at what is served, nor speak to a client.
//!
//! | room | what it knows |
//! |---|---|
//! | `asking` | where in a request proofs are, and how they are taken off it |
//! | `keys` | static API keys, compared without telling by the time how much of one is right |
//! | `jwt` | tokens, and the keys of their issuers |
//! | `grant` | what somebody was let in by, and for how long |
//! | `open` | the grants of open streams, and what was revoked |

mod asking;
mod book;
mod grant;
pub mod jwt;
mod keys;
mod metrics;
mod open;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

pub use asking::{Asking, Source};
use book::Book;
pub use grant::{Grant, Proof};
pub use jwt::IssuerError;
use metrics::Metrics;
use open::Open;
pub use open::{Revocation, TooMany};

use crate::clock::Clock;
use crate::config::{Auth, Policy, Requirement};
use crate::metrics::Registry;

/// Lets in, or does not: one for the whole process.
#[derive(Debug)]
pub struct Guard {
    book: ArcSwap<Book>,
    open: Arc<Open>,
    metrics: Metrics,
    clock: Clock,
}

/// Why somebody is not let in. Ordered: what is told where several ways in were tried is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denied {
    /// There is no proof (RFC 6750 section 3: no error code).
    Missing,
    /// A proof is wrong, or not valid any more.
    Invalid,
    /// It is known who it is, but that is not enough.
    Insufficient,
    /// What would verify a proof is not to be had now.
    Unavailable,
}

impl Denied {
    /// The word for metrics.
    pub const fn reason(self) -> &'static str {
        match self {
            Denied::Missing => "missing",
            Denied::Invalid => "invalid",
            Denied::Insufficient => "insufficient",
            Denied::Unavailable => "unavailable",
        }
    }
}

/// One way in that was tried: what is asked there, in the word for metrics.
type Tried = (&'static str, Denied);

impl Guard {
    /// A guard that knows these. Keys that are elsewhere are fetched from now on. To be called inside
    /// a runtime.
    ///
    /// # Errors
    /// [`IssuerError`] if an issuer's keys cannot be read.
    pub fn start(auth: &Auth, registry: &Registry, clock: Clock) -> Result<Arc<Self>, IssuerError> {
        jwt::install();
        let metrics = Metrics::new(registry);
        let open = Arc::new(Open::default());
        let book = Book::open(auth, None, &open, &metrics)?;
        Ok(Arc::new(Self {
            book: ArcSwap::from_pointee(book),
            open,
            metrics,
            clock,
        }))
    }

    /// Knows these from now on: who was let in by what is not there any more, or is something else
    /// now, is sent away. Issuers that stay as they are keep their keys.
    ///
    /// # Errors
    /// [`IssuerError`] if an issuer's keys cannot be read; then nothing is changed.
    pub fn configure(&self, auth: &Auth) -> Result<(), IssuerError> {
        let book = Book::open(auth, Some(&self.book.load()), &self.open, &self.metrics)?;
        let book = Arc::new(book);
        self.book.store(Arc::clone(&book));
        self.open.review(|grant| book.stands_by(grant));
        Ok(())
    }

    /// Judges a request to `place`, the path of a feed or a route as it is configured.
    ///
    /// # Errors
    /// [`Denied`] if no way in is open to it.
    pub async fn admit(
        &self,
        place: &str,
        policy: &Policy,
        asking: &Asking<'_>,
    ) -> Result<Arc<Grant>, Denied> {
        let book = self.book.load_full();
        let mut worst: Tried = ("none", Denied::Missing);
        for requirement in &policy.any {
            match self.meets(&book, requirement, asking).await {
                Ok((method, grant)) => {
                    self.metrics.decided(place, method, "granted");
                    return Ok(Arc::new(grant));
                }
                Err(tried) if tried.1 > worst.1 => worst = tried,
                Err(_) => {}
            }
        }
        self.metrics.decided(place, worst.0, worst.1.reason());
        Err(worst.1)
    }

    /// What all parts of one requirement come to.
    async fn meets(
        &self,
        book: &Book,
        requirement: &Requirement,
        asking: &Asking<'_>,
    ) -> Result<(&'static str, Grant), Tried> {
        let now = self.clock.now();
        let mut grant = Grant::default();
        let mut method = "none";
        if !requirement.keys.is_empty() {
            method = "key";
            let proof = book.keys().proof(&requirement.keys, asking, now);
            grant.add(proof.map_err(|denied| (method, denied))?);
        }
        if let Some(issuer) = &requirement.jwt {
            method = "jwt";
            let issuer = book.issuer(issuer).ok_or((method, Denied::Unavailable))?;
            let proof = issuer.proof(&requirement.claims, asking, self.clock).await;
            grant.add(proof.map_err(|denied| (method, denied))?);
        }
        if self.open.is_revoked(&grant, now) {
            return Err((method, Denied::Invalid));
        }
        Ok((method, grant))
    }

    /// Keeps an eye on the grant of a stream for as long as it lives: it may be withdrawn.
    pub fn follow(&self, grant: &Arc<Grant>) {
        let book = self.book.load();
        self.open
            .follow(grant, |grant| book.stands_by(grant), self.clock.now());
    }

    /// Lets in nobody any more to whom this applies, and sends away who is in. How many streams that
    /// ends.
    ///
    /// # Errors
    /// [`TooMany`] if as much is revoked already as can be.
    pub fn revoke(&self, revocation: Revocation) -> Result<usize, TooMany> {
        self.open.revoke(revocation, self.clock.now())
    }

    /// Says whenever grants were withdrawn.
    pub fn withdrawals(&self) -> watch::Receiver<u64> {
        self.open.withdrawals()
    }
}
