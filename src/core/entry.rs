//! One event of a log, in the forms that it has.
//!
//! Promises that each form is encoded into its frame at most once, on first need, and is not kept
//! twice.

use std::sync::Arc;

use bytes::Bytes;

use super::change::{Change, ItemEvent, Snapshot};
use super::event::{ItemKind, Mode, Names, Timestamp};
use super::id::EventId;
use super::past::Kept;
use super::sse::{Frame, Kind};

/// What one block of an event stream costs besides its data, in bytes; it keeps empty changes from
/// being free.
const BLOCK_OVERHEAD: usize = 64;

/// A change without the document that it led to.
#[derive(Debug)]
pub(super) struct Entry {
    patch: Option<Payload>,
    merge: Option<Payload>,
    items: Option<Payload>,
    /// When the answer came that brought it, if that is known.
    at: Option<Timestamp>,
    /// Bytes that it takes in the log.
    cost: usize,
}

/// Event data that turns into its frame when first needed.
#[derive(Debug)]
pub(super) enum Payload {
    Data(Form),
    Frame(Arc<Frame>),
}

/// Event data.
#[derive(Debug)]
pub(super) enum Form {
    Snapshot(Snapshot),
    Patch(Bytes),
    Merge(Bytes),
    Items(Vec<ItemEvent>),
}

impl Entry {
    /// The document of a change that came `at` that moment, and the rest of it.
    pub(super) fn split(change: Change, at: Option<Timestamp>) -> (Payload, Self) {
        let document = Payload::Data(Form::Snapshot(change.snapshot));
        let entry = Self::from(Kept {
            patch: change.patch,
            merge: change.merge,
            items: change.items,
            at,
        });
        (document, entry)
    }

    /// As [`Entry::split`] took it.
    pub(super) fn kept(&self) -> Kept {
        Kept {
            patch: self.patch.as_ref().and_then(Payload::text),
            merge: self.merge.as_ref().and_then(Payload::text),
            items: self.items.as_ref().and_then(Payload::items),
            at: self.at,
        }
    }

    /// The change as this mode wants it, if it has that form. In mode `snapshot` it never has: the
    /// document belongs to the log.
    pub(super) fn form(&self, mode: Mode) -> Option<&Payload> {
        match mode {
            Mode::Patch => self.patch.as_ref(),
            Mode::Merge => self.merge.as_ref(),
            Mode::Items => self.items.as_ref(),
            Mode::Snapshot => None,
        }
    }

    /// As [`Entry::form`], to frame it.
    pub(super) fn form_mut(&mut self, mode: Mode) -> Option<&mut Payload> {
        match mode {
            Mode::Patch => self.patch.as_mut(),
            Mode::Merge => self.merge.as_mut(),
            Mode::Items => self.items.as_mut(),
            Mode::Snapshot => None,
        }
    }

    /// Every form that it has.
    pub(super) fn into_forms(self) -> impl Iterator<Item = Payload> {
        [self.patch, self.merge, self.items].into_iter().flatten()
    }

    /// Bytes that its compressed forms take.
    pub(super) fn zipped_len(&self) -> usize {
        let forms = [&self.patch, &self.merge, &self.items];
        forms.into_iter().flatten().map(Payload::zipped_len).sum()
    }

    /// When the answer came that brought it, if that is known.
    pub(super) fn at(&self) -> Option<Timestamp> {
        self.at
    }

    /// Bytes that it takes in the log.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }
}

impl From<Kept> for Entry {
    fn from(kept: Kept) -> Self {
        let mut cost = BLOCK_OVERHEAD;
        let mut payload = |form: Form| {
            cost += form.cost();
            Payload::Data(form)
        };
        Self {
            patch: kept.patch.map(|data| payload(Form::Patch(data))),
            merge: kept.merge.map(|data| payload(Form::Merge(data))),
            items: kept.items.map(|events| payload(Form::Items(events))),
            at: kept.at,
            cost,
        }
    }
}

impl Payload {
    /// The frame, which is made now if it was not before.
    pub(super) fn frame(&mut self, names: &Names, id: EventId) -> Arc<Frame> {
        if let Payload::Data(form) = self {
            *self = Payload::Frame(Arc::new(form.frame(names, id)));
        }
        match self {
            Payload::Frame(frame) => Arc::clone(frame),
            Payload::Data(_) => unreachable!("invariant: the data was just framed"),
        }
    }

    /// The data, unless it is that of several events.
    pub(super) fn text(&self) -> Option<Bytes> {
        match self {
            Payload::Data(Form::Snapshot(snapshot)) => Some(snapshot.encode()),
            Payload::Data(Form::Patch(data) | Form::Merge(data)) => Some(data.clone()),
            Payload::Data(Form::Items(_)) => None,
            Payload::Frame(frame) => frame.is_one().then(|| frame.data()),
        }
    }

    /// The events, if it is that of items.
    fn items(&self) -> Option<Vec<ItemEvent>> {
        let event = |(kind, data)| {
            let kind = match kind {
                Kind::Added => ItemKind::Added,
                Kind::Changed => ItemKind::Changed,
                Kind::Removed => ItemKind::Removed,
                _ => return None,
            };
            Some(ItemEvent { kind, data })
        };
        match self {
            Payload::Data(Form::Items(events)) => Some(events.clone()),
            Payload::Data(_) => None,
            Payload::Frame(frame) => frame.events().map(event).collect(),
        }
    }

    fn zipped_len(&self) -> usize {
        match self {
            Payload::Data(_) => 0,
            Payload::Frame(frame) => frame.zipped_len(),
        }
    }

    /// Bytes of the event's data, whichever way it is held.
    pub(super) fn size(&self) -> usize {
        match self {
            Payload::Data(form) => form.size(),
            Payload::Frame(frame) => frame.data_len(),
        }
    }
}

impl Form {
    fn frame(&self, names: &Names, id: EventId) -> Frame {
        match self {
            Form::Snapshot(snapshot) => Frame::event(
                Kind::Snapshot,
                &names.snapshot,
                Some(id),
                &snapshot.encode(),
            ),
            Form::Patch(data) => Frame::event(Kind::Patch, &names.patch, Some(id), data),
            Form::Merge(data) => Frame::event(Kind::Merge, &names.merge, Some(id), data),
            Form::Items(events) => {
                let events: Vec<_> = events
                    .iter()
                    .map(|event| {
                        let (kind, name) = match event.kind {
                            ItemKind::Added => (Kind::Added, &names.added),
                            ItemKind::Changed => (Kind::Changed, &names.changed),
                            ItemKind::Removed => (Kind::Removed, &names.removed),
                        };
                        (kind, name, &event.data[..])
                    })
                    .collect();
                Frame::change(&events, id)
            }
        }
    }

    fn size(&self) -> usize {
        match self {
            Form::Snapshot(snapshot) => snapshot.len(),
            Form::Patch(data) | Form::Merge(data) => data.len(),
            Form::Items(events) => events.iter().map(|event| event.data.len()).sum(),
        }
    }

    fn cost(&self) -> usize {
        match self {
            Form::Items(events) => self.size() + BLOCK_OVERHEAD * events.len(),
            _ => self.size(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::id::Epoch;
    use super::*;

    #[test]
    fn each_form_is_framed_once_and_costs_the_same_afterwards() {
        let event = |data: &'static str| ItemEvent {
            kind: ItemKind::Added,
            data: data.into(),
        };
        let items = vec![event("1"), event("22")];
        let (mut document, mut entry) = Entry::split(
            Change {
                snapshot: Bytes::from("[1,2]").into(),
                patch: Some("[]".into()),
                merge: Some("{}".into()),
                items: Some(items.clone()),
            },
            None,
        );
        let (names, cost) = (Names::default(), entry.cost());
        assert_eq!(cost, 3 * BLOCK_OVERHEAD + 2 + 2 + 3);
        let id = EventId {
            epoch: Epoch::from_random(1),
            sequence: 1,
        };
        let check = |payload: &mut Payload, size| {
            assert_eq!(payload.size(), size);
            let (first, second) = (payload.frame(&names, id), payload.frame(&names, id));
            assert!(Arc::ptr_eq(&first, &second));
            assert_eq!(payload.size(), size);
        };
        check(&mut document, 5);
        for (mode, size) in [(Mode::Patch, 2), (Mode::Merge, 2), (Mode::Items, 3)] {
            check(entry.form_mut(mode).unwrap(), size);
        }
        assert!(entry.form(Mode::Snapshot).is_none());
        assert_eq!(entry.cost(), cost);
        let kept = entry.kept();
        assert_eq!(kept.patch.as_deref(), Some(&b"[]"[..]));
        assert_eq!(kept.merge.as_deref(), Some(&b"{}"[..]));
        assert_eq!(kept.items, Some(items));
        assert_eq!(Entry::from(kept).cost(), cost);
    }
}
