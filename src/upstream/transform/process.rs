//! One worker's process, as seen from pollcast.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::TransformError;
use super::frame::{self, DOCUMENT, FAILURE};
use super::worker;
use crate::config::Transform;

/// How long a worker may take until it is ready: to start and to compile its filter.
const START: Duration = Duration::from_secs(30);

/// How long a worker whose input has ended may take to leave.
const LEAVE: Duration = Duration::from_secs(5);

/// The longest message of a worker, and the byte before a document.
const EXTRA: usize = 4096;

/// A worker that waits for a document.
pub(super) struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    /// The longest answer.
    limit: usize,
}

impl Process {
    /// Starts a worker and waits until it has its filter.
    pub(super) async fn start(transform: &Transform, memory: u64) -> Result<Self, TransformError> {
        let failed = |what: String| TransformError::NoWorker(what);
        let program = program().map_err(|error| failed(error.to_string()))?;
        let mut child = Command::new(program)
            .arg0("pollcast")
            .args(worker::arguments(transform.max_bytes, memory))
            .env_clear()
            // Signals of a terminal are for pollcast.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(format!("no process for it: {error}")))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let mut process = Self {
            child,
            stdin: stdin.expect("invariant: piped"),
            stdout: stdout.expect("invariant: piped"),
            limit: transform.max_bytes + EXTRA,
        };
        let ready = timeout(START, process.exchange(transform.filter.as_bytes()));
        match ready.await {
            Ok(Ok(_)) => Ok(process),
            Ok(Err(error)) => {
                let how = process.end().await;
                Err(failed(format!(
                    "its process ended at the start ({how}; {error})"
                )))
            }
            Err(_) => {
                process.kill().await;
                Err(failed(format!(
                    "its process was not ready within {START:?}"
                )))
            }
        }
    }

    /// What the filter makes of `document`; the error is either the filter's, and the worker is
    /// ready for the next, or its end.
    pub(super) async fn transform(
        mut self,
        document: &Bytes,
        limit: Duration,
    ) -> Result<(Self, Result<Bytes, TransformError>), TransformError> {
        match timeout(limit, self.exchange(document)).await {
            Ok(Ok(answer)) => match answer.first() {
                Some(&DOCUMENT) => Ok((self, Ok(Bytes::from(answer).slice(1..)))),
                Some(&FAILURE) => {
                    let told = String::from_utf8_lossy(&answer[1..]).into_owned();
                    Ok((self, Err(TransformError::Failed(told))))
                }
                _ => Err(TransformError::Ended(self.end().await)),
            },
            Ok(Err(_)) => Err(TransformError::Ended(self.end().await)),
            Err(_) => {
                self.kill().await;
                Err(TransformError::Timeout(limit))
            }
        }
    }

    /// Closes the worker's input, which ends it, and waits until it is gone. Says how it ended.
    pub(super) async fn end(self) -> String {
        let Self {
            mut child, stdin, ..
        } = self;
        drop(stdin);
        let status = match timeout(LEAVE, child.wait()).await {
            Ok(status) => status,
            Err(_) => {
                // It may leave by itself meanwhile.
                let _ = child.start_kill();
                child.wait().await
            }
        };
        status.map_or_else(|error| error.to_string(), |status| status.to_string())
    }

    /// Ends the process amid its work, and waits until it is gone.
    async fn kill(mut self) {
        // It may have left by itself meanwhile.
        let _ = self.child.kill().await;
    }

    async fn exchange(&mut self, text: &[u8]) -> std::io::Result<Vec<u8>> {
        frame::send(&mut self.stdin, text).await?;
        frame::receive(&mut self.stdout, self.limit).await
    }
}

/// This very program, also where another one has taken the place of its file since.
fn program() -> std::io::Result<PathBuf> {
    let running = Path::new("/proc/self/exe");
    match running.exists() {
        true => Ok(running.to_owned()),
        false => std::env::current_exe(),
    }
}
