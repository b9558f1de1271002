//! A topic's log: the newest document and the changes that led to it, bounded.
//!
//! Owns which events can still be replayed. Promises that sequences are contiguous, that the
//! newest change is always kept, and that each event is encoded at most once, on first need.
//! Must never know who reads it: a reader owns a [`Cursor`](super::cursor::Cursor).

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::event::{EventName, Names};
use super::id::{Epoch, EventId};
use super::sse::{Frame, Kind};

/// What an entry costs besides its data, in bytes; it keeps empty changes from being free.
const ENTRY_OVERHEAD: usize = 64;

/// How much a log may keep for resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// At most this many events; at least one is kept.
    pub events: usize,
    /// At most this many bytes, frames that slow readers still hold included.
    pub bytes: usize,
}

/// One life of one topic.
#[derive(Debug)]
pub struct Log {
    epoch: Epoch,
    names: Names,
    bounds: Bounds,
    /// Sequence of the newest event; 0 before the first.
    newest: u64,
    document: Option<Payload>,
    /// The newest events, oldest first; the last one has the sequence `newest`.
    entries: VecDeque<Entry>,
    /// Cost of `entries`.
    bytes: usize,
    /// Frames that left the log while a reader was still sending them.
    pinned: Vec<Weak<Frame>>,
}

#[derive(Debug)]
struct Entry {
    /// None where the change is told as a snapshot only.
    patch: Option<Payload>,
}

/// Event data that turns into its frame when first needed, without being kept twice.
#[derive(Debug)]
enum Payload {
    Data(Bytes),
    Frame(Arc<Frame>),
}

impl Log {
    /// An empty log of a new life.
    pub fn new(epoch: Epoch, names: Names, bounds: Bounds) -> Self {
        Self {
            epoch,
            names,
            bounds,
            newest: 0,
            document: None,
            entries: VecDeque::new(),
            bytes: 0,
            pinned: Vec::new(),
        }
    }

    /// Adds the next event: the document now, and the RFC 6902 array that leads to it where there
    /// is one that pays. Returns the event's id.
    pub fn append(&mut self, document: Bytes, patch: Option<Bytes>) -> EventId {
        if let Some(old) = self.document.replace(Payload::Data(document)) {
            self.retire(old);
        }
        let entry = Entry {
            patch: patch.map(Payload::Data),
        };
        self.bytes += entry.cost();
        self.entries.push_back(entry);
        self.newest += 1;
        self.trim();
        self.id(self.newest)
    }

    fn trim(&mut self) {
        let mut pinned = self.pinned_bytes();
        while self.entries.len() > 1
            && (self.entries.len() > self.bounds.events || self.bytes + pinned > self.bounds.bytes)
        {
            if let Some(entry) = self.entries.pop_front() {
                self.bytes -= entry.cost();
                if let Some(patch) = entry.patch {
                    pinned += self.retire(patch);
                }
            }
        }
    }

    /// Lets go of an event. Returns the bytes that a reader still pins.
    fn retire(&mut self, payload: Payload) -> usize {
        match payload {
            Payload::Frame(frame) if Arc::strong_count(&frame) > 1 => {
                self.pinned.push(Arc::downgrade(&frame));
                frame.size()
            }
            _ => 0,
        }
    }

    fn pinned_bytes(&mut self) -> usize {
        let mut held = 0;
        self.pinned.retain(|frame| match frame.upgrade() {
            Some(frame) => {
                held += frame.size();
                true
            }
            None => false,
        });
        held
    }

    /// The newest document as a frame that carries the newest id; `None` before the first.
    pub fn snapshot(&mut self) -> Option<Arc<Frame>> {
        let id = self.id(self.newest);
        let payload = self.document.as_mut()?;
        Some(payload.frame(Kind::Snapshot, &self.names.snapshot, id))
    }

    /// The change with this sequence, which [`Self::reaches`] back to; `None` where it has no form
    /// as a patch.
    pub fn patch(&mut self, sequence: u64) -> Option<Arc<Frame>> {
        let id = self.id(sequence);
        let index = sequence.checked_sub(self.oldest())?;
        let entry = self.entries.get_mut(usize::try_from(index).ok()?)?;
        let payload = entry.patch.as_mut()?;
        Some(payload.frame(Kind::Patch, &self.names.patch, id))
    }

    /// Whether the change with this sequence is here as a patch.
    pub fn has_patch(&self, sequence: u64) -> bool {
        let index = sequence.checked_sub(self.oldest());
        index
            .and_then(|index| self.entries.get(usize::try_from(index).ok()?))
            .is_some_and(|entry| entry.patch.is_some())
    }

    /// The life that ids count in.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The names of this topic's events.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Sequence of the newest event; 0 before the first.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Whether there is a document.
    pub fn has_document(&self) -> bool {
        self.document.is_some()
    }

    /// Whether everything after `sequence` is still here.
    pub fn reaches(&self, sequence: u64) -> bool {
        sequence <= self.newest && sequence + 1 >= self.oldest()
    }

    /// Whether sending every change after `sequence` costs no more than sending the document.
    pub fn replay_pays(&self, sequence: u64) -> bool {
        let missed = usize::try_from(self.newest.saturating_sub(sequence)).unwrap_or(usize::MAX);
        let document = self.document.as_ref().map_or(0, Payload::size);
        let replay = self
            .entries
            .iter()
            .rev()
            .take(missed)
            .try_fold(0_usize, |sum, entry| {
                let sum = sum + entry.patch.as_ref()?.size();
                (sum <= document).then_some(sum)
            });
        replay.is_some()
    }

    /// Events kept, and the bytes they cost.
    pub fn held(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }

    /// Sequence of the oldest event kept; one past the newest where there is none.
    fn oldest(&self) -> u64 {
        self.newest + 1 - self.entries.len() as u64
    }

    fn id(&self, sequence: u64) -> EventId {
        EventId {
            epoch: self.epoch,
            sequence,
        }
    }
}

impl Entry {
    fn cost(&self) -> usize {
        ENTRY_OVERHEAD + self.patch.as_ref().map_or(0, Payload::size)
    }
}

impl Payload {
    fn frame(&mut self, kind: Kind, name: &EventName, id: EventId) -> Arc<Frame> {
        if let Payload::Data(data) = self {
            *self = Payload::Frame(Arc::new(Frame::event(kind, name, Some(id), data)));
        }
        match self {
            Payload::Frame(frame) => Arc::clone(frame),
            Payload::Data(_) => unreachable!("invariant: the data was just framed"),
        }
    }

    /// Bytes of the event's data, whichever form they are in.
    fn size(&self) -> usize {
        match self {
            Payload::Data(data) => data.len(),
            Payload::Frame(frame) => frame.data_len(),
        }
    }
}
