//! What reads a load balancer's bytes here, for whoever tries all kinds of them (`tests/fuzz`).

use std::net::SocketAddr;

use super::proxy_protocol;

/// The client that a PROXY protocol header announces, and what follows the header already.
pub async fn announced(mut bytes: &[u8]) -> Option<(Option<SocketAddr>, Vec<u8>)> {
    let told = proxy_protocol::read(&mut bytes).await?;
    let rest = [&told.rest, bytes].concat();
    Some((told.client, rest))
}
