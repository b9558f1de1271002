//! A client for what stands beside an upstream: the endpoint that gives out its tokens.
//!
//! Promises that such an endpoint is reached only at addresses that its upstream's rule allows, and
//! trusted if the system trusts it or its upstream's authorities vouch for it. It may be somebody
//! else's than the upstream, so that it is always verified, and shown no certificate of ours.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::redirect;
use url::{Host, Url};

use super::egress::through;
use super::resolve::{NoServer, System, addresses};
use crate::config::{PemError, Upstream, read_chain};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum BesideError {
    /// It is nowhere that it may be reached.
    #[error(transparent)]
    Nowhere(#[from] NoServer),
    /// The file of authorities cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file of authorities does not hold certificates.
    #[error("{}: {source}", path.display())]
    Pem {
        /// Which one.
        path: PathBuf,
        /// What is wrong.
        source: PemError,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS (is the system's TLS store readable?)")]
    Tls(#[from] reqwest::Error),
}

/// A client for this URL, which stands beside `upstream`: without redirects, with the authorities
/// as they are in their file now, and with the addresses to which the name leads now.
///
/// # Errors
/// [`BesideError`].
pub async fn beside(upstream: &Arc<Upstream>, url: &Url) -> Result<reqwest::Client, BesideError> {
    let is_proxied = upstream.servers.egress_proxy.is_some();
    // A proxy looks names up by itself.
    let found = match is_proxied {
        true => None,
        false => Some(addresses(upstream, &System, url, false).await?),
    };
    let pinned = match (url.host(), found) {
        (Some(Host::Domain(name)), Some(found)) => Some((name.to_owned(), found)),
        _ => None,
    };
    let upstream = Arc::clone(upstream);
    // Files are read, and with them all that the system trusts.
    let made = tokio::task::spawn_blocking(move || client(&upstream, pinned)).await;
    made.expect("invariant: making a client does not panic")
}

/// The same for an address that nobody knows yet. Blocks.
///
/// # Errors
/// [`BesideError`] where a client could not be made later either.
pub fn rehearse(upstream: &Upstream) -> Result<(), BesideError> {
    client(upstream, None).map(drop)
}

fn client(
    upstream: &Upstream,
    pinned: Option<(String, Vec<SocketAddr>)>,
) -> Result<reqwest::Client, BesideError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("pollcast/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none());
    if let Some((name, addresses)) = pinned {
        builder = builder.resolve_to_addrs(&name, &addresses);
    }
    if let Some(path) = &upstream.servers.tls.ca {
        for authority in authorities(path)? {
            builder = builder.add_root_certificate(authority);
        }
    }
    Ok(through(builder, upstream.servers.egress_proxy.as_ref())?.build()?)
}

fn authorities(path: &Path) -> Result<Vec<reqwest::Certificate>, BesideError> {
    let text = fs::read(path).map_err(|source| BesideError::Read {
        path: path.to_owned(),
        source,
    })?;
    let unfit = |source: PemError| BesideError::Pem {
        path: path.to_owned(),
        source,
    };
    // It is read here, since the client's own reader tells less of what is wrong.
    read_chain(&text).map_err(unfit)?;
    Ok(reqwest::Certificate::from_pem_bundle(&text)?)
}
