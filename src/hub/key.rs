//! What tells one topic of a feed from the others.
//!
//! Promises that requests of which the upstream would see different things never have the same key,
//! and that no credential can be read from a key: of those it holds a keyed hash, whose secret lives
//! and dies with the process, or with the store that outlives it.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;

/// What of a client's request a feed's polls are made of; nothing for a feed with one topic.
#[derive(Clone, Default)]
pub struct Particulars {
    /// The values of the path's captures, decoded, in the order of
    /// [`Parameters::captures`](crate::config::Parameters).
    pub captures: Vec<String>,
    /// The forwarded query parameters, decoded, in the configured order; repeated ones in the
    /// client's.
    pub query: Vec<(String, String)>,
    /// The body to poll with.
    pub body: Option<Bytes>,
    /// The headers to poll with.
    pub credentials: Credentials,
}

/// Headers that prove who is asking. They are kept in memory, marked sensitive, and never shown.
#[derive(Clone, Default)]
pub struct Credentials(HeaderMap);

/// A topic among those of its feed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    captures: Vec<String>,
    query: Vec<(String, String)>,
    body: Option<Bytes>,
    credentials: Option<[u8; 32]>,
}

/// What makes the hashes of this process differ from those of any other.
pub(super) struct Secret(PKey<Private>);

impl fmt::Debug for Particulars {
    /// Neither credentials nor bodies.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Particulars")
            .field("captures", &self.captures)
            .field("query", &self.query)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Credentials {
    /// Those of `names` that a request carries. The parts into which HTTP/2 cuts a cookie are put
    /// together (RFC 9113 section 8.2.3), so that they are the same whatever the protocol.
    pub fn of(names: &[HeaderName], request: &HeaderMap) -> Self {
        let mut headers = HeaderMap::new();
        for name in names {
            let values = request.get_all(name);
            if *name == header::COOKIE && values.iter().nth(1).is_some() {
                let parts: Vec<&[u8]> = values.iter().map(HeaderValue::as_bytes).collect();
                let whole = HeaderValue::from_bytes(&parts.join(&b"; "[..]));
                headers.extend(whole.ok().map(|value| (name.clone(), sensitive(value))));
                continue;
            }
            for value in values {
                headers.append(name, sensitive(value.clone()));
            }
        }
        Self(headers)
    }

    /// Lays them over the headers that polls are configured with. What is not there is not sent:
    /// a client without credentials must not see what the configured ones may.
    pub(super) fn overlay(&self, names: &[HeaderName], headers: &mut HeaderMap) {
        for name in names {
            headers.remove(name);
            for value in self.0.get_all(name) {
                headers.append(name, value.clone());
            }
        }
    }
}

impl Key {
    /// The key of the topic that is polled so. `names` are the feed's credential headers.
    pub(super) fn new(particulars: &Particulars, names: &[HeaderName], secret: &Secret) -> Self {
        let Particulars {
            captures,
            query,
            body,
            credentials,
        } = particulars.clone();
        Self {
            captures,
            query,
            body,
            credentials: (!names.is_empty()).then(|| secret.digest(names, &credentials.0)),
        }
    }
}

impl Key {
    /// All of it, each part with its length in front, so that no two keys are written alike.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut part = |bytes: &[u8]| {
            text.extend((bytes.len() as u64).to_be_bytes());
            text.extend(bytes);
        };
        part(&(self.captures.len() as u64).to_be_bytes());
        self.captures.iter().for_each(|it| part(it.as_bytes()));
        part(&(self.query.len() as u64).to_be_bytes());
        for (name, value) in &self.query {
            part(name.as_bytes());
            part(value.as_bytes());
        }
        part(&[u8::from(self.body.is_some())]);
        part(self.body.as_deref().unwrap_or_default());
        part(self.credentials.as_ref().map_or(&[][..], |digest| digest));
        text
    }
}

impl Secret {
    /// A secret made of random bytes.
    pub(super) fn new(random: [u8; 32]) -> Self {
        let key = PKey::hmac(&random).expect("invariant: OpenSSL takes a key of 256 bits");
        Self(key)
    }

    /// HMAC-SHA256 over the headers, each part with its length in front, so that no two sets of
    /// headers are written alike.
    fn digest(&self, names: &[HeaderName], headers: &HeaderMap) -> [u8; 32] {
        let mut text = Vec::new();
        let number = |text: &mut Vec<u8>, n: usize| text.extend((n as u64).to_be_bytes());
        for name in names {
            let values = headers.get_all(name);
            number(&mut text, values.iter().count());
            for value in values {
                number(&mut text, value.len());
                text.extend(value.as_bytes());
            }
        }
        let mut digest = [0; 32];
        Signer::new(MessageDigest::sha256(), &self.0)
            .and_then(|mut signer| signer.sign_oneshot(&mut digest, &text))
            .expect("invariant: OpenSSL has HMAC-SHA256");
        digest
    }
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [HeaderName; 2] = [header::AUTHORIZATION, header::COOKIE];

    fn credentials(headers: &[(HeaderName, &str)]) -> Credentials {
        let pairs = headers.iter();
        let pairs = pairs.map(|(name, value)| (name.clone(), value.parse().unwrap()));
        let mut request = HeaderMap::new();
        for (name, value) in pairs {
            request.append(name, value);
        }
        Credentials::of(&NAMES, &request)
    }

    fn key(headers: &[(HeaderName, &str)], secret: &Secret) -> Key {
        let particulars = Particulars {
            credentials: credentials(headers),
            ..Particulars::default()
        };
        Key::new(&particulars, &NAMES, secret)
    }

    #[test]
    fn whoever_proves_something_else_has_another_key() {
        let secret = Secret::new([7; 32]);
        let (a, c) = (header::AUTHORIZATION, header::COOKIE);
        let sets: Vec<Vec<(HeaderName, &str)>> = vec![
            vec![],
            vec![(a.clone(), "")],
            vec![(a.clone(), "x")],
            vec![(c.clone(), "x")],
            vec![(a.clone(), "x"), (c.clone(), "x")],
            vec![(a.clone(), "xx")],
            vec![(a.clone(), "x"), (a.clone(), "x")],
            vec![(a.clone(), "x"), (c.clone(), "")],
        ];
        for (i, one) in sets.iter().enumerate() {
            for (j, other) in sets.iter().enumerate() {
                let same = key(one, &secret) == key(other, &secret);
                assert_eq!(same, i == j, "{one:?} {other:?}");
            }
        }
        let other = Secret::new([8; 32]);
        assert_ne!(key(&sets[2], &secret), key(&sets[2], &other));
    }

    #[test]
    fn a_cookie_in_parts_is_the_same_cookie() {
        let secret = Secret::new([7; 32]);
        let c = header::COOKIE;
        let whole = key(&[(c.clone(), "a=1; b=2")], &secret);
        let parts = key(&[(c.clone(), "a=1"), (c, "b=2")], &secret);
        assert_eq!(whole, parts);
    }

    #[test]
    fn what_nobody_named_is_not_taken_and_nothing_is_shown() {
        let all = [
            (header::AUTHORIZATION, "s3cret"),
            (header::REFERER, "s3cret"),
        ];
        let particulars = Particulars {
            credentials: credentials(&all),
            body: Some(Bytes::from_static(b"s3cret")),
            ..Particulars::default()
        };
        assert_eq!(particulars.credentials.0.len(), 1);
        let secret = Secret::new(*b"s3cret--s3cret--s3cret--s3cret--");
        let key = Key::new(&particulars, &NAMES, &secret);
        let shown = format!("{particulars:?} {key:?} {secret:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        let shown = format!("{:?}", particulars.credentials.0);
        assert!(!shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn configured_credentials_are_never_sent_for_a_client_without() {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("operator"));
        headers.insert(header::REFERER, HeaderValue::from_static("kept"));
        credentials(&[]).overlay(&NAMES, &mut headers);
        assert_eq!(headers.len(), 1);
        credentials(&[(header::AUTHORIZATION, "user")]).overlay(&NAMES, &mut headers);
        assert_eq!(headers[header::AUTHORIZATION], "user");
    }
}
