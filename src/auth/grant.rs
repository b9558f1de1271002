//! What somebody was let in by, and for how long.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderName, HeaderValue};

use super::asking::Source;
use super::forward::{Admission, Asked, Service};
use super::jwt::Verified;
use crate::core::event::Timestamp;

/// What somebody was let in by, and for how long. Not shown but for who it is: what it holds of a
/// token is the client's own business.
#[derive(Default)]
pub struct Grant {
    who: String,
    expires: Option<Timestamp>,
    proofs: Vec<Proof>,
    /// Where they were in the request.
    sources: Vec<Source>,
    pass_on: Vec<(HeaderName, HeaderValue)>,
    is_withdrawn: AtomicBool,
}

/// One thing that was proved.
pub enum Proof {
    /// The API key of this name with this hash.
    Key {
        /// Its name.
        name: String,
        /// Its SHA-256.
        hash: [u8; 32],
        /// When it ends to be valid.
        expires: Option<Timestamp>,
        /// Where it was.
        source: Source,
    },
    /// A token.
    Token {
        /// The name of its issuer in the configuration.
        issuer: String,
        /// What it says.
        token: Arc<Verified>,
        /// Where it was.
        source: Source,
        /// Where else its issuer's tokens may be that nobody else is to see: in the query.
        besides: Vec<Source>,
    },
    /// The word of a service.
    Forward {
        /// Whose.
        service: Arc<Service>,
        /// What it knows of them.
        admission: Admission,
        /// What it was asked.
        asked: Asked,
    },
    /// A ticket of another process.
    Ticket {
        /// Whom it was given to.
        who: String,
        /// When what it was given for ends.
        expires: Timestamp,
    },
}

impl Proof {
    /// Who it is that proves it.
    pub fn who(&self) -> String {
        match self {
            Proof::Key { name, .. } => format!("key/{name}"),
            Proof::Token { issuer, token, .. } => match token.subject() {
                Some(subject) => format!("{issuer}/{subject}"),
                None => issuer.clone(),
            },
            Proof::Forward {
                service, admission, ..
            } => match &admission.who {
                Some(who) => format!("{}/{who}", service.name()),
                None => format!("forward/{}", service.name()),
            },
            Proof::Ticket { who, .. } => who.clone(),
        }
    }
}

impl Grant {
    /// Adds what was proved besides.
    pub fn add(&mut self, proof: Proof) {
        let who = proof.who();
        let (expires, source) = match &proof {
            Proof::Key {
                expires, source, ..
            } => (*expires, Some(source)),
            Proof::Token { token, source, .. } => (token.expires, Some(source)),
            // What it was told is the upstream's as well.
            Proof::Forward { .. } => (None, None),
            Proof::Ticket { expires, .. } => (Some(*expires), None),
        };
        if !self.who.is_empty() {
            self.who.push_str(", ");
        }
        self.who.push_str(&who);
        self.expires = match (self.expires, expires) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.sources.extend(source.cloned());
        match &proof {
            Proof::Token { besides, .. } => self.sources.extend_from_slice(besides),
            Proof::Forward { admission, .. } => {
                self.pass_on.extend(admission.pass_on.iter().cloned());
            }
            Proof::Key { .. } | Proof::Ticket { .. } => {}
        }
        self.proofs.push(proof);
    }

    /// Adds headers that the upstream gets with what is passed through.
    pub fn hand_on(&mut self, headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>) {
        self.pass_on.extend(headers);
    }

    /// Who it is: `key/NAME`, `ISSUER/SUBJECT`, several of them with commas between. A subject is the
    /// issuer's text and may hold anything.
    pub fn who(&self) -> &str {
        &self.who
    }

    /// When it ends, if it does by itself.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Headers that the upstream gets with what is passed through.
    pub fn pass_on(&self) -> &[(HeaderName, HeaderValue)] {
        &self.pass_on
    }

    /// What was proved.
    pub fn proofs(&self) -> &[Proof] {
        &self.proofs
    }

    /// Where in the request the proofs were.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Whether its time is over, or it was withdrawn.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.is_withdrawn() || self.expires.is_some_and(|expires| now >= expires)
    }

    /// Whether it was withdrawn.
    pub fn is_withdrawn(&self) -> bool {
        self.is_withdrawn.load(Ordering::Acquire)
    }

    /// Ends it before its time; whether it was in force until now.
    pub(super) fn withdraw(&self) -> bool {
        !self.is_withdrawn.swap(true, Ordering::AcqRel)
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("expires", &self.expires)
            .field("is_withdrawn", &self.is_withdrawn)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, expires: Option<u64>) -> Proof {
        Proof::Key {
            name: name.to_owned(),
            hash: [7; 32],
            expires: expires.map(Timestamp),
            source: Source::Bearer,
        }
    }

    #[test]
    fn a_grant_ends_with_the_first_of_its_proofs() {
        for (first, second, end) in [
            (None, None, None),
            (Some(5), None, Some(5)),
            (None, Some(5), Some(5)),
            (Some(7), Some(5), Some(5)),
        ] {
            let mut grant = Grant::default();
            grant.add(key("a", first));
            grant.add(key("b", second));
            assert_eq!(grant.expires(), end.map(Timestamp));
            assert_eq!(grant.who(), "key/a, key/b");
        }
    }

    #[test]
    fn a_grant_is_over_at_its_end_or_once_it_is_withdrawn() {
        let mut grant = Grant::default();
        grant.add(key("a", Some(5)));
        assert!(!grant.is_over(Timestamp(4)) && grant.is_over(Timestamp(5)));
        assert!(grant.withdraw() && !grant.withdraw());
        assert!(grant.is_over(Timestamp(0)));
        assert!(!format!("{grant:?}").contains("key/a"));
    }
}
