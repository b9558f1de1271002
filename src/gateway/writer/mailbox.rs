//! How a shard learns that there is something to do.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use super::Newcomer;

/// Where sockets, topics and requests leave word for one shard.
#[derive(Debug, Default)]
pub struct Mailbox {
    letters: Mutex<Letters>,
}

#[derive(Debug, Default)]
struct Letters {
    newcomers: Vec<Newcomer>,
    ready: Vec<Ready>,
    /// The shard's task, if it sleeps.
    sleeper: Option<Waker>,
    /// How often the shard looked.
    rounds: u64,
}

/// What something happened to, by its index in the shard. The index may have another owner by the
/// time it is read, who is then looked at in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// The topic of this crowd changed.
    Crowd(u32),
    /// The connection of this client can be read or written, or is gone.
    Client(u32),
    /// Somebody's grant was withdrawn.
    Grants,
}

/// Leaves word that something is ready.
struct Bell {
    mailbox: Arc<Mailbox>,
    ready: Ready,
}

impl Mailbox {
    /// Hands over a new subscriber.
    pub fn adopt(&self, newcomer: Newcomer) {
        self.post(|letters| letters.newcomers.push(newcomer));
    }

    /// Says that grants were withdrawn.
    pub fn recheck(&self) {
        self.post(|letters| letters.ready.push(Ready::Grants));
    }

    /// A waker that says `ready`.
    pub fn bell(self: &Arc<Self>, ready: Ready) -> Waker {
        Waker::from(Arc::new(Bell {
            mailbox: Arc::clone(self),
            ready,
        }))
    }

    /// Takes what has come, and wakes `sleeper` for what comes next.
    pub fn collect(&self, newcomers: &mut Vec<Newcomer>, ready: &mut Vec<Ready>, sleeper: &Waker) {
        let mut letters = self.lock();
        letters.rounds += 1;
        newcomers.append(&mut letters.newcomers);
        ready.append(&mut letters.ready);
        match &mut letters.sleeper {
            Some(old) => old.clone_from(sleeper),
            none => *none = Some(sleeper.clone()),
        }
    }

    /// Has the shard look, and says how often it did until now.
    pub fn knock(&self) -> u64 {
        let mut rounds = 0;
        self.post(|letters| rounds = letters.rounds);
        rounds
    }

    fn post(&self, write: impl FnOnce(&mut Letters)) {
        let mut letters = self.lock();
        write(&mut letters);
        let sleeper = letters.sleeper.take();
        drop(letters);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Letters> {
        // Nothing is left half done by whoever panics here.
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.mailbox.post(|letters| letters.ready.push(self.ready));
    }
}
