//! What one configuration says of requests. Each request is served by that of the moment at which its
//! head was there, to its end.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderName;
use pingora::proxy::Session;

use super::client::{Client, Trusted};
use super::fence::Fence;
use super::guarded;
use super::module::Module;
use super::routes::Routes;
use crate::config::{Access, Config};
use crate::hub::Table;
use crate::peers::Peers;

/// What one configuration says of requests.
pub struct Scope {
    /// The feeds.
    pub(super) table: Arc<Table>,
    /// Where everything else goes.
    pub(super) routes: Routes,
    /// Which paths could be taken for others that are guarded.
    pub(super) fence: Fence,
    /// The client module, if it is served.
    pub(super) module: Option<Module>,
    /// Whose word is taken for where a request comes from.
    pub(super) trusted: Trusted,
    /// Who answers what is passed through.
    pub(super) peers: Arc<Peers>,
    /// What upstreams are told of clients, which no client may say.
    pub(super) claims: Vec<HeaderName>,
    /// What the access log holds.
    pub(super) access: Access,
}

impl Scope {
    /// Requests are for these feeds, and for the configured routes with these servers behind them.
    pub fn new(config: &Config, table: Arc<Table>, peers: Arc<Peers>) -> Self {
        Self {
            table,
            fence: Fence::new(
                config.feeds.iter().map(|feed| &**feed),
                config.routes.iter().map(|route| &**route),
            ),
            routes: Routes::new(config.routes.clone()),
            module: config.server.client.clone().map(Module::new),
            trusted: Trusted::new(config.server.trusted_proxies.clone()),
            peers,
            claims: guarded::claims(&config.auth),
            access: config.logs.access,
        }
    }

    /// Whose request it is, if the connection has an address at all.
    pub(super) fn address(&self, session: &Session) -> Option<IpAddr> {
        let peer = peer(session)?.ip();
        let headers = &session.req_header().headers;
        Some(self.trusted.client(peer, headers))
    }

    /// The same as one that has limits.
    pub(super) fn client(&self, session: &Session) -> Option<Client> {
        self.address(session).map(Client::from)
    }

    /// What a consistent balance goes by: the client's address.
    pub(super) fn balance_key(&self, session: &Session) -> Vec<u8> {
        let address = self.address(session);
        address.map_or_else(Vec::new, |address| address.to_string().into_bytes())
    }
}

/// The other end of the connection.
pub(super) fn peer(session: &Session) -> Option<SocketAddr> {
    session.client_addr()?.as_inet().copied()
}
