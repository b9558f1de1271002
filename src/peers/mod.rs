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
//! | `material`, `egress` | TLS files; the way through an HTTP proxy |

mod balancer;
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
use std::sync::Arc;

use tokio::task::JoinSet;
use tracing::warn;

pub(crate) use cause::{UNTRUSTED, root_cause};
pub use egress::through;
pub use group::{Group, ServerReport};
pub use material::MaterialError;
pub use resolve::NoServer;
pub use server::Server;

use material::Material;
use metrics::Metrics;
use resolve::System;

use crate::config::{Config, Own, UpstreamTls};
use crate::metrics::Registry;

/// The servers of every upstream. What looks after them ends with it.
pub struct Peers {
    groups: HashMap<String, Arc<Group>>,
    /// Names in the file's order.
    names: Vec<String>,
    _tasks: JoinSet<()>,
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
        let metrics = Metrics::new(registry);
        let mut tasks = JoinSet::new();
        let mut groups = HashMap::new();
        let own = config.auth.forwards.iter().filter_map(|it| it.own.as_ref());
        for upstream in config
            .upstreams
            .iter()
            .chain(own.map(|Own(upstream)| upstream))
        {
            let tls = &upstream.servers.tls;
            let first = material::stamp(tls);
            let material =
                Material::read(&upstream.servers).map_err(|source| PeersError::Material {
                    upstream: upstream.name.clone(),
                    source,
                })?;
            if !tls.verify {
                let upstream = &upstream.name;
                warn!(
                    upstream,
                    "certificates are not verified (tls.verify: false)"
                );
            }
            let metrics = metrics.group(upstream);
            let group = Group::new(Arc::clone(upstream), Arc::new(System), material, metrics);
            let group = Arc::new(group);
            tasks.spawn(Arc::clone(&group).keep_looking_up());
            tasks.spawn(Arc::clone(&group).keep_checking());
            if has_files(tls) {
                tasks.spawn(Arc::clone(&group).keep_fresh(first));
            }
            groups.insert(upstream.name.clone(), group);
        }
        Ok(Self {
            groups,
            names: config.upstreams.iter().map(|it| it.name.clone()).collect(),
            _tasks: tasks,
        })
    }

    /// The servers of the upstream of this name.
    ///
    /// # Panics
    /// If the configuration that this was started with has no such upstream.
    pub fn of(&self, upstream: &str) -> &Arc<Group> {
        self.groups
            .get(upstream)
            .expect("invariant: routes and feeds name upstreams of their configuration")
    }

    /// Every upstream in the file's order, with its servers.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Arc<Group>)> {
        self.names.iter().map(|name| (name.as_str(), self.of(name)))
    }
}

fn has_files(tls: &UpstreamTls) -> bool {
    tls.ca.is_some() || tls.identity.is_some()
}
