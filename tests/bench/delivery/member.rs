//! One connection of the load, with the subscribers on it.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::LazyLock;
use std::time::Duration;

use mio::net::TcpStream;
use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use openssl::ssl::{Ssl, SslContext, SslMethod, SslStream, SslVerifyMode};
use socket2::{Domain, Protocol, Socket, Type};

use crate::crowd::{Subscription, Tally, Transport};
use crate::event::MARK;
use crate::http1::Response;
use crate::http2::Streams;
use crate::process::now;

/// Connections that share a source address.
const EACH_ADDRESS: usize = 2_000;

pub struct Member {
    link: Link,
    talk: Talk,
    /// What is to be sent.
    unsent: Vec<u8>,
    /// When it began to connect, until its first byte comes.
    began: Option<u64>,
}

enum Link {
    Plain(TcpStream),
    Tls(Box<SslStream<TcpStream>>),
}

enum Talk {
    One(Response),
    Many(Box<Streams>),
}

impl Member {
    /// Begins to connect.
    ///
    /// # Errors
    /// The socket's.
    pub fn connect(index: usize, subscription: &Subscription, began: u64) -> io::Result<Self> {
        let stream = connect(index, subscription.to)?;
        let Subscription {
            greeting,
            after,
            transport,
            ..
        } = *subscription;
        let link = match transport {
            Transport::Tls => Link::Tls(Box::new(secure(stream)?)),
            _ => Link::Plain(stream),
        };
        let mut unsent = Vec::new();
        let talk = match transport {
            Transport::Http2(streams) => {
                let mut streams = Streams::new(streams, greeting, after);
                streams.ask("bench", &subscription.path);
                Talk::Many(Box::new(streams))
            }
            _ => {
                unsent.extend_from_slice(request(subscription).as_bytes());
                Talk::One(Response::new(greeting, after, transport == Transport::Gzip))
            }
        };
        Ok(Self {
            link,
            talk,
            unsent,
            began: Some(began),
        })
    }

    pub fn stream(&mut self) -> &mut TcpStream {
        match &mut self.link {
            Link::Plain(stream) => stream,
            Link::Tls(stream) => stream.get_mut(),
        }
    }

    /// How many of its subscribers have begun to get the stream.
    pub fn ready(&self) -> usize {
        match &self.talk {
            Talk::One(response) => usize::from(response.is_ready()),
            Talk::Many(streams) => streams.ready(),
        }
    }

    /// How many of its subscribers have not got this event as their newest.
    pub fn behind(&self, number: u32) -> usize {
        let is_behind = |last: &Option<u32>| *last != Some(number);
        match &self.talk {
            Talk::One(response) => usize::from(is_behind(&response.last())),
            Talk::Many(streams) => streams.last().filter(is_behind).count(),
        }
    }

    /// Sends what is to be sent, and reads what there is.
    ///
    /// # Errors
    /// When the connection ends, or brings what it must not.
    pub fn serve(&mut self, buffer: &mut [u8], tally: &mut Tally) -> Result<(), String> {
        self.send()?;
        loop {
            let kept = match &mut self.talk {
                Talk::One(_) => 0,
                Talk::Many(streams) => streams.restore(buffer, MARK),
            };
            let from = MARK + kept;
            let read = match self.link.read(&mut buffer[from..]) {
                Ok(0) => return Err("the connection ended".to_owned()),
                Ok(read) => read,
                Err(failure) if is_not_yet(&failure) => 0,
                Err(failure) => return Err(format!("reading: {failure}")),
            };
            tally.now = now();
            tally.bytes += read as u64;
            if read > 0
                && let Some(began) = self.began.take()
            {
                tally.first_bytes.push((began, tally.now));
            }
            let to = from + read;
            match &mut self.talk {
                Talk::One(response) => response.take(buffer, from, to, tally)?,
                Talk::Many(streams) => {
                    streams.take(buffer, MARK, to, tally)?;
                    self.unsent.append(&mut streams.answer);
                }
            }
            self.send()?;
            // A short read has emptied a plain socket, and epoll tells of more.
            let is_short = to < buffer.len() && matches!(self.link, Link::Plain(_));
            if read == 0 || is_short {
                return Ok(());
            }
        }
    }

    fn send(&mut self) -> Result<(), String> {
        while !self.unsent.is_empty() {
            match self.link.write(&self.unsent) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(failure) if is_not_yet(&failure) => break,
                Err(failure) => return Err(format!("sending: {failure}")),
            }
        }
        if self.unsent.is_empty() {
            self.unsent = Vec::new();
        }
        Ok(())
    }
}

impl Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }
}

/// A connection from one of several addresses, as each has ports for about 28,000.
fn connect(index: usize, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(
        Domain::IPV4,
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    // The port is chosen when the other end is known: it may be in use towards others.
    setsockopt(&socket, IpBindAddressNoPort, &true).map_err(io::Error::from)?;
    // What is closed is closed at once, and leaves no port waiting.
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_tcp_nodelay(true)?;
    let host = 2 + u8::try_from(index / EACH_ADDRESS).map_err(io::Error::other)?;
    let source = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)), 0);
    socket.bind(&source.into())?;
    match socket.connect(&to.into()) {
        Err(failure) if failure.raw_os_error() == Some(nix::libc::EINPROGRESS) => {}
        other => other?,
    }
    Ok(TcpStream::from_std(socket.into()))
}

/// TLS without a look at the certificate.
fn secure(stream: TcpStream) -> io::Result<SslStream<TcpStream>> {
    static CONTEXT: LazyLock<SslContext> = LazyLock::new(|| {
        let context = SslContext::builder(SslMethod::tls_client());
        let mut context = context.expect("openssl makes clients");
        context.set_verify(SslVerifyMode::NONE);
        context.build()
    });
    let mut ssl = Ssl::new(&CONTEXT)?;
    // The handshake takes place within the first reads and writes.
    ssl.set_connect_state();
    Ok(SslStream::new(ssl, stream)?)
}

fn request(subscription: &Subscription) -> String {
    let coding = match subscription.transport {
        Transport::Gzip => "accept-encoding: gzip\r\n",
        _ => "",
    };
    format!(
        "GET {} HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\n{coding}{}\r\n",
        subscription.path, subscription.headers
    )
}

fn is_not_yet(failure: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, NotConnected, WouldBlock};
    matches!(failure.kind(), WouldBlock | NotConnected | Interrupted)
}
