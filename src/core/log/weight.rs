//! What a log holds, and what of it can go.

use super::super::entry::{Entry, Payload};
use super::super::sse::Frame;
use super::{Chain, Log};
use crate::core::memory::Weight;

/// What an event takes besides its texts, once it is framed.
const EVENT: usize = size_of::<Entry>() + size_of::<Frame>() + 96;

impl Log {
    /// What it holds, in bytes. A document that its poller holds as well is counted there; one that
    /// nobody asked for since it changed is no more than that.
    pub fn weight(&mut self) -> Weight {
        let chained: usize = self.chains.iter().flatten().map(Chain::size).sum();
        let document = self.document.as_ref().map_or(0, Payload::weight);
        let latest = self.latest.as_ref().map_or(0, |latest| latest.weight());
        Weight {
            kept: document + latest + chained + self.pinned_bytes(),
            history: self.history(),
        }
    }

    /// Lets go of the oldest events until the history weighs at most `most` bytes; the newest event
    /// stays. Returns how many went.
    pub fn shed(&mut self, most: usize) -> usize {
        let before = self.entries.len();
        let mut history = self.history();
        while history > most && self.entries.len() > 1 {
            let bytes = self.bytes;
            let (zipped, _) = self.drop_oldest();
            history -= bytes - self.bytes + zipped + EVENT;
        }
        before - self.entries.len()
    }

    fn history(&self) -> usize {
        self.bytes + self.zipped_bytes() + self.entries.len() * EVENT
    }
}
