//! What a ticket says, sealed: AES-256-GCM (NIST SP 800-38D), so that nobody reads or changes it.

use openssl::base64;
use openssl::error::ErrorStack;
use openssl::rand::rand_bytes;
use openssl::sha::sha256;
use openssl::symm::{Cipher, decrypt_aead, encrypt_aead};
use serde::{Deserialize, Serialize};

use crate::config::Secret;

/// What is sealed as well: what it is for, and how it is written.
const PURPOSE: &[u8] = b"pollcast ticket 1";
const NONCE: usize = 12;
const TAG: usize = 16;
/// The longest ticket, in bytes as it is written.
const LONGEST: usize = 6 << 10;

/// Which ticket it is; never the same twice.
pub type Number = [u8; 16];

/// What a ticket says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slip {
    pub number: Number,
    /// Until when it may be used, in milliseconds since 1970.
    pub until: u64,
    /// SHA-256 of the target that it is for.
    pub target: [u8; 32],
    /// The only address that may use it.
    pub client: Option<std::net::IpAddr>,
    /// Whom it was given to.
    pub who: String,
    /// When that ends, in milliseconds since 1970.
    pub expires: Option<u64>,
    /// Names and values of headers that are known of them.
    pub pass_on: Vec<(String, Vec<u8>)>,
}

/// What tickets are sealed with.
pub struct Seal([u8; 32]);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(***)")
    }
}

impl Seal {
    /// That of this secret, or a new one.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn new(secret: Option<&Secret>) -> Result<Self, ErrorStack> {
        if let Some(secret) = secret {
            return Ok(Self(sha256(
                &[PURPOSE, b":", secret.text().as_bytes()].concat(),
            )));
        }
        let mut key = [0; 32];
        rand_bytes(&mut key)?;
        Ok(Self(key))
    }

    /// A ticket as it stands in a URL.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn close(&self, slip: &Slip) -> Result<String, ErrorStack> {
        let text = serde_json::to_vec(slip).expect("invariant: numbers and texts can be written");
        let (mut nonce, mut tag) = ([0; NONCE], [0; TAG]);
        rand_bytes(&mut nonce)?;
        let cipher = Cipher::aes_256_gcm();
        let sealed = encrypt_aead(cipher, &self.0, Some(&nonce), PURPOSE, &text, &mut tag)?;
        Ok(written(&[&nonce[..], &sealed, &tag].concat()))
    }

    /// What it says, if it was sealed so.
    pub fn open(&self, ticket: &str) -> Option<Slip> {
        if ticket.len() > LONGEST {
            return None;
        }
        let bytes = read(ticket)?;
        let (nonce, rest) = bytes.split_at_checked(NONCE)?;
        let (sealed, tag) = rest.split_at_checked(rest.len().checked_sub(TAG)?)?;
        let cipher = Cipher::aes_256_gcm();
        let text = decrypt_aead(cipher, &self.0, Some(nonce), PURPOSE, sealed, tag).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// RFC 4648 section 5, without padding.
fn written(bytes: &[u8]) -> String {
    let text = base64::encode_block(bytes);
    text.trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_")
}

/// The bytes that are written so and in no other way.
fn read(text: &str) -> Option<Vec<u8>> {
    let padding = "=".repeat((4 - text.len() % 4) % 4);
    let standard = text.replace('-', "+").replace('_', "/") + &padding;
    let bytes = base64::decode_block(&standard).ok()?;
    (written(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slip() -> Slip {
        Slip {
            number: [7; 16],
            until: 5,
            target: [9; 32],
            client: Some([127, 0, 0, 1].into()),
            who: "key/a".to_owned(),
            expires: None,
            pass_on: vec![("x-user".to_owned(), b"a".to_vec())],
        }
    }

    #[test]
    fn a_ticket_says_what_was_put_into_it_and_looks_like_nothing() {
        let seal = Seal::new(None).unwrap();
        let (one, other) = (seal.close(&slip()).unwrap(), seal.close(&slip()).unwrap());
        assert_eq!(seal.open(&one), Some(slip()));
        assert_ne!(one, other);
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        assert!(one.chars().all(plain), "{one}");
        assert_eq!(Seal::new(None).unwrap().open(&one), None);
    }

    #[test]
    fn no_character_of_it_can_be_another() {
        let seal = Seal::new(None).unwrap();
        let ticket = seal.close(&slip()).unwrap();
        for place in 0..ticket.len() {
            for other in ["A", "B", "-", "_", "=", "+", "/", "%", " ", "\u{e9}"] {
                let mut changed = ticket.clone();
                changed.replace_range(place..=place, other);
                assert!(
                    changed == ticket || seal.open(&changed).is_none(),
                    "{place} {other}"
                );
            }
            assert_eq!(seal.open(&ticket[..place]), None);
        }
        for odd in [
            String::new(),
            "=".into(),
            "====".into(),
            format!("{ticket}A"),
            "A".repeat(1 << 20),
        ] {
            assert_eq!(seal.open(&odd), None);
        }
    }
}
