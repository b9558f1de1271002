//! The log and its cursors against a naive model, under random operations.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::body::Body;
use crate::core::change::{Change, ItemEvent};
use crate::core::cursor::{Cursor, Notice, Opening};
use crate::core::event::{ItemKind, Mode, Names, ResetReason, State};
use crate::core::id::{Epoch, EventId};
use crate::core::log::{Bounds, Log};
use crate::core::sse::{Coding, Frame, Kind, Wire};

#[derive(Clone, Debug)]
enum Operation {
    /// A change, in each form with so many bytes or without it.
    Append(Sizes),
    /// The feed's state becomes this.
    Enter(State),
    /// A reader opens in this mode, knowing nothing or the event this far back from the future's
    /// third.
    Open(Mode, Option<u64>),
    /// A reader takes up to this many frames, and keeps hold of them or lets them go.
    Take(usize, usize, bool),
}

fn operation() -> impl Strategy<Value = Operation> {
    let state = prop::sample::select(&State::ALL[..]);
    let mode = prop::sample::select(&Mode::ALL[..]);
    let size = || prop::option::weighted(0.8, 4..80_usize);
    let items = prop::option::weighted(0.8, prop::collection::vec(4..40_usize, 0..4));
    prop_oneof![
        4 => (size(), size(), items)
            .prop_map(|(patch, merge, items)| Operation::Append(Sizes { patch, merge, items })),
        2 => state.prop_map(Operation::Enter),
        2 => (mode, prop::option::of(0..15_u64)).prop_map(|(mode, back)| Operation::Open(mode, back)),
        5 => (any::<usize>(), 0..5_usize, any::<bool>())
            .prop_map(|(reader, frames, hold)| Operation::Take(reader, frames, hold)),
    ]
}

/// The bytes of a change's forms, of each item's event; 4 hold every sequence in brackets.
#[derive(Clone, Debug, Default)]
struct Sizes {
    patch: Option<usize>,
    merge: Option<usize>,
    items: Option<Vec<usize>>,
}

impl Sizes {
    /// The bytes of its data in one mode, where it has that form.
    fn of(&self, mode: Mode) -> Option<usize> {
        match mode {
            Mode::Patch => self.patch,
            Mode::Merge => self.merge,
            Mode::Items => self.items.as_ref().map(|sizes| sizes.iter().sum()),
            Mode::Snapshot => None,
        }
    }

    /// The data that each frame of this mode holds, joined.
    fn told(&self, mode: Mode, sequence: u64) -> Option<String> {
        match mode {
            Mode::Items => {
                let events = self.items.as_ref()?.iter();
                Some(events.map(|size| data(sequence, *size)).collect())
            }
            mode => Some(data(sequence, self.of(mode)?)),
        }
    }
}

/// A client and what it was told.
struct Reader {
    mode: Mode,
    cursor: Cursor,
    held: Option<u64>,
    told: State,
    /// `reset` was the last event.
    reset: bool,
    frames: Vec<Arc<Frame>>,
    body: Body,
}

struct World {
    log: Log,
    bounds: Bounds,
    /// The forms of the change to each document; the first has none.
    changes: Vec<Sizes>,
    notice: Option<Notice>,
    readers: Vec<Reader>,
}

const EPOCH: Epoch = Epoch::from_random(0xfeed);
const DOCUMENT: usize = 100;

fn document(sequence: u64) -> String {
    format!("\"{:0width$}\"", sequence, width = DOCUMENT - 2)
}

fn data(sequence: u64, size: usize) -> String {
    format!("[{sequence:0width$}]", width = size - 2)
}

impl World {
    fn new(bounds: Bounds) -> Self {
        Self {
            log: Log::new(EPOCH, Names::default(), bounds),
            bounds,
            changes: Vec::new(),
            notice: None,
            readers: Vec::new(),
        }
    }

    fn newest(&self) -> u64 {
        self.changes.len() as u64
    }

    fn oldest(&self) -> u64 {
        self.newest() + 1 - self.log.held().0 as u64
    }

    fn append(&mut self, sizes: Sizes) -> Result<(), TestCaseError> {
        let sequence = self.newest() + 1;
        let sizes = match sequence {
            1 => Sizes::default(),
            _ => sizes,
        };
        let text = |size: usize| Bytes::from(data(sequence, size));
        let event = |size: &usize| ItemEvent {
            kind: ItemKind::Changed,
            data: text(*size),
        };
        let change = Change {
            snapshot: Bytes::from(document(sequence)).into(),
            patch: sizes.patch.map(text),
            merge: sizes.merge.map(text),
            items: sizes
                .items
                .as_ref()
                .map(|sizes| sizes.iter().map(event).collect()),
        };
        let id = self.log.append(change, None);
        self.changes.push(sizes);
        prop_assert_eq!(
            id,
            EventId {
                epoch: EPOCH,
                sequence
            }
        );
        let (events, bytes) = self.log.held();
        prop_assert!(events >= 1 && events <= self.bounds.events.max(1));
        let counted = bytes + self.pinned();
        prop_assert!(
            events == 1 || counted <= self.bounds.bytes,
            "{} bytes",
            counted
        );
        Ok(())
    }

    /// Bytes of frames that readers hold and the log no longer does.
    fn pinned(&self) -> usize {
        let mut frames: Vec<_> = self.readers.iter().flat_map(|each| &each.frames).collect();
        frames.sort_by_key(|frame| Arc::as_ptr(frame));
        frames.dedup_by_key(|frame| Arc::as_ptr(frame));
        let gone = |frame: &&&Arc<Frame>| match (frame.kind(), parse(frame).0) {
            (Kind::Snapshot, Some(id)) => id.sequence < self.newest(),
            (_, Some(id)) => id.sequence < self.oldest(),
            (_, None) => false,
        };
        frames.iter().filter(gone).map(|frame| frame.size()).sum()
    }

    fn enter(&mut self, state: State) {
        let told = self
            .notice
            .as_ref()
            .map_or(State::Live, |notice| notice.state);
        if told != state {
            let data = format!("\"{}\"", state.name());
            self.notice = Some(Notice {
                state,
                after: self.newest(),
                frame: Arc::new(Frame::event(
                    Kind::Status,
                    &Names::default().status,
                    None,
                    data.as_bytes(),
                )),
            });
        }
    }

    fn open(&mut self, mode: Mode, back: Option<u64>) -> Result<(), TestCaseError> {
        let known = back.map(|back| (self.newest() + 3).saturating_sub(back));
        let text = known.map(|known| format!("{EPOCH}-{known}"));
        let (cursor, opening) = Cursor::open(
            &self.log,
            mode,
            self.coding(),
            text.as_deref().map(str::as_bytes),
        );
        let expected = self.opening(mode, known);
        prop_assert_eq!(opening, expected, "{:?}", text);
        self.readers.push(Reader {
            mode,
            cursor,
            // Whoever resumes holds the document it named.
            held: known.filter(|_| opening == Opening::Resumed),
            told: State::Live,
            reset: false,
            frames: Vec::new(),
            body: Body::new(self.coding()),
        });
        Ok(())
    }

    /// Every other reader wants it compressed.
    fn coding(&self) -> Coding {
        match self.readers.len() % 2 {
            0 => Coding::Gzip,
            _ => Coding::Identity,
        }
    }

    fn opening(&self, mode: Mode, known: Option<u64>) -> Opening {
        let Some(known) = known else {
            return Opening::Fresh;
        };
        if known < 1 || known > self.newest() {
            return Opening::Reset(ResetReason::UnknownId);
        }
        if known + 1 < self.oldest() {
            return Opening::Reset(ResetReason::Expired);
        }
        let missed = self.changes[known as usize..].iter();
        let told: Option<usize> = missed.map(|sizes| sizes.of(mode)).sum();
        match told {
            _ if known == self.newest() => Opening::Resumed,
            Some(bytes) if bytes <= DOCUMENT => Opening::Resumed,
            _ => Opening::Condensed,
        }
    }

    fn take(&mut self, reader: usize, frames: usize, hold: bool) -> Result<(), TestCaseError> {
        if self.readers.is_empty() {
            return Ok(());
        }
        let at = reader % self.readers.len();
        let mut reader = self.readers.remove(at);
        reader.frames.clear();
        for _ in 0..frames {
            let Some(frame) = reader.cursor.next(&mut self.log, self.notice.as_ref()) else {
                let state = self
                    .notice
                    .as_ref()
                    .map_or(State::Live, |notice| notice.state);
                prop_assert_eq!(reader.told, state);
                prop_assert_eq!(reader.held.unwrap_or(0), self.newest());
                break;
            };
            self.check(&mut reader, &frame)?;
            reader.body.receive(&frame);
            if hold {
                reader.frames.push(frame);
            }
        }
        reader.body.check()?;
        if hold {
            // A sign of life comes between.
            reader.body.receive(&Frame::comment());
            reader.cursor.interrupted();
        }
        self.readers.push(reader);
        Ok(())
    }

    /// What the reader makes of a frame, and whether it may be the next.
    fn check(&self, reader: &mut Reader, frame: &Frame) -> Result<(), TestCaseError> {
        let (id, data) = parse(frame);
        let after_reset = std::mem::replace(&mut reader.reset, frame.kind() == Kind::Reset);
        prop_assert!(
            !after_reset || frame.kind() == Kind::Snapshot,
            "nothing between"
        );
        match frame.kind() {
            Kind::Reset => {}
            Kind::Status => self.check_status(reader)?,
            Kind::Snapshot => {
                let sequence = id.expect("an id").sequence;
                prop_assert_eq!(sequence, self.newest());
                prop_assert_eq!(data, document(sequence));
                prop_assert!(after_reset || reader.held.is_none_or(|held| held < sequence));
                // Nothing may come between `reset` and its snapshot, recovery neither.
                if !after_reset {
                    self.check_told(reader, sequence)?;
                }
                reader.held = Some(sequence);
            }
            kind @ (Kind::Patch | Kind::Merge | Kind::Changed | Kind::Id) => {
                let sequence = id.expect("an id").sequence;
                let mode = match kind {
                    Kind::Patch => Mode::Patch,
                    Kind::Merge => Mode::Merge,
                    _ => Mode::Items,
                };
                prop_assert_eq!(reader.mode, mode);
                prop_assert_eq!(Some(sequence), reader.held.map(|held| held + 1));
                let told = self.changes[sequence as usize - 1].told(mode, sequence);
                prop_assert_eq!(Some(data), told);
                self.check_told(reader, sequence)?;
                reader.held = Some(sequence);
            }
            other => prop_assert!(false, "no cursor makes {:?}", other),
        }
        Ok(())
    }

    fn check_status(&self, reader: &mut Reader) -> Result<(), TestCaseError> {
        let notice = self.notice.as_ref().expect("a status has a notice");
        prop_assert_ne!(notice.state, reader.told, "told twice");
        let caught_up = reader.held.unwrap_or(0) >= notice.after;
        prop_assert!(
            notice.state == State::Live || caught_up,
            "trouble after the last good one"
        );
        reader.told = notice.state;
        Ok(())
    }

    /// Recovery is told before the document that proves it.
    fn check_told(&self, reader: &Reader, sequence: u64) -> Result<(), TestCaseError> {
        if let Some(notice) = &self.notice
            && notice.state == State::Live
            && sequence > notice.after
        {
            prop_assert_eq!(reader.told, State::Live);
        }
        Ok(())
    }
}

/// The id, and the data of every event joined.
fn parse(frame: &Frame) -> (Option<EventId>, String) {
    let bytes = frame.bytes(Wire::PLAIN);
    let text = std::str::from_utf8(&bytes).expect("text");
    let field = |name: &'static str| text.lines().filter_map(move |line| line.strip_prefix(name));
    let id = field("id: ")
        .next()
        .and_then(|id| EventId::parse(id.as_bytes()));
    (id, field("data: ").collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn readers_only_hold_what_was_published_in_order(
        events in 0..6_usize,
        bytes in 0..1200_usize,
        operations in prop::collection::vec(operation(), 1..60),
    ) {
        let mut world = World::new(Bounds { events, bytes });
        for operation in operations {
            match operation {
                Operation::Append(sizes) => world.append(sizes)?,
                Operation::Enter(state) => world.enter(state),
                Operation::Open(mode, back) => world.open(mode, back)?,
                Operation::Take(reader, frames, hold) => world.take(reader, frames, hold)?,
            }
        }
        // In the end everybody catches up.
        for _ in 0..world.readers.len() {
            world.take(0, 100, false)?;
        }
    }
}
