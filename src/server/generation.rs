//! What is made of one configuration, and how another takes its place.
//!
//! Promises that everything that can fail does so while the old one is untouched.

use std::collections::HashMap;
use std::sync::Arc;

use super::StartError;
use super::listeners::{Listeners, Prepared};
use crate::config::{Changes, Config, Feed, Upstream};
use crate::hub::Fate;
use crate::peers::Peers;
use crate::traces::Tracer;
use crate::upstream::{Client, Gate, Gates};

/// How the pollers of each upstream's feeds ask, by its name.
pub(super) type Clients = HashMap<String, (Client, Arc<Gate>)>;

/// What is made of one configuration.
pub(super) struct Generation {
    pub(super) config: Config,
    pub(super) peers: Arc<Peers>,
    clients: HashMap<String, Client>,
}

/// A generation that is not in force yet.
pub(super) struct Next {
    pub(super) generation: Generation,
    pub(super) changes: Changes,
    pub(super) entrances: Prepared,
}

impl Generation {
    /// The first one, whose servers are looked after.
    ///
    /// # Errors
    /// [`StartError`] if a client cannot be made.
    pub(super) fn first(config: Config, peers: Peers, tracer: &Tracer) -> Result<Self, StartError> {
        let mut clients = HashMap::new();
        for upstream in &config.upstreams {
            clients.insert(upstream.name.clone(), client(upstream, &peers, tracer)?);
        }
        Ok(Self {
            config,
            peers: Arc::new(peers),
            clients,
        })
    }

    /// Makes ready for another configuration. Nothing changes yet.
    ///
    /// # Errors
    /// [`StartError`] if something that it names is not to be had.
    pub(super) fn next(
        &self,
        config: Config,
        changes: Changes,
        listeners: &Listeners,
        tracer: &Tracer,
    ) -> Result<Next, StartError> {
        let stays = |name: &str| self.clients.contains_key(name) && !is_touched(name, &changes);
        let peers = self.peers.next(&config, stays)?;
        let mut clients = HashMap::new();
        for upstream in &config.upstreams {
            let name = &upstream.name;
            let same = self.clients.get(name).filter(|_| stays(name)).cloned();
            let client = match same {
                Some(client) => client,
                None => client(upstream, &peers, tracer)?,
            };
            clients.insert(name.clone(), client);
        }
        let entrances = listeners.prepare(&config)?;
        let generation = Self {
            config,
            peers: Arc::new(peers),
            clients,
        };
        Ok(Next {
            generation,
            changes,
            entrances,
        })
    }

    /// How pollers ask: through the upstreams' gates, which follow this configuration.
    pub(super) fn clients(&self, gates: &Gates) -> Arc<Clients> {
        let upstreams = self.config.upstreams.iter();
        let client = |upstream: &Arc<Upstream>| {
            let client = self.clients.get(&upstream.name)?.clone();
            Some((upstream.name.clone(), (client, gates.of(upstream))))
        };
        Arc::new(upstreams.filter_map(client).collect())
    }
}

impl Next {
    /// What becomes of the feeds that there are in the generation before, by path.
    pub(super) fn fates(&self, before: &Generation) -> HashMap<String, Fate> {
        let before: HashMap<_, _> = before
            .config
            .feeds
            .iter()
            .map(|feed| (feed.path.as_str(), feed))
            .collect();
        let fate = |feed: &Arc<Feed>| {
            let old = before.get(feed.path.as_str())?;
            let fate = if old.fingerprint != feed.fingerprint {
                Fate::BeginsAnew
            } else if !self.changes.feeds.of(&feed.path).is_empty()
                || is_touched(&feed.upstream.name, &self.changes)
            {
                Fate::Continues
            } else {
                Fate::Stays
            };
            Some((feed.path.clone(), fate))
        };
        self.generation
            .config
            .feeds
            .iter()
            .filter_map(fate)
            .collect()
    }

    /// Whether the gate of this upstream goes on: it leads to the same servers.
    pub(super) fn keeps_gate(&self, name: &str) -> bool {
        let upstreams = &self.generation.config.upstreams;
        upstreams.iter().any(|upstream| upstream.name == name) && !is_touched(name, &self.changes)
    }
}

/// Whether an upstream is another one in more than what it bears of polls.
fn is_touched(name: &str, changes: &Changes) -> bool {
    let keys = changes.upstreams.of(name);
    keys.iter().any(|change| !change.is_pace())
}

fn client(upstream: &Arc<Upstream>, peers: &Peers, tracer: &Tracer) -> Result<Client, StartError> {
    let group = Arc::clone(peers.of(&upstream.name));
    Ok(Client::new(upstream, group, tracer.clone())?)
}
