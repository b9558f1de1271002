//! What a service is asked about a request.
//!
//! Promises that two requests which a service could tell apart are never taken for the same: all that
//! it is told is part of the key, and nothing else is told.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;

use crate::auth::asking::Asking;
use crate::auth::target::target;
use crate::config::{Forward, Told};

/// The longest question, in bytes: it is kept for as long as a stream lasts.
const LONGEST: usize = 16 << 10;

/// What stands for a question; says nothing to whoever does not know the process' secret.
pub type Key = [u8; 32];

/// What a service is asked about one request.
#[derive(Clone)]
pub struct Question {
    /// All that it is told.
    pub headers: HeaderMap,
}

/// Shows none of it.
impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").finish_non_exhaustive()
    }
}

impl Question {
    /// The question that `rules` have about this request; `None` if it is too long.
    pub fn about(asking: &Asking<'_>, rules: &Forward) -> Option<Self> {
        let mut headers = HeaderMap::new();
        for name in &rules.request_headers {
            match *name {
                // HTTP/2 cuts it into its parts (RFC 9113 section 8.2.3).
                header::COOKIE => headers.extend(cookies(asking.headers)),
                _ => {
                    for value in asking.headers.get_all(name) {
                        headers.append(name, secret(value.clone()));
                    }
                }
            }
        }
        for told in &rules.told {
            if let Some(value) = value(*told, asking) {
                let name = format!("x-forwarded-{}", told.name());
                let name = HeaderName::try_from(name);
                headers.insert(name.expect("invariant: a fixed word"), secret(value));
            }
        }
        let length: usize = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        (length <= LONGEST).then_some(Self { headers })
    }

    /// What stands for it. Names and values are told apart by their lengths.
    pub fn key(&self, seal: &Seal) -> Key {
        let mut text = Vec::with_capacity(512);
        for (name, value) in &self.headers {
            for part in [name.as_str().as_bytes(), value.as_bytes()] {
                text.extend_from_slice(&(part.len() as u64).to_be_bytes());
                text.extend_from_slice(part);
            }
        }
        seal.sign(&text)
    }
}

/// A secret of one service in this process, with which keys are made.
#[derive(Debug)]
pub struct Seal(PKey<Private>);

impl Seal {
    /// A new one.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn new() -> Result<Self, ErrorStack> {
        let mut secret = [0; 32];
        openssl::rand::rand_bytes(&mut secret)?;
        PKey::hmac(&secret).map(Self)
    }

    fn sign(&self, text: &[u8]) -> Key {
        let signed = Signer::new(MessageDigest::sha256(), &self.0).and_then(|mut signer| {
            let mut key = [0; 32];
            signer.sign_oneshot(&mut key, text).map(|_| key)
        });
        signed.expect("invariant: HMAC-SHA-256 of bytes in memory cannot fail")
    }
}

fn secret(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// One line with all cookies.
fn cookies(headers: &HeaderMap) -> Option<(HeaderName, HeaderValue)> {
    let lines: Vec<&[u8]> = headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let line = HeaderValue::from_bytes(&lines.join(&b"; "[..])).ok()?;
    (!lines.is_empty()).then(|| (header::COOKIE, secret(line)))
}

fn value(told: Told, asking: &Asking<'_>) -> Option<HeaderValue> {
    let text = |text: &str| HeaderValue::from_str(text).ok();
    match told {
        Told::Method => text(asking.method.as_str()),
        Told::Proto => text(if asking.is_secure { "https" } else { "http" }),
        Told::Host => match asking.uri.authority() {
            Some(authority) => text(authority.as_str()),
            None => asking.headers.get(header::HOST).cloned(),
        },
        Told::Uri => text(&target(asking.uri, asking.events)),
        Told::For => text(&asking.client?.to_string()),
    }
}
