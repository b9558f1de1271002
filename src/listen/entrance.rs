//! One listening socket, and how clients are spoken to there.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use super::tls::{CertificateError, Certificates};
use crate::config::Listener;

/// A socket that clients can connect to already, though nobody accepts them yet.
#[derive(Debug)]
pub struct Entrance {
    pub(super) address: SocketAddr,
    pub(super) socket: TcpListener,
    pub(super) tls: Option<Arc<Certificates>>,
    pub(super) is_http2: bool,
    pub(super) is_behind_proxy: bool,
}

/// Why there is no such socket.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is not to be had.
    #[error(transparent)]
    Bind(#[from] io::Error),
    /// The certificate or its key is of no use any more.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

impl Entrance {
    /// Takes hold of the address, and reads the certificate; port 0 picks a free one.
    ///
    /// # Errors
    /// [`OpenError`] if one of them is not to be had.
    pub fn open(listener: &Listener) -> Result<Self, OpenError> {
        let tls = listener.tls.clone();
        let tls = tls.map(|files| Certificates::load(files, listener.http2));
        let tls = tls.transpose()?;
        let socket = TcpListener::bind(listener.address)?;
        let entrance = Self::at(socket)?;
        Ok(Self {
            tls,
            is_http2: listener.http2,
            is_behind_proxy: listener.proxy_protocol,
            ..entrance
        })
    }

    /// An entrance for HTTP/1.1 on plain TCP, at a socket that is listened at already.
    ///
    /// # Errors
    /// If the socket cannot be used without blocking.
    pub fn at(socket: TcpListener) -> io::Result<Self> {
        // The runtime takes sockets as they are.
        socket.set_nonblocking(true)?;
        Ok(Self {
            address: socket.local_addr()?,
            socket,
            tls: None,
            is_http2: false,
            is_behind_proxy: false,
        })
    }

    /// Where it is, with the port that was picked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How its URLs begin: `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        match self.tls {
            Some(_) => "https",
            None => "http",
        }
    }
}
