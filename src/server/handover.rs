//! Another process takes over: what this one does for it, and what becomes of it if that fails.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use crate::backplane::Backplane;
use crate::upgrade::{Handed, Program, Successor, UpgradeError};

/// What is handed over.
pub(super) struct Handover {
    /// The listening sockets.
    pub(super) listeners: Vec<Handed>,
    /// Who gives ids, and keeps the logs.
    pub(super) backplane: Arc<dyn Backplane>,
}

/// The signals that ask for it.
pub(super) struct Upgrades(Option<(Signal, Program)>);

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
        Self(program.and_then(listen))
    }

    /// Ready once another process serves in this one's place: its id. Whenever that fails, this one
    /// goes on as before.
    pub(super) async fn replaced(&mut self, handover: &Handover) -> u32 {
        let Some((signals, program)) = &mut self.0 else {
            return std::future::pending().await;
        };
        loop {
            signals.recv().await;
            // Where everything ends with the first process, as in a container, nobody takes over.
            if std::process::id() == 1 {
                warn!(
                    "told to be replaced, but everything here ends with this process; start another container instead"
                );
                continue;
            }
            info!(program = %program.path().display(), "starting another process in this one's place");
            let mut attempt = std::pin::pin!(replace(program, handover));
            let outcome = loop {
                tokio::select! {
                    outcome = &mut attempt => break outcome,
                    _ = signals.recv() => warn!("told again to be replaced while another process is being started; ignored"),
                }
            };
            match outcome {
                Ok(process) => return process,
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    let cause = error.source().map(ToString::to_string);
                    error!(program = %program.path().display(), %error, cause, "no other process took over; this one goes on");
                }
            }
        }
    }
}

async fn replace(program: &Program, handover: &Handover) -> Result<u32, UpgradeError> {
    let mut listeners = Vec::new();
    for Handed {
        role,
        wanted,
        socket,
    } in &handover.listeners
    {
        let socket = socket.try_clone().map_err(UpgradeError::Start)?;
        listeners.push(Handed {
            role: *role,
            wanted: *wanted,
            socket,
        });
    }
    let program = program.clone();
    let mut successor = blocking(move || Successor::start(&program, &listeners)).await?;
    let process = successor.id();
    handover.backplane.close().await;
    let served = blocking(move || {
        successor.give(None)?;
        successor.let_go()
    });
    if let Err(error) = served.await {
        handover.backplane.reopen().await;
        return Err(error);
    }
    Ok(process)
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
