//! A compressed response, as one client gets it.

use std::io::Read;

use flate2::read::GzDecoder;
use proptest::prelude::*;

use crate::core::sse::gzip::{self, Checksum};
use crate::core::sse::{Coding, Frame, Wire};

/// What one client got, and the same compressed.
pub struct Body {
    coding: Coding,
    plain: Vec<u8>,
    zipped: Vec<u8>,
    sum: Checksum,
}

impl Body {
    /// One that has just begun; nothing is kept of it unless it is compressed.
    pub fn new(coding: Coding) -> Self {
        Self {
            coding,
            plain: Vec::new(),
            zipped: gzip::HEADER.to_vec(),
            sum: Checksum::default(),
        }
    }

    /// The client gets this.
    pub fn receive(&mut self, frame: &Frame) {
        if self.coding == Coding::Gzip {
            let wire = Wire {
                coding: Coding::Gzip,
                ..Wire::PLAIN
            };
            self.plain.extend(frame.bytes(Wire::PLAIN));
            self.zipped.extend(frame.bytes(wire));
            self.sum.add(frame.sum());
        }
    }

    /// If it ended now, it would be whole.
    pub fn check(&self) -> Result<(), TestCaseError> {
        let stream = [&self.zipped[..], &self.sum.trailer()].concat();
        let mut text = Vec::new();
        let mut decoder = GzDecoder::new(&stream[..]);
        prop_assert!(decoder.read_to_end(&mut text).is_ok());
        prop_assert!(text == self.plain);
        Ok(())
    }
}
