//! Certificates, and what is negotiated with them.
//!
//! Files are looked at every second by time, size and inode: that works on every file system and
//! for links that are turned over, as Kubernetes does with secrets. A change counts once two looks
//! agree on it, so that a file is not read half written, nor a certificate without its key.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::ssl::{AlpnError, SslAcceptor, select_next_proto};
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::metrics;
use crate::config::{KeyPair, PemError, Tls};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The longest PEM file, in bytes.
const FILE_LIMIT: u64 = 1 << 20;
/// ALPN's names, the preferred first (RFC 7301 section 3.1, RFC 9113 section 3.1).
const HTTP2_OR_1: &[u8] = b"\x02h2\x08http/1.1";
const HTTP1: &[u8] = b"\x08http/1.1";

/// A certificate with its key, as last read from their files.
#[derive(Debug)]
pub struct Certificates {
    files: Tls,
    is_http2: bool,
    /// What the files were before they were read first.
    first: Stamp,
    current: RwLock<Current>,
}

#[derive(Clone)]
struct Current {
    acceptor: SslAcceptor,
    expiry: i64,
    /// Why clients refuse it as things stand.
    out_of_date: Option<String>,
}

/// Why a pair of files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// One of them cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// They hold no certificate with its key.
    #[error("{} and {}: {source}", files.certificate.display(), files.key.display())]
    Pem {
        /// The files.
        files: Tls,
        /// What is wrong.
        source: PemError,
    },
    /// OpenSSL cannot serve with them, or tell when they end to be valid.
    #[error("{}: no TLS with this certificate", files.certificate.display())]
    OpenSsl {
        /// The files.
        files: Tls,
        /// What OpenSSL said.
        source: ErrorStack,
    },
}

/// What tells one state of the files from another.
type Stamp = [Option<(u64, u64, u64, i64, i64)>; 2];

impl Certificates {
    /// Reads the pair; `is_http2` offers HTTP/2 beside HTTP/1.1.
    ///
    /// # Errors
    /// [`CertificateError`] if it is of no use.
    pub fn load(files: Tls, is_http2: bool) -> Result<Arc<Self>, CertificateError> {
        let first = stamp(&files);
        let current = RwLock::new(read(&files, is_http2)?);
        Ok(Arc::new(Self {
            files,
            is_http2,
            first,
            current,
        }))
    }

    /// What new connections are accepted with.
    pub(super) fn acceptor(&self) -> SslAcceptor {
        self.current().acceptor
    }

    /// Looks after the files for ever: a new pair is taken, one that is of no use is told once and
    /// the old one stays.
    pub(super) async fn keep_fresh(self: Arc<Self>, counters: metrics::Certificate) {
        counters.expiry.set(self.current().expiry);
        let mut used = self.first;
        let mut seen = used;
        loop {
            sleep(LOOK).await;
            let now = self.look().await;
            let is_settled = std::mem::replace(&mut seen, now) == now;
            if !is_settled || now == used {
                continue;
            }
            used = now;
            let (files, is_http2) = (self.files.clone(), self.is_http2);
            let read = tokio::task::spawn_blocking(move || read(&files, is_http2)).await;
            let certificate = self.files.certificate.display();
            match read {
                Ok(Ok(fresh)) => {
                    counters.expiry.set(fresh.expiry);
                    counters.taken.inc();
                    match &fresh.out_of_date {
                        None => info!(%certificate, "a new certificate is in use"),
                        Some(why) => {
                            warn!(%certificate, why, "a new certificate is in use, but clients refuse it");
                        }
                    }
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
                }
                Ok(Err(cause)) => {
                    counters.refused.inc();
                    let cause = chain(&cause);
                    error!(%certificate, cause, "the new certificate is of no use, the old one stays");
                }
                // The process is leaving.
                Err(_) => return,
            }
        }
    }

    fn current(&self) -> Current {
        let current = self.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn look(&self) -> Stamp {
        let files = self.files.clone();
        let look = tokio::task::spawn_blocking(move || stamp(&files));
        look.await.unwrap_or_default()
    }
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Current")
            .field("expiry", &self.expiry)
            .finish_non_exhaustive()
    }
}

fn stamp(files: &Tls) -> Stamp {
    [&files.certificate, &files.key].map(|path| {
        let data = fs::metadata(path).ok()?;
        let times = (data.mtime(), data.mtime_nsec());
        Some((data.dev(), data.ino(), data.size(), times.0, times.1))
    })
}

/// An error and what caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !told.ends_with(&said) {
            told = format!("{told}: {said}");
        }
        cause = error.source();
    }
    told
}

fn read(files: &Tls, is_http2: bool) -> Result<Current, CertificateError> {
    let certificates = bytes(&files.certificate)?;
    let key = bytes(&files.key)?;
    let pair = KeyPair::from_pem(&certificates, &key).map_err(|source| CertificateError::Pem {
        files: files.clone(),
        source,
    })?;
    let failed = |source| CertificateError::OpenSsl {
        files: files.clone(),
        source,
    };
    Ok(Current {
        acceptor: acceptor(&pair, is_http2).map_err(failed)?,
        expiry: seconds(pair.certificate.not_after()).map_err(failed)?,
        out_of_date: pair.out_of_date(),
    })
}

fn bytes(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(FILE_LIMIT).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|source| CertificateError::Read {
        path: path.to_owned(),
        source,
    })
}

fn acceptor(pair: &KeyPair, is_http2: bool) -> Result<SslAcceptor, ErrorStack> {
    let mut builder = pair.acceptor()?;
    let spoken = if is_http2 { HTTP2_OR_1 } else { HTTP1 };
    builder.set_alpn_select_callback(move |_, offered| {
        // Whoever offers nothing that is spoken here may still mean HTTP/1.1.
        select_next_proto(spoken, offered).ok_or(AlpnError::NOACK)
    });
    Ok(builder.build())
}

/// Seconds since 1970.
fn seconds(time: &Asn1TimeRef) -> Result<i64, ErrorStack> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let left = Asn1Time::from_unix(now)?.diff(time)?;
    Ok(now + i64::from(left.days) * 24 * 60 * 60 + i64::from(left.secs))
}
