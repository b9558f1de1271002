//! Tokens that were verified a moment ago: whoever comes back costs no signature.
//!
//! Holds what tokens say under their SHA-256, and no token. Bounded: what was not asked for since so
//! many others came is forgotten. Only signatures are remembered; time and keys are judged anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::claims::Verified;

/// Half of the most that are remembered.
const MOST: usize = 1024;

/// Tokens of one issuer, by hash.
#[derive(Debug, Default)]
pub struct Known(Mutex<Halves>);

#[derive(Debug, Default)]
struct Halves {
    fresh: HashMap<[u8; 32], Arc<Verified>>,
    old: HashMap<[u8; 32], Arc<Verified>>,
}

impl Known {
    /// What the token with this hash says, if it is remembered.
    pub fn get(&self, hash: &[u8; 32]) -> Option<Arc<Verified>> {
        let mut halves = self.lock();
        if let Some(token) = halves.fresh.get(hash) {
            return Some(Arc::clone(token));
        }
        let token = halves.old.remove(hash)?;
        halves.put(*hash, &token);
        Some(token)
    }

    /// Remembers a token.
    pub fn put(&self, hash: [u8; 32], token: &Arc<Verified>) {
        self.lock().put(hash, token);
    }

    fn lock(&self) -> MutexGuard<'_, Halves> {
        // Nothing is left half done by whoever panics here.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Halves {
    fn put(&mut self, hash: [u8; 32], token: &Arc<Verified>) {
        if self.fresh.len() >= MOST {
            self.old = std::mem::take(&mut self.fresh);
        }
        self.fresh.insert(hash, Arc::clone(token));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::jwt::Claims;

    #[test]
    fn what_is_asked_for_stays_and_there_are_never_more_than_twice_the_half() {
        let known = Known::default();
        let token = Arc::new(Verified {
            claims: Claims::default(),
            expires: None,
            key: [0; 32],
        });
        let hash = |number: usize| openssl::sha::sha256(&number.to_be_bytes());
        for number in 0..10 * MOST {
            known.put(hash(number), &token);
            assert!(known.get(&hash(0)).is_some(), "{number}");
        }
        assert!(known.get(&hash(1)).is_none());
        let halves = known.lock();
        assert!(halves.fresh.len() + halves.old.len() <= 2 * MOST);
    }
}
