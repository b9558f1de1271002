//! Static API keys.

use std::sync::Arc;

use openssl::memcmp;
use openssl::sha::sha256;

use super::asking::{API_KEY, Asking, Source};
use super::{Denied, Proof};
use crate::config::ApiKey;
use crate::core::event::Timestamp;

/// The longest key that is looked at, in bytes.
const LONGEST: usize = 1024;

/// All API keys there are.
#[derive(Debug)]
pub struct KeyRing(Vec<Arc<ApiKey>>);

impl KeyRing {
    /// These keys.
    pub fn new(keys: Vec<Arc<ApiKey>>) -> Self {
        Self(keys)
    }

    /// The key of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<ApiKey>> {
        self.0.iter().find(|key| key.name == name)
    }

    /// One of the keys of these names, if the request has it. Each hash is compared with what is
    /// there, whichever is right.
    ///
    /// # Errors
    /// [`Denied::Missing`] or [`Denied::Invalid`].
    pub fn proof(
        &self,
        names: &[String],
        asking: &Asking<'_>,
        now: Timestamp,
    ) -> Result<Proof, Denied> {
        let keys: Vec<&Arc<ApiKey>> = names.iter().filter_map(|name| self.get(name)).collect();
        let queries = keys
            .iter()
            .filter_map(|key| key.query.clone().map(Source::Query));
        let sources = [Source::Header(API_KEY), Source::Bearer]
            .into_iter()
            .chain(queries);
        let mut denied = Denied::Missing;
        for source in sources {
            let Some(text) = asking.find(&source) else {
                continue;
            };
            denied = Denied::Invalid;
            if text.len() > LONGEST {
                continue;
            }
            let asked = sha256(text.as_bytes());
            let takes = |key: &&&Arc<ApiKey>| match &source {
                Source::Query(name) => key.query.as_ref() == Some(name),
                _ => true,
            };
            let mut found = None;
            for key in keys.iter().filter(takes) {
                for hash in &key.hashes {
                    if memcmp::eq(hash, &asked) {
                        found = Some(*key);
                    }
                }
            }
            if let Some(key) = found.filter(|key| key.expires.is_none_or(|end| now < end)) {
                return Ok(Proof::Key {
                    name: key.name.clone(),
                    hash: asked,
                    expires: key.expires,
                    source,
                });
            }
        }
        Err(denied)
    }

    /// Whether this key is still one, to the same end.
    pub fn stands_by(&self, name: &str, hash: &[u8; 32], expires: Option<Timestamp>) -> bool {
        self.get(name)
            .is_some_and(|key| key.expires == expires && key.hashes.contains(hash))
    }
}
