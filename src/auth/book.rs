//! What one configuration says of whoever may be let in.

use std::collections::HashMap;
use std::sync::Arc;

use super::grant::{Grant, Proof};
use super::jwt::{Issuer, IssuerError};
use super::keys::KeyRing;
use super::metrics::Metrics;
use super::open::Open;
use crate::config::{self, Auth};

/// Keys and issuers by name.
#[derive(Debug)]
pub struct Book {
    keys: KeyRing,
    issuers: HashMap<String, Arc<Issuer>>,
}

impl Book {
    /// What `auth` says. Issuers that are in `before` as they are now are taken over with their keys.
    ///
    /// # Errors
    /// [`IssuerError`] if an issuer's keys cannot be read.
    pub fn open(
        auth: &Auth,
        before: Option<&Book>,
        open: &Arc<Open>,
        metrics: &Metrics,
    ) -> Result<Self, IssuerError> {
        let issuer = |configured: &Arc<config::Issuer>| {
            let name = &configured.name;
            let known = before.and_then(|book| book.issuers.get(name));
            let issuer = match known.filter(|known| known.is(configured)) {
                Some(known) => Arc::clone(known),
                None => Issuer::start(Arc::clone(configured), Arc::clone(open), metrics)?,
            };
            Ok::<_, IssuerError>((name.clone(), issuer))
        };
        Ok(Self {
            keys: KeyRing::new(auth.keys.clone()),
            issuers: auth.issuers.iter().map(issuer).collect::<Result<_, _>>()?,
        })
    }

    /// The API keys.
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// The issuer of this name.
    pub fn issuer(&self, name: &str) -> Option<&Arc<Issuer>> {
        self.issuers.get(name)
    }

    /// Whether all that a grant stands on is still there.
    pub fn stands_by(&self, grant: &Grant) -> bool {
        grant.proofs().iter().all(|proof| match proof {
            Proof::Key {
                name,
                hash,
                expires,
                ..
            } => self.keys.stands_by(name, hash, *expires),
            Proof::Token { issuer, token, .. } => self
                .issuer(issuer)
                .is_some_and(|issuer| issuer.stands_by(token)),
        })
    }
}
