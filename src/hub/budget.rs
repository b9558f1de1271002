//! What all topics hold together, and what happens where that is too much.
//!
//! Promises that a topic which publishes takes no lock that others need, as long as there is room;
//! that whoever brings too much sheds history before it goes on, which at most one does at a time;
//! that no topic loses its newest event. What can go first, and how much, is
//! [`memory`](crate::core::memory)'s to say.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use prometheus::IntGauge;

use super::topic::Topic;
use crate::core::memory::{self, Weight};
use crate::metrics::Registry;

/// The memory of all topics of this process.
#[derive(Debug)]
pub struct Budget {
    limit: AtomicUsize,
    kept: AtomicUsize,
    history: AtomicUsize,
    topics: AtomicUsize,
    /// From how many bytes on something is to be shed.
    look_at: AtomicUsize,
    is_shedding: AtomicBool,
    next: AtomicU64,
    /// A std mutex: held while a topic comes or goes and while they are listed, never across an
    /// await, and not while anything is published.
    members: Mutex<HashMap<u64, Weak<Topic>>>,
    limit_gauge: IntGauge,
    held_gauge: IntGauge,
}

/// What one topic adds, taken out again when this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    member: u64,
    weight: Weight,
    /// What its poller holds for it.
    pub(super) beside: usize,
}

impl Budget {
    /// Nothing is held, and anything may be.
    pub(super) fn new(registry: &Registry) -> Arc<Self> {
        let gauge = |name, help| {
            registry
                .gauges(name, help, &[])
                .with_label_values::<&str>(&[])
        };
        Arc::new(Self {
            limit: AtomicUsize::new(usize::MAX),
            kept: AtomicUsize::new(0),
            history: AtomicUsize::new(0),
            topics: AtomicUsize::new(0),
            look_at: AtomicUsize::new(usize::MAX),
            is_shedding: AtomicBool::new(false),
            next: AtomicU64::new(0),
            members: Mutex::default(),
            limit_gauge: gauge(
                "memory_budget_bytes",
                "What all topics together may hold (server.limits.memory).",
            ),
            held_gauge: gauge(
                "memory_held_bytes",
                "What all topics together hold: documents, histories, what was compressed or is \
                 being sent, and what their pollers compare with.",
            ),
        })
    }

    /// From now on all topics together may hold so many bytes.
    pub(super) fn allow(&self, bytes: usize) {
        self.limit.store(bytes, Ordering::Relaxed);
        self.look_at.store(bytes, Ordering::Relaxed);
        self.limit_gauge.set(signed(bytes));
    }

    /// What all topics together may hold, in bytes.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// What they hold, in bytes, with what is expected of those without a document.
    pub fn held(&self) -> Weight {
        Weight {
            kept: self.kept.load(Ordering::Relaxed),
            history: self.history.load(Ordering::Relaxed),
        }
    }

    /// How many bytes are missing for one more topic, if every history were shed.
    pub(super) fn lacks(&self) -> usize {
        let kept = self.held().kept;
        let expected = memory::expected(kept, self.topics.load(Ordering::Relaxed));
        kept.saturating_add(expected).saturating_sub(self.limit())
    }

    /// The share of a topic that is about to be made: as much as is expected of it.
    pub(super) fn share(self: &Arc<Self>) -> Share {
        let others = self.topics.fetch_add(1, Ordering::Relaxed);
        let mut share = Share {
            budget: Arc::clone(self),
            member: self.next.fetch_add(1, Ordering::Relaxed),
            weight: Weight::default(),
            beside: 0,
        };
        share.set(Weight {
            kept: memory::expected(self.held().kept, others),
            history: 0,
        });
        share
    }

    /// This topic has that share, and its history may be shed.
    pub(super) fn join(&self, member: u64, topic: &Arc<Topic>) {
        self.members().insert(member, Arc::downgrade(topic));
    }

    /// Sheds history if all topics together hold too much. To be called without a topic's lock.
    pub(super) fn relieve(&self) {
        let is_due = || self.held().total() > self.look_at.load(Ordering::Relaxed);
        if !is_due() || self.is_shedding.swap(true, Ordering::Acquire) {
            return;
        }
        // A topic whose last holder this is goes at the end, when the list is nobody's any more.
        let topics: Vec<_> = self.members().values().filter_map(Weak::upgrade).collect();
        let histories = topics.iter().map(|topic| topic.weight().history);
        let allowed = memory::allowed_history(self.limit(), self.held().kept);
        let level = memory::level(histories.collect(), allowed);
        for topic in &topics {
            topic.shed(level);
        }
        let next = memory::next_look(self.limit(), self.held().total());
        self.look_at.store(next, Ordering::Relaxed);
        self.is_shedding.store(false, Ordering::Release);
    }

    fn members(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Weak<Topic>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    pub(super) fn member(&self) -> u64 {
        self.member
    }

    /// What the topic is counted with now.
    pub(super) fn weight(&self) -> Weight {
        self.weight
    }

    /// It holds so much.
    pub(super) fn set(&mut self, weight: Weight) {
        let budget = &self.budget;
        replace(&budget.kept, self.weight.kept, weight.kept);
        replace(&budget.history, self.weight.history, weight.history);
        let more = signed(weight.total()) - signed(self.weight.total());
        budget.held_gauge.add(more);
        self.weight = weight;
        // Who found nothing to shed need not look at each change, until there is room again.
        let limit = budget.limit();
        if more < 0 && budget.held().total() <= limit {
            budget.look_at.store(limit, Ordering::Relaxed);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.topics.fetch_sub(1, Ordering::Relaxed);
        self.set(Weight::default());
        self.budget.members().remove(&self.member);
    }
}

fn replace(sum: &AtomicUsize, old: usize, new: usize) {
    if new >= old {
        sum.fetch_add(new - old, Ordering::Relaxed);
    } else {
        sum.fetch_sub(old - new, Ordering::Relaxed);
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
