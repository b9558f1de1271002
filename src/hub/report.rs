//! What is known of a topic, for those who look from outside.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use super::demand::Audience;
use crate::config::{Feed, ignore_line};
use crate::core::diff::InferredKey;
use crate::core::event::{Mode, State, Timestamp};
use crate::core::health::{Denial, Health};
use crate::core::id::EventId;
use crate::core::json::Pattern;
use crate::core::latest::Latest;
use crate::core::noise::Finding;
use crate::core::schedule::Next;
use crate::core::trail::Trail;

/// The most places that are remembered as told.
const MAX_TOLD: usize = 256;

/// A topic at one moment.
#[derive(Clone, Debug)]
pub struct Report {
    /// What its polls say.
    pub health: Health,
    /// Whether no poll was answered since polling last stopped, as it does when nobody listens.
    pub is_paused: bool,
    /// Whether it is polled: somebody listens, or did a moment ago, or it is polled for nobody.
    pub is_wanted: bool,
    /// Who listens.
    pub audience: Audience,
    /// The newest event; none before the first.
    pub last_event_id: Option<EventId>,
    /// When the newest change came; none before the first.
    pub changed: Option<Timestamp>,
    /// Events kept for resume.
    pub events: usize,
    /// The bytes that they take.
    pub history_bytes: usize,
    /// What its documents taught.
    pub lessons: Lessons,
    /// The next poll; none while polling is paused.
    pub next: Option<Next>,
}

/// What happened to a topic lately.
#[derive(Clone, Debug)]
pub struct Glance {
    /// The newest changes, newest first.
    pub recent: Vec<Recent>,
    /// The length of the newest document, and its text unless that is too long; none before the
    /// first.
    pub document: Option<(usize, Option<Bytes>)>,
    /// The latest polls.
    pub trail: Trail,
}

/// One change of a topic.
#[derive(Clone, Debug)]
pub struct Recent {
    /// Its event.
    pub id: EventId,
    /// When it came.
    pub at: Timestamp,
    /// The length of the document that it led to.
    pub document_bytes: usize,
    /// The forms in which it is kept, besides the snapshot: the length of the data, and the data
    /// where it is one text.
    pub forms: Vec<(Mode, (usize, Option<Bytes>))>,
}

/// What those get who ask a topic for its document.
#[derive(Clone, Debug)]
pub struct Newest {
    /// The document; none before the first.
    pub document: Option<Arc<Latest>>,
    /// When it came.
    pub changed: Option<Timestamp>,
    /// When a poll last said that it is still so.
    pub last_success: Option<Timestamp>,
    /// The state of the topic.
    pub state: State,
    /// Why the last poll failed, if it did.
    pub reason: Option<String>,
    /// The refusal that newcomers are answered with, if the upstream refuses the feed.
    pub denied: Option<Denial>,
    /// Whether whoever listens is sent away.
    pub draining: bool,
}

/// What the documents of a topic taught.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lessons {
    /// The length of the newest document, in bytes; 0 before the first.
    pub document_bytes: usize,
    /// What identifies the elements of arrays.
    pub keys: Vec<InferredKey>,
    /// Which places change at every poll.
    pub noise: Vec<Finding>,
}

impl Lessons {
    /// Without what holds names out of the documents.
    pub(super) fn without_names(self) -> Self {
        Self {
            document_bytes: self.document_bytes,
            ..Self::default()
        }
    }

    /// The line of the feed's `document` section with which there would be no noise: what is
    /// ignored already, and all that was found.
    pub fn remedy(&self, feed: &Feed) -> String {
        let found = self.noise.iter().map(|finding| &finding.place);
        ignore_line(feed.document.view.ignore.iter().chain(found))
    }
}

/// What was said of a topic, which need not be said again.
#[derive(Debug, Default)]
pub(super) struct Told {
    noise: HashSet<String>,
}

impl Told {
    /// The places that were never told, from now on told.
    pub(super) fn first(&mut self, noise: &[Finding]) -> Vec<Pattern> {
        let is_new = |finding: &&Finding| {
            self.noise.len() < MAX_TOLD && self.noise.insert(finding.place.to_string())
        };
        let new = noise.iter().filter(is_new);
        new.map(|finding| finding.place.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(place: &str) -> Finding {
        Finding {
            place: Pattern::parse(place).unwrap(),
            bytes: 1,
        }
    }

    #[test]
    fn a_place_is_told_once_however_often_it_is_found_again() {
        let mut told = Told::default();
        let (a, b) = (finding("/a"), finding("/b"));
        let (first, both) = ([a.clone()], [a.clone(), b.clone()]);
        assert_eq!(told.first(&first), [a.place]);
        assert_eq!(told.first(&[]), []);
        assert_eq!(told.first(&both), [b.place]);
        assert_eq!(told.first(&both), []);
    }

    #[test]
    fn made_up_places_are_told_until_they_are_too_many() {
        let mut told = Told::default();
        let told: usize = (0..2 * MAX_TOLD)
            .map(|n| told.first(&[finding(&format!("/{n}"))]).len())
            .sum();
        assert_eq!(told, MAX_TOLD);
    }
}
