//! What all topics of one feed have in common.

use std::sync::{Arc, Mutex, PoisonError};

use super::budget::Budget;
use super::metrics::{FeedMetrics, Metrics};
use super::report::Told;
use crate::config::Feed;
use crate::core::json::Pattern;
use crate::core::noise::Finding;
use crate::core::sse::{Frame, Kind};

/// One feed, as its topics see it.
#[derive(Debug)]
pub struct Common {
    feed: Arc<Feed>,
    metrics: Arc<FeedMetrics>,
    budget: Arc<Budget>,
    /// Shared by all subscribers.
    heartbeat: Arc<Frame>,
    /// A std mutex: held for some look-ups, never across an await.
    told: Mutex<Told>,
}

impl Common {
    /// A feed whose topics are counted by `metrics`.
    pub fn new(feed: Arc<Feed>, metrics: &Metrics) -> Arc<Self> {
        let heartbeat = match &feed.deliver.heartbeat.event {
            Some(name) => Frame::event(Kind::Heartbeat, name, None, b"{}"),
            None => Frame::comment(),
        };
        Arc::new(Self {
            metrics: Arc::new(metrics.feed(&feed.path)),
            budget: Arc::clone(metrics.budget()),
            heartbeat: Arc::new(heartbeat),
            told: Mutex::default(),
            feed,
        })
    }

    /// Its configuration.
    pub fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// What is counted for it.
    pub fn metrics(&self) -> &Arc<FeedMetrics> {
        &self.metrics
    }

    /// The memory of which its topics take their share.
    pub(super) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// The sign of life that all of its subscribers share.
    pub(super) fn heartbeat(&self) -> &Arc<Frame> {
        &self.heartbeat
    }

    /// The noise that was never told before in this process, whichever topic has it.
    pub(super) fn first(&self, noise: &[Finding]) -> Vec<Pattern> {
        // Whoever panicked in between has told less.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.first(noise)
    }
}
