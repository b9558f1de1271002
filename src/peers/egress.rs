//! Reaching servers through an HTTP proxy: by a tunnel where TLS is spoken (RFC 9110 section 9.3.6).

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::{Error, ErrorType};
use reqwest::ClientBuilder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::EgressProxy;

/// A client whose requests go through this proxy if there is one, and through no other, whatever the
/// environment says.
///
/// # Errors
/// If the proxy's URL is of no use to the client.
pub fn through(
    builder: ClientBuilder,
    proxy: Option<&EgressProxy>,
) -> Result<ClientBuilder, reqwest::Error> {
    let Some(proxy) = proxy else {
        return Ok(builder.no_proxy());
    };
    let mut all = reqwest::Proxy::all(proxy.url.clone())?;
    if let Some(authorization) = &proxy.authorization {
        all = all.custom_http_auth(authorization.clone());
    }
    Ok(builder.proxy(all))
}

/// The longest answer of a proxy, in bytes.
const MAX_ANSWER: usize = 16 << 10;

/// Asks a proxy for tunnels to one server.
pub(super) struct Tunnel {
    /// Host and port of the server.
    pub(super) to: String,
    /// Who asks.
    pub(super) authorization: Option<HeaderValue>,
    /// For the connection, and for the proxy's answer.
    pub(super) patience: Duration,
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tunnel({})", self.to)
    }
}

#[async_trait]
impl L4Connect for Tunnel {
    async fn connect(&self, proxy: &SocketAddr) -> pingora::Result<Stream> {
        let late = |_| Error::explain(ErrorType::ConnectTimedout, "through the egress proxy");
        timeout(self.patience, self.open(proxy))
            .await
            .map_err(late)?
    }
}

impl Tunnel {
    async fn open(&self, proxy: &SocketAddr) -> pingora::Result<Stream> {
        let Some(proxy) = proxy.as_inet() else {
            return Error::e_explain(ErrorType::InternalError, "a proxy without an address");
        };
        let refused = |error: std::io::Error| {
            let kind = ErrorType::new("no connection to the egress proxy");
            Error::because(kind, "while connecting", error)
        };
        let broken = |error: std::io::Error| {
            let kind = ErrorType::new("the egress proxy broke off");
            Error::because(kind, "while asking for a tunnel", error)
        };
        let mut stream = TcpStream::connect(proxy).await.map_err(refused)?;
        stream.write_all(&self.request()).await.map_err(broken)?;
        let mut answer = Vec::new();
        // What follows the answer belongs to the tunnel, so not a byte more may be read.
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() >= MAX_ANSWER {
                let kind = ErrorType::new("the egress proxy answers too much");
                return Error::e_explain(kind, "while asking for a tunnel");
            }
            answer.push(stream.read_u8().await.map_err(broken)?);
        }
        match status(&answer) {
            Some(200..=299) => Ok(stream.into()),
            status => {
                let kind = ErrorType::new("the egress proxy refuses a tunnel");
                let status = status.map_or("no status".to_owned(), |status| status.to_string());
                Error::e_explain(kind, status)
            }
        }
    }

    fn request(&self) -> Vec<u8> {
        let to = &self.to;
        let mut request = format!("CONNECT {to} HTTP/1.1\r\nhost: {to}\r\n").into_bytes();
        if let Some(authorization) = &self.authorization {
            request.extend_from_slice(b"proxy-authorization: ");
            request.extend_from_slice(authorization.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        request
    }
}

/// The status of an answer's head (RFC 9112 section 4).
fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?.strip_prefix("HTTP/1.")?;
    line.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_is_asked_for_with_who_asks_and_tells_nobody_else() {
        let tunnel = Tunnel {
            to: "shop.example:443".to_owned(),
            authorization: Some(HeaderValue::from_static("Basic c2VjcmV0")),
            patience: Duration::from_secs(1),
        };
        let request = String::from_utf8(tunnel.request()).unwrap();
        assert_eq!(
            request,
            "CONNECT shop.example:443 HTTP/1.1\r\nhost: shop.example:443\r\n\
             proxy-authorization: Basic c2VjcmV0\r\n\r\n"
        );
        assert!(!format!("{tunnel:?}").contains("c2VjcmV0"));
    }

    #[test]
    fn only_a_status_line_has_a_status() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\n\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 407\r\n\r\n"), Some(407));
        for wrong in [
            &b"SSH-2.0-x\r\n\r\n"[..],
            b"HTTP/1.1\r\n\r\n",
            b"\xff\r\n\r\n",
        ] {
            assert_eq!(status(wrong), None);
        }
    }
}
