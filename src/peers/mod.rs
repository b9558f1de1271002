//! Who is asked: the servers of an upstream, resolved, allowed, checked, balanced, and how they are
//! reached.
//!
//! Polls and passed-through requests get their server here, so that both share its health, and
//! neither reaches an address that the configuration does not allow. Promises that a name that
//! cannot be looked up, a file that cannot be read any more, or checks that all fail never take away
//! what worked before. Must never ask a server anything but how it is.
//!
//! | room | what it knows |
//! |---|---|
//! | `group` | the servers of one upstream; keeps them fresh |
//! | `names`, `resolve` | where their names lead, and whether that is allowed |
//! | `balancer`, `check` | whose turn it is; who is well |
//! | `server` | the clients that reach one server |
//! | `beside` | a client for what stands beside an upstream: its token endpoint |
//! | `material`, `egress` | TLS files; the way through an HTTP proxy |

mod balancer;
mod beside;
mod cause;
mod check;
mod egress;
mod group;
mod material;
mod metrics;
mod names;
mod resolve;
mod server;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinSet;
use tracing::warn;

pub use beside::{BesideError, beside, rehearse};
pub(crate) use cause::{UNTRUSTED, root_cause};
pub use egress::through;
pub use group::{Group, ServerReport};
pub use material::MaterialError;
pub use resolve::NoServer;
pub use server::Server;

use material::Material;
use metrics::Metrics;
use resolve::System;

use crate::config::{Config, Upstream, UpstreamTls};
use crate::metrics::Registry;

/// The servers of every upstream of one configuration.
pub struct Peers {
    metrics: Metrics,
    kept: HashMap<String, Kept>,
    /// Names in the file's order.
    names: Vec<String>,
}

/// The servers of one upstream, and what looks after them.
#[derive(Clone)]
struct Kept {
    group: Arc<Group>,
    /// What the TLS files were before they were read.
    first: material::Stamp,
    /// None before it begins, and after it ended.
    tasks: Arc<Mutex<Option<JoinSet<()>>>>,
}

/// Why servers cannot be reached as the configuration wants it.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// The TLS files of an upstream are of no use; they were when the configuration was checked.
    #[error("cannot set up TLS for upstream \"{upstream}\"")]
    Material {
        /// The upstream.
        upstream: String,
        /// Why not.
        source: MaterialError,
    },
}

impl Peers {
    /// Starts to look after the servers of every upstream. To be called inside a runtime.
    ///
    /// # Errors
    /// [`PeersError`] if TLS files cannot be read any more.
    pub fn start(config: &Config, registry: &Registry) -> Result<Self, PeersError> {
        let nobody = Self {
            metrics: Metrics::new(registry),
            kept: HashMap::new(),
            names: Vec::new(),
        };
        let peers = nobody.next(config, |_| false)?;
        peers.begin();
        Ok(peers)
    }

    /// The servers of another configuration: those of an upstream that `stays` are the same as here,
    /// with their connections and their health. Nobody looks after the others until they
    /// [begin](Self::begin).
    ///
    /// # Errors
    /// [`PeersError`] if TLS files cannot be read any more.
    pub fn next(&self, config: &Config, stays: impl Fn(&str) -> bool) -> Result<Self, PeersError> {
        let mut kept = HashMap::new();
        for upstream in &config.upstreams {
            let name = &upstream.name;
            let same = self.kept.get(name).filter(|_| stays(name)).cloned();
            let own = match same {
                Some(same) => same,
                None => Kept::new(upstream, &self.metrics)?,
            };
            kept.insert(name.clone(), own);
        }
        Ok(Self {
            metrics: self.metrics.clone(),
            kept,
            names: config.upstreams.iter().map(|it| it.name.clone()).collect(),
        })
    }

    /// Looks after all servers from now on. To be called inside a runtime.
    pub fn begin(&self) {
        self.kept.values().for_each(Kept::begin);
    }

    /// Nobody looks any more after servers that are not among the `next`.
    pub fn yield_to(&self, next: &Self) {
        for (name, kept) in &self.kept {
            let other = next.kept.get(name);
            if !other.is_some_and(|other| Arc::ptr_eq(&other.group, &kept.group)) {
                kept.tasks().take();
            }
        }
    }

    /// The servers of the upstream of this name.
    ///
    /// # Panics
    /// If the configuration that this was started with has no such upstream.
    pub fn of(&self, upstream: &str) -> &Arc<Group> {
        let kept = self.kept.get(upstream);
        &kept
            .expect("invariant: routes and feeds name upstreams of their configuration")
            .group
    }

    /// Every upstream in the file's order, with its servers.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Arc<Group>)> {
        self.names.iter().map(|name| (name.as_str(), self.of(name)))
    }
}

impl Kept {
    fn new(upstream: &Arc<Upstream>, metrics: &Metrics) -> Result<Self, PeersError> {
        let first = material::stamp(&upstream.servers.tls);
        let material =
            Material::read(&upstream.servers).map_err(|source| PeersError::Material {
                upstream: upstream.name.clone(),
                source,
            })?;
        let metrics = metrics.group(upstream);
        let group = Group::new(Arc::clone(upstream), Arc::new(System), material, metrics);
        Ok(Self {
            group: Arc::new(group),
            first,
            tasks: Arc::default(),
        })
    }

    fn begin(&self) {
        let mut tasks = self.tasks();
        if tasks.is_some() {
            return;
        }
        let group = &self.group;
        group.metrics().begin();
        let upstream = group.upstream();
        let tls = &upstream.servers.tls;
        if !tls.verify {
            let upstream = &upstream.name;
            warn!(
                upstream,
                "certificates are not verified (tls.verify: false)"
            );
        }
        let looking_after = tasks.insert(JoinSet::new());
        looking_after.spawn(Arc::clone(group).keep_looking_up());
        looking_after.spawn(Arc::clone(group).keep_checking());
        if has_files(tls) {
            looking_after.spawn(Arc::clone(group).keep_fresh(self.first));
        }
    }

    fn tasks(&self) -> MutexGuard<'_, Option<JoinSet<()>>> {
        // It is one value.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_files(tls: &UpstreamTls) -> bool {
    tls.ca.is_some() || tls.identity.is_some()
}
