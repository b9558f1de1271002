//! Who listens to a topic: the announcement that pollers follow.

use std::sync::Arc;

use super::topic::Topic;

/// The listeners of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// How many listen now.
    pub listening: usize,
    /// How many ever came.
    pub arrived: u64,
}

/// Keeps a topic polled while it lives.
#[derive(Debug)]
pub struct Demand {
    topic: Arc<Topic>,
}

impl Demand {
    pub(super) fn new(topic: Arc<Topic>) -> Self {
        topic.announce(|audience| {
            audience.listening += 1;
            audience.arrived += 1;
        });
        Self { topic }
    }

    /// What is demanded.
    pub fn topic(&self) -> &Arc<Topic> {
        &self.topic
    }
}

impl Drop for Demand {
    fn drop(&mut self) {
        self.topic.announce(|audience| audience.listening -= 1);
    }
}
