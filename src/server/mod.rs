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
//! | `handover` | another process takes over |
//! | `leave` | the order of leaving |

mod generation;
mod handover;
mod leave;
mod listeners;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::info;

use crate::admin::{self, Admin};
use crate::backplane::{Backplane, Held, Memory};
use crate::clock::Clock;
use crate::config::{Config, Listener};
use crate::gateway::{self, Admission, Gateway};
use crate::listen::{self, CertificateError, Entrance, Rate, Rules};
use crate::metrics::Registry;
use crate::peers::{Peers, PeersError};
use crate::systemd::{self, Sign, Systemd};
use crate::traces::{Tracer, TracesError};
use crate::upgrade::{Handed, Inheritance, LineError, Predecessor, Program, ProgramError, Role};
use crate::upstream::{self, ClientError, Gates};
use generation::start_polling;
use handover::{Handover, Upgrades};
use listeners::{http2_options, longest_silence};

/// How often the service manager is told how much is under way, at most.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// A process that holds its listeners but serves nobody yet.
#[derive(Debug)]
pub struct Server {
    config: Config,
    public: Vec<Entrance>,
    admin: Entrance,
    /// Where the configuration was read from, to be told.
    file: Option<PathBuf>,
    /// How another process is started in this one's place.
    program: Option<Program>,
    /// The process that this one takes over from.
    predecessor: Option<Predecessor>,
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
    /// Spans cannot be sent.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// The process that this one was to take over from did not do its part.
    #[error("cannot take over from the process that started this one")]
    Predecessor(#[from] LineError),
    /// Nobody could ever take over from this one.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The beat by which the service manager is told that this process is alive has no thread.
    #[error("cannot start the watchdog's thread")]
    Watchdog(#[source] std::io::Error),
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
        Self::bind_beside(config, &mut Inheritance::default())
    }

    /// The same for a process that another can take over from, on SIGUSR2, and that may itself have
    /// been started to take over from another, whose listeners it then has. To be called once.
    ///
    /// # Errors
    /// Those of [`Self::bind`], and [`StartError::Predecessor`].
    pub fn bind_replaceable(config: Config) -> Result<Self, StartError> {
        let program = Some(Program::of_this_process()?);
        let (predecessor, mut inheritance) = Predecessor::of_this_process()?.unzip();
        let mut inheritance = inheritance.take().unwrap_or_default();
        let server = Self::bind_beside(config, &mut inheritance)?;
        Ok(Self {
            program,
            predecessor,
            ..server
        })
    }

    fn bind_beside(config: Config, inherited: &mut Inheritance) -> Result<Self, StartError> {
        let mut open = |listener: &Listener, key, role| {
            let socket = inherited.take(role, listener.address);
            listeners::open(listener, key, socket)
        };
        let public = config
            .server
            .listen
            .iter()
            .map(|listener| open(listener, "server.listen", Role::Public))
            .collect::<Result<_, _>>()?;
        let admin = Listener::plain(config.admin.listen);
        let admin = open(&admin, "admin.listen", Role::Admin)?;
        Ok(Self {
            config,
            public,
            admin,
            file: None,
            program: None,
            predecessor: None,
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

    /// Another hold of every listening socket, for a process that takes over.
    fn held(&self) -> Vec<Handed> {
        let public = self.public.iter().map(|entrance| (Role::Public, entrance));
        let all = public.chain([(Role::Admin, &self.admin)]);
        let hand = |(role, entrance): (Role, &Entrance)| {
            let (wanted, socket) = entrance.copy().ok()?;
            let socket = socket.into();
            Some(Handed {
                role,
                wanted,
                socket,
            })
        };
        all.filter_map(hand).collect()
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
        let held = self.held();
        let Self {
            config,
            public,
            admin,
            file,
            program,
            predecessor,
        } = self;
        let systemd = Systemd::of_this_process();
        let registry = Registry::with_process();
        let admission = Arc::new(Admission::default());
        let clock = Clock::start();
        let peers = Arc::new(Peers::start(&config, &registry)?);
        let tracer = Tracer::start(config.traces.as_ref())?;
        let gates = Arc::new(Gates::new(clock, &registry));
        let polls = upstream::Metrics::new(&registry);
        let backplane: Arc<dyn Backplane> = Arc::new(Held::new(Arc::new(Memory)));
        if let Some(predecessor) = &predecessor {
            predecessor.take()?;
            predecessor.opened()?;
        }
        let hub = start_polling(
            &config,
            &registry,
            &polls,
            (&peers, &gates),
            clock,
            &tracer,
            Arc::clone(&backplane),
        )?;
        let metrics = gateway::Metrics::new(&registry);
        metrics.begin(&config);
        let (door, servers) = (Arc::clone(&admission), Arc::clone(&peers));
        let (topics, spans) = (Arc::clone(&hub), tracer.clone());
        let gateway = Gateway::new(topics, &config, metrics, door, servers, clock, spans);
        let pulse = gateway.pulse();
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
            newcomers: TaskTracker::new(),
        };
        let accepts = config.server.limits.accepts_per_second;
        let public_rules = Rules {
            rate: accepts.map(|number| Arc::new(Rate::per_second(number))),
            ..rules.clone()
        };
        let admin_app = Admin::new(admin::Sources {
            registry,
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
        let (unfinished, newcomers) = (rules.unfinished.clone(), rules.newcomers.clone());
        listeners.spawn(listen::serve(admin, admin_app, rules));

        let mut upgrades = Upgrades::listen(program);
        if let Some(predecessor) = predecessor {
            predecessor.serving()?;
        }
        let feeds = config.feeds.len();
        let status = |doing: &str| format!("{doing}; feeds: {feeds}, open: {}", admission.open());
        systemd.ready(&status("serving"));
        let writers = move || pulse().into_iter().map(Sign::At).collect();
        let _watchdog = systemd::watch(&systemd, writers).map_err(StartError::Watchdog)?;
        let handover = Handover {
            listeners: held,
            backplane,
        };
        let successor = tokio::select! {
            () = leave() => None,
            successor = upgrades.replaced(&handover) => Some(successor),
            _ = listeners.join_next() => return Err(StartError::Listener),
            never = systemd.keep_told(STATUS_EVERY, || status("serving")) => match never {},
        };
        let deadline = Instant::now() + config.server.drain;
        match successor {
            Some(process) => {
                systemd.succeeded_by(process);
                // What was not accepted yet is the other's.
                drop(handover);
                listeners.shutdown().await;
                info!(
                    process,
                    "another process serves from now on; this one finishes what it has begun"
                );
                if !leave::newcomers(&newcomers, deadline, &mut leave).await {
                    return Ok(());
                }
            }
            None => systemd.stopping(&status("leaving"), config.server.drain),
        }
        info!(open = admission.open(), drain = ?config.server.drain, "leaving");
        // Listeners stay open, so that newcomers are told when to come back.
        draining.send_replace(true);
        hub.drain(config.server.drain / 2);
        if leave::finished(&admission, &unfinished, deadline, &mut leave).await {
            leave::flush(tracer, deadline, &mut leave).await;
        }
        Ok(())
    }
}
