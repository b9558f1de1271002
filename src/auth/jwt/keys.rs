//! An issuer's keys, out of JWK sets (RFC 7517), PEM files and secrets.
//!
//! Promises that each key is fit for an algorithm of the issuer, and sound: what is not is left out.

use std::fmt;

use jsonwebtoken::crypto::verify;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};
use openssl::bn::BigNumContext;
use openssl::ec::PointConversionForm;
use openssl::pkey::{Id, PKey};
use openssl::sha::Sha256;
use serde::Deserialize;
use serde_json::Value;

/// The most keys of one issuer.
const MOST: usize = 64;

/// The keys of one issuer, in their order.
#[derive(Debug, Default)]
pub struct Keys(Vec<Key>);

/// One key.
pub struct Key {
    /// `kid`, if it has one.
    id: Option<String>,
    /// What it is for; never empty.
    algorithms: Vec<Algorithm>,
    /// How it verifies.
    pub decoding: DecodingKey,
    /// SHA-256 of what it is.
    pub print: [u8; 32],
}

/// There is no key to be had of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoKeys {
    /// This is no JWK set.
    #[error("it is no JWK set")]
    NoSet,
    /// This is no public key in PEM.
    #[error("it holds no public key in PEM")]
    NoPem,
    /// None is fit.
    #[error("it holds no key that is fit for the configured algorithms")]
    NoneFit,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl Keys {
    /// The keys of a JWK set that are fit for one of these algorithms; the others are none of ours.
    ///
    /// # Errors
    /// [`NoKeys`] if there is none.
    pub fn of_set(text: &[u8], algorithms: &[Algorithm]) -> Result<Self, NoKeys> {
        let set: Set = serde_json::from_slice(text).map_err(|_| NoKeys::NoSet)?;
        let keys = set.keys.into_iter().take(MOST);
        Self::new(keys.filter_map(|key| of_jwk(key, algorithms)).collect())
    }

    /// The public key of a PEM text.
    ///
    /// # Errors
    /// [`NoKeys`] if there is none, or one of another type.
    pub fn of_pem(text: &[u8], algorithms: &[Algorithm]) -> Result<Self, NoKeys> {
        let decoding = of_pem(text).ok_or(NoKeys::NoPem)?;
        Self::new(
            Key::new(None, decoding, algorithms.to_vec())
                .into_iter()
                .collect(),
        )
    }

    /// A secret shared with the issuer.
    ///
    /// # Errors
    /// [`NoKeys`] if it is empty.
    pub fn of_secret(secret: &[u8], algorithms: &[Algorithm]) -> Result<Self, NoKeys> {
        let key = Key::new(None, DecodingKey::from_secret(secret), algorithms.to_vec());
        Self::new(key.into_iter().collect())
    }

    fn new(keys: Vec<Key>) -> Result<Self, NoKeys> {
        match keys.is_empty() {
            true => Err(NoKeys::NoneFit),
            false => Ok(Self(keys)),
        }
    }

    /// The keys that a token may be signed with that names this key and this algorithm. A key without
    /// a name is for any token.
    pub fn for_token<'a>(
        &'a self,
        id: Option<&'a str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'a Key> {
        self.0.iter().filter(move |key| {
            let is_meant = match (&key.id, id) {
                (Some(own), Some(id)) => own == id,
                (None, _) | (_, None) => true,
            };
            is_meant && key.algorithms.contains(&algorithm)
        })
    }

    /// Whether this key is among them.
    pub fn has(&self, print: &[u8; 32]) -> bool {
        self.0.iter().any(|key| key.print == *print)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl Key {
    /// A sound key for those of these algorithms that go with it.
    fn new(
        id: Option<String>,
        decoding: DecodingKey,
        mut algorithms: Vec<Algorithm>,
    ) -> Option<Self> {
        algorithms.retain(|algorithm| {
            // Wrong by form, and so an answer: whether the key can be used at all.
            algorithm.family() == decoding.family()
                && verify("", b"", &decoding, *algorithm).is_ok()
        });
        let mut hash = Sha256::new();
        match decoding.kind() {
            DecodingKeyKind::SecretOrDer(bytes) => hash.update(bytes),
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                hash.update(n);
                hash.update(b".");
                hash.update(e);
            }
        }
        (!algorithms.is_empty()).then(|| Self {
            id,
            algorithms,
            decoding,
            print: hash.finish(),
        })
    }
}

/// Shows nothing that verifies.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

/// A public key for signatures. A secret in a set that is fetched would be none, so that `oct` is not
/// taken.
fn of_jwk(value: Value, algorithms: &[Algorithm]) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let common = &jwk.common;
    let signs = common
        .public_key_use
        .as_ref()
        .is_none_or(|it| *it == PublicKeyUse::Signature)
        && common
            .key_operations
            .as_ref()
            .is_none_or(|it| it.contains(&KeyOperations::Verify));
    let (decoding, fits): (_, fn(Algorithm) -> bool) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (DecodingKey::from_jwk(&jwk).ok()?, |it| {
            it.family() == AlgorithmFamily::Rsa
        }),
        AlgorithmParameters::EllipticCurve(key) => {
            let decoding = DecodingKey::from_jwk(&jwk).ok()?;
            match key.curve {
                EllipticCurve::P256 => (decoding, |it| it == Algorithm::ES256),
                EllipticCurve::P384 => (decoding, |it| it == Algorithm::ES384),
                _ => return None,
            }
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (DecodingKey::from_jwk(&jwk).ok()?, |it| {
                it == Algorithm::EdDSA
            })
        }
        _ => return None,
    };
    let named = common.key_algorithm;
    let is_named = |it: Algorithm| named.is_none_or(|named| algorithm(named) == Some(it));
    let algorithms = algorithms
        .iter()
        .copied()
        .filter(|it| fits(*it) && is_named(*it));
    signs.then(|| Key::new(common.key_id.clone(), decoding, algorithms.collect()))?
}

fn algorithm(named: KeyAlgorithm) -> Option<Algorithm> {
    named.to_string().parse().ok()
}

fn of_pem(text: &[u8]) -> Option<DecodingKey> {
    let key = PKey::public_key_from_pem(text).ok()?;
    match key.id() {
        Id::RSA => {
            let key = key.rsa().ok()?;
            Some(DecodingKey::from_rsa_raw_components(
                &key.n().to_vec(),
                &key.e().to_vec(),
            ))
        }
        Id::EC => {
            let key = key.ec_key().ok()?;
            let mut context = BigNumContext::new().ok()?;
            let form = PointConversionForm::UNCOMPRESSED;
            let point = key.public_key().to_bytes(key.group(), form, &mut context);
            Some(DecodingKey::from_ec_der(&point.ok()?))
        }
        Id::ED25519 => Some(DecodingKey::from_ed_der(&key.raw_public_key().ok()?)),
        _ => None,
    }
}
