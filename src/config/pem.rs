//! A certificate and its private key, as PEM files hold them (RFC 7468).

use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;

/// A private key and the chain of certificates that vouches for it, its own certificate first.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// The certificate of the key.
    pub certificate: X509,
    /// Who vouches for it, in the file's order.
    pub chain: Vec<X509>,
    /// The key.
    pub key: PKey<Private>,
}

/// Why two texts are no such pair. Tells nothing of the key.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// The certificate's text cannot be read.
    #[error("this is no certificate in PEM ({0})")]
    Certificate(String),
    /// The certificate's text holds none.
    #[error("there is no certificate in it")]
    NoCertificate,
    /// The key's text cannot be read.
    #[error("this is no private key in PEM, or one that wants a passphrase ({0})")]
    Key(String),
    /// Each is fine by itself.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
}

impl KeyPair {
    /// Reads a chain of certificates and a key that needs no passphrase.
    ///
    /// # Errors
    /// [`PemError`] if one of them is none, or both do not belong together.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, PemError> {
        let mut chain = X509::stack_from_pem(certificates)
            .map_err(|error| PemError::Certificate(reason(&error)))?
            .into_iter();
        let certificate = chain.next().ok_or(PemError::NoCertificate)?;
        // Without the callback OpenSSL would ask the terminal for a passphrase.
        let key = PKey::private_key_from_pem_callback(key, |_| Ok(0))
            .map_err(|error| PemError::Key(reason(&error)))?;
        let belongs = certificate
            .public_key()
            .is_ok_and(|public| public.public_eq(&key));
        if !belongs {
            return Err(PemError::Mismatch);
        }
        Ok(Self {
            certificate,
            chain: chain.collect(),
            key,
        })
    }
}

impl PemError {
    /// What to do about it.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Certificate(_) | Self::NoCertificate => {
                "name a file that begins with -----BEGIN CERTIFICATE-----"
            }
            Self::Key(_) => "name a file with -----BEGIN PRIVATE KEY-----, without a passphrase",
            Self::Mismatch => "name the key that the certificate was made for",
        }
    }
}

/// OpenSSL's own word for it.
fn reason(error: &ErrorStack) -> String {
    let reason = error
        .errors()
        .last()
        .and_then(openssl::error::Error::reason);
    reason.unwrap_or("unreadable").to_owned()
}
