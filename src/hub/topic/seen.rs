//! What those learn of a topic who look from outside.
//!
//! Promises that looking causes no poll, encodes no event, and keeps nothing.

use super::Topic;
use crate::config::Idle;
use crate::core::event::Mode;
use crate::hub::report::{Glance, Recent, Report};

impl Topic {
    /// What is known of it now.
    pub fn report(&self) -> Report {
        let audience = *self.audience.borrow();
        let is_kept = self.feed().poll.idle == Idle::Keep;
        let linger = self.feed().poll.linger;
        let inner = self.lock();
        let lingers = || {
            let since = inner.quiet_since;
            inner.polled && since.is_some_and(|since| since.elapsed() < linger)
        };
        Report {
            health: inner.health.clone(),
            is_paused: !inner.warm,
            is_wanted: is_kept || audience.listening() > 0 || lingers(),
            audience,
            last_event_id: inner.log.newest_id(),
            changed: inner.changed,
            events: inner.log.held().0,
            history_bytes: inner.log.held().1,
            lessons: inner.lessons.clone(),
            next: inner.next,
        }
    }

    /// What became of its latest polls, its newest changes as far as the log still has them, and the
    /// text of the document unless that is longer than `most` bytes; all of one moment.
    pub fn glance(&self, most: usize) -> Glance {
        let inner = self.lock();
        let log = &inner.log;
        let recent = inner.trail.changes().map(|change| Recent {
            id: log.id(change.sequence),
            at: change.at,
            document_bytes: change.document_bytes,
            forms: Mode::ALL
                .into_iter()
                .filter_map(|mode| log.form(mode, change.sequence).map(|form| (mode, form)))
                .collect(),
        });
        Glance {
            recent: recent.collect(),
            document: log.document(most),
            trail: inner.trail.clone(),
        }
    }
}
