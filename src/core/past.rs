//! What a log was, as plain bytes: enough for another log to go on with it.
//!
//! Owns nothing that is encoded for a wire: the names of events may be others by then. Promises
//! nothing of what it is made from; whoever reads one from outside goes through [`Past::new`].

use bytes::Bytes;

use super::change::ItemEvent;
use super::event::Timestamp;
use super::lineage::Lineage;

/// A log at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    lineage: Lineage,
    newest: u64,
    document: Bytes,
    kept: Vec<Kept>,
}

/// One event, without the document that it led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The RFC 6902 patch from the document before, where it has that form.
    pub patch: Option<Bytes>,
    /// The RFC 7396 patch, where it has that form.
    pub merge: Option<Bytes>,
    /// What became of each item, where it has that form.
    pub items: Option<Vec<ItemEvent>>,
    /// When the answer came that brought it, if that is known.
    pub at: Option<Timestamp>,
}

impl Past {
    /// The newest event's sequence, the document that it led to, compact JSON, and the newest events
    /// that are kept, oldest first, with that one last. `None` where these do not fit together.
    pub fn new(lineage: Lineage, newest: u64, document: Bytes, kept: Vec<Kept>) -> Option<Self> {
        let reached = lineage.earlier().last().map_or(0, |(_, last)| *last);
        let fits = (1..=newest).contains(&(kept.len() as u64)) && reached <= newest;
        (fits && !document.is_empty()).then_some(Self {
            lineage,
            newest,
            document,
            kept,
        })
    }

    /// The epochs of its events.
    pub fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// Sequence of the newest event.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// The document, compact JSON.
    pub fn document(&self) -> &Bytes {
        &self.document
    }

    /// The newest events, oldest first.
    pub fn kept(&self) -> &[Kept] {
        &self.kept
    }

    /// When the newest event came, if that is known.
    pub fn changed(&self) -> Option<Timestamp> {
        self.kept.last()?.at
    }

    pub(super) fn into_parts(self) -> (Lineage, u64, Bytes, Vec<Kept>) {
        (self.lineage, self.newest, self.document, self.kept)
    }
}

#[cfg(test)]
mod tests {
    use super::super::change::{Change, Snapshot};
    use super::super::cursor::{Cursor, Opening};
    use super::super::event::{ItemKind, Mode, Names, ResetReason};
    use super::super::id::Epoch;
    use super::super::log::{Bounds, Log};
    use super::super::sse::{Coding, Wire};
    use super::*;

    const BOUNDS: Bounds = Bounds {
        events: 4,
        bytes: 1 << 20,
    };

    fn epoch(bits: u64) -> Epoch {
        Epoch::from_random(bits)
    }

    fn change(n: u64) -> Change {
        let item = |kind, data: String| ItemEvent {
            kind,
            data: data.into(),
        };
        Change {
            patch: Some(format!("[{n}]").into()),
            merge: Some(format!("{{\"n\":{n}}}").into()),
            items: Some(vec![
                item(ItemKind::Added, format!("{{\"a\":{n}}}")),
                item(ItemKind::Removed, format!("{{\"r\":{n}}}")),
                item(ItemKind::Added, format!("{{\"b\":{n}}}")),
            ]),
            ..Change::of_snapshot(Snapshot::from(Bytes::from(format!(
                "{{\"document\":\"that is longer than its patches, number {n}\"}}"
            ))))
        }
    }

    fn append(log: &mut Log) {
        log.append(change(log.newest() + 1), Some(Timestamp(log.newest())));
    }

    /// How a client with this id is answered, and all that it gets.
    fn answer(log: &mut Log, mode: Mode, id: &str) -> (Opening, String) {
        let (mut cursor, opening) = Cursor::open(log, mode, Coding::Identity, Some(id.as_bytes()));
        let mut text = Vec::new();
        while let Some(frame) = cursor.next(log, None) {
            text.extend_from_slice(&frame.bytes(Wire::PLAIN));
        }
        (opening, String::from_utf8(text).unwrap())
    }

    /// A log of epoch 1 up to event 5 that went on in epoch 2 elsewhere, up to event 7.
    fn gone_on() -> Log {
        let mut first = Log::new(epoch(1), Names::default(), BOUNDS);
        (0..5).for_each(|_| append(&mut first));
        let mut log = Log::resume(first.past().unwrap(), Names::default(), BOUNDS);
        log.go_on_in(epoch(2));
        append(&mut log);
        append(&mut log);
        log
    }

    #[test]
    fn ids_of_every_epoch_lead_to_exactly_what_was_missed() {
        let mut log = gone_on();
        let (opening, text) = answer(&mut log, Mode::Patch, &format!("{}-4", epoch(1)));
        assert_eq!(opening, Opening::Resumed);
        let (one, two) = (epoch(1), epoch(2));
        let expected = format!(
            "id: {one}-5\nevent: patch\ndata: [5]\n\nid: {two}-6\nevent: patch\ndata: [6]\n\n\
             id: {two}-7\nevent: patch\ndata: [7]\n\n"
        );
        assert_eq!(text, expected);
        let unknown = Opening::Reset(ResetReason::UnknownId);
        for (id, expected) in [
            (format!("{one}-5"), Opening::Resumed),
            (format!("{two}-6"), Opening::Resumed),
            (format!("{two}-7"), Opening::Resumed),
            // Made after the last event that was handed on, so of other content.
            (format!("{one}-6"), unknown),
            (format!("{one}-7"), unknown),
            (format!("{two}-5"), unknown),
            (format!("{two}-8"), unknown),
            (format!("{one}-2"), Opening::Reset(ResetReason::Expired)),
        ] {
            assert_eq!(answer(&mut log, Mode::Patch, &id).0, expected, "{id}");
        }
    }

    #[test]
    fn the_snapshot_keeps_the_id_of_its_event_until_another_comes() {
        let mut log = Log::new(epoch(1), Names::default(), BOUNDS);
        append(&mut log);
        log.go_on_in(epoch(2));
        assert_eq!(log.newest_id().unwrap().epoch, epoch(1));
        let text = answer(&mut log, Mode::Snapshot, "").1;
        assert!(text.contains(&format!("id: {}-1\n", epoch(1))), "{text}");
        append(&mut log);
        assert_eq!(
            log.newest_id().unwrap().to_string(),
            format!("{}-2", epoch(2))
        );
    }

    #[test]
    fn a_log_hands_on_the_same_whether_its_events_were_encoded_or_not() {
        let mut log = gone_on();
        let before = log.past().unwrap();
        for mode in Mode::ALL {
            answer(&mut log, mode, &format!("{}-4", epoch(1)));
        }
        let after = log.past().unwrap();
        assert_eq!(before, after);
        assert_eq!((after.newest(), after.kept().len()), (7, 4));
        assert_eq!(after.changed(), Some(Timestamp(6)));
        let mut other = Log::resume(after, Names::default(), BOUNDS);
        assert_eq!(other.held(), log.held());
        for mode in Mode::ALL {
            let id = format!("{}-4", epoch(1));
            assert_eq!(answer(&mut log, mode, &id), answer(&mut other, mode, &id));
        }
    }

    #[test]
    fn a_log_with_narrower_bounds_keeps_the_newest() {
        let narrow = Bounds {
            events: 2,
            bytes: 1 << 20,
        };
        let past = gone_on().past().unwrap();
        let mut log = Log::resume(past, Names::default(), narrow);
        assert_eq!(log.held().0, 2);
        let opening = |log: &mut Log, id: &str| answer(log, Mode::Patch, id).0;
        let (one, two) = (epoch(1), epoch(2));
        assert_eq!(opening(&mut log, &format!("{one}-5")), Opening::Resumed);
        assert_eq!(
            opening(&mut log, &format!("{one}-4")),
            Opening::Reset(ResetReason::Expired)
        );
        assert_eq!(opening(&mut log, &format!("{two}-6")), Opening::Resumed);
    }

    #[test]
    fn what_does_not_fit_together_is_no_past() {
        let kept = |count| vec![Kept::default(); count];
        let lineage = || Lineage::from_parts(vec![(epoch(1), 5)], epoch(2)).unwrap();
        let document = || Bytes::from_static(b"{}");
        assert!(Past::new(lineage(), 5, document(), kept(5)).is_some());
        assert!(Past::new(lineage(), 4, document(), kept(1)).is_none());
        assert!(Past::new(lineage(), 5, document(), kept(6)).is_none());
        assert!(Past::new(lineage(), 5, document(), kept(0)).is_none());
        assert!(Past::new(lineage(), 5, Bytes::new(), kept(1)).is_none());
        assert!(Past::new(Lineage::new(epoch(1)), 0, document(), kept(0)).is_none());
    }
}
