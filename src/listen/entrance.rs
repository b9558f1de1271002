//! One listening socket, and how clients are spoken to there.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use socket2::{Domain, SockRef, Socket, Type};

use super::tls::{CertificateError, Certificates};
use super::{Rules, Terms, tune};
use crate::config::Listener;

/// A socket that clients can connect to already, though nobody accepts them yet.
#[derive(Debug)]
pub struct Entrance {
    address: SocketAddr,
    socket: TcpListener,
    manner: Manner,
}

/// How clients are spoken to at one entrance.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    pub(super) tls: Option<Arc<Certificates>>,
    pub(super) is_http2: bool,
    pub(super) is_behind_proxy: bool,
}

impl Manner {
    /// Reads the certificate, if there is one.
    ///
    /// # Errors
    /// [`CertificateError`] if it is of no use any more.
    pub fn of(listener: &Listener) -> Result<Self, CertificateError> {
        let tls = listener.tls.clone();
        let tls = tls.map(|files| Certificates::load(files, listener.http2));
        Ok(Self {
            tls: tls.transpose()?,
            is_http2: listener.http2,
            is_behind_proxy: listener.proxy_protocol,
        })
    }

    /// How URLs begin: `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        match self.tls {
            Some(_) => "https",
            None => "http",
        }
    }
}

/// Connections that may wait to be accepted, as far as the system allows (`net.core.somaxconn`).
/// With the standard library's 128 a crowd that comes at once waits for retransmissions, a second
/// and more each.
const BACKLOG: i32 = 65_535;

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
        let manner = Manner::of(listener)?;
        let entrance = Self::at(listen(listener.address)?)?;
        Ok(Self { manner, ..entrance })
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
            manner: Manner::default(),
        })
    }

    /// Where it is, with the port that was picked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How its URLs begin: `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        self.manner.scheme()
    }

    /// The socket, ready to be accepted from, and the terms on which that is done. To be called
    /// inside a runtime.
    pub(super) fn open_up(self, rules: Rules) -> io::Result<(tokio::net::TcpListener, Arc<Terms>)> {
        tune(&SockRef::from(&self.socket), rules.quiet_for)?;
        let listener = tokio::net::TcpListener::from_std(self.socket)?;
        Ok((listener, Terms::new(self.address, self.manner, rules)))
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // An address that another process has just left is free.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
