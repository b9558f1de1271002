//! What the store knows a topic by: a keyed digest of its feed's path, of what its document is, and
//! of what tells it from the feed's other topics.
//!
//! Promises that nothing of a client's request, and no configured secret, can be read from it, and
//! that headers, which may hold a token of the day, do not count.

use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;

use super::table::Mark;
use crate::config::Feed;
use crate::hub::Identity;

/// What makes the digests of one store differ from those of any other.
pub(in crate::backplane) struct Secret {
    bytes: [u8; 32],
    key: PKey<Private>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    pub(in crate::backplane) fn new(bytes: [u8; 32]) -> Self {
        let key = PKey::hmac(&bytes).expect("invariant: OpenSSL takes a key of 256 bits");
        Self { bytes, key }
    }

    /// For digests of the hub's own.
    pub(in crate::backplane) fn bytes(&self) -> [u8; 32] {
        self.bytes
    }

    pub(in crate::backplane) fn mark(&self, feed: &Feed, identity: &Identity) -> Mark {
        let mut text = Vec::new();
        let mut part = |bytes: &[u8]| {
            text.extend((bytes.len() as u64).to_be_bytes());
            text.extend(bytes);
        };
        let captures = feed.parameters.as_ref().map_or(&[][..], |it| &it.captures);
        let names: Vec<String> = captures.iter().map(|it| format!("{{{it}}}")).collect();
        let (request, document) = (&feed.request, &feed.document);
        part(feed.path.as_bytes());
        part(feed.upstream.url.as_str().as_bytes());
        part(request.method.as_str().as_bytes());
        part(request.path.text(&names).as_bytes());
        for (name, value) in &request.query {
            part(name.as_bytes());
            part(value.text(&names).as_bytes());
        }
        part(request.body.as_deref().unwrap_or_default());
        part(format!("{:?}", request.pages).as_bytes());
        part(format!("{:?} {:?}", document.format, document.view).as_bytes());
        let filter = document.transform.as_ref();
        part(filter.map_or("", |it| it.filter.as_str()).as_bytes());
        let cut = document.path.as_ref().map(ToString::to_string);
        part(cut.unwrap_or_default().as_bytes());
        part(&identity.key_bytes());
        let mut mark = [0; 32];
        Signer::new(MessageDigest::sha256(), &self.key)
            .and_then(|mut signer| signer.sign_oneshot(&mut mark, &text))
            .expect("invariant: OpenSSL has HMAC-SHA256");
        mark
    }
}
