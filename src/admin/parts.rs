//! What several answers say alike: of a state, of the next poll, of subscribers, of what was learnt.

use serde::Serialize;

use crate::config;
use crate::core::diff::InferredKey;
use crate::core::event::{Mode, Timestamp};
use crate::core::noise::Finding;
use crate::core::quiet::{self, Facts};
use crate::core::schedule::Next;
use crate::hub::{Audience, Lessons, Report};

/// The state of a feed that is not polled, which is no trouble.
pub(super) const PAUSED: &str = "paused";

/// The word for what a topic is like.
pub(super) fn state(report: &Report) -> &'static str {
    match report.is_paused {
        true => PAUSED,
        false => report.health.state().name(),
    }
}

/// A moment, if there was one.
pub(super) fn time(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

/// When it is polled next.
#[derive(Default, Serialize)]
pub(super) struct Plan {
    next_poll: Option<String>,
    interval_ms: Option<u64>,
    why: Option<&'static str>,
    why_text: Option<String>,
}

impl Plan {
    /// Then, for different reasons.
    pub(super) fn at(next: Option<Timestamp>) -> Self {
        Self {
            next_poll: next.map(|at| at.to_string()),
            ..Self::default()
        }
    }
}

impl From<Option<Next>> for Plan {
    fn from(next: Option<Next>) -> Self {
        Self {
            next_poll: next.map(|next| next.at.to_string()),
            interval_ms: next.map(|next| next.interval),
            why: next.map(|next| next.why.word()),
            why_text: next.map(|next| next.sentence()),
        }
    }
}

/// Why nothing was sent lately.
#[derive(Serialize)]
pub(super) struct Quiet {
    pub(super) reason: &'static str,
    pub(super) text: String,
}

impl Quiet {
    pub(super) fn of(report: &Report, now: Timestamp) -> Option<Self> {
        let facts = Facts {
            health: &report.health,
            is_warm: !report.is_paused,
            is_wanted: report.is_wanted,
            changed: report.changed,
            next: report.next,
        };
        let quiet = quiet::quiet(&facts, now)?;
        Some(Self {
            reason: quiet.reason.word(),
            text: quiet.text,
        })
    }
}

#[derive(Serialize)]
pub(super) struct Subscribers {
    total: usize,
    patch: usize,
    merge: usize,
    items: usize,
    snapshot: usize,
}

impl Subscribers {
    /// How many they are.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Those of all these audiences together.
    pub(super) fn of<'a>(audiences: impl Iterator<Item = &'a Audience> + Clone) -> Self {
        let listening = |mode| {
            let audiences = audiences.clone();
            audiences.map(|it| it.in_mode(mode).listening).sum()
        };
        Self {
            total: audiences.clone().map(Audience::listening).sum(),
            patch: listening(Mode::Patch),
            merge: listening(Mode::Merge),
            items: listening(Mode::Items),
            snapshot: listening(Mode::Snapshot),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Key {
    place: String,
    key: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Noise {
    place: String,
    ignore: String,
    bytes: u64,
}

/// What documents taught, for people.
pub(super) fn taught(feed: &config::Feed, lessons: Lessons) -> (Vec<Key>, Vec<Noise>) {
    let remedy = lessons.remedy(feed);
    let key = |found: InferredKey| Key {
        place: found.place,
        key: found.key,
    };
    let noise = |finding: Finding| Noise {
        place: finding.place.to_string(),
        ignore: remedy.clone(),
        bytes: finding.bytes,
    };
    (
        lessons.keys.into_iter().map(key).collect(),
        lessons.noise.into_iter().map(noise).collect(),
    )
}
