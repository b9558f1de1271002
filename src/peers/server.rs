//! One server of an upstream, at one address.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use pingora::protocols::TcpKeepalive;
use pingora::upstreams::peer::HttpPeer;
use reqwest::{Url, redirect};
use tokio::sync::Notify;
use tokio::time::Instant;
use url::{Host, Position};

use super::egress::{Tunnel, through};
use super::material::Material;
use crate::config::{EgressProxy, Upstream};

/// For a TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For a TCP connection and the TLS handshake on it.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two reads of an ordinary answer; event streams and upgraded connections may be silent.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two writes of a request's body.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Finds out that a server is gone which may be silent: after a minute, and three probes.
const KEEPALIVE: TcpKeepalive = TcpKeepalive {
    idle: Duration::from_secs(60),
    interval: Duration::from_secs(10),
    count: 3,
    user_timeout: Duration::from_secs(90),
};
/// How long an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server to which there was no connection stands behind the others.
const REST: Duration = Duration::from_secs(10);

/// One server at one address; a handle.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    spot: Arc<Spot>,
    /// Where connections go: to its address, or to the egress proxy.
    dial: SocketAddr,
    http: reqwest::Client,
    peer: HttpPeer,
    /// Present where requests are to be written for an HTTP proxy.
    forward: Option<EgressProxy>,
}

/// What stays of a server however often its clients are made anew.
pub(super) struct Spot {
    /// Its place in the configuration.
    pub(super) index: usize,
    /// The address at which it is, or, behind an egress proxy, one that stands for it.
    pub(super) address: SocketAddr,
    /// What requests call it.
    base: Url,
    condition: Mutex<Condition>,
    /// Told when its name should be looked up again.
    look_up: Arc<Notify>,
}

/// How a server is.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    /// What the health checks say; true without any.
    pub(super) healthy: bool,
    /// Since when they say so.
    pub(super) since: SystemTime,
    /// What last went wrong with it.
    pub(super) last_error: Option<String>,
    /// Others are asked first until then.
    rests_until: Option<Instant>,
}

/// How the clients of an upstream's servers are made.
pub(super) struct Recipe<'a> {
    pub(super) upstream: &'a Upstream,
    pub(super) material: &'a Material,
    /// Another one each time that the material changes: connections made with the old one are not
    /// used any more.
    pub(super) generation: u64,
}

impl Server {
    /// The server at `spot`, to be connected to at `dial`, the egress proxy if there is one.
    ///
    /// # Errors
    /// If the client refuses what it is made with.
    pub(super) fn new(
        spot: Arc<Spot>,
        dial: SocketAddr,
        recipe: &Recipe<'_>,
    ) -> Result<Self, reqwest::Error> {
        let egress = recipe.upstream.servers.egress_proxy.as_ref();
        let is_tls = spot.base.scheme() == "https";
        Ok(Self(Arc::new(Inner {
            http: http(&spot.base, dial, recipe)?,
            peer: peer(&spot, dial, recipe),
            forward: egress.filter(|_| !is_tls).cloned(),
            dial,
            spot,
        })))
    }

    /// The same server with other clients.
    ///
    /// # Errors
    /// As [`Server::new`].
    pub(super) fn renewed(&self, recipe: &Recipe<'_>) -> Result<Self, reqwest::Error> {
        Self::new(Arc::clone(&self.0.spot), self.0.dial, recipe)
    }

    /// Scheme, host, port and path that requests to it begin with.
    pub fn base(&self) -> &Url {
        &self.0.spot.base
    }

    /// Host and, where it is not the scheme's own, port.
    pub fn authority(&self) -> String {
        let base = self.base();
        let host = base.host_str().unwrap_or_default();
        match base.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// The path and query of `wanted`, at this server.
    pub fn url(&self, wanted: &Url) -> Url {
        let base = self.base();
        if wanted[..Position::BeforePath] == base[..Position::BeforePath] {
            return wanted.clone();
        }
        let mut url = base.clone();
        url.set_path(wanted.path());
        url.set_query(wanted.query());
        url
    }

    /// A client that reaches this server, this address and nobody else, and ignores the proxies of
    /// the environment. To be used with URLs that begin with [`Server::base`]. Follows no redirect.
    pub fn http(&self) -> &reqwest::Client {
        &self.0.http
    }

    /// The same for Pingora, with a bound on every wait; only one that is `open_ended` may be silent
    /// for as long as it likes.
    pub fn peer(&self, open_ended: bool) -> HttpPeer {
        let mut peer = self.0.peer.clone();
        peer.options.read_timeout = (!open_ended).then_some(READ_TIMEOUT);
        peer
    }

    /// Whether a request on a connection of [`Server::peer`] has to be written as one to a proxy, in
    /// absolute form (RFC 9112 section 3.2.2), and then who asks.
    pub fn forward_proxy(&self) -> Option<Option<&HeaderValue>> {
        let proxy = self.0.forward.as_ref()?;
        Some(proxy.authorization.as_ref())
    }

    /// There was no connection: others go first for a while, and its name is looked up again.
    pub fn failed(&self, cause: &str) {
        let mut condition = self.0.spot.condition();
        condition.rests_until = Some(Instant::now() + REST);
        condition.last_error = Some(cause.to_owned());
        drop(condition);
        self.0.spot.look_up.notify_one();
    }

    /// There was a connection.
    pub fn succeeded(&self) {
        self.0.spot.condition().rests_until = None;
    }

    pub(super) fn rests(&self) -> bool {
        let until = self.0.spot.condition().rests_until;
        until.is_some_and(|until| Instant::now() < until)
    }

    pub(super) fn spot(&self) -> &Arc<Spot> {
        &self.0.spot
    }

    /// Whether connections to it are made to this address.
    pub(super) fn dials(&self, address: SocketAddr) -> bool {
        self.0.dial == address
    }
}

impl Spot {
    pub(super) fn new(
        index: usize,
        address: SocketAddr,
        upstream: &Upstream,
        look_up: Arc<Notify>,
    ) -> Self {
        Self {
            index,
            address,
            base: Url::clone(&upstream.servers.list[index].called),
            condition: Mutex::new(Condition {
                healthy: true,
                since: SystemTime::now(),
                last_error: None,
                rests_until: None,
            }),
            look_up,
        }
    }

    /// The lock is never held across a wait.
    pub(super) fn condition(&self) -> MutexGuard<'_, Condition> {
        let condition = self.condition.lock();
        condition.unwrap_or_else(PoisonError::into_inner)
    }
}

fn http(
    base: &Url,
    dial: SocketAddr,
    recipe: &Recipe<'_>,
) -> Result<reqwest::Client, reqwest::Error> {
    let Recipe {
        upstream, material, ..
    } = recipe;
    let servers = &upstream.servers;
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("pollcast/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .tls_backend_preconfigured(material.connector.clone());
    let name = match &servers.egress_proxy {
        Some(proxy) => proxy.url.host(),
        None => base.host(),
    };
    if let Some(Host::Domain(name)) = name {
        builder = builder.resolve(name, dial);
    }
    through(builder, servers.egress_proxy.as_ref())?.build()
}

fn peer(spot: &Spot, dial: SocketAddr, recipe: &Recipe<'_>) -> HttpPeer {
    let Recipe {
        upstream,
        material,
        generation,
    } = recipe;
    let servers = &upstream.servers;
    let is_tls = spot.base.scheme() == "https";
    let host = spot.base.host_str().unwrap_or_default();
    let mut peer = HttpPeer::new(dial, is_tls, host.to_owned());
    let mut group = DefaultHasher::new();
    (&upstream.name, spot.index, generation).hash(&mut group);
    peer.group_key = group.finish();
    peer.client_cert_key = material.identity.clone();
    let options = &mut peer.options;
    options.ca = material.authorities.clone();
    options.verify_cert = servers.tls.verify;
    options.verify_hostname = servers.tls.verify;
    options.connection_timeout = Some(CONNECT_TIMEOUT);
    options.total_connection_timeout = Some(HANDSHAKE_TIMEOUT);
    options.read_timeout = Some(READ_TIMEOUT);
    options.write_timeout = Some(WRITE_TIMEOUT);
    options.idle_timeout = Some(IDLE_TIMEOUT);
    options.tcp_keepalive = Some(KEEPALIVE);
    if let Some(proxy) = servers.egress_proxy.as_ref().filter(|_| is_tls) {
        let port = spot.base.port_or_known_default().unwrap_or(443);
        options.custom_l4 = Some(Arc::new(Tunnel {
            to: format!("{host}:{port}"),
            authorization: proxy.authorization.clone(),
            patience: CONNECT_TIMEOUT,
        }));
    }
    peer
}
