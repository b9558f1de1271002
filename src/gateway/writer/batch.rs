//! Shared bytes that go out in one write.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;

use crate::core::sse::gzip::Sum;
use crate::core::sse::{Coding, Frame, Kind, Wire};

/// Frames, ready to be written to any number of connections in the same way.
#[derive(Debug, Default)]
pub struct Batch {
    /// What is written, piece by piece.
    parts: Vec<Bytes>,
    is_for_one: bool,
    len: usize,
    /// Keeps what is being sent counted against its feed's history.
    frames: Vec<Arc<Frame>>,
    tally: Tally,
    /// What they add to the checksum of a compressed body.
    sum: Sum,
}

/// What was delivered, not yet told to the metrics.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Events, by kind.
    pub events: [u64; Kind::ALL.len()],
    /// Bytes of the body, compressed if it is, without transfer coding.
    pub bytes: u64,
}

impl Batch {
    /// These frames, in this order.
    pub fn of(frames: Vec<Arc<Frame>>, wire: Wire) -> Self {
        let parts: Vec<Bytes> = frames.iter().map(|frame| frame.bytes(wire)).collect();
        let (mut tally, mut sum) = (Tally::default(), Sum::default());
        for frame in &frames {
            if wire.coding == Coding::Gzip {
                sum = sum.and(frame.sum());
            }
            for (kind, count) in frame.tally() {
                tally.events[*kind as usize] += count;
            }
            tally.bytes += frame.payload_len(wire.coding) as u64;
        }
        Self {
            len: parts.iter().map(Bytes::len).sum(),
            parts,
            is_for_one: false,
            frames,
            tally,
            sum,
        }
    }

    /// `opening`, which is no frame, then `first`, then this.
    pub fn after(&self, opening: Bytes, first: Option<Frame>, wire: Wire) -> Self {
        let mut joined = Self::of(first.map(Arc::new).into_iter().collect(), wire);
        joined.is_for_one = true;
        joined.len += opening.len() + self.len;
        joined.parts.insert(0, opening);
        joined.parts.extend(self.parts.iter().cloned());
        joined.frames.extend(self.frames.iter().cloned());
        joined.tally.add(&self.tally);
        joined.sum = joined.sum.and(self.sum);
        joined
    }

    /// This, and then `closing`, which is no frame.
    pub fn closed(mut self, closing: Bytes) -> Self {
        self.len += closing.len();
        self.parts.push(closing);
        self
    }

    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What it adds to the checksum of a compressed body.
    pub fn sum(&self) -> Sum {
        self.sum
    }

    /// What its delivery counts as.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Whether only one client gets it, as what a body begins or ends with.
    pub fn is_for_one(&self) -> bool {
        self.is_for_one
    }

    /// All that begins at this many bytes, copied into one piece.
    pub fn joined(&self, sent: usize) -> Bytes {
        let mut all = Vec::with_capacity(self.len);
        self.parts
            .iter()
            .for_each(|part| all.extend_from_slice(part));
        Bytes::from(all).slice(sent.min(self.len)..)
    }

    /// What begins at this many bytes: the rest of one part.
    pub fn rest_of_part(&self, mut sent: usize) -> Bytes {
        for part in &self.parts {
            if sent < part.len() {
                return part.slice(sent..);
            }
            sent -= part.len();
        }
        Bytes::new()
    }

    /// What begins at this many bytes, as far as `slices` go. Returns how many were filled.
    pub fn slices<'a>(&'a self, mut sent: usize, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for part in &self.parts {
            if sent >= part.len() {
                sent -= part.len();
            } else if filled < slices.len() {
                slices[filled] = IoSlice::new(&part[sent..]);
                filled += 1;
                sent = 0;
            }
        }
        filled
    }
}

impl Tally {
    /// This was delivered, too.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.events.iter_mut().zip(other.events) {
            *mine += theirs;
        }
        self.bytes += other.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_can_be_continued_from_any_byte() {
        let frames: Vec<_> = [17, 18, 19].map(|ms| Arc::new(Frame::retry(ms))).into();
        let whole: Vec<u8> = frames
            .iter()
            .flat_map(|frame| frame.bytes(Wire::CHUNKED))
            .collect();
        let batch = Batch::of(frames, Wire::CHUNKED);
        assert_eq!(batch.len(), whole.len());
        for sent in 0..=whole.len() {
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = batch.slices(sent, &mut slices);
            let text: Vec<u8> = slices[..filled]
                .iter()
                .flat_map(|part| part.to_vec())
                .collect();
            assert_eq!(text, &whole[sent..]);
            let part = batch.rest_of_part(sent);
            assert!(whole[sent..].starts_with(&part));
            assert_eq!(part.is_empty(), sent == whole.len());
            assert_eq!(batch.joined(sent), &whole[sent..]);
        }
    }
}
