//! Where an issuer's keys come from, again and again.
//!
//! Promises that keys which cannot be fetched or read leave the last good ones in use, for a time that
//! the configuration bounds; that whoever brings unknown keys causes no more requests than that
//! allows; and that streams end which were let in by a key that is gone.

use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use headers::{CacheControl, HeaderMapExt};
use reqwest::redirect;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::keys::{Keys, NoKeys};
use crate::auth::Proof;
use crate::auth::metrics::Metrics;
use crate::auth::open::Open;
use crate::config::{Endpoint, Issuer, KeySource, Refresh, Secret};
use crate::peers::{root_cause, through};

/// How often a file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long an issuer may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a request waits for keys.
const WAIT: Duration = Duration::from_secs(5);
/// The longest JWK set or file, in bytes.
const MAX_BYTES: usize = 256 << 10;

/// The keys of one issuer, as they are now.
#[derive(Debug)]
pub struct Shelf {
    issuer: Arc<Issuer>,
    keys: ArcSwapOption<Keys>,
    /// How often they were looked for.
    rounds: watch::Sender<u64>,
    /// Somebody wants others than there are.
    wanted: Notify,
    /// Whether nobody is asked for now.
    rests: AtomicBool,
    open: Arc<Open>,
    metrics: Metrics,
}

/// Why there are no new keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRead {
    /// No connection, or one that broke.
    #[error("{0}")]
    Connection(String),
    /// No answer in time.
    #[error("no answer within {PATIENCE:?}")]
    Late,
    /// Another status than 200.
    #[error("it answered {0}")]
    Status(u16),
    /// Too much.
    #[error("it is longer than 256 KiB")]
    TooLong,
    /// The file cannot be read.
    #[error("{0}")]
    File(String),
    /// What is there is of no use.
    #[error(transparent)]
    Keys(#[from] NoKeys),
}

impl Shelf {
    /// No keys yet.
    pub fn new(issuer: Arc<Issuer>, open: Arc<Open>, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            issuer,
            keys: ArcSwapOption::empty(),
            rounds: watch::Sender::new(0),
            wanted: Notify::new(),
            rests: AtomicBool::new(false),
            open,
            metrics,
        })
    }

    /// The keys, if there are any.
    pub fn keys(&self) -> Option<Arc<Keys>> {
        self.keys.load_full()
    }

    /// Waits, if need be, until keys were looked for once.
    pub async fn first_keys(&self) -> Option<Arc<Keys>> {
        let mut rounds = self.rounds.subscribe();
        // Time that is over leaves what there is.
        let _ = timeout(WAIT, rounds.wait_for(|rounds| *rounds > 0)).await;
        match self.keys() {
            None => self.other_keys().await,
            keys => keys,
        }
    }

    /// Has others looked for, if that is possible now, and gives what there is then.
    pub async fn other_keys(&self) -> Option<Arc<Keys>> {
        if matches!(self.issuer.keys, KeySource::Url(_)) {
            let mut rounds = self.rounds.subscribe();
            rounds.mark_unchanged();
            self.wanted.notify_one();
            if !self.rests.load(Ordering::Acquire) {
                let _ = timeout(WAIT, rounds.changed()).await;
            }
        }
        self.keys()
    }

    /// Takes these keys, or notes that there are none to take.
    fn put(&self, read: Result<Keys, NotRead>, last: &mut Option<NotRead>) {
        let issuer = &self.issuer.name;
        match read {
            Ok(keys) => {
                self.metrics.refreshed(issuer, Some(keys.len()));
                if last.take().is_some() {
                    info!(issuer, "there are keys of this issuer again");
                }
                let keys = Arc::new(keys);
                self.keys.store(Some(Arc::clone(&keys)));
                self.open.review(|grant| {
                    grant.proofs().iter().all(|proof| match proof {
                        Proof::Token {
                            issuer: of, token, ..
                        } if of == issuer => keys.has(&token.key),
                        _ => true,
                    })
                });
            }
            Err(reason) => {
                self.metrics.refreshed(issuer, None);
                if last.as_ref() != Some(&reason) {
                    let has_keys = self.keys().is_some();
                    warn!(issuer, %reason, has_keys, "no new keys of this issuer");
                    *last = Some(reason);
                }
            }
        }
    }

    fn took_a_round(&self) {
        self.rounds.send_modify(|rounds| *rounds += 1);
    }

    /// Fetches keys for ever.
    pub async fn keep_fetching(self: Arc<Self>, url: Endpoint, http: reqwest::Client) {
        let Refresh {
            every,
            at_most_every,
            keep,
        } = self.issuer.refresh.clone();
        let (mut last, mut failures, mut good) = (None, 0, Instant::now());
        loop {
            let fetched = timeout(PATIENCE, fetch(&http, &url))
                .await
                .unwrap_or(Err(NotRead::Late));
            let read = fetched
                .and_then(|(text, age)| Ok((Keys::of_set(&text, &self.issuer.algorithms)?, age)));
            let pause = match &read {
                Ok((_, age)) => {
                    (failures, good) = (0, Instant::now());
                    // Before it is over.
                    age.map_or(every, |age| age.mul_f64(0.8).min(every))
                }
                Err(_) => {
                    failures = (failures + 1).min(16);
                    at_most_every.saturating_mul(1 << failures).min(every)
                }
            };
            self.put(read.map(|(keys, _)| keys), &mut last);
            if good.elapsed() > keep && self.keys.swap(None).is_some() {
                let issuer = &self.issuer.name;
                warn!(
                    issuer,
                    ?keep,
                    "the keys of this issuer are too old to be used (refresh.keep)"
                );
                self.metrics.held(issuer, 0);
            }
            self.rests.store(true, Ordering::Release);
            self.took_a_round();
            sleep(at_most_every).await;
            self.rests.store(false, Ordering::Release);
            // A moment for those who come at the end of the pause.
            let rest = pause.saturating_sub(at_most_every);
            let _ = timeout(rest, self.wanted.notified()).await;
        }
    }

    /// Reads keys anew whenever their file changes, for ever.
    pub async fn keep_reading(self: Arc<Self>, path: PathBuf) {
        let (mut last, mut known) = (None, stamp(&path));
        loop {
            sleep(LOOK).await;
            let now = stamp(&path);
            if now == known {
                continue;
            }
            known = now;
            let read = read(&path).and_then(|text| self.understand(&text));
            self.put(read, &mut last);
        }
    }

    /// Reads the keys for the first time, if they are in the file system or in the configuration.
    /// Nobody is sent away yet: whether these are in force is not known.
    ///
    /// # Errors
    /// Why there are none.
    pub fn begin(&self) -> Result<(), NotRead> {
        let text = match &self.issuer.keys {
            KeySource::Url(_) => return Ok(()),
            KeySource::Secret(secret) => secret.text().as_bytes().to_vec(),
            KeySource::Jwks(path) | KeySource::Pem(path) => read(path)?,
        };
        let keys = self.understand(&text)?;
        self.metrics.refreshed(&self.issuer.name, Some(keys.len()));
        self.keys.store(Some(Arc::new(keys)));
        self.took_a_round();
        Ok(())
    }

    fn understand(&self, text: &[u8]) -> Result<Keys, NotRead> {
        let algorithms = &self.issuer.algorithms;
        let keys = match &self.issuer.keys {
            KeySource::Pem(_) => Keys::of_pem(text, algorithms),
            KeySource::Secret(_) => {
                let text = std::str::from_utf8(text).ok().and_then(Secret::from_file);
                Keys::of_secret(text.unwrap_or_default().as_bytes(), algorithms)
            }
            KeySource::Url(_) | KeySource::Jwks(_) => Keys::of_set(text, algorithms),
        };
        keys.map_err(NotRead::Keys)
    }
}

/// The client that keys are fetched with: no redirects, the system's trust.
///
/// # Errors
/// If TLS cannot be set up.
pub fn client() -> Result<reqwest::Client, reqwest::Error> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("pollcast/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none());
    through(builder, None)?.build()
}

/// A JWK set, and for how long it is fresh.
async fn fetch(
    http: &reqwest::Client,
    url: &Endpoint,
) -> Result<(Vec<u8>, Option<Duration>), NotRead> {
    let broken = |error: reqwest::Error| NotRead::Connection(root_cause(&error));
    let request = http
        .get(url::Url::clone(url))
        .header("accept", "application/json");
    let mut answer = request.send().await.map_err(broken)?;
    if answer.status() != 200 {
        return Err(NotRead::Status(answer.status().as_u16()));
    }
    let age = answer.headers().typed_get::<CacheControl>();
    let mut text = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(broken)? {
        if text.len() + chunk.len() > MAX_BYTES {
            return Err(NotRead::TooLong);
        }
        text.extend_from_slice(&chunk);
    }
    Ok((text, age.and_then(|control| control.max_age())))
}

/// What tells one state of a file from another.
fn stamp(path: &Path) -> Option<(u64, u64, u64, i64, i64)> {
    let file = std::fs::metadata(path).ok()?;
    Some((
        file.dev(),
        file.ino(),
        file.len(),
        file.mtime(),
        file.mtime_nsec(),
    ))
}

fn read(path: &Path) -> Result<Vec<u8>, NotRead> {
    let mut text = Vec::new();
    let told = |error: io::Error| NotRead::File(error.to_string());
    let file = std::fs::File::open(path).map_err(told)?;
    let most = MAX_BYTES as u64;
    file.take(most + 1).read_to_end(&mut text).map_err(told)?;
    match text.len() > MAX_BYTES {
        true => Err(NotRead::TooLong),
        false => Ok(text),
    }
}
