//! Whom to trust and what to show, as last read from the files that the configuration names.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openssl::error::ErrorStack;
use openssl::x509::X509;
use pingora::protocols::tls::CaType;
use pingora::utils::tls::CertKey;

use crate::config::{KeyPair, PemError, UpstreamTls};

/// The longest PEM file, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// What TLS to the servers of one upstream is made with.
#[derive(Clone, Default)]
pub(super) struct Material {
    /// Who vouches for the servers; whom the system trusts without.
    pub(super) authorities: Option<Authorities>,
    /// What pollcast shows of itself.
    pub(super) identity: Option<Identity>,
}

/// The same certificates for both kinds of client.
#[derive(Clone)]
pub(super) struct Authorities {
    pub(super) of_polls: Vec<reqwest::Certificate>,
    pub(super) of_peers: Arc<CaType>,
}

/// The same certificate and key for both kinds of client.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) of_polls: reqwest::Identity,
    pub(super) of_peers: Arc<CertKey>,
}

/// Why the files are of no use. Tells nothing of a key.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// One of them cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It does not hold what it should.
    #[error("{}: {source}", path.display())]
    Pem {
        /// Which one.
        path: PathBuf,
        /// What is wrong.
        source: PemError,
    },
    /// It does hold it, but a client cannot be made with it.
    #[error("{}: no TLS with it ({reason})", path.display())]
    Unfit {
        /// Which one.
        path: PathBuf,
        /// What the library said.
        reason: String,
    },
}

/// What tells one state of the files from another.
pub(super) type Stamp = [Option<(u64, u64, u64, i64, i64)>; 3];

impl Material {
    /// Reads the files. Blocks.
    ///
    /// # Errors
    /// [`MaterialError`] for the first that is of no use.
    pub(super) fn read(files: &UpstreamTls) -> Result<Self, MaterialError> {
        Ok(Self {
            authorities: files.ca.as_deref().map(authorities).transpose()?,
            identity: match &files.identity {
                Some(pair) => Some(identity(&pair.certificate, &pair.key)?),
                None => None,
            },
        })
    }
}

/// What the files are now. Blocks.
pub(super) fn stamp(files: &UpstreamTls) -> Stamp {
    let pair = files.identity.as_ref();
    let paths = [
        files.ca.as_deref(),
        pair.map(|pair| pair.certificate.as_path()),
        pair.map(|pair| pair.key.as_path()),
    ];
    paths.map(|path| {
        let data = fs::metadata(path?).ok()?;
        let times = (data.mtime(), data.mtime_nsec());
        Some((data.dev(), data.ino(), data.size(), times.0, times.1))
    })
}

fn authorities(path: &Path) -> Result<Authorities, MaterialError> {
    let pem = bytes(path)?;
    let unfit = |error: ErrorStack| unfit(path, &error);
    let chain = X509::stack_from_pem(&pem).map_err(unfit)?;
    if chain.is_empty() {
        return Err(MaterialError::Pem {
            path: path.to_owned(),
            source: PemError::NoCertificate,
        });
    }
    let mut of_polls = Vec::new();
    for certificate in &chain {
        let der = certificate.to_der().map_err(unfit)?;
        let certificate = reqwest::Certificate::from_der(&der);
        of_polls.push(certificate.map_err(|error| self::unfit(path, &error))?);
    }
    Ok(Authorities {
        of_polls,
        of_peers: Arc::new(chain.into_boxed_slice()),
    })
}

fn identity(certificate: &Path, key: &Path) -> Result<Identity, MaterialError> {
    let pair = KeyPair::from_pem(&bytes(certificate)?, &bytes(key)?).map_err(|source| {
        MaterialError::Pem {
            path: certificate.to_owned(),
            source,
        }
    })?;
    let unfit = |error: ErrorStack| unfit(certificate, &error);
    let mut chain = vec![pair.certificate];
    chain.extend(pair.chain);
    let mut pem = Vec::new();
    for certificate in &chain {
        pem.extend(certificate.to_pem().map_err(unfit)?);
    }
    let key_pem = pair.key.private_key_to_pem_pkcs8().map_err(unfit)?;
    let of_polls = reqwest::Identity::from_pkcs8_pem(&pem, &key_pem)
        .map_err(|error| self::unfit(certificate, &error))?;
    Ok(Identity {
        of_polls,
        of_peers: Arc::new(CertKey::new(chain, pair.key)),
    })
}

fn unfit(path: &Path, error: &dyn std::error::Error) -> MaterialError {
    MaterialError::Unfit {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, MaterialError> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(FILE_LIMIT).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|source| MaterialError::Read {
        path: path.to_owned(),
        source,
    })
}
