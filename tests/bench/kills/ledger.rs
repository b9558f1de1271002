//! Every id that any client ever saw, and what it stood for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What was seen over all lives of the process.
#[derive(Default)]
pub struct Ledger {
    ids: Mutex<HashMap<(String, String), u64>>,
    wrong: Mutex<Vec<String>>,
    resets: Mutex<Vec<String>>,
    events: AtomicU64,
    resumed: AtomicU64,
    closed: AtomicBool,
}

impl Ledger {
    /// A client holds the document with this number under this id.
    pub fn saw(&self, path: &str, id: &str, n: u64) {
        self.events.fetch_add(1, Ordering::Relaxed);
        let key = (path.to_owned(), id.to_owned());
        let before = *lock(&self.ids).entry(key).or_insert(n);
        if before != n {
            self.wrong(format!("{path}: {id} stood for {before}, and now for {n}"));
        }
    }

    /// A client with a last id was served.
    pub fn resumed(&self) {
        self.resumed.fetch_add(1, Ordering::Relaxed);
    }

    /// A client was told that it cannot go on.
    pub fn reset(&self, what: String) {
        lock(&self.resets).push(what);
    }

    /// Something that must never be.
    pub fn wrong(&self, what: String) {
        lock(&self.wrong).push(what);
    }

    /// What must never be, and was.
    pub fn verdict(&self) -> Vec<String> {
        let (wrong, resets) = (lock(&self.wrong), lock(&self.resets));
        wrong
            .iter()
            .chain(resets.iter())
            .take(20)
            .cloned()
            .collect()
    }

    /// Events so far.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Events, ids, resumptions and resets so far.
    pub fn tally(&self) -> (u64, usize, u64, usize) {
        (
            self.events.load(Ordering::Relaxed),
            lock(&self.ids).len(),
            self.resumed.load(Ordering::Relaxed),
            lock(&self.resets).len(),
        )
    }

    /// Clients are to end.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A client that panicked is found by its thread.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
