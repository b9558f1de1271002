//! Shared bytes that go out in one write.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::block_in_place;

use crate::core::event::Timestamp;
use crate::core::sse::gzip::{self, Checksum, Form, Sum};
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
    /// Compressed blocks that were made for it, by form.
    blocks: [u64; Form::ALL.len()],
    /// Frames that were made for it, by content coding.
    encoded: [u64; Coding::ALL.len()],
    /// When the answers came that brought what it tells.
    came: Vec<Timestamp>,
    /// What they add to the checksum of a compressed body.
    sum: Sum,
}

/// What was delivered, not yet told to the metrics.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Events, by kind.
    pub events: [u64; Kind::ALL.len()],
    /// What they came in, by content coding.
    pub frames: [u64; Coding::ALL.len()],
    /// Bytes of the body, compressed if it is, without transfer coding.
    pub bytes: u64,
}

impl Batch {
    /// These frames, in this order. What must be compressed first may take a tenth of a second for
    /// a document of 16 MiB; nothing else waits for it but this shard.
    pub fn of(frames: Vec<Arc<Frame>>, wire: Wire) -> Self {
        let parts: Vec<Bytes> = frames
            .iter()
            .map(|frame| match frame.is_quick(wire.coding) {
                true => frame.bytes(wire),
                false => block_in_place(|| frame.bytes(wire)),
            })
            .collect();
        let (mut tally, mut sum) = (Tally::default(), Sum::default());
        let mut blocks = [0; Form::ALL.len()];
        let mut encoded = [0; Coding::ALL.len()];
        for frame in &frames {
            let is_new = match wire.coding {
                Coding::Identity => frame.count_text(),
                Coding::Gzip => {
                    sum = sum.and(frame.sum());
                    let form = frame.count_form();
                    form.inspect(|form| blocks[*form as usize] += 1).is_some()
                }
            };
            if frame.is_event() {
                tally.frames[wire.coding as usize] += 1;
                encoded[wire.coding as usize] += u64::from(is_new);
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
            blocks,
            encoded,
            came: Vec::new(),
            sum,
        }
    }

    /// This, which tells changes that answers of these moments brought.
    pub fn telling(mut self, came: Vec<Timestamp>) -> Self {
        self.came = came;
        self
    }

    /// What goes before a body, its beginning, `first`, and then this.
    pub fn opened(&self, head: Bytes, first: Frame, wire: Wire) -> Self {
        let mut opened = self.after(Some(first), wire);
        if wire.coding == Coding::Gzip {
            opened.tally.bytes += gzip::HEADER.len() as u64;
        }
        for part in [wire.opening(), head] {
            opened.len += part.len();
            opened.parts.insert(0, part);
        }
        opened
    }

    /// `first`, if there is one, and then this.
    pub fn after(&self, first: Option<Frame>, wire: Wire) -> Self {
        let mut joined = Self::of(first.map(Arc::new).into_iter().collect(), wire);
        joined.is_for_one = true;
        joined.len += self.len;
        joined.parts.extend(self.parts.iter().cloned());
        joined.frames.extend(self.frames.iter().cloned());
        joined.tally.add(&self.tally);
        joined.came.clone_from(&self.came);
        joined.sum = joined.sum.and(self.sum);
        joined
    }

    /// This, and the end of a body that carried `before` until now.
    pub fn closed(mut self, mut before: Checksum, wire: Wire) -> Self {
        before.add(self.sum);
        let closing = wire.closing(&before);
        if wire.coding == Coding::Gzip {
            self.tally.bytes += before.trailer().len() as u64;
        }
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

    /// Compressed blocks that were made for it and not counted before, by form.
    pub fn blocks(&self) -> &[u64; Form::ALL.len()] {
        &self.blocks
    }

    /// Frames of events that were made for it and not counted before, by content coding.
    pub fn encoded(&self) -> &[u64; Coding::ALL.len()] {
        &self.encoded
    }

    /// When the answers came that brought what it tells.
    pub fn came(&self) -> &[Timestamp] {
        &self.came
    }

    /// What its delivery counts as.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Whether only one client gets it, as what a body begins or ends with.
    pub fn is_for_one(&self) -> bool {
        self.is_for_one
    }

    /// What begins at this many bytes, at most `longest` of it, copied into one piece.
    pub fn joined(&self, sent: usize, longest: usize) -> Bytes {
        let length = self.len.saturating_sub(sent).min(longest);
        let mut piece = Vec::with_capacity(length);
        while piece.len() < length {
            let part = self.rest_of_part(sent + piece.len());
            let room = length - piece.len();
            piece.extend_from_slice(&part[..part.len().min(room)]);
        }
        piece.into()
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
        for (mine, theirs) in self.frames.iter_mut().zip(other.frames) {
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
            for longest in 0..=whole.len() {
                let end = whole.len().min(sent + longest);
                assert_eq!(batch.joined(sent, longest), &whole[sent..end]);
            }
        }
    }
}
