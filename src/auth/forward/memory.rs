//! What a service decided a moment ago.
//!
//! Promises that as much is kept as there may be, whoever asks, and that equal questions are asked
//! one at a time, so that all but the first find their answer here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Mutex as Turn;
use tokio::time::Instant;

use super::question::Key;

/// How many decisions are kept.
const MOST: usize = 10_000;
/// So many turns are kept before anybody looks for those that nobody waits for.
const FEW: usize = 64;

/// Decisions of one service, by question.
#[derive(Debug)]
pub struct Memory<T>(Mutex<State<T>>);

#[derive(Debug)]
struct State<T> {
    decided: HashMap<Key, (Instant, T)>,
    turns: HashMap<Key, Weak<Turn<()>>>,
    /// As many turns as there may be until those are dropped that are over.
    room: usize,
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self(Mutex::new(State {
            decided: HashMap::new(),
            turns: HashMap::new(),
            room: FEW,
        }))
    }
}

impl<T: Clone> Memory<T> {
    /// What was decided, if it holds now.
    pub fn recall(&self, key: &Key, now: Instant) -> Option<T> {
        let state = self.lock();
        let (until, decision) = state.decided.get(key)?;
        (now < *until).then(|| decision.clone())
    }

    /// Keeps a decision until then. Where there is no room, those give way that do not hold any more,
    /// else any: which keys come first nobody can know.
    pub fn learn(&self, key: Key, decision: T, (now, until): (Instant, Instant)) {
        let mut state = self.lock();
        if until <= now {
            state.decided.remove(&key);
            return;
        }
        if state.decided.len() >= MOST && !state.decided.contains_key(&key) {
            state.decided.retain(|_, (until, _)| now < *until);
            if state.decided.len() >= MOST
                && let Some(any) = state.decided.keys().next().copied()
            {
                state.decided.remove(&any);
            }
        }
        state.decided.insert(key, (until, decision));
    }

    /// Whoever holds its lock asks this question.
    pub fn turn(&self, key: &Key) -> Arc<Turn<()>> {
        let mut state = self.lock();
        if let Some(turn) = state.turns.get(key).and_then(Weak::upgrade) {
            return turn;
        }
        if state.turns.len() >= state.room {
            state.turns.retain(|_, turn| turn.strong_count() > 0);
            state.room = FEW.max(state.turns.len() * 2);
        }
        let turn = Arc::new(Turn::new(()));
        state.turns.insert(*key, Arc::downgrade(&turn));
        turn
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing is left half done by whoever panics here.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(number: usize) -> Key {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_be_bytes());
        key
    }

    #[tokio::test(start_paused = true)]
    async fn a_decision_holds_until_its_end_and_for_its_key() {
        let memory = Memory::default();
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        memory.learn(key(1), 'a', (now, now + second));
        assert_eq!(memory.recall(&key(1), now), Some('a'));
        assert_eq!(memory.recall(&key(2), now), None);
        assert_eq!(memory.recall(&key(1), now + second), None);
        memory.learn(key(1), 'b', (now, now));
        assert_eq!(memory.recall(&key(1), now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_never_more_than_there_may_be() {
        let memory = Memory::default();
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        for number in 0..MOST + 100 {
            memory.learn(key(number), number, (now, now + second));
            memory.turn(&key(number));
        }
        assert_eq!(memory.lock().decided.len(), MOST);
        assert!(memory.lock().turns.len() <= FEW);
        let last = key(MOST + 99);
        assert_eq!(memory.recall(&last, now), Some(MOST + 99));
        let later = now + second * 2;
        memory.learn(key(MOST * 2), 0, (later, later + second));
        assert_eq!(memory.lock().decided.len(), 1);
        let (one, same) = (memory.turn(&last), memory.turn(&last));
        assert!(Arc::ptr_eq(&one, &same));
    }
}
