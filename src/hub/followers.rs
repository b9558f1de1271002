//! Who is woken when a topic changes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::topic::Topic;

/// The wakers of one topic.
#[derive(Debug, Default)]
pub(super) struct Followers {
    wakers: Mutex<Vec<Waker>>,
}

/// Keeps a waker registered.
#[derive(Debug)]
pub struct Following {
    topic: Arc<Topic>,
    waker: Waker,
}

impl Followers {
    pub(super) fn wake(&self) {
        self.lock().iter().for_each(Waker::wake_by_ref);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waker>> {
        // A waker that panics leaves the list as it is.
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Following {
    pub(super) fn new(topic: Arc<Topic>, waker: Waker) -> Self {
        topic.followers().lock().push(waker.clone());
        Self { topic, waker }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut wakers = self.topic.followers().lock();
        if let Some(index) = wakers.iter().position(|waker| waker.will_wake(&self.waker)) {
            wakers.swap_remove(index);
        }
    }
}
