//! Whom to trust and what to show, as last read from the files that the configuration names.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use native_tls::TlsConnectorBuilder;
use pingora::protocols::tls::CaType;
use pingora::utils::tls::CertKey;

use crate::config::{KeyPair, PemError, Servers, Tls, UpstreamTls, read_chain};

/// The longest PEM file, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// What TLS to the servers of one upstream is made with: for polls one connector, which all share
/// since it holds all that the system trusts, for Pingora's peers its parts.
#[derive(Clone)]
pub(super) struct Material {
    pub(super) connector: native_tls::TlsConnector,
    /// Who vouches for the servers; whom the system trusts without.
    pub(super) authorities: Option<Arc<CaType>>,
    /// What pollcast shows of itself.
    pub(super) identity: Option<Arc<CertKey>>,
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
    /// TLS cannot be set up at all.
    #[error("cannot set up TLS (is the system's TLS store readable?)")]
    Tls(#[source] native_tls::Error),
}

/// What tells one state of the files from another.
pub(super) type Stamp = [Option<(u64, u64, u64, i64, i64)>; 3];

impl Material {
    /// Reads the files. Blocks.
    ///
    /// # Errors
    /// [`MaterialError`] for the first that is of no use.
    pub(super) fn read(servers: &Servers) -> Result<Self, MaterialError> {
        let files = &servers.tls;
        let mut builder = native_tls::TlsConnector::builder();
        builder
            .danger_accept_invalid_certs(!files.verify)
            .danger_accept_invalid_hostnames(!files.verify);
        let is_plain = servers.list.iter().all(|it| it.at.scheme() == "http");
        // No redirect leaves the origin: whoever speaks plain HTTP is never verified.
        builder.disable_built_in_roots(files.ca.is_some() || is_plain);
        let authorities = match &files.ca {
            Some(path) => Some(authorities(path, &mut builder)?),
            None => None,
        };
        let identity = match &files.identity {
            Some(pair) => Some(identity(pair, &mut builder)?),
            None => None,
        };
        Ok(Self {
            connector: builder.build().map_err(MaterialError::Tls)?,
            authorities,
            identity,
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

fn authorities(
    path: &Path,
    builder: &mut TlsConnectorBuilder,
) -> Result<Arc<CaType>, MaterialError> {
    let chain = read_chain(&bytes(path)?).map_err(|source| MaterialError::Pem {
        path: path.to_owned(),
        source,
    })?;
    for certificate in &chain {
        let der = certificate.to_der().map_err(|error| unfit(path, &error))?;
        let root = native_tls::Certificate::from_der(&der);
        builder.add_root_certificate(root.map_err(|error| unfit(path, &error))?);
    }
    Ok(Arc::new(chain.into_boxed_slice()))
}

fn identity(files: &Tls, builder: &mut TlsConnectorBuilder) -> Result<Arc<CertKey>, MaterialError> {
    let (certificates, key) = (bytes(&files.certificate)?, bytes(&files.key)?);
    let pair = KeyPair::from_pem(&certificates, &key).map_err(|source| MaterialError::Pem {
        path: files.certificate.clone(),
        source,
    })?;
    // OpenSSL reads more kinds of PEM than PKCS #8.
    let key = pair.key.private_key_to_pem_pkcs8();
    let key = key.map_err(|error| unfit(&files.key, &error))?;
    let shown = native_tls::Identity::from_pkcs8(&certificates, &key);
    builder.identity(shown.map_err(|error| unfit(&files.certificate, &error))?);
    let mut chain = vec![pair.certificate];
    chain.extend(pair.chain);
    Ok(Arc::new(CertKey::new(chain, pair.key)))
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
