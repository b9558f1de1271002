//! One piece of an event stream, encoded.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::super::event::EventName;
use super::super::id::EventId;
use super::gzip::{Block, Chain, Form, Sum};
use super::{Coding, Framing, Kind, Wire, chunk};

/// Texts up to this size are compressed within a few milliseconds.
const QUICK: usize = 256 << 10;

/// What is written to a socket in one piece, ready for any number of them: an event, or the events
/// of one change.
#[derive(Debug)]
pub struct Frame {
    kind: Kind,
    /// The events that there are, in order: so many of one kind, then so many of another.
    tally: Vec<(Kind, u64)>,
    text: Piece,
    /// Whether it was counted as made, uncompressed.
    is_counted: AtomicBool,
    /// Bytes of the events' data.
    data: usize,
    /// The text compressed, as soon as somebody needs it so.
    gzip: OnceLock<Zipped>,
}

/// Bytes in one HTTP/1.1 chunk, and the same without it.
#[derive(Clone, Debug)]
struct Piece {
    /// Size line, payload, CRLF.
    chunk: Bytes,
    /// Where the payload starts in `chunk`.
    payload: usize,
}

#[derive(Debug)]
struct Zipped {
    piece: Piece,
    sum: Sum,
    form: Form,
    is_counted: AtomicBool,
}

impl Frame {
    /// An event; `data` is one line (compact JSON holds no line break).
    pub fn event(kind: Kind, name: &EventName, id: Option<EventId>, data: &[u8]) -> Self {
        Self::series(&[(kind, name, data)], id)
    }

    /// The events of one change, which nothing can come between. The id stands on the last: whoever
    /// got only some of them resumes before the first. Of no event the id alone remains, which
    /// moves a client's position and dispatches nothing.
    pub fn change(events: &[(Kind, &EventName, &[u8])], id: EventId) -> Self {
        match events {
            [] => Self::encode(Kind::Id, &[format!("id: {id}\n\n").as_bytes()]),
            events => Self::series(events, Some(id)),
        }
    }

    fn series(events: &[(Kind, &EventName, &[u8])], id: Option<EventId>) -> Self {
        let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
        let mut parts: Vec<&[u8]> = Vec::with_capacity(events.len() * 5 + 1);
        let mut tally: Vec<(Kind, u64)> = Vec::new();
        let mut size = 0;
        for (index, (kind, name, data)) in events.iter().enumerate() {
            debug_assert!(!data.contains(&b'\n') && !data.contains(&b'\r'));
            if index + 1 == events.len() {
                parts.push(id.as_bytes());
            }
            if !name.as_str().is_empty() {
                parts.extend([b"event: ", name.as_str().as_bytes(), b"\n"]);
            }
            parts.extend([b"data: ", *data, b"\n\n"]);
            size += data.len();
            match tally.last_mut().filter(|(other, _)| other == kind) {
                Some((_, count)) => *count += 1,
                None => tally.push((*kind, 1)),
            }
        }
        let last = events.last().map_or(Kind::Id, |(kind, _, _)| *kind);
        Self {
            data: size,
            tally,
            ..Self::encode(last, &parts)
        }
    }

    /// The reconnection time in milliseconds.
    pub fn retry(milliseconds: u64) -> Self {
        let line = format!("retry: {milliseconds}\n\n");
        Self::encode(Kind::Retry, &[line.as_bytes()])
    }

    /// A comment, which no client shows.
    pub fn comment() -> Self {
        Self::encode(Kind::Heartbeat, &[b":\n\n"])
    }

    fn encode(kind: Kind, parts: &[&[u8]]) -> Self {
        Self {
            kind,
            tally: vec![(kind, 1)],
            text: Piece::of(parts),
            is_counted: AtomicBool::new(false),
            data: 0,
            gzip: OnceLock::new(),
        }
    }

    /// The same frame, compressed as the next of a chain; and whether the chain begins with it.
    pub fn chained(&self, chain: &mut Chain) -> (Self, bool) {
        let (block, begins) = chain.next(&self.text.bytes(Framing::Bare));
        let frame = Self {
            kind: self.kind,
            tally: self.tally.clone(),
            text: self.text.clone(),
            is_counted: AtomicBool::new(false),
            data: self.data,
            gzip: OnceLock::from(Zipped::of(&block)),
        };
        (frame, begins)
    }

    /// How many events of a kind it carries, in order; a kind may come again.
    pub fn tally(&self) -> &[(Kind, u64)] {
        &self.tally
    }

    /// Whether it is an event of a whole change, not of one of its items.
    pub fn is_one(&self) -> bool {
        matches!(self.kind, Kind::Snapshot | Kind::Patch | Kind::Merge)
    }

    /// What it carries; of several events the last.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The bytes to write to such a response. Shared, never copied; compressed on first need.
    pub fn bytes(&self, wire: Wire) -> Bytes {
        self.piece(wire.coding).bytes(wire.framing)
    }

    /// The data of the event, where the frame is one. Shared with the frame, never copied.
    pub fn data(&self) -> Bytes {
        let text = self.text.bytes(Framing::Bare);
        let end = text.len() - "\n\n".len();
        text.slice(end - self.data..end)
    }

    /// The kind and the data of each event, in order; nothing where there is only an id.
    pub fn events(&self) -> impl Iterator<Item = (Kind, Bytes)> {
        let text = self.text.bytes(Framing::Bare);
        let kinds = self.tally.iter();
        let kinds = kinds.flat_map(|(kind, count)| (0..*count).map(|_| *kind));
        let data: Vec<Bytes> = text
            .split(|byte| *byte == b'\n')
            .filter_map(|line| Some(text.slice_ref(line.strip_prefix(b"data: ")?)))
            .collect();
        kinds.zip(data)
    }

    /// What it adds to the checksum of a compressed response.
    pub fn sum(&self) -> Sum {
        self.zipped().sum
    }

    /// Whether taking its bytes will be quick: it need not be compressed first, or is small.
    pub fn is_quick(&self, coding: Coding) -> bool {
        coding == Coding::Identity || self.gzip.get().is_some() || self.text.payload_len() <= QUICK
    }

    /// Whether it carries what happened, as all but signs of life and reconnection times do.
    pub fn is_event(&self) -> bool {
        !matches!(self.kind, Kind::Heartbeat | Kind::Retry)
    }

    /// True to the first who asks, for whoever counts how often it was made uncompressed.
    pub fn count_text(&self) -> bool {
        !self.is_counted.swap(true, Ordering::Relaxed)
    }

    /// How its compressed form was made, to the first who asks.
    pub fn count_form(&self) -> Option<Form> {
        let zipped = self.gzip.get()?;
        let is_first = !zipped.is_counted.swap(true, Ordering::Relaxed);
        is_first.then_some(zipped.form)
    }

    /// The length of the events' data, in bytes.
    pub fn data_len(&self) -> usize {
        self.data
    }

    /// The length of the whole piece without transfer coding, in bytes.
    pub fn payload_len(&self, coding: Coding) -> usize {
        self.piece(coding).payload_len()
    }

    /// The memory that this frame holds, in bytes.
    pub fn size(&self) -> usize {
        self.text.chunk.len() + self.zipped_len()
    }

    /// What of it is for the compressed form.
    pub fn zipped_len(&self) -> usize {
        self.gzip.get().map_or(0, |zipped| zipped.piece.chunk.len())
    }

    fn piece(&self, coding: Coding) -> &Piece {
        match coding {
            Coding::Identity => &self.text,
            Coding::Gzip => &self.zipped().piece,
        }
    }

    fn zipped(&self) -> &Zipped {
        let text = || self.text.bytes(Framing::Bare);
        self.gzip
            .get_or_init(|| Zipped::of(&Block::independent(&text())))
    }
}

impl Piece {
    fn of(parts: &[&[u8]]) -> Self {
        let chunk = chunk(parts);
        let length: usize = parts.iter().map(|part| part.len()).sum();
        Self {
            payload: chunk.len() - length - 2,
            chunk: chunk.into(),
        }
    }

    fn bytes(&self, framing: Framing) -> Bytes {
        match framing {
            Framing::Chunked => self.chunk.clone(),
            Framing::Bare => self.chunk.slice(self.payload..self.chunk.len() - 2),
        }
    }

    fn payload_len(&self) -> usize {
        self.chunk.len() - self.payload - 2
    }
}

impl Zipped {
    fn of(block: &Block) -> Self {
        Self {
            piece: Piece::of(&[&block.bytes]),
            sum: block.sum,
            form: block.form,
            is_counted: AtomicBool::new(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::event::Names;
    use super::super::super::id::Epoch;
    use super::*;

    fn id() -> Option<EventId> {
        Some(EventId {
            epoch: Epoch::from_random(1),
            sequence: 7,
        })
    }

    #[test]
    fn an_event_is_id_name_and_one_line_of_data() {
        let frame = Frame::event(Kind::Patch, &Names::default().patch, id(), b"[]");
        assert_eq!(
            frame.bytes(Wire::PLAIN),
            "id: 0000000000000001-7\nevent: patch\ndata: []\n\n"
        );
    }

    #[test]
    fn the_data_of_an_event_is_part_of_its_text() {
        let frame = Frame::event(Kind::Snapshot, &Names::default().snapshot, id(), b"[1,2]");
        assert_eq!(frame.data(), "[1,2]");
        let chunk = frame.bytes(Wire::CHUNKED);
        assert!(chunk.as_ptr_range().contains(&frame.data().as_ptr()));
    }

    #[test]
    fn both_wire_forms_share_one_allocation() {
        let frame = Frame::event(Kind::Patch, &Names::default().patch, id(), b"[]");
        let (chunk, plain) = (frame.bytes(Wire::CHUNKED), frame.bytes(Wire::PLAIN));
        assert_eq!(chunk, [b"2e\r\n", &plain[..], b"\r\n"].concat());
        assert_eq!(chunk[4..].as_ptr(), plain.as_ptr());
        assert_eq!(plain.len(), 0x2e);
    }

    #[test]
    fn the_empty_name_leaves_the_field_out() {
        let name = EventName::new("").unwrap();
        let frame = Frame::event(Kind::Snapshot, &name, None, b"{}");
        assert_eq!(frame.bytes(Wire::PLAIN), "data: {}\n\n");
    }

    #[test]
    fn the_events_of_a_change_are_one_piece_with_one_id_on_the_last() {
        let names = Names::default();
        let events: [(Kind, &EventName, &[u8]); 3] = [
            (Kind::Added, &names.added, b"1"),
            (Kind::Removed, &names.removed, b"22"),
            (Kind::Added, &names.added, b"3"),
        ];
        let frame = Frame::change(&events, id().unwrap());
        assert_eq!(
            frame.bytes(Wire::PLAIN),
            "event: added\ndata: 1\n\nevent: removed\ndata: 22\n\n\
             id: 0000000000000001-7\nevent: added\ndata: 3\n\n"
        );
        assert_eq!(
            frame.tally(),
            [(Kind::Added, 1), (Kind::Removed, 1), (Kind::Added, 1)]
        );
        assert_eq!(frame.data_len(), 4);
    }

    #[test]
    fn a_change_without_events_is_its_id() {
        let frame = Frame::change(&[], id().unwrap());
        assert_eq!(frame.bytes(Wire::PLAIN), "id: 0000000000000001-7\n\n");
        assert_eq!(frame.tally(), [(Kind::Id, 1)]);
    }

    #[test]
    fn retry_and_comment_dispatch_nothing() {
        let plain = |frame: Frame| frame.bytes(Wire::PLAIN);
        assert_eq!(plain(Frame::retry(3000)), "retry: 3000\n\n");
        assert_eq!(plain(Frame::comment()), ":\n\n");
    }

    #[test]
    fn a_frame_is_compressed_once_for_all() {
        let names = Names::default();
        let frame = Frame::event(Kind::Patch, &names.patch, id(), &b"1".repeat(1000));
        let zip = |framing| Wire {
            framing,
            coding: Coding::Gzip,
        };
        assert_eq!(frame.zipped_len(), 0);
        let bare = frame.bytes(zip(Framing::Bare));
        let chunk = frame.bytes(zip(Framing::Chunked));
        assert!(bare.len() < 100, "{}", bare.len());
        assert_eq!(bare.as_ptr(), chunk[4..].as_ptr());
        assert_eq!(bare.as_ptr(), frame.bytes(zip(Framing::Bare)).as_ptr());
        assert_eq!(frame.payload_len(Coding::Gzip), bare.len());
        assert_eq!(frame.zipped_len(), chunk.len());
    }
}
