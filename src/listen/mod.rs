//! The listeners: from a socket that clients knock at to a connection that Pingora may serve.
//!
//! Owns accepting, TLS, and how long a connection may stay without a request. Promises that a
//! client which is slow, silent or hostile before its first request costs one socket for a bounded
//! time, and that a process without file descriptors serves whom it has and accepts again later.
//! Must never look into a request: that is the application's.
//!
//! | room | what it knows |
//! |---|---|
//! | `entrance` | one listening socket, and how it is spoken to |
//! | `accepting` | an entrance in use, whose terms may change |
//! | `connection` | one connection: who, and whether anything is under way on it |
//! | `socket` | the transport that Pingora is given |
//! | `proxy_protocol` | what a load balancer tells of the client |
//! | `tls` | certificates, and what is negotiated with them |
//! | `rate` | how many are accepted in a second |
//! | `shortage` | when the system has no room for another |
//! | `metrics` | what is counted |

mod accepting;
mod connection;
mod entrance;
mod metrics;
mod proxy_protocol;
mod rate;
mod shortage;
mod socket;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::ServerApp;
use pingora::protocols::tls::server::handshake;
use pingora::protocols::{ALPN, Stream};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

pub use accepting::Accepting;
pub use connection::{Connection, Request};
pub use entrance::{Entrance, Manner, OpenError};
pub use metrics::Metrics;
use metrics::{Counters, Refused};
use proxy_protocol::Told;
pub use rate::Rate;
use shortage::Shortage;
pub use shortage::use_all_descriptors;
use socket::Socket;
pub use tls::{CertificateError, Certificates};

/// A dead peer is noticed after this much silence and three unanswered probes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;
/// How long a connection may be without a request between two: nginx's 75 seconds.
pub const KEEPALIVE: Duration = Duration::from_secs(75);
/// How long an HTTP/2 connection that was told to go may take for it, once nothing is under way.
const FAREWELL: Duration = Duration::from_secs(1);

/// What holds at every entrance.
#[derive(Clone, Debug)]
pub struct Rules {
    /// A peer that acknowledges nothing of what it was sent for so long is cut off.
    pub quiet_for: Duration,
    /// From accepting to the end of the first request head.
    pub header_timeout: Duration,
    /// How fast connections are accepted; without, as fast as they come.
    pub rate: Option<Arc<Rate>>,
    /// What is counted.
    pub metrics: Metrics,
    /// Turns true when HTTP/2 clients are to be told to go elsewhere.
    pub leaving: watch::Receiver<bool>,
    /// Counts the connections that must be finished before the process leaves.
    pub unfinished: TaskTracker,
}

/// Accepts and serves for ever, without a look at the files of a certificate.
///
/// # Errors
/// If the runtime does not take the socket.
pub async fn serve<A>(entrance: Entrance, app: Arc<A>, rules: Rules) -> io::Result<()>
where
    A: ServerApp + Send + Sync + 'static,
{
    let (listener, terms) = entrance.open_up(rules)?;
    accept(listener, app, watch::Sender::new(terms).subscribe()).await;
    Ok(())
}

/// How clients are spoken to at an entrance, and what holds there. Each connection keeps the terms
/// on which it was accepted.
struct Terms {
    manner: Manner,
    rules: Rules,
    counters: Counters,
}

impl Terms {
    fn new(address: SocketAddr, manner: Manner, rules: Rules) -> Arc<Self> {
        Arc::new(Self {
            counters: rules.metrics.at(address),
            manner,
            rules,
        })
    }
}

/// Accepts for ever, on the terms of the moment.
async fn accept<A>(listener: TcpListener, app: Arc<A>, mut terms: watch::Receiver<Arc<Terms>>)
where
    A: ServerApp + Send + Sync + 'static,
{
    let mut reception = Reception::new(&app, &mut terms);
    let mut shortage = Shortage::at(reception.terms.counters.address());
    let mut may_change = true;
    loop {
        if let Some(rate) = &reception.terms.rules.rate {
            rate.admit().await;
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            changed = terms.changed(), if may_change => {
                may_change = changed.is_ok();
                reception = Reception::new(&app, &mut terms);
                if let Err(error) = tune(&SockRef::from(&listener), reception.terms.rules.quiet_for) {
                    warn!(%error, "a listener's socket cannot be set up anew");
                }
                continue;
            }
        };
        match accepted {
            Ok((stream, peer)) => {
                shortage.accepted();
                reception.terms.counters.accepted.inc();
                tokio::spawn(Arc::clone(&reception).receive(stream, peer));
            }
            Err(error) => {
                reception.terms.counters.failed(shortage::reason(&error));
                if shortage::is_lasting(&error) {
                    sleep(shortage.failed(&error)).await;
                }
            }
        }
    }
}

/// What every connection of one entrance needs.
struct Reception<A> {
    app: Arc<A>,
    terms: Arc<Terms>,
}

impl<A: ServerApp + Send + Sync + 'static> Reception<A> {
    fn new(app: &Arc<A>, terms: &mut watch::Receiver<Arc<Terms>>) -> Arc<Self> {
        Arc::new(Self {
            app: Arc::clone(app),
            terms: Arc::clone(&terms.borrow_and_update()),
        })
    }

    /// Serves one connection from its first byte to its last.
    async fn receive(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let deadline = Instant::now() + self.terms.rules.header_timeout;
        let prepared = timeout_at(deadline, self.prepare(stream, peer)).await;
        let (stream, connection) = match prepared.unwrap_or(Err(Refused::HeaderTimeout)) {
            Ok(prepared) => prepared,
            Err(why) => {
                self.terms.counters.refused(why);
                return;
            }
        };
        match stream.selected_alpn_proto() {
            Some(ALPN::H2) => self.serve_http2(stream, &connection, deadline).await,
            _ => self.serve_http1(stream, &connection, deadline).await,
        }
        if !connection.was_asked() {
            let why = match Instant::now() < deadline {
                true => Refused::Left,
                false => Refused::HeaderTimeout,
            };
            self.terms.counters.refused(why);
        }
    }

    /// Everything that comes before HTTP.
    async fn prepare(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
    ) -> Result<(Stream, Arc<Connection>), Refused> {
        let mut told = Told::default();
        if self.terms.manner.is_behind_proxy {
            let header = proxy_protocol::read(&mut stream).await;
            told = header.ok_or_else(|| {
                debug!(%peer, "a connection does not begin with a PROXY protocol header");
                Refused::ProxyHeader
            })?;
        }
        let connection = Connection::new(told.client.unwrap_or(peer));
        let mut socket = Socket::new(stream, Arc::clone(&connection), told.rest);
        let stream: Stream = match &self.terms.manner.tls {
            Some(certificates) => {
                let secured = handshake(&certificates.acceptor(), socket).await;
                Box::new(secured.map_err(|error| {
                    debug!(%peer, %error, "a TLS handshake failed");
                    Refused::Handshake
                })?)
            }
            None => {
                if self.terms.manner.is_http2 {
                    socket.recognise().await.map_err(|_| Refused::Left)?;
                }
                Box::new(socket)
            }
        };
        Ok((stream, connection))
    }

    async fn serve_http1(&self, stream: Stream, connection: &Connection, deadline: Instant) {
        tokio::select! {
            () = self.process(stream, &self.terms.rules.leaving) => {}
            () = connection.overdue(deadline, KEEPALIVE) => {}
        }
    }

    /// An HTTP/2 client is told before its connection is closed (RFC 9113 section 6.8), so that it
    /// knows which requests were not served.
    async fn serve_http2(&self, stream: Stream, connection: &Connection, deadline: Instant) {
        let _unfinished = self.terms.rules.unfinished.token();
        let (go, told) = watch::channel(false);
        let mut leaving = self.terms.rules.leaving.clone();
        let farewell = async {
            tokio::select! {
                _ = leaving.wait_for(|is_leaving| *is_leaving) => {}
                () = connection.overdue(deadline, KEEPALIVE) => {}
            }
            go.send_replace(true);
            connection.finished(FAREWELL).await;
        };
        tokio::select! {
            () = self.process(stream, &told) => {}
            () = farewell => {}
        }
    }

    async fn process(&self, stream: Stream, leaving: &watch::Receiver<bool>) {
        let mut stream = Some(stream);
        while let Some(reused) = stream {
            stream = self.app.process_new(reused, leaving).await;
        }
    }
}

/// What every connection's socket is set to: Linux has accepted sockets inherit it, which saves
/// five system calls for each.
fn tune(socket: &SockRef<'_>, quiet_for: Duration) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(quiet_for))?;
    socket.set_tcp_nodelay(true)
}
