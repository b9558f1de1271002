//! Server-Sent Events as bytes ([WHATWG HTML, section 9.2]).
//!
//! Owns the one place where an event becomes what is written to a socket. Promises that a frame is
//! encoded once and that both wire forms are views of the same allocation.
//!
//! [WHATWG HTML, section 9.2]: https://html.spec.whatwg.org/multipage/server-sent-events.html

use bytes::Bytes;

use super::event::EventName;
use super::id::EventId;

/// How a response body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// HTTP/1.1 chunked transfer coding (RFC 9112 section 7.1).
    Chunked,
    /// The connection's end ends the body (RFC 9112 section 6.3), as HTTP/1.0 needs.
    CloseDelimited,
}

/// What a frame carries; the label under which its delivery is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The reconnection time.
    Retry,
    /// A whole document.
    Snapshot,
    /// A difference, RFC 6902.
    Patch,
    /// A difference, RFC 7396.
    Merge,
    /// A new item.
    Added,
    /// An item that is another now.
    Changed,
    /// An item that is gone.
    Removed,
    /// An id alone: the change before it has nothing to say in the client's mode.
    Id,
    /// A lost position.
    Reset,
    /// The feed's state.
    Status,
    /// The feed's end.
    End,
    /// A sign of life.
    Heartbeat,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 12] = [
        Kind::Retry,
        Kind::Snapshot,
        Kind::Patch,
        Kind::Merge,
        Kind::Added,
        Kind::Changed,
        Kind::Removed,
        Kind::Id,
        Kind::Reset,
        Kind::Status,
        Kind::End,
        Kind::Heartbeat,
    ];

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Retry => "retry",
            Kind::Snapshot => "snapshot",
            Kind::Patch => "patch",
            Kind::Merge => "merge",
            Kind::Added => "added",
            Kind::Changed => "changed",
            Kind::Removed => "removed",
            Kind::Id => "id",
            Kind::Reset => "reset",
            Kind::Status => "status",
            Kind::End => "end",
            Kind::Heartbeat => "heartbeat",
        }
    }
}

/// What is written to a socket in one piece, ready for any number of them: an event, or the events
/// of one change.
#[derive(Debug)]
pub struct Frame {
    kind: Kind,
    /// How many events of each kind there are.
    tally: Vec<(Kind, u64)>,
    /// The HTTP/1.1 chunk: size line, payload, CRLF.
    chunk: Bytes,
    /// Where the payload starts in `chunk`.
    payload: usize,
    /// Bytes of the events' data.
    data: usize,
}

/// Ends a chunked body (RFC 9112 section 7.1).
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

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
            match tally.iter_mut().find(|(other, _)| other == kind) {
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
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let size_line = format!("{length:x}\r\n");
        let mut chunk = Vec::with_capacity(size_line.len() + length + 2);
        chunk.extend_from_slice(size_line.as_bytes());
        for part in parts {
            chunk.extend_from_slice(part);
        }
        chunk.extend_from_slice(b"\r\n");
        Self {
            kind,
            tally: vec![(kind, 1)],
            payload: size_line.len(),
            data: 0,
            chunk: chunk.into(),
        }
    }

    /// How many events of each kind it carries.
    pub fn tally(&self) -> &[(Kind, u64)] {
        &self.tally
    }

    /// What it carries; of several events the last.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The bytes to write to a response with this framing. Shared, never copied.
    pub fn bytes(&self, framing: Framing) -> Bytes {
        match framing {
            Framing::Chunked => self.chunk.clone(),
            Framing::CloseDelimited => self.chunk.slice(self.payload..self.chunk.len() - 2),
        }
    }

    /// The length of the events' data, in bytes.
    pub fn data_len(&self) -> usize {
        self.data
    }

    /// The length of the whole piece without transfer coding, in bytes.
    pub fn payload_len(&self) -> usize {
        self.chunk.len() - self.payload - 2
    }

    /// The memory that this frame holds, in bytes.
    pub fn size(&self) -> usize {
        self.chunk.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::Names;
    use super::super::id::Epoch;
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
            frame.bytes(Framing::CloseDelimited),
            "id: 0000000000000001-7\nevent: patch\ndata: []\n\n"
        );
    }

    #[test]
    fn both_wire_forms_share_one_allocation() {
        let frame = Frame::event(Kind::Patch, &Names::default().patch, id(), b"[]");
        let (chunk, plain) = (
            frame.bytes(Framing::Chunked),
            frame.bytes(Framing::CloseDelimited),
        );
        assert_eq!(chunk, [b"2e\r\n", &plain[..], b"\r\n"].concat());
        assert_eq!(chunk[4..].as_ptr(), plain.as_ptr());
        assert_eq!(plain.len(), 0x2e);
    }

    #[test]
    fn the_empty_name_leaves_the_field_out() {
        let name = EventName::new("").unwrap();
        let frame = Frame::event(Kind::Snapshot, &name, None, b"{}");
        assert_eq!(frame.bytes(Framing::CloseDelimited), "data: {}\n\n");
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
            frame.bytes(Framing::CloseDelimited),
            "event: added\ndata: 1\n\nevent: removed\ndata: 22\n\n\
             id: 0000000000000001-7\nevent: added\ndata: 3\n\n"
        );
        assert_eq!(frame.tally(), [(Kind::Added, 2), (Kind::Removed, 1)]);
        assert_eq!(frame.data_len(), 4);
    }

    #[test]
    fn a_change_without_events_is_its_id() {
        let frame = Frame::change(&[], id().unwrap());
        assert_eq!(
            frame.bytes(Framing::CloseDelimited),
            "id: 0000000000000001-7\n\n"
        );
        assert_eq!(frame.tally(), [(Kind::Id, 1)]);
    }

    #[test]
    fn retry_and_comment_dispatch_nothing() {
        let plain = |frame: Frame| frame.bytes(Framing::CloseDelimited);
        assert_eq!(plain(Frame::retry(3000)), "retry: 3000\n\n");
        assert_eq!(plain(Frame::comment()), ":\n\n");
    }
}
