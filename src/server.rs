//! The composition root: from a configuration to a running process, and back to nothing.
//!
//! Owns sockets, the runtime and the order of leaving. Pingora's own `Server` is not used: it
//! retries a busy port for half a minute, sleeps through its grace period even when idle, and
//! drops detached streams unfinished. Its proxy is.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::admin::{self, Admin};
use crate::auth::{Guard, IssuerError};
use crate::backplane::{Backplane, Memory};
use crate::clock::Clock;
use crate::config::{Config, Feed, Listener};
use crate::gateway::{self, Admission, Gateway};
use crate::hub::{self, Hub, Topic};
use crate::listen::{self, CertificateError, Entrance, OpenError, Rate, Rules};
use crate::metrics::Registry;
use crate::peers::{Peers, PeersError};
use crate::traces::{Tracer, TracesError};
use crate::upstream::{self, Client, ClientError, Gates, Poller, Workers};

/// Sent bytes of which nobody acknowledges any for this long break the connection: TCP's user
/// timeout, which also ends a peer that is alive and reads nothing.
const LEAST_SILENCE: Duration = Duration::from_secs(90);
const SILENCE_MARGIN: Duration = Duration::from_secs(30);
/// Requests and event streams on one HTTP/2 connection: browsers open every feed of a page on one.
const HTTP2_STREAMS: u32 = 256;
/// What one HTTP/2 stream may hold unsent, in bytes; a subscriber needs no more, its log does.
const HTTP2_SEND_BUFFER: usize = 16 << 10;
/// What a client may send ahead of whoever reads it, in bytes: on a stream, on a connection.
const HTTP2_STREAM_WINDOW: u32 = 128 << 10;
const HTTP2_CONNECTION_WINDOW: u32 = 256 << 10;

/// A process that holds its listeners but serves nobody yet.
#[derive(Debug)]
pub struct Server {
    config: Config,
    public: Vec<Entrance>,
    admin: Entrance,
    /// Where the configuration was read from, to be told.
    file: Option<PathBuf>,
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
    /// A listener's certificate is of no use; it was when the configuration was checked.
    #[error("cannot listen on {address}")]
    Certificate {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: CertificateError,
    },
    /// The runtime's threads cannot be started.
    #[error("cannot start worker threads")]
    Runtime(#[source] std::io::Error),
    /// An upstream's servers cannot be reached as the configuration wants it.
    #[error(transparent)]
    Peers(#[from] PeersError),
    /// Polls cannot prove who asks.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Tokens cannot be verified.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// Spans cannot be sent.
    #[error(transparent)]
    Traces(#[from] TracesError),
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
            .map(|listener| open(listener, "server.listen"))
            .collect::<Result<_, _>>()?;
        let admin = open(&Listener::plain(config.admin.listen), "admin.listen")?;
        Ok(Self {
            config,
            public,
            admin,
            file: None,
        })
    }

    /// The same, with the file that its configuration was read from.
    pub fn read_from(self, file: Option<PathBuf>) -> Self {
        Self { file, ..self }
    }

    /// What it will do.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where clients are accepted, as the beginning of a URL: `http://127.0.0.1:8080`.
    pub fn origins(&self) -> impl Iterator<Item = String> {
        let origin =
            |entrance: &Entrance| format!("{}://{}", entrance.scheme(), entrance.address());
        self.public.iter().map(origin)
    }

    /// The address of metrics and health.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Serves until `leave` is ready, then ends every stream, finishes what is in flight within
    /// `server.drain`, and returns; a second `leave` cuts that short. Blocks.
    ///
    /// # Errors
    /// [`StartError`] if the runtime or what reaches upstreams cannot be set up.
    pub fn run<L, F>(self, leave: L) -> Result<(), StartError>
    where
        L: FnMut() -> F,
        F: Future<Output = ()>,
    {
        listen::use_all_descriptors();
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
        let listeners = self.origins().collect();
        let Self {
            config,
            public,
            admin,
            file,
        } = self;
        let registry = Registry::with_process();
        let admission = Arc::new(Admission::default());
        let clock = Clock::start();
        let peers = Arc::new(Peers::start(&config, &registry)?);
        let tracer = Tracer::start(config.traces.as_ref())?;
        let gates = Arc::new(Gates::new(clock, &registry));
        let polls = upstream::Metrics::new(&registry);
        let hub = start_polling(&config, &registry, &polls, (&peers, &gates), clock, &tracer)?;
        let metrics = gateway::Metrics::new(&registry);
        metrics.begin(&config);
        let guard = Guard::start(&config.auth, &registry, clock)?;
        let (door, servers) = (Arc::clone(&admission), Arc::clone(&peers));
        let (topics, spans) = (Arc::clone(&hub), tracer.clone());
        let gateway = Gateway::new(
            topics,
            &config,
            metrics,
            (door, Arc::clone(&guard)),
            servers,
            clock,
            spans,
        );
        let draining = watch::Sender::new(false);
        let mut proxy = http_proxy(&Arc::new(ServerConf::default()), gateway);
        proxy.h2_options = Some(http2_options());
        let proxy = Arc::new(proxy);
        let rules = Rules {
            quiet_for: longest_silence(&config),
            header_timeout: config.server.header_timeout,
            rate: None,
            metrics: listen::Metrics::new(&registry),
            leaving: draining.subscribe(),
            unfinished: TaskTracker::new(),
        };
        let accepts = config.server.limits.accepts_per_second;
        let public_rules = Rules {
            rate: accepts.map(|number| Arc::new(Rate::per_second(number))),
            ..rules.clone()
        };
        let admin_app = Admin::new(admin::Sources {
            registry,
            guard,
            hub: Arc::clone(&hub),
            peers,
            gates,
            polls,
            clock,
            listeners,
            config: config.shown().to_owned(),
            file,
            draining: draining.subscribe(),
            unfinished: rules.unfinished.clone(),
        });
        let mut listeners = JoinSet::new();
        for entrance in public {
            let (proxy, rules) = (Arc::clone(&proxy), public_rules.clone());
            listeners.spawn(listen::serve(entrance, proxy, rules));
        }
        let unfinished = rules.unfinished.clone();
        listeners.spawn(listen::serve(admin, admin_app, rules));

        tokio::select! {
            () = leave() => {}
            _ = listeners.join_next() => return Err(StartError::Listener),
        }
        let deadline = Instant::now() + config.server.drain;
        info!(open = admission.open(), drain = ?config.server.drain, "leaving");
        // Listeners stay open, so that newcomers are told when to come back.
        draining.send_replace(true);
        hub.drain();
        if finished(&admission, &unfinished, deadline, &mut leave).await {
            flush(tracer, deadline, &mut leave).await;
        }
        Ok(())
    }
}

/// Waits for all that is open to be finished, until the deadline. False if told to leave meanwhile.
async fn finished<F: Future<Output = ()>>(
    admission: &Admission,
    unfinished: &TaskTracker,
    deadline: Instant,
    leave: &mut impl FnMut() -> F,
) -> bool {
    let finished = async {
        admission.finished().await;
        // What was written to an HTTP/2 stream is sent by its connection's own task.
        unfinished.close();
        unfinished.wait().await;
    };
    tokio::select! {
        () = finished => {}
        () = sleep_until(deadline) => warn!(open = admission.open(), "drain time is over"),
        () = leave() => {
            warn!(open = admission.open(), "told twice to leave");
            return false;
        }
    }
    true
}

/// Sends the spans that are left; what cannot be sent by the deadline is not.
async fn flush<F: Future<Output = ()>>(
    tracer: Tracer,
    deadline: Instant,
    leave: &mut impl FnMut() -> F,
) {
    let patience = deadline.saturating_duration_since(Instant::now());
    let finished = tokio::task::spawn_blocking(move || tracer.finish(patience));
    tokio::select! {
        _ = timeout_at(deadline, finished) => {}
        () = leave() => warn!("told twice to leave"),
    }
}

/// Bounds for one connection. Pingora's and `h2`'s own stay where they are: the size of a head,
/// streams that were reset but not noticed yet, answers to them.
fn http2_options() -> H2Options {
    let mut options = default_h2_options();
    options
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_send_buffer_size(HTTP2_SEND_BUFFER)
        .initial_window_size(HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW);
    options
}

fn open(listener: &Listener, key: &'static str) -> Result<Entrance, StartError> {
    let address = listener.address;
    Entrance::open(listener).map_err(|error| match error {
        OpenError::Certificate(source) => StartError::Certificate { address, source },
        OpenError::Bind(source) => StartError::Listen {
            address,
            key,
            hint: match source.kind() {
                std::io::ErrorKind::AddrInUse => "stop what listens there, or choose another port",
                std::io::ErrorKind::PermissionDenied => {
                    "choose a port above 1023, or grant the right"
                }
                std::io::ErrorKind::AddrNotAvailable => "this machine has no such address",
                _ => "see the cause",
            },
            source,
        },
    })
}

/// Makes the topics that stand for ever, and starts a poller for each topic there is or will be,
/// which asks through its upstream's gate.
fn start_polling(
    config: &Config,
    registry: &Registry,
    polls: &upstream::Metrics,
    (peers, gates): (&Peers, &Gates),
    clock: Clock,
    tracer: &Tracer,
) -> Result<Arc<Hub>, StartError> {
    let workers = Workers::default();
    let mut clients = HashMap::new();
    for upstream in &config.upstreams {
        let client = Client::new(
            upstream,
            Arc::clone(peers.of(&upstream.name)),
            tracer.clone(),
        )?;
        clients.insert(upstream.name.clone(), (client, gates.of(upstream)));
    }
    let clients = Arc::new(clients);
    let backplane: Arc<dyn Backplane> = Arc::new(Memory);
    let metrics = polls.clone();
    let (hub, announced) = Hub::new(config, &hub::Metrics::new(registry), clock);
    let make = move |topic: &Arc<Topic>| {
        let feed = topic.feed();
        let metrics = metrics.feed(&feed.path);
        let (client, gate) = clients[&feed.upstream.name].clone();
        let (topic, backplane) = (topic.clone(), backplane.clone());
        Poller::new(topic, client, gate, &workers, backplane, clock, metrics)
    };
    for topic in hub.standing() {
        let (make, watched) = (make.clone(), topic.clone());
        let make = move || make(&watched);
        tokio::spawn(upstream::supervise(topic.clone(), clock, make));
    }
    let demanded = upstream::supervise_demanded(hub.clone(), announced, clock, make);
    tokio::spawn(demanded);
    Ok(hub)
}

/// How long a peer may acknowledge nothing: longer than any writer of ours waits for it, so that
/// the writer decides.
fn longest_silence(config: &Config) -> Duration {
    let patience = |feed: &Arc<Feed>| feed.deliver.write_timeout;
    let longest = config.feeds.iter().map(patience).max().unwrap_or_default();
    LEAST_SILENCE.max(longest + SILENCE_MARGIN)
}
