//! Shared bytes that go out in one write.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;

use crate::core::sse::{Frame, Framing, Kind};

/// Frames, ready to be written to any number of connections with the same framing.
#[derive(Debug, Default)]
pub struct Batch {
    /// What is written, piece by piece.
    parts: Vec<Bytes>,
    len: usize,
    /// Keeps what is being sent counted against its feed's history.
    frames: Vec<Arc<Frame>>,
    tally: Tally,
}

/// What was delivered, not yet told to the metrics.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Events, by kind.
    pub events: [u64; Kind::ALL.len()],
    /// Bytes of the body, without transfer coding.
    pub bytes: u64,
}

impl Batch {
    /// These frames, in this order.
    pub fn of(frames: Vec<Arc<Frame>>, framing: Framing) -> Self {
        let parts: Vec<Bytes> = frames.iter().map(|frame| frame.bytes(framing)).collect();
        let mut tally = Tally::default();
        for frame in &frames {
            for (kind, count) in frame.tally() {
                tally.events[*kind as usize] += count;
            }
            tally.bytes += frame.payload_len() as u64;
        }
        Self {
            len: parts.iter().map(Bytes::len).sum(),
            parts,
            frames,
            tally,
        }
    }

    /// `first`, and then this.
    pub fn after(&self, first: Frame, framing: Framing) -> Self {
        self.between(Some(first), b"", framing)
    }

    /// `first`, then this, then bytes that are no frame.
    pub fn between(&self, first: Option<Frame>, last: &'static [u8], framing: Framing) -> Self {
        let mut joined = Self::of(first.map(Arc::new).into_iter().collect(), framing);
        joined.parts.extend(self.parts.iter().cloned());
        joined.frames.extend(self.frames.iter().cloned());
        joined.tally.add(&self.tally);
        if !last.is_empty() {
            joined.parts.push(Bytes::from_static(last));
        }
        joined.len += self.len + last.len();
        joined
    }

    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What its delivery counts as.
    pub fn tally(&self) -> &Tally {
        &self.tally
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
            .flat_map(|frame| frame.bytes(Framing::Chunked))
            .collect();
        let batch = Batch::of(frames, Framing::Chunked);
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
        }
    }
}
