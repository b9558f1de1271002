//! The composition root: from a configuration to a running process, and back to nothing.
//!
//! Owns sockets, the runtime and the order of leaving. Pingora's own `Server` is not used: it
//! retries a busy port for half a minute, sleeps through its grace period even when idle, and
//! drops detached streams unfinished. Its proxy is.
//!
//! | room | what it knows |
//! |---|---|
//! | `running` | a process that serves: what outlives a configuration |
//! | `generation` | what is made of one configuration, and how another takes its place |
//! | `reload` | the configuration read anew, and what is told of it |
//! | `series` | which metrics there are, as the configuration changes |
//! | `listeners` | the sockets of a configuration, and what holds on them |
//! | `handover` | another process takes over, and this one from another |
//! | `leave` | the order of leaving |

mod generation;
mod handover;
mod leave;
mod listeners;
mod reload;
mod running;
mod series;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;

use prometheus::IntCounter;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::auth::GuardError;
use crate::backplane;
use crate::config::Config;
use crate::listen::{self, CertificateError};
use crate::peers::PeersError;
use crate::traces::TracesError;
use crate::upgrade::{Inheritance, LineError, Predecessor, Program, ProgramError};
use crate::upstream::ClientError;
use handover::{Upgrade, Upgrades};
use listeners::Prepared;
use running::Running;

/// A process that holds its listeners but serves nobody yet.
pub struct Server {
    config: Config,
    entrances: Prepared,
    /// Where the configuration was read from, and is read anew.
    file: Option<PathBuf>,
    /// Log lines that were lost.
    lost_lines: Option<IntCounter>,
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
    /// Nobody can be let in.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// Events cannot be kept as the configuration wants it.
    #[error(transparent)]
    Store(#[from] backplane::file::OpenError),
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
        let (predecessor, inheritance) = Predecessor::of_this_process()?.unzip();
        let server = Self::bind_beside(config, &mut inheritance.unwrap_or_default())?;
        Ok(Self {
            program,
            predecessor,
            ..server
        })
    }

    fn bind_beside(config: Config, given: &mut Inheritance) -> Result<Self, StartError> {
        Ok(Self {
            entrances: Prepared::first(&config, given)?,
            config,
            file: None,
            lost_lines: None,
            program: None,
            predecessor: None,
        })
    }

    /// The same, with the file that its configuration was read from.
    pub fn read_from(self, file: Option<PathBuf>) -> Self {
        Self { file, ..self }
    }

    /// The same, which also tells what this counts: log lines that were lost.
    pub fn losing(self, lines: IntCounter) -> Self {
        let lost_lines = Some(lines);
        Self { lost_lines, ..self }
    }

    /// What it will do.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where clients are accepted, as the beginning of a URL: `http://127.0.0.1:8080`.
    pub fn origins(&self) -> impl Iterator<Item = String> {
        self.entrances.origins()
    }

    /// The address of metrics and health.
    pub fn admin_address(&self) -> SocketAddr {
        let address = self.entrances.admin_address();
        address.unwrap_or(self.config.admin.listen)
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

    async fn serve<L, F>(mut self, mut leave: L) -> Result<(), StartError>
    where
        L: FnMut() -> F,
        F: Future<Output = ()>,
    {
        let (wish, mut wishes) = mpsc::channel(1);
        let mut upgrades = Upgrades::listen(self.program.take());
        let predecessor = self.predecessor.take();
        let mut running = Running::start(self, wish, predecessor.as_ref())?;
        // From now on a hangup is no end of the process.
        let mut hangups = signal(SignalKind::hangup()).map_err(StartError::Runtime)?;
        if let Some(predecessor) = predecessor {
            predecessor.serving()?;
        }
        let _watchdog = running.ready()?;
        let mut told = pin!(leave());
        let mut status = pin!(running.keep_told());
        let successor = loop {
            tokio::select! {
                () = &mut told => break None,
                never = &mut status => match never {},
                () = running.listeners.stopped() => return Err(StartError::Listener),
                _ = hangups.recv() => {
                    upgrades.note(&running.reload().await);
                }
                Some(reply) = wishes.recv() => {
                    let outcome = running.reload().await;
                    upgrades.note(&outcome);
                    // Whoever asked may be gone.
                    let _ = reply.send(outcome);
                }
                upgrade = upgrades.next() => match upgrade {
                    Upgrade::Wanted => upgrades.begin(running.listeners.handed()),
                    Upgrade::Ready(successor) => match running.give_way(successor).await {
                        Ok(process) => break Some(process),
                        Err(error) => upgrades.failed(&error),
                    },
                },
            }
        };
        drop(wishes);
        running.leave(successor, leave).await;
        Ok(())
    }
}
