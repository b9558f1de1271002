//! What changed from one document of a topic to the next.

use std::sync::Arc;

use bytes::Bytes;

use super::event::{ItemKind, Mode, Modes};
use super::json::Tape;

/// One change, in the forms that were asked for. Every text is compact JSON on one line.
#[derive(Clone, Debug)]
pub struct Change {
    /// The whole new document.
    pub snapshot: Snapshot,
    /// The RFC 6902 patch from the document before; none for the first document, and where it is
    /// not wanted or would not be smaller than the snapshot.
    pub patch: Option<Bytes>,
    /// The RFC 7396 patch, an object; none also where such a patch cannot say the change.
    pub merge: Option<Bytes>,
    /// What became of each item, in the order in which it is told; none also where the change is
    /// more than that. Empty where the items only stand in another order, which is not told.
    pub items: Option<Vec<ItemEvent>>,
}

/// A document, ready to be written. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Snapshot(Source);

#[derive(Clone, Debug)]
enum Source {
    Tape(Arc<Tape>),
    Text(Bytes),
}

/// What became of one item: `{"key", "item"}`, and `"patch"` if it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemEvent {
    /// What became of it.
    pub kind: ItemKind,
    /// The event's data.
    pub data: Bytes,
}

impl Change {
    /// A change that can only be told as the whole document.
    pub fn of_snapshot(snapshot: Snapshot) -> Self {
        Self {
            snapshot,
            patch: None,
            merge: None,
            items: None,
        }
    }

    /// The forms that it has besides the snapshot.
    pub fn forms(&self) -> Modes {
        let others = Mode::ALL.into_iter().filter(|mode| *mode != Mode::Snapshot);
        others.filter(|mode| self.size(*mode).is_some()).collect()
    }

    /// The length of its data in one form, in bytes; none where it does not have it.
    pub fn size(&self, mode: Mode) -> Option<usize> {
        match mode {
            Mode::Patch => self.patch.as_ref().map(Bytes::len),
            Mode::Merge => self.merge.as_ref().map(Bytes::len),
            Mode::Items => {
                let events = self.items.as_ref()?.iter();
                Some(events.map(|event| event.data.len()).sum())
            }
            Mode::Snapshot => Some(self.snapshot.len()),
        }
    }
}

impl From<(ItemKind, Vec<u8>)> for ItemEvent {
    fn from((kind, data): (ItemKind, Vec<u8>)) -> Self {
        let data = data.into_boxed_slice().into();
        Self { kind, data }
    }
}

impl Snapshot {
    /// The length of the text, in bytes.
    // A document is never empty.
    #[expect(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        match &self.0 {
            Source::Tape(tape) => tape.encoded_len(),
            Source::Text(text) => text.len(),
        }
    }

    /// The memory that it takes, in bytes; none where whoever polls holds the same document.
    pub fn weight(&self) -> usize {
        match &self.0 {
            Source::Tape(tape) if Arc::strong_count(tape) > 1 => 0,
            Source::Tape(tape) => tape.weight(),
            Source::Text(text) => text.len(),
        }
    }

    /// The text. To be asked for only when it is needed, and once.
    pub fn encode(&self) -> Bytes {
        match &self.0 {
            Source::Tape(tape) => tape.encode(),
            Source::Text(text) => text.clone(),
        }
    }
}

impl From<Bytes> for Snapshot {
    /// A document whose text is at hand.
    fn from(text: Bytes) -> Self {
        Self(Source::Text(text))
    }
}

impl From<Arc<Tape>> for Snapshot {
    fn from(tape: Arc<Tape>) -> Self {
        Self(Source::Tape(tape))
    }
}
