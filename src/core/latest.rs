//! The newest document as an answer of its own, for those who ask instead of listening.
//!
//! Promises that one id always has the same bytes, and that they are compressed at most once, on
//! first need.

use std::sync::OnceLock;

use bytes::Bytes;

use super::id::EventId;
use super::sse::{Coding, gzip};

/// Texts up to this size are compressed within a few milliseconds.
const QUICK: usize = 256 << 10;

/// A document, compact JSON, and the event that led to it.
#[derive(Debug)]
pub struct Latest {
    id: EventId,
    json: Bytes,
    gzip: OnceLock<Bytes>,
}

impl Latest {
    /// The document of this event.
    pub fn new(id: EventId, json: Bytes) -> Self {
        Self {
            id,
            json,
            gzip: OnceLock::new(),
        }
    }

    /// The newest event that it contains.
    pub fn id(&self) -> EventId {
        self.id
    }

    /// The whole text in this coding. Shared, never copied; compressed on first need.
    pub fn body(&self, coding: Coding) -> Bytes {
        match coding {
            Coding::Identity => self.json.clone(),
            Coding::Gzip => self
                .gzip
                .get_or_init(|| gzip::file(&self.json).into())
                .clone(),
        }
    }

    /// The memory that it takes beside the document's event, in bytes.
    pub fn weight(&self) -> usize {
        self.gzip.get().map_or(0, Bytes::len)
    }

    /// Whether taking its body will be quick: it need not be compressed first, or is small.
    pub fn is_quick(&self, coding: Coding) -> bool {
        coding == Coding::Identity || self.gzip.get().is_some() || self.json.len() <= QUICK
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::super::id::Epoch;
    use super::*;

    #[test]
    fn it_is_compressed_once_for_all_and_reads_back() {
        for text in [String::new(), "[1]".to_owned(), "[1,2,3]".repeat(100_000)] {
            let id = EventId {
                epoch: Epoch::from_random(1),
                sequence: 1,
            };
            let latest = Latest::new(id, Bytes::from(text.clone()));
            assert_eq!(latest.body(Coding::Identity), text);
            assert_eq!(latest.is_quick(Coding::Gzip), text.len() < 1000);
            let zipped = latest.body(Coding::Gzip);
            assert_eq!(zipped.as_ptr(), latest.body(Coding::Gzip).as_ptr());
            assert!(latest.is_quick(Coding::Gzip));
            let mut read = String::new();
            let mut decoder = flate2::read::GzDecoder::new(&zipped[..]);
            decoder.read_to_string(&mut read).unwrap();
            assert_eq!(read, text);
        }
    }
}
