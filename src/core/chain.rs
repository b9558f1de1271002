//! The gzip chain of one mode: events compressed one after the other, for those who get them all.
//!
//! Owns the one compressor that all caught-up subscribers of a mode share. It is made when the
//! first of them needs it, and dropped as soon as an event comes that none of them asked for. It
//! keeps the blocks of the last few events, for those who are a little behind.

use std::collections::VecDeque;
use std::sync::Arc;

use super::sse::{Frame, gzip};

/// How far behind a subscriber may be and still stay in the chain, in events.
const KEPT: usize = 4;

/// Blocks of one chain.
#[derive(Debug, Default)]
pub(super) struct Chain {
    compressor: gzip::Chain,
    /// Sequence of the newest event that has a block; 0 before the first.
    newest: u64,
    /// The newest events as frames that hold their block, and whether a chain begins there.
    blocks: VecDeque<(Arc<Frame>, bool)>,
}

impl Chain {
    /// The block of this event, if there is one.
    pub(super) fn block(&self, sequence: u64) -> Option<(Arc<Frame>, bool)> {
        let back = usize::try_from(self.newest.checked_sub(sequence)?).ok()?;
        let index = self.blocks.len().checked_sub(back + 1)?;
        self.blocks.get(index).cloned()
    }

    /// Sequence of the newest event that has a block.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// The memory that its blocks hold, in bytes.
    pub(super) fn size(&self) -> usize {
        self.blocks.iter().map(|(frame, _)| frame.size()).sum()
    }

    /// Every block that is left.
    pub(super) fn into_frames(self) -> impl Iterator<Item = Arc<Frame>> {
        self.blocks.into_iter().map(|(frame, _)| frame)
    }

    /// Compresses this event, in the chain if it comes right after the newest. Blocks that give
    /// way are given to `retire`.
    pub(super) fn push(
        &mut self,
        frame: &Frame,
        sequence: u64,
        retire: impl FnMut(Arc<Frame>),
    ) -> (Arc<Frame>, bool) {
        let mut give_way = (self.blocks.len() + 1).saturating_sub(KEPT);
        if sequence != self.newest + 1 {
            self.compressor.restart();
            give_way = self.blocks.len();
        }
        self.blocks
            .drain(..give_way)
            .map(|(frame, _)| frame)
            .for_each(retire);
        let (frame, begins) = frame.chained(&mut self.compressor);
        self.newest = sequence;
        let block = (Arc::new(frame), begins);
        self.blocks.push_back(block.clone());
        block
    }
}
