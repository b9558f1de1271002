//! A topic's log: the newest document and the changes that led to it, bounded.
//!
//! Owns which events can still be replayed. Promises that sequences are contiguous, that the
//! newest change is always kept, and that each form of an event is encoded at most once, on first
//! need.
//! Must never know who reads it: a reader owns a [`Cursor`](super::cursor::Cursor).

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::chain::Chain;
use super::change::Change;
use super::entry::{Entry, Form, Payload};
use super::event::{Mode, Names, Timestamp};
use super::id::{Epoch, EventId};
use super::latest::Latest;
use super::lineage::Lineage;
use super::past::Past;
use super::sse::{Coding, Frame, gzip};

/// How much a log may keep for resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// At most this many events; at least one is kept.
    pub events: usize,
    /// At most this many bytes, frames that slow readers still hold included.
    pub bytes: usize,
}

/// The life of one topic.
#[derive(Debug)]
pub struct Log {
    lineage: Lineage,
    names: Names,
    bounds: Bounds,
    /// Sequence of the newest event; 0 before the first.
    newest: u64,
    document: Option<Payload>,
    /// The same as an answer of its own, as soon as somebody needs it.
    latest: Option<Arc<Latest>>,
    /// The newest events, oldest first; the last one has the sequence `newest`.
    entries: VecDeque<Entry>,
    /// Cost of `entries`.
    bytes: usize,
    /// Frames that left the log while a reader was still sending them.
    pinned: Vec<Weak<Frame>>,
    /// For those who are caught up and compress, by mode.
    chains: [Option<Chain>; Mode::ALL.len()],
}

impl Log {
    /// An empty log of a new life.
    pub fn new(epoch: Epoch, names: Names, bounds: Bounds) -> Self {
        Self {
            lineage: Lineage::new(epoch),
            names,
            bounds,
            newest: 0,
            document: None,
            latest: None,
            entries: VecDeque::new(),
            bytes: 0,
            pinned: Vec::new(),
            chains: [const { None }; Mode::ALL.len()],
        }
    }

    /// The log that goes on where another one was, as far back as the bounds allow.
    pub fn resume(past: Past, names: Names, bounds: Bounds) -> Self {
        let (lineage, newest, document, kept) = past.into_parts();
        let entries: VecDeque<Entry> = kept.into_iter().map(Entry::from).collect();
        let mut log = Self {
            newest,
            document: Some(Payload::Data(Form::Snapshot(document.into()))),
            bytes: entries.iter().map(Entry::cost).sum(),
            entries,
            ..Self::new(lineage.current(), names, bounds)
        };
        log.lineage = lineage;
        log.trim();
        log
    }

    /// What another log needs to go on where this one is; none before the first event.
    pub fn past(&self) -> Option<Past> {
        let document = self.document.as_ref()?.text()?;
        let kept = self.entries.iter().map(Entry::kept).collect();
        Past::new(self.lineage.clone(), self.newest, document, kept)
    }

    /// From the next event on there is another epoch; those so far keep their ids.
    pub fn go_on_in(&mut self, fresh: Epoch) {
        self.lineage.go_on(self.newest, fresh);
    }

    /// Adds the next event; `at` is when the answer came that brought it, if that is known. Returns
    /// its id.
    pub fn append(&mut self, change: Change, at: Option<Timestamp>) -> EventId {
        let (document, entry) = Entry::split(change, at);
        if let Some(Payload::Frame(old)) = self.document.replace(document) {
            retire(&mut self.pinned, old);
        }
        self.latest = None;
        self.bytes += entry.cost();
        self.entries.push_back(entry);
        for slot in &mut self.chains {
            if let Some(idle) = slot.take_if(|chain| chain.newest() < self.newest) {
                for frame in idle.into_frames() {
                    retire(&mut self.pinned, frame);
                }
            }
        }
        self.newest += 1;
        self.trim();
        self.id(self.newest)
    }

    /// The same log within other bounds.
    #[must_use]
    pub fn within(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self.trim();
        self
    }

    fn trim(&mut self) {
        // What comes on top: frames that readers pin, and what was compressed for somebody.
        let chained: usize = self.chains.iter().flatten().map(Chain::size).sum();
        let mut extra = self.pinned_bytes() + self.zipped_bytes() + chained;
        while self.entries.len() > 1
            && (self.entries.len() > self.bounds.events || self.bytes + extra > self.bounds.bytes)
        {
            if let Some(entry) = self.entries.pop_front() {
                self.bytes -= entry.cost();
                extra -= entry.zipped_len();
                for form in entry.into_forms() {
                    if let Payload::Frame(frame) = form {
                        extra += retire(&mut self.pinned, frame);
                    }
                }
            }
        }
        self.lineage.trim(self.oldest());
    }

    fn zipped_bytes(&self) -> usize {
        self.entries.iter().map(Entry::zipped_len).sum()
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
        Some(payload.frame(&self.names, id))
    }

    /// The newest document for those who do not ask for events; `None` before the first.
    pub fn latest(&mut self) -> Option<Arc<Latest>> {
        if self.latest.is_none() {
            let json = self.snapshot()?.data();
            self.latest = Some(Arc::new(Latest::new(self.id(self.newest), json)));
        }
        self.latest.clone()
    }

    /// The change with this sequence in the form of this mode, if it is here and has that form.
    pub fn change(&mut self, mode: Mode, sequence: u64) -> Option<Arc<Frame>> {
        let id = self.id(sequence);
        let index = self.index(sequence)?;
        let entry = self.entries.get_mut(index)?;
        let payload = entry.form_mut(mode)?;
        Some(payload.frame(&self.names, id))
    }

    /// The event with this sequence as a block of its mode's gzip chain, and whether a chain begins
    /// with it; `None` where there is no such block, as for a reader far behind.
    pub fn chained(&mut self, mode: Mode, sequence: u64) -> Option<(Arc<Frame>, bool)> {
        let slot = mode as usize;
        if let Some(chain) = &self.chains[slot] {
            if let Some(block) = chain.block(sequence) {
                return Some(block);
            }
            if sequence != chain.newest() + 1 && sequence != self.newest {
                return None;
            }
        }
        let frame = match self.change(mode, sequence) {
            None if sequence == self.newest => self.snapshot(),
            frame => frame,
        };
        let frame =
            frame.filter(|frame| frame.payload_len(Coding::Identity) <= gzip::MAX_CHAINED)?;
        let chain = self.chains[slot].get_or_insert_default();
        Some(chain.push(&frame, sequence, |old| {
            retire(&mut self.pinned, old);
        }))
    }

    /// The length of the change with this sequence in the form of this mode, and its text where that
    /// is one, if it is here and has that form. Encodes nothing.
    pub fn form(&self, mode: Mode, sequence: u64) -> Option<(usize, Option<Bytes>)> {
        let form = self.entry(sequence)?.form(mode)?;
        Some((form.size(), form.text()))
    }

    /// The length of the newest document, and its text unless that is longer than `most` bytes; none
    /// before the first. Keeps nothing.
    pub fn document(&self, most: usize) -> Option<(usize, Option<Bytes>)> {
        let document = self.document.as_ref()?;
        let size = document.size();
        let text = (size <= most).then(|| document.text()).flatten();
        Some((size, text))
    }

    /// Whether the change with this sequence is here in the form of this mode.
    pub fn has_change(&self, mode: Mode, sequence: u64) -> bool {
        self.entry(sequence)
            .is_some_and(|entry| entry.form(mode).is_some())
    }

    /// When the answer came that brought the event with this sequence, if it is here and that is
    /// known.
    pub fn came(&self, sequence: u64) -> Option<Timestamp> {
        self.entry(sequence)?.at()
    }

    fn entry(&self, sequence: u64) -> Option<&Entry> {
        self.entries.get(self.index(sequence)?)
    }

    fn index(&self, sequence: u64) -> Option<usize> {
        usize::try_from(sequence.checked_sub(self.oldest())?).ok()
    }

    /// The epochs that ids count in.
    pub fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// The names of this topic's events.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Sequence of the newest event; 0 before the first.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// The id of the newest event; none before the first.
    pub fn newest_id(&self) -> Option<EventId> {
        (self.newest > 0).then(|| self.id(self.newest))
    }

    /// Whether there is a document.
    pub fn has_document(&self) -> bool {
        self.document.is_some()
    }

    /// Whether everything after `sequence` is still here.
    pub fn reaches(&self, sequence: u64) -> bool {
        sequence <= self.newest && sequence + 1 >= self.oldest()
    }

    /// Whether every change after `sequence` has the form of this mode, and sending them costs no
    /// more than sending the document.
    pub fn replay_pays(&self, mode: Mode, sequence: u64) -> bool {
        let missed = usize::try_from(self.newest.saturating_sub(sequence)).unwrap_or(usize::MAX);
        let document = self.document_bytes();
        let replay = self
            .entries
            .iter()
            .rev()
            .take(missed)
            .try_fold(0_usize, |sum, entry| {
                let sum = sum + entry.form(mode)?.size();
                (sum <= document).then_some(sum)
            });
        replay.is_some()
    }

    /// The length of the newest document, in bytes; 0 before the first.
    pub fn document_bytes(&self) -> usize {
        self.document.as_ref().map_or(0, Payload::size)
    }

    /// Events kept, and the bytes they cost.
    pub fn held(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes + self.zipped_bytes())
    }

    /// Sequence of the oldest event kept; one past the newest where there is none.
    pub fn oldest(&self) -> u64 {
        self.newest + 1 - self.entries.len() as u64
    }

    /// The id of the event with this sequence.
    pub fn id(&self, sequence: u64) -> EventId {
        self.lineage.id(sequence)
    }
}

/// Lets go of a frame. Returns the bytes that a reader still pins.
fn retire(pinned: &mut Vec<Weak<Frame>>, frame: Arc<Frame>) -> usize {
    if Arc::strong_count(&frame) == 1 {
        return 0;
    }
    pinned.push(Arc::downgrade(&frame));
    frame.size()
}
