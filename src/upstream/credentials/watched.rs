//! A secret in a file that may be replaced while pollcast runs.
//!
//! Files are looked at by time, size and inode, which works for links that are turned over, as
//! Kubernetes does with secrets. Promises that a file which cannot be used changes nothing: the last
//! good secret stays, and the log says so once.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use crate::config::Secret;

/// How often a file is looked at, at most.
const LOOK: Duration = Duration::from_secs(1);
/// The longest file, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// What is made of a secret's text; `None` if it is of no use.
type Make<T> = Box<dyn Fn(&str) -> Option<T> + Send + Sync>;

/// What tells one state of a file from another: device, inode, length, time of change.
type Stamp = (u64, u64, u64, i64, i64);

/// What was made of a secret, and where it may be another one.
pub(super) struct Watched<T> {
    /// For the log.
    upstream: String,
    file: Option<PathBuf>,
    make: Make<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    value: T,
    /// Of the file when it was read last.
    stamp: Option<Stamp>,
    looked: Option<Instant>,
    /// Whether the file was told to be of no use since it was of use.
    told: bool,
}

impl<T: Clone + PartialEq + Send + 'static> Watched<T> {
    /// Watches `secret`; `None` if nothing can be made of what it is now.
    pub(super) fn new(
        upstream: &str,
        secret: &Secret,
        make: impl Fn(&str) -> Option<T> + Send + Sync + 'static,
    ) -> Option<Arc<Self>> {
        let value = make(secret.text())?;
        Some(Arc::new(Self {
            upstream: upstream.to_owned(),
            file: secret.file().cloned(),
            make: Box::new(make),
            state: Mutex::new(State {
                value,
                stamp: None,
                looked: None,
                told: false,
            }),
        }))
    }

    /// The secret; its file is looked at if that was a while ago.
    pub(super) async fn current(self: &Arc<Self>) -> T {
        let is_new = self
            .state()
            .looked
            .is_some_and(|looked| looked.elapsed() < LOOK);
        match is_new {
            true => self.state().value.clone(),
            false => self.look(false).await,
        }
    }

    /// The secret after its file was read, whatever it looks like.
    pub(super) async fn reread(self: &Arc<Self>) -> T {
        self.look(true).await
    }

    async fn look(self: &Arc<Self>, read_anyway: bool) -> T {
        if self.file.is_some() {
            self.state().looked = Some(Instant::now());
            let this = Arc::clone(self);
            // It fails only when the process is leaving.
            let _ = tokio::task::spawn_blocking(move || this.look_now(read_anyway)).await;
        }
        self.state().value.clone()
    }

    fn look_now(&self, read_anyway: bool) {
        let Some(path) = &self.file else { return };
        let stamp = fs::metadata(path).ok().map(|file| stamp(&file));
        if stamp == self.state().stamp && stamp.is_some() && !read_anyway {
            return;
        }
        let read = read(path).and_then(|text| {
            let secret = Secret::from_file(&text)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is empty"))?;
            (self.make)(secret).ok_or_else(|| {
                let why = "it holds a character that no header may hold";
                io::Error::new(io::ErrorKind::InvalidData, why)
            })
        });
        let mut state = self.state();
        let file = path.display();
        match read {
            Ok(value) => {
                if state.value != value {
                    info!(upstream = self.upstream, %file, "a new credential is in use");
                }
                state.value = value;
                state.stamp = stamp;
                state.told = false;
            }
            Err(_) if state.told => {}
            Err(cause) => {
                state.told = true;
                warn!(
                    upstream = self.upstream,
                    %file,
                    %cause,
                    "the credential's file is of no use, the last credential stays"
                );
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

fn stamp(file: &fs::Metadata) -> Stamp {
    let (seconds, nanos) = (file.mtime(), file.mtime_nsec());
    (file.dev(), file.ino(), file.len(), seconds, nanos)
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(FILE_LIMIT + 1)
        .read_to_string(&mut text)?;
    match text.len() as u64 > FILE_LIMIT {
        true => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "more than 1 MiB",
        )),
        false => Ok(text),
    }
}
