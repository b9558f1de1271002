//! The grants of open streams, and what was revoked.
//!
//! Promises that what is revoked while somebody comes in is not missed: both sides go through one
//! lock. Nothing here outlives the streams by more than as much again, and revocations end when no
//! token can be valid any more to which they apply.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde_json::Value;
use tokio::sync::watch;

use super::grant::{Grant, Proof};
use crate::core::event::Timestamp;

/// How many revocations there may be: each is compared with whoever comes.
const MOST: usize = 1000;
/// So many grants are followed before anybody looks for those that are gone.
const FEW: usize = 64;

/// Whom to let in no more: everything that is said must apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Who it is, as grants call them.
    pub who: Option<String>,
    /// `sub` of a token.
    pub sub: Option<String>,
    /// `jti` of a token.
    pub jti: Option<String>,
    /// Until when; the latest end of the tokens that it applies to.
    pub until: Timestamp,
}

/// As many revocations are in force as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "1000 revocations are in force, no more are kept; revoke the key that signs the tokens instead"
)]
pub struct TooMany;

/// The grants of open streams.
#[derive(Debug)]
pub struct Open {
    state: Mutex<State>,
    withdrawals: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    grants: Vec<Weak<Grant>>,
    /// As many as there may be until those are dropped that are gone.
    room: usize,
    revoked: Vec<Revocation>,
}

impl Default for Open {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            withdrawals: watch::Sender::new(0),
        }
    }
}

impl Open {
    /// Follows a grant while it lives; if it does not stand by now, it is withdrawn at once.
    pub fn follow(&self, grant: &Arc<Grant>, stands: impl Fn(&Grant) -> bool, now: Timestamp) {
        let mut state = self.lock();
        if state.grants.len() >= state.room.max(FEW) {
            state.grants.retain(|grant| grant.strong_count() > 0);
            state.room = state.grants.len() * 2;
        }
        state.grants.push(Arc::downgrade(grant));
        let is_revoked = state.revoked.iter().any(|it| it.applies(grant, now));
        drop(state);
        if is_revoked || !stands(grant) {
            grant.withdraw();
            self.tell(1);
        }
    }

    /// Withdraws the grants that do not stand any more.
    pub fn review(&self, stands: impl Fn(&Grant) -> bool) {
        let grants = self.grants();
        let fallen = grants.iter().filter(|grant| !stands(grant));
        self.tell(fallen.filter(|grant| grant.withdraw()).count());
    }

    /// Withdraws the grants to which this applies, and remembers it. How many there were.
    ///
    /// # Errors
    /// [`TooMany`] if no more can be remembered; then nothing is withdrawn.
    pub fn revoke(&self, revocation: Revocation, now: Timestamp) -> Result<usize, TooMany> {
        let mut state = self.lock();
        state.revoked.retain(|it| it.until > now);
        let is_full = state.revoked.len() >= MOST;
        let known = state.revoked.iter_mut().find(|it| it.is_of(&revocation));
        match known {
            Some(known) => known.until = known.until.max(revocation.until),
            None if is_full => return Err(TooMany),
            None => state.revoked.push(revocation.clone()),
        }
        drop(state);
        let grants = self.grants();
        let meant = grants.iter().filter(|grant| revocation.applies(grant, now));
        let count = meant.filter(|grant| grant.withdraw()).count();
        self.tell(count);
        Ok(count)
    }

    /// Withdraws these grants.
    pub fn withdraw(&self, grants: &[Arc<Grant>]) {
        self.tell(grants.iter().filter(|grant| grant.withdraw()).count());
    }

    /// Whether something that was revoked applies.
    pub fn is_revoked(&self, grant: &Grant, now: Timestamp) -> bool {
        self.lock().revoked.iter().any(|it| it.applies(grant, now))
    }

    /// Says whenever grants were withdrawn.
    pub fn withdrawals(&self) -> watch::Receiver<u64> {
        self.withdrawals.subscribe()
    }

    fn grants(&self) -> Vec<Arc<Grant>> {
        self.lock()
            .grants
            .iter()
            .filter_map(Weak::upgrade)
            .collect()
    }

    fn tell(&self, count: usize) {
        if count > 0 {
            self.withdrawals.send_modify(|times| *times += 1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done by whoever panics here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Revocation {
    /// Whether it says anything.
    pub fn is_meant(&self) -> bool {
        self.who.is_some() || self.sub.is_some() || self.jti.is_some()
    }

    /// Whether both are about the same.
    fn is_of(&self, other: &Self) -> bool {
        (&self.who, &self.sub, &self.jti) == (&other.who, &other.sub, &other.jti)
    }

    fn applies(&self, grant: &Grant, now: Timestamp) -> bool {
        let by_who = |who: &String| grant.proofs().iter().any(|proof| proof.who() == *who);
        now < self.until
            && self.is_meant()
            && self.who.as_ref().is_none_or(by_who)
            && (self.sub.is_none() && self.jti.is_none()
                || grant.proofs().iter().any(|proof| self.is_token(proof)))
    }

    fn is_token(&self, proof: &Proof) -> bool {
        let Proof::Token { token, .. } = proof else {
            return false;
        };
        let is = |name, wanted: &Option<String>| {
            let found = token.claims.get(name).and_then(Value::as_str);
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        is("sub", &self.sub) && is("jti", &self.jti)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_revocations_are_kept_until_each_is_over() {
        let open = Open::default();
        let of = |number: usize, until: u64| Revocation {
            who: None,
            sub: Some(number.to_string()),
            jti: None,
            until: Timestamp(until),
        };
        for number in 0..MOST {
            let until = if number == 0 { 5 } else { 9 };
            assert_eq!(open.revoke(of(number, until), Timestamp(1)), Ok(0));
        }
        assert_eq!(open.revoke(of(MOST, 9), Timestamp(4)), Err(TooMany));
        assert_eq!(open.revoke(of(1, 7), Timestamp(4)), Ok(0), "known already");
        assert_eq!(open.revoke(of(MOST, 9), Timestamp(5)), Ok(0));
        assert_eq!(open.revoke(of(MOST + 1, 9), Timestamp(8)), Err(TooMany));
    }
}
