//! Topics by key, and what is known of each: its log, its health, who listens.
//!
//! Owns the one road to a subscriber, the topic's log. Promises that whoever waits on a topic is
//! woken by every change. Must never poll, and must never write to a client: it announces demand,
//! and pollers listen; it wakes subscriptions, and writers write.

mod demand;
mod followers;
mod metrics;
mod report;
mod subscription;
mod topic;

use std::collections::HashMap;
use std::sync::Arc;

pub use demand::{Audience, Demand, Listeners};
pub use followers::Following;
pub use metrics::{FeedMetrics, Metrics};
pub use report::{Lessons, Newest, Report};
pub use subscription::{Due, Subscription, Then};
pub use topic::{Topic, Warmth};

/// Every topic of this process.
#[derive(Debug, Default)]
pub struct Hub {
    topics: HashMap<String, Arc<Topic>>,
}

impl Hub {
    /// A hub of these topics, each under its feed's path.
    pub fn new(topics: impl IntoIterator<Item = Arc<Topic>>) -> Self {
        let topics = topics
            .into_iter()
            .map(|topic| (topic.feed().path.clone(), topic))
            .collect();
        Self { topics }
    }

    /// The topic of the feed with exactly this path.
    pub fn topic(&self, path: &str) -> Option<&Arc<Topic>> {
        self.topics.get(path)
    }

    /// Every topic, in no order.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    /// Tells every subscriber to go: the process is about to leave.
    pub fn drain(&self) {
        self.topics().for_each(|topic| topic.drain());
    }
}
