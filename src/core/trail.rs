//! What became of a topic's latest polls and changes, for those who look from outside.
//!
//! Promises to take 1,120 bytes at most, and the texts of its failures, which polls that fail alike
//! share: there may be 10,000 topics.

use std::collections::VecDeque;
use std::sync::Arc;

use super::event::Timestamp;

/// How many polls, and how many changes, are remembered.
pub const KEPT: usize = 20;

/// The latest polls and changes of one topic, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    polls: VecDeque<Polled>,
    changes: VecDeque<Changed>,
}

/// One poll: 32 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polled {
    /// When it began.
    pub at: Timestamp,
    /// Milliseconds until its outcome was known, an hour and more included.
    pub took: u32,
    /// The length of its answer's body after decoding; 0 without one, `u32::MAX` beyond.
    pub body_bytes: u32,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The event with this sequence.
    Changed(u64),
    /// An answer that means the same document.
    Unchanged,
    /// The upstream said that nothing changed.
    NotModified,
    /// Nothing.
    Failed(Arc<Failure>),
}

/// Why a poll failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One word of a fixed set.
    pub word: &'static str,
    /// The reason for people.
    pub reason: String,
}

/// One change: 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The sequence of its event.
    pub sequence: u64,
    /// When it entered the log.
    pub at: Timestamp,
    /// The length of the document that it led to.
    pub document_bytes: usize,
}

impl Outcome {
    /// One word of a fixed set; the same as in metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Changed(_) => "changed",
            Outcome::Unchanged => "unchanged",
            Outcome::NotModified => "not_modified",
            Outcome::Failed(failure) => failure.word,
        }
    }
}

impl Trail {
    /// A poll ended.
    pub fn polled(&mut self, mut poll: Polled) {
        if let Outcome::Failed(failure) = &mut poll.outcome
            && let Some(Outcome::Failed(last)) = self.polls.back().map(|last| &last.outcome)
            && last == failure
        {
            *failure = Arc::clone(last);
        }
        keep(&mut self.polls, poll);
    }

    /// A change entered the log.
    pub fn changed(&mut self, change: Changed) {
        keep(&mut self.changes, change);
    }

    /// The latest polls, newest first.
    pub fn polls(&self) -> impl Iterator<Item = &Polled> {
        self.polls.iter().rev()
    }

    /// The latest changes, newest first.
    pub fn changes(&self) -> impl Iterator<Item = &Changed> {
        self.changes.iter().rev()
    }
}

fn keep<T>(latest: &mut VecDeque<T>, newest: T) {
    // At once and exactly: growing would leave room for 32.
    if latest.capacity() == 0 {
        latest.reserve_exact(KEPT);
    }
    if latest.len() == KEPT {
        latest.pop_front();
    }
    latest.push_back(newest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(at: u64, reason: &str) -> Polled {
        Polled {
            at: Timestamp(at),
            took: 1,
            body_bytes: 0,
            outcome: Outcome::Failed(Arc::new(Failure {
                word: "timeout",
                reason: reason.to_owned(),
            })),
        }
    }

    #[test]
    fn the_newest_stay_and_come_first() {
        let mut trail = Trail::default();
        for n in 0..50 {
            trail.polled(failed(n, "a"));
            trail.changed(Changed {
                sequence: n,
                at: Timestamp(n),
                document_bytes: 1,
            });
        }
        let polls: Vec<_> = trail.polls().map(|poll| poll.at.0).collect();
        let changes: Vec<_> = trail.changes().map(|change| change.sequence).collect();
        let newest: Vec<_> = (30..50).rev().collect();
        assert_eq!((&polls, &changes), (&newest, &newest));
    }

    #[test]
    fn it_takes_as_much_as_it_says_and_shares_what_polls_fail_of() {
        let mut trail = Trail::default();
        for n in 0..50 {
            trail.polled(failed(n, if n < 40 { "a" } else { "b" }));
            trail.changed(Changed {
                sequence: n,
                at: Timestamp(n),
                document_bytes: 1,
            });
        }
        let room = trail.polls.capacity() * size_of::<Polled>()
            + trail.changes.capacity() * size_of::<Changed>();
        assert_eq!(room, 20 * (32 + 24));
        let reasons: Vec<_> = trail
            .polls()
            .map(|poll| match &poll.outcome {
                Outcome::Failed(failure) => Arc::as_ptr(failure),
                _ => unreachable!("all fail"),
            })
            .collect();
        assert!(reasons[..10].iter().all(|it| *it == reasons[0]));
        assert!(reasons[10..].iter().all(|it| *it == reasons[19]));
        assert_ne!(reasons[0], reasons[19]);
    }
}
