//! Signatures, verified by OpenSSL for `jsonwebtoken`, which has no cryptography of its own here, and
//! by ed25519-dalek those with Ed25519, which takes a third of the time.
//!
//! Promises that a key is used with algorithms of its type alone, and that nothing is signed.

use ed25519_dalek::{Signature, VerifyingKey};
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};
use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::memcmp;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Public};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Signer, Verifier as OpensslVerifier};

/// RSA keys that are taken, in bits: RFC 7518 section 3.3, and what is verified in sensible time.
pub const RSA_BITS: std::ops::RangeInclusive<u32> = 2048..=8192;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: verifier,
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| Err(ErrorKind::UnsupportedAlgorithm.into()),
        rsa_pub_components_from_public_key: |_| Err(ErrorKind::UnsupportedAlgorithm.into()),
        ec_pub_components_from_private_key: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
        ed_pub_components_from_private_key: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
        compute_digest: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    },
};

/// Makes this the process's way to verify tokens. More than once does nothing more.
pub fn install() {
    // An error says that it is installed already.
    let _ = PROVIDER.install_default();
}

/// A key that is ready to verify with one algorithm.
struct Ready {
    algorithm: Algorithm,
    key: Key,
}

enum Key {
    Secret(Vec<u8>),
    Ec(EcKey<Public>),
    Ed(Box<VerifyingKey>),
    Rsa(PKey<Public>),
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let wrong = |error: ErrorStack| ErrorKind::Provider(error.to_string());
    let key = match algorithm.family() {
        AlgorithmFamily::Hmac => {
            let secret = key.try_get_as_bytes()?;
            if secret.is_empty() {
                return Err(ErrorKind::InvalidKeyFormat.into());
            }
            Key::Secret(secret.to_vec())
        }
        AlgorithmFamily::Rsa => Key::Rsa(rsa(key)?),
        AlgorithmFamily::Ec => {
            let curve = if *algorithm == Algorithm::ES256 {
                Nid::X9_62_PRIME256V1
            } else {
                Nid::SECP384R1
            };
            Key::Ec(ec(curve, key.try_get_as_bytes()?).map_err(wrong)?)
        }
        AlgorithmFamily::Ed => {
            let read = VerifyingKey::try_from(key.try_get_as_bytes()?);
            let key = read.ok().filter(|key| !key.is_weak());
            Key::Ed(Box::new(key.ok_or(ErrorKind::InvalidKeyFormat)?))
        }
    };
    Ok(Box::new(Ready {
        algorithm: *algorithm,
        key,
    }))
}

fn rsa(key: &DecodingKey) -> Result<PKey<Public>> {
    let DecodingKeyKind::RsaModulusExponent { n, e } = key.kind() else {
        return Err(ErrorKind::InvalidKeyFormat.into());
    };
    let read = || {
        let (n, e) = (BigNum::from_slice(n)?, BigNum::from_slice(e)?);
        let is_sound = RSA_BITS.contains(&n.num_bits().unsigned_abs())
            && n.is_odd()
            && e.is_odd()
            && (2..=64).contains(&e.num_bits());
        let key = PKey::from_rsa(Rsa::from_public_components(n, e)?)?;
        Ok((key, is_sound))
    };
    match read().map_err(|error: ErrorStack| ErrorKind::Provider(error.to_string()))? {
        (key, true) => Ok(key),
        (_, false) => Err(ErrorKind::InvalidKeyFormat.into()),
    }
}

/// A point of the curve; OpenSSL refuses any other.
fn ec(curve: Nid, point: &[u8]) -> std::result::Result<EcKey<Public>, ErrorStack> {
    let group = EcGroup::from_curve_name(curve)?;
    let point = EcPoint::from_bytes(&group, point, &mut *BigNumContext::new()?)?;
    EcKey::from_public_key(&group, &point)
}

impl Ready {
    fn digest(&self) -> MessageDigest {
        match self.algorithm {
            Algorithm::HS384 | Algorithm::ES384 | Algorithm::RS384 | Algorithm::PS384 => {
                MessageDigest::sha384()
            }
            Algorithm::HS512 | Algorithm::RS512 | Algorithm::PS512 => MessageDigest::sha512(),
            _ => MessageDigest::sha256(),
        }
    }

    fn holds(&self, message: &[u8], signature: &[u8]) -> std::result::Result<bool, ErrorStack> {
        match &self.key {
            Key::Secret(secret) => {
                let key = PKey::hmac(secret)?;
                let code = Signer::new(self.digest(), &key)?.sign_oneshot_to_vec(message)?;
                Ok(code.len() == signature.len() && memcmp::eq(&code, signature))
            }
            Key::Ec(key) => self.ec_holds(key, message, signature),
            Key::Ed(key) => {
                let signature = Signature::from_slice(signature);
                Ok(signature.is_ok_and(|it| key.verify_strict(message, &it).is_ok()))
            }
            Key::Rsa(key) => {
                let mut verifier = OpensslVerifier::new(self.digest(), key)?;
                if matches!(
                    self.algorithm,
                    Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512
                ) {
                    verifier.set_rsa_padding(Padding::PKCS1_PSS)?;
                    // RFC 7518 section 3.5.
                    verifier.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
                }
                verifier.verify_oneshot(signature, message)
            }
        }
    }

    /// R and S one after the other, each as long as the curve's order, neither zero (RFC 7518 section
    /// 3.4).
    fn ec_holds(
        &self,
        key: &EcKey<Public>,
        message: &[u8],
        signature: &[u8],
    ) -> std::result::Result<bool, ErrorStack> {
        let half = if self.algorithm == Algorithm::ES256 {
            32
        } else {
            48
        };
        if signature.len() != 2 * half {
            return Ok(false);
        }
        let (r, s) = signature.split_at(half);
        let (r, s) = (BigNum::from_slice(r)?, BigNum::from_slice(s)?);
        if r.num_bits() == 0 || s.num_bits() == 0 {
            return Ok(false);
        }
        let digest = hash(self.digest(), message)?;
        EcdsaSig::from_private_components(r, s)?.verify(&digest, key)
    }
}

impl Verifier<Vec<u8>> for Ready {
    fn verify(
        &self,
        message: &[u8],
        signature: &Vec<u8>,
    ) -> std::result::Result<(), signature::Error> {
        match self.holds(message, signature) {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(signature::Error::new()),
        }
    }
}

impl JwtVerifier for Ready {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
