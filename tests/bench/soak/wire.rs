//! A connection on which one subscription is asked for and read: HTTP/1 byte by byte, or a stream of
//! HTTP/2 by the `h2` crate.

use std::io::{Error, Result};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use socket2::{SockFilter, SockRef};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use crate::stream::Head;

/// The connection, and what is being read from it.
pub enum Wire {
    Http1 {
        stream: TcpStream,
        /// What came together with the head.
        ahead: Bytes,
    },
    Http2 {
        body: h2::RecvStream,
        /// A second handle, for what only the socket can do.
        socket: std::net::TcpStream,
        driver: JoinHandle<()>,
    },
}

/// A connection, by HTTP/1.
pub async fn connect(address: SocketAddr, narrow: bool) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if narrow {
        socket.set_recv_buffer_size(4096)?;
        // On loopback segments have 64 KiB, of which the server's kernel would hold forty.
        SockRef::from(&socket).set_tcp_mss(1400)?;
    }
    socket.connect(address).await
}

impl Wire {
    /// Sends a request as it stands, and reads the answer's head.
    pub async fn ask(address: SocketAddr, narrow: bool, request: &str) -> Result<(Self, Head)> {
        let mut stream = connect(address, narrow).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let ahead = bytes.split_off(end + 4).into();
                let head = Head::parse(&String::from_utf8_lossy(&bytes[..end]));
                let head = head.ok_or_else(|| Error::other("no head"))?;
                return Ok((Wire::Http1 { stream, ahead }, head));
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The same by HTTP/2 with prior knowledge (RFC 9113 section 3.3), on a connection of its own.
    pub async fn ask_h2(
        address: SocketAddr,
        narrow: bool,
        request: Request<()>,
    ) -> Result<(Self, Head)> {
        let stream = connect(address, narrow).await?.into_std()?;
        let socket = stream.try_clone()?;
        let stream = TcpStream::from_std(stream)?;
        let handshake = h2::client::handshake(stream).await;
        let (mut sender, connection) = handshake.map_err(Error::other)?;
        // How it ends is seen on the stream.
        let driver = tokio::spawn(async move { drop(connection.await) });
        let (answer, _) = sender.send_request(request, true).map_err(Error::other)?;
        let (parts, body) = answer.await.map_err(Error::other)?.into_parts();
        let is = |name: &str, wanted: &str| {
            let value = parts.headers.get(name);
            value.is_some_and(|value| value == wanted)
        };
        let head = Head {
            status: parts.status.as_u16(),
            chunked: false,
            gzip: is("content-encoding", "gzip"),
            events: is("content-type", "text/event-stream"),
        };
        let wire = Wire::Http2 {
            body,
            socket,
            driver,
        };
        Ok((wire, head))
    }

    /// What comes next of the body; empty at its end. Cancel-safe.
    pub async fn read(&mut self) -> Result<Bytes> {
        match self {
            Wire::Http1 { ahead, .. } if !ahead.is_empty() => Ok(std::mem::take(ahead)),
            Wire::Http1 { stream, .. } => {
                let mut buffer = Vec::with_capacity(64 * 1024);
                stream.read_buf(&mut buffer).await?;
                Ok(buffer.into())
            }
            Wire::Http2 { body, .. } => {
                while let Some(bytes) = body.data().await {
                    let bytes = bytes.map_err(Error::other)?;
                    let freed = body.flow_control().release_capacity(bytes.len());
                    freed.map_err(Error::other)?;
                    if !bytes.is_empty() {
                        return Ok(bytes);
                    }
                }
                Ok(Bytes::new())
            }
        }
    }

    /// Says what nobody asked for; by HTTP/2 there is no place for that.
    pub async fn chatter(&mut self) {
        if let Wire::Http1 { stream, .. } = self {
            // The server may have had enough of it.
            let _ = stream.write_all(b"GET /again HTTP/1.1\r\n\r\n\0\xff").await;
        }
    }

    /// Says that nothing more will be asked, and goes on reading.
    pub async fn half_close(&mut self) {
        if let Wire::Http1 { stream, .. } = self {
            // It may be over already.
            let _ = stream.shutdown().await;
        }
    }

    /// Breaks the connection, or the stream where there are several on one.
    pub fn break_off(self) {
        match &self {
            Wire::Http1 { stream, .. } => {
                // Nobody is there who could be told that it failed.
                let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
            }
            // Dropping the body resets the stream; the connection follows it when it is idle.
            Wire::Http2 { .. } => {}
        }
    }

    /// Makes the kernel drop whatever arrives, as if the machine were gone, and hands out what keeps
    /// the connection from being closed.
    pub fn vanish(self) -> Result<Box<dyn std::any::Any + Send>> {
        const RETURN: u16 = 0x06;
        let nothing = [SockFilter::new(RETURN, 0, 0, 0)];
        match &self {
            Wire::Http1 { stream, .. } => SockRef::from(stream).attach_filter(&nothing)?,
            Wire::Http2 { socket, driver, .. } => {
                SockRef::from(socket).attach_filter(&nothing)?;
                driver.abort();
            }
        }
        Ok(Box::new(self))
    }
}
