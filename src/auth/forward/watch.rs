//! The streams that a service let in, and when it is asked about them again.
//!
//! Promises that a stream ends once it would not be let in any more, at most `recheck` later, and
//! that a service which gives no answer for a while ends none, but does after [`GRACE`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::question::{Key, Question};
use super::{Asked, Decision, Service, Verdict};
use crate::auth::grant::Grant;
use crate::auth::open::Open;

/// How long streams go on whose service gives no answer.
const GRACE: Duration = Duration::from_secs(60);
/// How many questions of streams are asked at once.
const AT_ONCE: usize = 8;
/// A round of looking for what is due takes this long, at least and at most.
const ROUND: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The streams of one service, by what was asked.
#[derive(Debug, Default)]
pub struct Watched(Mutex<HashMap<Key, Entry>>);

#[derive(Debug)]
struct Entry {
    question: Arc<Question>,
    grants: Vec<Weak<Grant>>,
    due: Instant,
    /// When there was an answer.
    known: Instant,
}

impl Watched {
    /// Watches a grant.
    pub fn add(&self, asked: &Asked, grant: &Arc<Grant>, due: Instant) {
        let mut entries = self.lock();
        let entry = entries.entry(asked.key).or_insert_with(|| Entry {
            question: Arc::clone(&asked.question),
            grants: Vec::new(),
            due,
            known: Instant::now(),
        });
        if entry.grants.len() == entry.grants.capacity() {
            entry.grants.retain(|grant| grant.strong_count() > 0);
        }
        entry.grants.push(Arc::downgrade(grant));
    }

    /// What is due; streams that are over are forgotten.
    fn due(&self, now: Instant) -> Vec<(Key, Arc<Question>)> {
        let mut entries = self.lock();
        entries.retain(|_, entry| entry.grants.iter().any(|grant| grant.strong_count() > 0));
        let due = entries.iter().filter(|(_, entry)| entry.due <= now);
        due.map(|(key, entry)| (*key, Arc::clone(&entry.question)))
            .collect()
    }

    /// They may stay until `next`, when they are asked about again.
    fn stay(&self, key: &Key, next: Instant) {
        if let Some(entry) = self.lock().get_mut(key) {
            entry.due = next;
            entry.known = Instant::now();
        }
    }

    /// There was no answer, and is perhaps at `next`; whether they must go.
    fn unanswered(&self, key: &Key, next: Instant, patience: Duration) -> bool {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(key) else {
            return false;
        };
        entry.due = next;
        entry.known.elapsed() > patience
    }

    fn take(&self, key: &Key) -> Vec<Arc<Grant>> {
        let entry = self.lock().remove(key);
        let grants = entry.map_or_else(Vec::new, |entry| entry.grants);
        grants.iter().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        // Nothing is left half done by whoever panics here.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks again of all who are due, for as long as there is the service.
pub async fn keep_asking(service: Weak<Service>, open: Arc<Open>) {
    let mut round = ROUND.0;
    let mut asked = JoinSet::new();
    loop {
        sleep(round).await;
        let Some(service) = service.upgrade() else {
            return;
        };
        round = (service.rules.recheck / 8).clamp(ROUND.0, ROUND.1);
        for (key, question) in service.watched.due(Instant::now()) {
            if asked.len() >= AT_ONCE {
                asked.join_next().await;
            }
            let (service, open) = (Arc::clone(&service), Arc::clone(&open));
            asked.spawn(async move {
                if service.is_over(&key, &question, round).await {
                    open.withdraw(&service.watched.take(&key));
                }
            });
        }
        while asked.join_next().await.is_some() {}
    }
}

impl Service {
    /// Asks again of whom this was asked; whether they must go.
    async fn is_over(&self, key: &Key, question: &Question, round: Duration) -> bool {
        let recheck = self.rules.recheck;
        match self.ask(key, question).await {
            Decision::Made(verdict) => {
                self.watched.stay(key, Instant::now() + recheck);
                matches!(*verdict, Verdict::Refused(_))
            }
            Decision::Missing => {
                let next = Instant::now() + round;
                self.watched.unanswered(key, next, recheck + GRACE)
            }
        }
    }
}
