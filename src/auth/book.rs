//! What one configuration says of whoever may be let in.

use std::collections::HashMap;
use std::sync::Arc;

use super::GuardError;
use super::forward::{self, GroupOf, Service};
use super::grant::{Grant, Proof};
use super::jwt::Issuer;
use super::keys::KeyRing;
use super::metrics::Metrics;
use super::open::Open;
use super::ticket::Desk;
use crate::config::{self, Auth};
use crate::peers::Peers;

/// Keys and issuers by name.
#[derive(Debug)]
pub struct Book {
    keys: KeyRing,
    issuers: HashMap<String, Arc<Issuer>>,
    services: HashMap<String, Arc<Service>>,
    /// Who gives the services from then on that the book before has as well.
    moves: Vec<(Arc<Service>, GroupOf)>,
    desk: Option<Arc<Desk>>,
}

impl Book {
    /// What `auth` says. Issuers that are in `before` as they are now are taken over with their keys.
    /// Nothing of what is in `before` changes.
    ///
    /// # Errors
    /// [`GuardError`] if an issuer's keys cannot be read.
    pub fn open(
        (auth, peers): (&Auth, &Peers),
        before: Option<&Book>,
        open: &Arc<Open>,
        metrics: &Metrics,
    ) -> Result<Self, GuardError> {
        let issuer = |configured: &Arc<config::Issuer>| {
            let name = &configured.name;
            let known = before.and_then(|book| book.issuers.get(name));
            let issuer = match known.filter(|known| known.is(configured)) {
                Some(known) => Arc::clone(known),
                None => Issuer::start(Arc::clone(configured), Arc::clone(open), metrics)?,
            };
            Ok::<_, GuardError>((name.clone(), issuer))
        };
        let mut moves = Vec::new();
        let service = |configured: &Arc<config::Forward>| {
            let name = &configured.name;
            let group = Arc::clone(peers.of(&configured.upstream));
            let known = before.and_then(|book| book.services.get(name));
            let service = match known.filter(|known| known.is(configured)) {
                Some(known) => {
                    moves.push((Arc::clone(known), GroupOf(group)));
                    Arc::clone(known)
                }
                None => {
                    let service = Service::new(Arc::clone(configured), group, metrics)?;
                    let weak = Arc::downgrade(&service);
                    tokio::spawn(forward::keep_asking(weak, Arc::clone(open)));
                    service
                }
            };
            Ok::<_, GuardError>((name.clone(), service))
        };
        let desk = |tickets: &config::Tickets| {
            let known = before.and_then(|book| book.desk.as_ref());
            match known.filter(|desk| **desk.rules() == *tickets) {
                Some(known) => Ok(Arc::clone(known)),
                None => Desk::new(tickets.clone()).map(Arc::new),
            }
        };
        let services = auth.forwards.iter().map(service);
        let services = services.collect::<Result<_, _>>()?;
        Ok(Self {
            services,
            moves,
            desk: auth.tickets.as_ref().map(desk).transpose()?,
            keys: KeyRing::new(auth.keys.clone()),
            issuers: auth.issuers.iter().map(issuer).collect::<Result<_, _>>()?,
        })
    }

    /// Is in force: services that stay are given by other servers.
    pub fn begin(&mut self) {
        for (service, group) in self.moves.drain(..) {
            service.is_given_by(group);
        }
    }

    /// The API keys.
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// The issuer of this name.
    pub fn issuer(&self, name: &str) -> Option<&Arc<Issuer>> {
        self.issuers.get(name)
    }

    /// The service of this name.
    pub fn service(&self, name: &str) -> Option<&Arc<Service>> {
        self.services.get(name)
    }

    /// Where tickets are given out.
    pub fn desk(&self) -> Option<&Arc<Desk>> {
        self.desk.as_ref()
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
            Proof::Forward { service, .. } => self
                .service(service.name())
                .is_some_and(|known| Arc::ptr_eq(known, service)),
            Proof::Ticket { .. } => self.desk.is_some(),
        })
    }
}
