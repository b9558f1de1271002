//! One look-up of a name, and what of it may be used.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;
use url::{Host, Url};

use crate::config::{Forbidden, Upstream};

/// For one look-up.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many addresses of a name are used, the lowest: each is a server, with connections and checks of
/// its own, and an answer of 64 KiB has room for thousands.
const MOST: usize = 64;

/// Why there is no server to ask. Names the upstream, and no address: clients are told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoServer {
    /// The name has no address, or nobody says so.
    #[error("the name of upstream \"{upstream}\" cannot be looked up: {cause}")]
    Unresolved {
        /// The upstream.
        upstream: String,
        /// What the system said.
        cause: String,
    },
    /// Nobody told the address in time.
    #[error("the name of upstream \"{upstream}\" was not looked up within {PATIENCE:?}")]
    Late {
        /// The upstream.
        upstream: String,
    },
    /// The name leads where it must not.
    #[error(
        "the name of upstream \"{upstream}\" leads to {why}; if that is meant, {} \
         upstreams.{upstream}.addresses",
        remedy(*why)
    )]
    Forbidden {
        /// The upstream.
        upstream: String,
        /// What kind of address it is.
        why: Forbidden,
    },
    /// A client cannot be made.
    #[error("no client for upstream \"{upstream}\": {cause}")]
    Client {
        /// The upstream.
        upstream: String,
        /// What the library said.
        cause: String,
    },
}

fn remedy(why: Forbidden) -> &'static str {
    match why {
        Forbidden::Denied => "take it out of `deny` in",
        Forbidden::Private | Forbidden::Special(_) => "name it in `allow` of",
    }
}

/// Looks a name up.
#[async_trait]
pub(super) trait Resolve: Send + Sync {
    async fn resolve(&self, host: &str) -> std::io::Result<Vec<IpAddr>>;
}

/// As the system does.
pub(super) struct System;

#[async_trait]
impl Resolve for System {
    async fn resolve(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// The allowed addresses of a URL's host. An egress proxy is where the configuration wants it.
pub(super) async fn addresses(
    upstream: &Upstream,
    resolver: &dyn Resolve,
    url: &Url,
    is_proxy: bool,
) -> Result<Vec<SocketAddr>, NoServer> {
    let name = || upstream.name.clone();
    let port = url.port_or_known_default().unwrap_or(80);
    let unresolved = |cause: String| NoServer::Unresolved {
        upstream: name(),
        cause,
    };
    let host = url.host().ok_or_else(|| unresolved("no host".to_owned()))?;
    let found = match host {
        Host::Ipv4(ip) => vec![ip.into()],
        Host::Ipv6(ip) => vec![ip.into()],
        Host::Domain(domain) => match timeout(PATIENCE, resolver.resolve(domain)).await {
            Ok(found) => found.map_err(|error| unresolved(error.to_string()))?,
            Err(_) => return Err(NoServer::Late { upstream: name() }),
        },
    };
    let mut allowed = Vec::new();
    let mut forbidden = None;
    for address in found {
        match upstream.servers.addresses.judge(&host, address) {
            Err(why) if !is_proxy => forbidden = Some(why),
            _ => allowed.push(SocketAddr::new(address, port)),
        }
    }
    if allowed.len() > MOST {
        allowed.sort_unstable();
        allowed.dedup();
        allowed.truncate(MOST);
    }
    match (allowed.is_empty(), forbidden) {
        (false, _) => Ok(allowed),
        (true, Some(why)) => Err(NoServer::Forbidden {
            upstream: name(),
            why,
        }),
        (true, None) => Err(unresolved("it has no address".to_owned())),
    }
}
