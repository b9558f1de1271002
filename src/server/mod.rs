//! The composition root: from a configuration to a running process, and back to nothing.
//!
//! Owns sockets, the runtime and the order of leaving. Pingora's own `Server` is not used: it
//! retries a busy port for half a minute, sleeps through its grace period even when idle, and
//! drops detached streams unfinished. Its proxy is.
//!
//! | room | what it knows |
//! |---|---|
//! | `generation` | what is made of one configuration |
//! | `listeners` | the sockets of a configuration, and what holds on them |
//! | `leave` | the order of leaving |

mod generation;
mod leave;
mod listeners;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::info;

use crate::admin::{self, Admin};
use crate::auth::{Guard, GuardError};
use crate::clock::Clock;
use crate::config::{Config, Listener};
use crate::gateway::{self, Admission, Gateway};
use crate::listen::{self, CertificateError, Entrance, Rate, Rules};
use crate::metrics::Registry;
use crate::peers::{Peers, PeersError};
use crate::traces::{Tracer, TracesError};
use crate::upstream::{self, ClientError, Gates};
use generation::start_polling;
use listeners::{http2_options, longest_silence, open};

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
    /// Nobody can be let in.
    #[error(transparent)]
    Guard(#[from] GuardError),
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
        let guard = Guard::start((&config.auth, &peers), &registry, clock)?;
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
            rules: config.admin.clone(),
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
        if leave::finished(&admission, &unfinished, deadline, &mut leave).await {
            leave::flush(tracer, deadline, &mut leave).await;
        }
        Ok(())
    }
}
