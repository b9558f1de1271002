//! The composition root: from a configuration to a running process, and back to nothing.
//!
//! Owns sockets, the runtime and the order of leaving. Pingora's own `Server` is not used: it
//! retries a busy port for half a minute, sleeps through its grace period even when idle, and
//! drops detached streams unfinished. Its listeners and its proxy are.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::ServerApp;
use pingora::listeners::{ListenerConfig, TcpSocketOptions};
use pingora::protocols::TcpKeepalive;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use pingora::server::{Fds, ListenFds};
use pingora::services::Service as _;
use pingora::services::listening::Service;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::admin::Admin;
use crate::backplane::{Backplane, Memory};
use crate::clock::Clock;
use crate::config::{Config, Feed};
use crate::core::id::Epoch;
use crate::gateway::{self, Admission, Gateway};
use crate::hub::{self, Hub, Topic};
use crate::metrics::Registry;
use crate::upstream::{self, Client, ClientError, Poller};

/// What an idle connection needs; Pingora's default of 64 KiB each way is for other work.
const READ_BUFFER: usize = 512;
/// A dead peer is noticed after this much silence and three unanswered probes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: usize = 3;
/// Sent bytes of which nobody acknowledges any for this long break the connection: TCP's user
/// timeout, which also ends a peer that is alive and reads nothing.
pub(crate) const LEAST_SILENCE: Duration = Duration::from_secs(90);
const SILENCE_MARGIN: Duration = Duration::from_secs(30);

/// A process that holds its listeners but serves nobody yet.
#[derive(Debug)]
pub struct Server {
    config: Config,
    public: Vec<(SocketAddr, TcpListener)>,
    admin: (SocketAddr, TcpListener),
}

/// Why a process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener's address is not to be had.
    #[error("cannot listen on {address} ({key}): {hint}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Where the configuration says so.
        key: &'static str,
        /// What to do.
        hint: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The runtime's threads cannot be started.
    #[error("cannot start worker threads")]
    Runtime(#[source] std::io::Error),
    /// Polling cannot be set up.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A listener stopped by itself, which it never should.
    #[error("a listener stopped by itself; the log may say why")]
    Listener,
}

impl Server {
    /// Takes hold of every address that the configuration names; port 0 picks a free one.
    ///
    /// # Errors
    /// [`StartError::Listen`] for the first address that is not to be had.
    pub fn bind(config: Config) -> Result<Self, StartError> {
        let public = config
            .server
            .listen
            .iter()
            .map(|&address| listen(address, "server.listen"))
            .collect::<Result<_, _>>()?;
        let admin = listen(config.admin.listen, "admin.listen")?;
        Ok(Self {
            config,
            public,
            admin,
        })
    }

    /// What it will do.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The addresses on which clients are accepted.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.public.iter().map(|(address, _)| *address)
    }

    /// The address of metrics and health.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.0
    }

    /// Serves until `leave` is ready, then ends every stream, finishes what is in flight within
    /// `server.drain`, and returns; a second `leave` cuts that short. Blocks.
    ///
    /// # Errors
    /// [`StartError`] if the runtime or the polling client cannot be set up.
    pub fn run<L, F>(self, leave: L) -> Result<(), StartError>
    where
        L: FnMut() -> F,
        F: Future<Output = ()>,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(self.config.server.threads)
            .thread_name("pollcast")
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        let outcome = runtime.block_on(self.serve(leave));
        // Listeners and pollers hold nothing that must be saved.
        runtime.shutdown_background();
        outcome
    }

    async fn serve<L, F>(self, mut leave: L) -> Result<(), StartError>
    where
        L: FnMut() -> F,
        F: Future<Output = ()>,
    {
        let Self {
            config,
            public,
            admin,
        } = self;
        let registry = Registry::with_process();
        let admission = Arc::new(Admission::default());
        let hub = start_polling(&config, &registry)?;
        let metrics = gateway::Metrics::new(&registry);
        let gateway = Gateway::new(Arc::clone(&hub), &config, metrics, Arc::clone(&admission));
        let conf = Arc::new(ServerConf::default());
        let draining = watch::Sender::new(false);
        let admin_app = Admin::new(registry, Arc::clone(&hub), draining.subscribe());
        let quiet_for = longest_silence(&config);
        let mut listeners = JoinSet::new();
        listeners.spawn(serve_on(
            "gateway",
            http_proxy(&conf, gateway),
            public,
            quiet_for,
        ));
        listeners.spawn(serve_on("admin", admin_app, vec![admin], quiet_for));

        tokio::select! {
            () = leave() => {}
            _ = listeners.join_next() => return Err(StartError::Listener),
        }
        let drain = config.server.drain;
        let open = admission.open();
        info!(open, ?drain, "leaving");
        // Listeners stay open, so that newcomers are told when to come back.
        draining.send_replace(true);
        hub.drain();
        tokio::select! {
            () = admission.finished() => {}
            () = tokio::time::sleep(drain) => warn!(open = admission.open(), "drain time is over"),
            () = leave() => warn!(open = admission.open(), "told twice to leave"),
        }
        Ok(())
    }
}

fn listen(address: SocketAddr, key: &'static str) -> Result<(SocketAddr, TcpListener), StartError> {
    let bind = || {
        let listener = TcpListener::bind(address)?;
        // Pingora hands the socket to the runtime as it is.
        listener.set_nonblocking(true)?;
        Ok((listener.local_addr()?, listener))
    };
    bind().map_err(|source: std::io::Error| StartError::Listen {
        address,
        key,
        hint: match source.kind() {
            std::io::ErrorKind::AddrInUse => "stop what listens there, or choose another port",
            std::io::ErrorKind::PermissionDenied => "choose a port above 1023, or grant the right",
            std::io::ErrorKind::AddrNotAvailable => "this machine has no such address",
            _ => "see the cause",
        },
        source,
    })
}

/// Makes every feed's topic and starts its poller.
fn start_polling(config: &Config, registry: &Registry) -> Result<Arc<Hub>, StartError> {
    let clock = Clock::start();
    let client = Client::new()?;
    let backplane: Arc<dyn Backplane> = Arc::new(Memory);
    let topic_metrics = hub::Metrics::new(registry);
    let poll_metrics = upstream::Metrics::new(registry);
    let topics = config.feeds.iter().map(|feed| {
        let epoch = Epoch::from_random(rand::random());
        let metrics = topic_metrics.feed(&feed.path);
        let topic = Topic::new(Arc::clone(feed), epoch, metrics, clock.now());
        let metrics = poll_metrics.clone();
        let (watched, client, backplane) = (topic.clone(), client.clone(), backplane.clone());
        let make = move || {
            let metrics = metrics.feed(&watched.feed().path);
            let (topic, client) = (watched.clone(), client.clone());
            Poller::new(topic, client, backplane.clone(), clock, metrics)
        };
        tokio::spawn(upstream::supervise(topic.clone(), clock, make));
        topic
    });
    Ok(Arc::new(Hub::new(topics)))
}

/// Serves `app` on sockets that are already bound. A peer that acknowledges nothing of what it was
/// sent for `quiet_for` is cut off.
pub(crate) async fn serve_on<A>(
    name: &str,
    app: A,
    sockets: Vec<(SocketAddr, TcpListener)>,
    quiet_for: Duration,
) where
    A: ServerApp + Send + Sync + 'static,
{
    let mut service = Service::new(name.to_owned(), app);
    let mut fds = Fds::new();
    for (address, listener) in sockets {
        let address = address.to_string();
        fds.add(address.clone(), listener.into_raw_fd());
        let config = ListenerConfig::tcp(address)
            .l4_buffer(L4BufferSettings::new(READ_BUFFER, 0))
            .tcp_socket_options(socket_options(quiet_for));
        service.add_listener(config);
    }
    let fds = ListenFds::new(fds.into());
    // Not the signal to drain: accepting goes on for as long as this is awaited.
    let (_never, shutdown) = watch::channel(false);
    service.start_service(Some(fds), shutdown, 1).await;
}

/// How long a peer may acknowledge nothing: longer than any writer of ours waits for it, so that
/// the writer decides.
fn longest_silence(config: &Config) -> Duration {
    let patience = |feed: &Arc<Feed>| feed.deliver.write_timeout;
    let longest = config.feeds.iter().map(patience).max().unwrap_or_default();
    LEAST_SILENCE.max(longest + SILENCE_MARGIN)
}

fn socket_options(quiet_for: Duration) -> TcpSocketOptions {
    let mut options = TcpSocketOptions::default();
    options.tcp_keepalive = Some(TcpKeepalive {
        idle: KEEPALIVE_IDLE,
        interval: KEEPALIVE_INTERVAL,
        count: KEEPALIVE_PROBES,
        user_timeout: quiet_for,
    });
    options
}
