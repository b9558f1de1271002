//! Server-Sent Events as bytes ([WHATWG HTML, section 9.2]).
//!
//! Owns the one place where an event becomes what is written to a socket. Promises that a frame is
//! encoded once and that both wire forms are views of the same allocation.
//!
//! [WHATWG HTML, section 9.2]: https://html.spec.whatwg.org/multipage/server-sent-events.html

use std::fmt::Write as _;

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
    /// A difference.
    Patch,
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
    pub const ALL: [Kind; 7] = [
        Kind::Retry,
        Kind::Snapshot,
        Kind::Patch,
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
            Kind::Reset => "reset",
            Kind::Status => "status",
            Kind::End => "end",
            Kind::Heartbeat => "heartbeat",
        }
    }
}

/// One block of an event stream, ready for any number of sockets.
#[derive(Debug)]
pub struct Frame {
    kind: Kind,
    /// The HTTP/1.1 chunk: size line, payload, CRLF.
    chunk: Bytes,
    /// Where the payload starts in `chunk`.
    payload: usize,
    /// Bytes of the event's data.
    data: usize,
}

/// Ends a chunked body (RFC 9112 section 7.1).
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl Frame {
    /// An event; `data` is one line (compact JSON holds no line break).
    pub fn event(kind: Kind, name: &EventName, id: Option<EventId>, data: &[u8]) -> Self {
        debug_assert!(!data.contains(&b'\n') && !data.contains(&b'\r'));
        let mut head = String::with_capacity(96);
        if let Some(id) = id {
            let _ = writeln!(head, "id: {id}");
        }
        if !name.as_str().is_empty() {
            let _ = writeln!(head, "event: {}", name.as_str());
        }
        head.push_str("data: ");
        Self {
            data: data.len(),
            ..Self::encode(kind, &[head.as_bytes(), data, b"\n\n"])
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
            payload: size_line.len(),
            data: 0,
            chunk: chunk.into(),
        }
    }

    /// What it carries.
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

    /// The length of the event's data, in bytes.
    pub fn data_len(&self) -> usize {
        self.data
    }

    /// The length of the whole block without transfer coding, in bytes.
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
    fn retry_and_comment_dispatch_nothing() {
        let plain = |frame: Frame| frame.bytes(Framing::CloseDelimited);
        assert_eq!(plain(Frame::retry(3000)), "retry: 3000\n\n");
        assert_eq!(plain(Frame::comment()), ":\n\n");
    }
}
