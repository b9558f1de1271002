//! Another process takes over from this one, and this one from another: what each does for it, and
//! what becomes of it if that fails.

use std::error::Error;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{error, info, warn};

use super::StartError;
use crate::admin::Reloaded;
use crate::backplane::{self, Handed};
use crate::config::Config;
use crate::core::id::Epoch;
use crate::hub::{Hub, Topic};
use crate::metrics::Registry;
use crate::upgrade::{self, Predecessor, Program, Successor, UpgradeError};

/// The signals that ask for another process, and what became of the one that was started.
pub(super) struct Upgrades {
    program: Option<(Signal, Program)>,
    attempt: Option<JoinHandle<Result<Successor, UpgradeError>>>,
    /// Whether another configuration is in force than when the attempt began.
    is_outdated: bool,
}

/// What is to be done.
pub(super) enum Upgrade {
    /// [`Upgrades::begin`].
    Wanted,
    /// This process is ready to take over.
    Ready(Successor),
}

impl Upgrades {
    /// Listens for SIGUSR2 from now on; for nothing if there is no program to be started.
    pub(super) fn listen(program: Option<Program>) -> Self {
        let listen = |program| match signal(SignalKind::user_defined2()) {
            Ok(signals) => Some((signals, program)),
            Err(error) => {
                warn!(%error, "cannot listen for SIGUSR2; this process cannot be replaced while it runs");
                None
            }
        };
        Self {
            program: program.and_then(listen),
            attempt: None,
            is_outdated: false,
        }
    }

    /// A reload ended so. A process that is being started may have read the file before it did: then
    /// it does not take over, and another one is started.
    pub(super) fn note(&mut self, outcome: &Reloaded) {
        self.is_outdated |= matches!(outcome, Reloaded::Reloaded { .. });
    }

    /// What is to be done next. Loses nothing when it is not awaited to the end.
    pub(super) async fn next(&mut self) -> Upgrade {
        loop {
            let Some((signals, _)) = &mut self.program else {
                return std::future::pending().await;
            };
            let Some(attempt) = &mut self.attempt else {
                signals.recv().await;
                // Where everything ends with the first process, as in a container, nobody takes over.
                if std::process::id() == 1 {
                    warn!(
                        "told to be replaced, but everything here ends with this process; start another container instead"
                    );
                    continue;
                }
                return Upgrade::Wanted;
            };
            tokio::select! {
                outcome = attempt => {
                    self.attempt = None;
                    match outcome.unwrap_or_else(|failure| Err(UpgradeError::Start(failure.into()))) {
                        Ok(successor) if self.is_outdated => {
                            info!("the configuration was read anew meanwhile; starting again");
                            // What it listens on is to be had again before the next one asks for it.
                            drop(successor);
                            return Upgrade::Wanted;
                        }
                        Ok(successor) => return Upgrade::Ready(successor),
                        Err(error) => self.failed(&error),
                    }
                }
                _ = signals.recv() => {
                    warn!("told again to be replaced while another process is being started; ignored");
                }
            }
        }
    }

    /// Starts another process, which gets these listeners.
    pub(super) fn begin(&mut self, listeners: io::Result<Vec<upgrade::Handed>>) {
        let Some((_, program)) = &self.program else {
            return;
        };
        info!(program = %program.path().display(), "starting another process in this one's place");
        let program = program.clone();
        self.is_outdated = false;
        self.attempt = Some(spawn_blocking(move || {
            let listeners = listeners.map_err(UpgradeError::Start)?;
            Successor::start(&program, &listeners)
        }));
    }

    /// Says that this process goes on.
    pub(super) fn failed(&self, error: &UpgradeError) {
        let program = self
            .program
            .as_ref()
            .map(|(_, program)| program.path().display());
        let program = program.map(tracing::field::display);
        let cause = error.source().map(ToString::to_string);
        error!(program, %error, cause, "no other process took over; this one goes on");
    }
}

/// Opens the store, or takes the logs that the process before hands over, as soon as that one lets
/// go; then ids may be given. Everything else that may fail must be done.
///
/// # Errors
/// [`StartError`]; the process before goes on then.
pub(super) fn open(
    config: &Config,
    registry: &Registry,
    predecessor: Option<&Predecessor>,
) -> Result<backplane::Running, StartError> {
    let logs = match predecessor {
        Some(predecessor) => predecessor.take()?,
        None => None,
    };
    let handed = match logs.map(Handed::read) {
        Some(Ok(handed)) => handed,
        Some(Err(error)) => {
            warn!(%error, "the logs that were handed over cannot be read; subscribers begin anew");
            Handed::nothing()
        }
        None => Handed::nothing(),
    };
    let kept = backplane::start(config, registry, handed)?;
    if let Some(predecessor) = predecessor {
        predecessor.opened()?;
    }
    Ok(kept)
}

/// Gives the store and the logs to a process that is ready to take over; its id once it serves. If
/// that fails, ids are given here again: under other epochs where that process may have given some.
///
/// # Errors
/// [`UpgradeError`] if that failed.
pub(super) async fn give(
    mut successor: Successor,
    kept: &backplane::Running,
    hub: &Hub,
) -> Result<u32, UpgradeError> {
    let process = successor.id();
    kept.backplane.close().await;
    let topics: Vec<_> = hub
        .feeds()
        .into_iter()
        .flat_map(|(_, topics)| topics)
        .collect();
    let (secret, handed) = (kept.recall.secret(), topics.clone());
    let gave = blocking(move || {
        let logs = Handed::write(secret, &handed).map_err(UpgradeError::Start)?;
        successor.give(Some(logs.as_fd()))?;
        Ok(successor)
    });
    let outcome = match gave.await {
        Ok(successor) => {
            let served = blocking(move || successor.let_go()).await;
            if served.is_err() {
                begin_other_epochs(&topics);
            }
            served
        }
        Err(error) => Err(error),
    };
    if outcome.is_err()
        && let Err(error) = kept.backplane.reopen().await
    {
        error!(%error, "the store cannot be opened again; events are kept in memory only until it can");
    }
    outcome.map(|()| process)
}

/// Who knows an id that another process gave finds that it is not of these.
fn begin_other_epochs(topics: &[Arc<Topic>]) {
    for topic in topics {
        topic.go_on_in(Epoch::from_random(rand::random()));
    }
}

/// Where waiting holds up nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, UpgradeError> + Send + 'static,
) -> Result<T, UpgradeError> {
    match spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(failure) => Err(UpgradeError::Start(failure.into())),
    }
}
