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
//! | `forward` | services of the user's own that decide |
//! | `ticket` | what an event stream is opened with where no header can be sent |
//! | `target` | what a request is for |
//! | `keys` | static API keys, compared without telling by the time how much of one is right |
//! | `jwt` | tokens, and the keys of their issuers |
//! | `grant` | what somebody was let in by, and for how long |
//! | `open` | the grants of open streams, and what was revoked |

mod asking;
mod book;
mod forward;
mod grant;
pub mod jwt;
mod keys;
mod metrics;
mod open;
mod target;
mod ticket;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

pub use asking::{Asking, Source};
pub use book::Book;
pub use forward::Refusal;
pub use grant::{Grant, Proof};
pub use jwt::IssuerError;
use metrics::Metrics;
use open::Open;
pub use open::{Revocation, TooMany};
pub use target::TICKET;
use target::target;
pub use ticket::NoTicket;

use crate::clock::Clock;
use crate::config::{Auth, Policy, Requirement, Tickets};
use crate::metrics::Registry;
use crate::peers::Peers;

/// Lets in, or does not: one for the whole process.
#[derive(Debug)]
pub struct Guard {
    book: ArcSwap<Book>,
    open: Arc<Open>,
    metrics: Metrics,
    clock: Clock,
}

/// What a guard needs cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The keys of an issuer of tokens.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// A secret to seal tickets and decisions with.
    #[error("the system has no randomness to make a secret of")]
    Secret(#[from] openssl::error::ErrorStack),
}

/// Why somebody is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// There is no proof (RFC 6750 section 3: no error code).
    Missing,
    /// A proof is wrong, or not valid any more.
    Invalid,
    /// A service of the user's own says so, and what is to be told.
    Elsewhere(Arc<Refusal>),
    /// It is known who it is, but that is not enough.
    Insufficient,
    /// What would verify a proof is not to be had now.
    Unavailable,
}

impl Denied {
    /// The word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Denied::Missing => "missing",
            Denied::Invalid => "invalid",
            Denied::Elsewhere(_) => "refused",
            Denied::Insufficient => "insufficient",
            Denied::Unavailable => "unavailable",
        }
    }

    /// Where several ways in were tried, the one with the highest is told.
    fn rank(&self) -> u8 {
        match self {
            Denied::Missing => 0,
            Denied::Invalid => 1,
            Denied::Elsewhere(_) => 2,
            Denied::Insufficient => 3,
            Denied::Unavailable => 4,
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
    /// [`GuardError`] if an issuer's keys cannot be read.
    pub fn start(
        (auth, peers): (&Auth, &Peers),
        registry: &Registry,
        clock: Clock,
    ) -> Result<Arc<Self>, GuardError> {
        jwt::install();
        let metrics = Metrics::new(registry);
        let open = Arc::new(Open::default());
        let book = Book::open((auth, peers), None, &open, &metrics)?;
        Ok(Arc::new(Self {
            book: ArcSwap::from_pointee(book),
            open,
            metrics,
            clock,
        }))
    }

    /// What a guard of another configuration knows. Issuers that stay as they are keep their keys.
    ///
    /// # Errors
    /// [`GuardError`] if an issuer's keys cannot be read.
    pub fn prepare(&self, auth: &Auth, peers: &Peers) -> Result<Book, GuardError> {
        let before = self.book.load();
        Book::open((auth, peers), Some(&before), &self.open, &self.metrics)
    }

    /// Knows this from now on: who was let in by what is not there any more, or is something else
    /// now, is sent away.
    pub fn follow_book(&self, mut book: Book) {
        book.begin();
        let book = Arc::new(book);
        self.book.store(Arc::clone(&book));
        self.open.review(|grant| book.stands_by(grant));
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
                Err(tried) if tried.1.rank() > worst.1.rank() => worst = tried,
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
        if let Some(service) = &requirement.forward {
            method = "forward";
            let service = book.service(service);
            let service = service.ok_or((method, Denied::Unavailable))?;
            let proof = service.proof(asking).await;
            grant.add(proof.map_err(|denied| (method, denied))?);
        }
        if self.open.is_revoked(&grant, now) {
            return Err((method, Denied::Invalid));
        }
        Ok((method, grant))
    }

    /// Keeps an eye on the grant of a stream for as long as it lives: it may be withdrawn.
    pub fn follow(&self, grant: &Arc<Grant>) {
        // The book of the moment at which it is followed: another one may have come since it was made.
        let stands = |grant: &Grant| self.book.load().stands_by(grant);
        self.open.follow(grant, stands, self.clock.now());
        for proof in grant.proofs() {
            if let Proof::Forward { service, asked, .. } = proof {
                service.follow(asked, grant);
            }
        }
    }

    /// Whether there are tickets.
    pub fn gives_tickets(&self) -> bool {
        self.book.load().desk().is_some()
    }

    /// How tickets are given out, if they are.
    pub fn tickets(&self) -> Option<Arc<Tickets>> {
        self.book.load().desk().map(|desk| Arc::clone(desk.rules()))
    }

    /// A ticket for an event stream of `asking`'s target, to whoever has this grant.
    ///
    /// # Errors
    /// [`NoTicket`] if there is none.
    pub fn give_ticket(&self, asking: &Asking<'_>, grant: &Arc<Grant>) -> Result<String, NoTicket> {
        let book = self.book.load();
        let desk = book.desk().ok_or(NoTicket::Failed)?;
        let target = target(asking.uri, true);
        let ticket = desk.give(&target, asking.client, grant, self.clock.now());
        self.metrics.ticket(match ticket {
            Ok(_) => "given",
            Err(NoTicket::Full | NoTicket::ClientFull) => "full",
            Err(NoTicket::Failed) => "failed",
        });
        ticket
    }

    /// Judges a request to `place` that comes with a ticket.
    ///
    /// # Errors
    /// [`Denied`] if it does not let in.
    pub fn admit_by_ticket(
        &self,
        place: &str,
        ticket: &str,
        asking: &Asking<'_>,
    ) -> Result<Arc<Grant>, Denied> {
        let (book, now) = (self.book.load(), self.clock.now());
        let target = target(asking.uri, true);
        let taken = match book.desk() {
            Some(desk) => desk.take(ticket, &target, asking.client, now),
            None => Err(Denied::Missing),
        };
        let stands =
            |grant: &Arc<Grant>| !self.open.is_revoked(grant, now) && book.stands_by(grant);
        let taken = taken.and_then(|grant| match stands(&grant) {
            true => Ok(grant),
            false => Err(Denied::Invalid),
        });
        let outcome = taken.as_ref().map_or_else(Denied::reason, |_| "granted");
        self.metrics.decided(place, "ticket", outcome);
        taken
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
