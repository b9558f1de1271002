//! Server-Sent Events as bytes ([WHATWG HTML, section 9.2]).
//!
//! Owns the one place where an event becomes what is written to a socket. Promises that a frame is
//! encoded once and that both wire forms are views of the same allocation.
//!
//! [WHATWG HTML, section 9.2]: https://html.spec.whatwg.org/multipage/server-sent-events.html

mod frame;
pub mod gzip;

pub use frame::Frame;

use bytes::Bytes;

use gzip::Checksum;

/// How a response body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// How it is delimited.
    pub framing: Framing,
    /// How it is compressed.
    pub coding: Coding,
}

/// How a response body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// HTTP/1.1 chunked transfer coding (RFC 9112 section 7.1).
    Chunked,
    /// By what carries it: the connection's end in HTTP/1.0 (RFC 9112 section 6.3), the stream's
    /// in HTTP/2.
    Bare,
}

/// How a response body is compressed (RFC 9110 section 8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Not at all.
    Identity,
    /// As [`gzip`] does it.
    Gzip,
}

impl Coding {
    /// Every coding.
    pub const ALL: [Coding; 2] = [Coding::Identity, Coding::Gzip];

    /// The name in `Accept-Encoding` and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Coding::Identity => "identity",
            Coding::Gzip => "gzip",
        }
    }
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

/// Ends a chunked body (RFC 9112 section 7.1).
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl Wire {
    /// Events as they are, in a body that something else delimits.
    pub const PLAIN: Self = Self {
        framing: Framing::Bare,
        coding: Coding::Identity,
    };
    /// Events as they are, in chunks.
    pub const CHUNKED: Self = Self {
        framing: Framing::Chunked,
        coding: Coding::Identity,
    };

    /// What a body begins with, before the first frame.
    pub fn opening(self) -> Bytes {
        match self.coding {
            Coding::Identity => Bytes::new(),
            Coding::Gzip => self.enclose(&gzip::HEADER),
        }
    }

    /// What a body ends with, after the last frame. `sum` is that of all frames.
    pub fn closing(self, sum: &Checksum) -> Bytes {
        let mut closing = match self.coding {
            Coding::Identity => Vec::new(),
            Coding::Gzip => self.enclose(&sum.trailer()).into(),
        };
        if self.framing == Framing::Chunked {
            closing.extend_from_slice(LAST_CHUNK);
        }
        closing.into()
    }

    fn enclose(self, bytes: &[u8]) -> Bytes {
        match self.framing {
            Framing::Chunked => chunk(&[bytes]).into(),
            Framing::Bare => Bytes::copy_from_slice(bytes),
        }
    }
}

/// One chunk of a chunked body.
fn chunk(parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let size_line = format!("{length:x}\r\n");
    let mut chunk = Vec::with_capacity(size_line.len() + length + 2);
    chunk.extend_from_slice(size_line.as_bytes());
    for part in parts {
        chunk.extend_from_slice(part);
    }
    chunk.extend_from_slice(b"\r\n");
    chunk
}
