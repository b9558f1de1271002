//! A certificate and its private key, as PEM files hold them (RFC 7468).

use std::cmp::Ordering;

use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslAcceptor, SslAcceptorBuilder, SslMethod};
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
    /// They belong together, but OpenSSL does not take them: a key that is too short, a forbidden
    /// signature.
    #[error("the certificate or its key is not fit for TLS ({0})")]
    Unfit(String),
}

impl KeyPair {
    /// Reads a chain of certificates and a key that needs no passphrase.
    ///
    /// # Errors
    /// [`PemError`] if one of them is none, or both do not belong together.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, PemError> {
        Self::new(read_chain(certificates)?, read_key(key)?)
    }

    /// A chain, its first certificate that of the key.
    ///
    /// # Errors
    /// [`PemError`] if both do not belong together, or nobody can serve with them.
    pub(super) fn new(mut chain: Vec<X509>, key: PKey<Private>) -> Result<Self, PemError> {
        if chain.is_empty() {
            return Err(PemError::NoCertificate);
        }
        let certificate = chain.remove(0);
        let belongs = certificate
            .public_key()
            .is_ok_and(|public| public.public_eq(&key));
        if !belongs {
            return Err(PemError::Mismatch);
        }
        let pair = Self {
            certificate,
            chain,
            key,
        };
        let fit = pair.acceptor();
        fit.map_err(|error| PemError::Unfit(reason(&error)))?;
        Ok(pair)
    }

    /// What serves with them: TLS 1.2 and 1.3 as Mozilla's intermediate recommendation has it.
    ///
    /// # Errors
    /// OpenSSL's, where the pair was not made by this type's constructors.
    pub fn acceptor(&self) -> Result<SslAcceptorBuilder, ErrorStack> {
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls())?;
        builder.set_private_key(&self.key)?;
        builder.set_certificate(&self.certificate)?;
        for certificate in &self.chain {
            builder.add_extra_chain_cert(certificate.clone())?;
        }
        builder.check_private_key()?;
        Ok(builder)
    }

    /// Why clients will refuse the certificate as things stand: it is not valid any more, or not
    /// yet.
    pub fn out_of_date(&self) -> Option<String> {
        let now = Asn1Time::days_from_now(0).ok()?;
        let (begin, end) = (self.certificate.not_before(), self.certificate.not_after());
        if end.compare(&now).ok()? == Ordering::Less {
            return Some(format!("the certificate ended to be valid on {end}"));
        }
        (begin.compare(&now).ok()? == Ordering::Greater)
            .then(|| format!("the certificate is not valid before {begin}"))
    }
}

/// The certificates of a PEM text, at least one.
///
/// # Errors
/// [`PemError`] if there is none, or one that cannot be read.
pub fn read_chain(pem: &[u8]) -> Result<Vec<X509>, PemError> {
    let chain = X509::stack_from_pem(pem).map_err(|error| PemError::Certificate(reason(&error)))?;
    match chain.is_empty() {
        true => Err(PemError::NoCertificate),
        false => Ok(chain),
    }
}

/// The private key of a PEM text, without a passphrase.
pub(super) fn read_key(pem: &[u8]) -> Result<PKey<Private>, PemError> {
    // Without the callback OpenSSL would ask the terminal for a passphrase.
    PKey::private_key_from_pem_callback(pem, |_| Ok(0))
        .map_err(|error| PemError::Key(reason(&error)))
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
            Self::Unfit(_) => "have them made anew, with a key of 2048 bits (RSA) or 256 bits (EC)",
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
