//! The transport that Pingora is given: a TCP socket, and what was read ahead of it.
//!
//! Pingora's own stream holds digests and timings that cost every open event stream memory; here
//! they are made when they are asked for. Writes are not buffered: whoever writes gathers.

use std::io::{IoSlice, Result};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use pingora::http::ResponseHeader;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use super::connection::Connection;

/// How a client begins that speaks HTTP/2 by prior knowledge (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A client's socket.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    connection: Arc<Connection>,
    /// Read already, and to be read again.
    ahead: Vec<u8>,
    /// Whether it began with the preface of HTTP/2.
    is_http2: bool,
}

impl Socket {
    /// A socket that begins with the bytes `ahead`.
    pub(super) fn new(stream: TcpStream, connection: Arc<Connection>, ahead: Vec<u8>) -> Self {
        Self {
            stream,
            connection,
            ahead,
            is_http2: false,
        }
    }

    /// Finds out whether the client speaks HTTP/2 by prior knowledge. Waits for no more bytes than
    /// it takes to tell.
    ///
    /// # Errors
    /// If the socket breaks or ends before that.
    pub(super) async fn recognise(&mut self) -> Result<()> {
        let mut begun = Vec::with_capacity(PREFACE.len());
        while begun.len() < PREFACE.len() && PREFACE.starts_with(&begun) {
            let left = (PREFACE.len() - begun.len()) as u64;
            if (&mut *self).take(left).read_buf(&mut begun).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.is_http2 = begun == PREFACE;
        begun.append(&mut self.ahead);
        self.ahead = begun;
        Ok(())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(&self.ahead[..length]);
        self.ahead.drain(..length);
        if self.ahead.is_empty() {
            self.ahead = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl Socket {
    fn noted<T>(&self, wrote: Poll<T>) -> Poll<T> {
        self.connection.note_blocked(wrote.is_pending());
        wrote
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.noted(wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.noted(wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[async_trait]
impl Shutdown for Socket {
    async fn shutdown(&mut self) {
        // Whoever is gone needs no end.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for Socket {
    fn id(&self) -> UniqueIDType {
        self.stream.as_raw_fd()
    }
}

impl Ssl for Socket {
    /// Pingora looks here for the protocol. Without TLS the preface has told it.
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.is_http2.then_some(ALPN::H2)
    }
}

impl GetTimingDigest for Socket {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Socket {
    /// Not of a proxy, but the place where a request finds its connection.
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        let head = Box::new(ResponseHeader::build(200, Some(0)).ok()?);
        let connection = Box::new(Arc::clone(&self.connection));
        Some(Arc::new(ProxyDigest::new(head, Some(connection))))
    }
}

impl GetSocketDigest for Socket {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        let digest = SocketDigest::from_raw_fd(self.stream.as_raw_fd());
        let peer: SocketAddr = self.connection.peer();
        // Nobody else has it yet.
        let _ = digest.peer_addr.set(Some(peer.into()));
        Some(Arc::new(digest))
    }
}

impl Peek for Socket {}
