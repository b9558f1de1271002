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
//! | `leave` | the order of leaving |

mod generation;
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

use crate::config::Config;
use crate::listen::{self, CertificateError};
use crate::peers::PeersError;
use crate::traces::TracesError;
use crate::upstream::ClientError;
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
        Ok(Self {
            entrances: Prepared::first(&config)?,
            config,
            file: None,
            lost_lines: None,
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

    async fn serve<L, F>(self, mut leave: L) -> Result<(), StartError>
    where
        L: FnMut() -> F,
        F: Future<Output = ()>,
    {
        let (wish, mut wishes) = mpsc::channel(1);
        let mut running = Running::start(self, wish)?;
        // From now on a hangup is no end of the process.
        let mut hangups = signal(SignalKind::hangup()).map_err(StartError::Runtime)?;
        let mut told = pin!(leave());
        loop {
            tokio::select! {
                () = &mut told => break,
                () = running.listeners.stopped() => return Err(StartError::Listener),
                _ = hangups.recv() => {
                    running.reload().await;
                }
                Some(reply) = wishes.recv() => {
                    // Whoever asked may be gone.
                    let _ = reply.send(running.reload().await);
                }
            }
        }
        drop(wishes);
        running.leave(leave).await;
        Ok(())
    }
}
