//! Where the names of an upstream's servers lead.
//!
//! Promises that only addresses which the configuration allows come out, and that a look-up that
//! fails leaves what was known before.

use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use pingora::lb::Backend;
use pingora::lb::discovery::ServiceDiscovery;
use pingora::protocols::l4::socket;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::{info, warn};
use url::Url;

use super::material::Material;
use super::metrics::GroupMetrics;
use super::resolve::{NoServer, Resolve, addresses};
use super::server::{Recipe, Server, Spot};
use crate::config::Upstream;

/// The servers of one upstream, each at every address that its name leads to.
pub(super) struct Names {
    upstream: Arc<Upstream>,
    resolver: Arc<dyn Resolve>,
    metrics: GroupMetrics,
    look_up: Arc<Notify>,
    known: Mutex<Known>,
}

struct Known {
    material: Material,
    generation: u64,
    /// By the address that the balancer knows them by.
    servers: HashMap<SocketAddr, Server>,
    /// As the servers of the configuration: where each may be reached, and why not elsewhere.
    places: Vec<Place>,
}

#[derive(Clone, Default)]
struct Place {
    addresses: Vec<SocketAddr>,
    trouble: Option<NoServer>,
}

impl Names {
    pub(super) fn new(
        upstream: Arc<Upstream>,
        resolver: Arc<dyn Resolve>,
        material: Material,
        metrics: GroupMetrics,
    ) -> Self {
        let known = Known {
            material,
            generation: 0,
            servers: HashMap::new(),
            places: vec![Place::default(); upstream.servers.list.len()],
        };
        Self {
            upstream,
            resolver,
            metrics,
            look_up: Arc::default(),
            known: Mutex::new(known),
        }
    }

    /// The server that the balancer knows by this address.
    pub(super) fn server(&self, address: &socket::SocketAddr) -> Option<Server> {
        let address = address.as_inet()?;
        self.known().servers.get(address).cloned()
    }

    /// The one that there is, if there are no others.
    pub(super) fn only(&self) -> Option<Server> {
        let known = self.known();
        let mut servers = known.servers.values();
        servers.next().filter(|_| servers.len() == 0).cloned()
    }

    /// All of them, as the configuration has them, then by address.
    pub(super) fn servers(&self) -> Vec<Server> {
        let mut servers: Vec<_> = self.known().servers.values().cloned().collect();
        servers.sort_by_key(|server| (server.spot().index, server.spot().address));
        servers
    }

    /// Waits until a server asks for its name to be looked up again.
    pub(super) async fn wanted(&self) {
        self.look_up.notified().await;
    }

    /// What keeps a server of the configuration from being reached, or from being looked up again.
    pub(super) fn trouble(&self, index: usize) -> Option<NoServer> {
        self.known().places[index].trouble.clone()
    }

    /// Why there is no server at all.
    pub(super) fn why_none(&self) -> NoServer {
        let trouble = |place: &Place| place.trouble.clone();
        let first = self.known().places.iter().find_map(trouble);
        first.unwrap_or_else(|| NoServer::Late {
            upstream: self.upstream.name.clone(),
        })
    }

    /// From now on clients are made with this.
    pub(super) fn renew(&self, material: Material) {
        let mut known = self.known();
        known.generation += 1;
        known.material = material;
        let Known {
            material,
            generation,
            servers,
            ..
        } = &mut *known;
        let recipe = Recipe {
            upstream: &self.upstream,
            material,
            generation: *generation,
        };
        for server in servers.values_mut() {
            match server.renewed(&recipe) {
                Ok(renewed) => *server = renewed,
                Err(error) => {
                    let cause = error.to_string();
                    warn!(
                        upstream = self.upstream.name,
                        cause, "no client with the new files"
                    );
                }
            }
        }
    }

    /// Looks every name up, and notes what came of it.
    async fn look_up(self: &Arc<Self>) -> BTreeSet<Backend> {
        let egress = self.upstream.servers.egress_proxy.as_ref();
        let mut lookups = JoinSet::new();
        for (index, server) in self.upstream.servers.list.iter().enumerate() {
            let names = Arc::clone(self);
            let url = egress.map_or_else(|| Url::clone(&server.at), |proxy| proxy.url.clone());
            let is_proxy = egress.is_some();
            lookups.spawn(async move {
                (
                    index,
                    addresses(&names.upstream, &*names.resolver, &url, is_proxy).await,
                )
            });
        }
        while let Some(looked_up) = lookups.join_next().await {
            if let Ok((index, outcome)) = looked_up {
                self.note(index, outcome);
            }
        }
        self.rebuild()
    }

    /// Remembers the outcome of a look-up; tells of it when it is news.
    fn note(&self, index: usize, outcome: Result<Vec<SocketAddr>, NoServer>) {
        let mut known = self.known();
        let place = &mut known.places[index];
        let upstream = &self.upstream.name;
        let server = &self.upstream.servers.list[index].at;
        match outcome {
            Ok(addresses) => {
                place.addresses = addresses;
                if place.trouble.take().is_some() {
                    info!(upstream, %server, "the name leads somewhere again");
                }
            }
            Err(trouble) => {
                self.metrics.unresolved();
                if place.trouble.as_ref() != Some(&trouble) {
                    let cause = trouble.to_string();
                    let kept = place.addresses.len();
                    warn!(upstream, %server, cause, kept, "a name cannot be used");
                }
                place.trouble = Some(trouble);
            }
        }
    }

    /// Makes servers of the addresses that are known now, keeping those that stay.
    fn rebuild(&self) -> BTreeSet<Backend> {
        let mut known = self.known();
        let Known {
            material,
            generation,
            servers,
            places,
        } = &mut *known;
        let recipe = Recipe {
            upstream: &self.upstream,
            material,
            generation: *generation,
        };
        let mut before = std::mem::take(servers);
        let mut backends = BTreeSet::new();
        for (index, place) in places.iter_mut().enumerate() {
            for (address, dial) in self.reached(index, &place.addresses) {
                if servers.contains_key(&address) {
                    // An earlier server of the configuration is there already.
                    continue;
                }
                let old = before
                    .remove(&address)
                    .filter(|old| old.spot().index == index);
                let spot = old
                    .as_ref()
                    .map(|old| Arc::clone(old.spot()))
                    .unwrap_or_else(|| {
                        let look_up = Arc::clone(&self.look_up);
                        Arc::new(Spot::new(index, address, &self.upstream, look_up))
                    });
                let made = match old.filter(|old| old.dials(dial)) {
                    Some(old) => Ok(old),
                    None => Server::new(spot, dial, &recipe),
                };
                match made {
                    Ok(server) => {
                        servers.insert(address, server);
                        backends.insert(Backend {
                            addr: socket::SocketAddr::Inet(address),
                            weight: self.upstream.servers.list[index].weight,
                            ext: http::Extensions::new(),
                        });
                    }
                    Err(error) => {
                        place.trouble = Some(NoServer::Client {
                            upstream: self.upstream.name.clone(),
                            cause: error.to_string(),
                        });
                    }
                }
            }
        }
        backends
    }

    /// What the balancer knows a server by, and what is connected to: the same, except that all
    /// servers behind an egress proxy are reached at its address.
    fn reached(&self, index: usize, addresses: &[SocketAddr]) -> Vec<(SocketAddr, SocketAddr)> {
        match self.upstream.servers.egress_proxy {
            None => addresses
                .iter()
                .map(|address| (*address, *address))
                .collect(),
            Some(_) => {
                let number = u16::try_from(index + 1).unwrap_or(u16::MAX);
                let stands_for_it = SocketAddr::from((Ipv4Addr::UNSPECIFIED, number));
                let first = addresses.first();
                first
                    .map(|dial| (stands_for_it, *dial))
                    .into_iter()
                    .collect()
            }
        }
    }

    /// The lock is never held across a wait.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the balancer asks who is there.
pub(super) struct Discovery(pub(super) Arc<Names>);

#[async_trait]
impl ServiceDiscovery for Discovery {
    async fn discover(&self) -> pingora::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        Ok((self.0.look_up().await, HashMap::new()))
    }
}
