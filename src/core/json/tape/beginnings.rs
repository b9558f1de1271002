//! How the elements of an array begin, to find them again wherever they went.

use std::collections::HashMap;
use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;

use super::Tape;
use super::beside::Twins;
use super::lockstep::common;

/// How many neighbours are compared to see from where on elements differ.
const SAMPLE: usize = 32;

/// Beyond the place where neighbours differ, this many bytes belong to a beginning.
const BEYOND: usize = 8;

/// Elements that begin alike for longer are not worth it.
const LONGEST: usize = 256;

/// Elements by their first bytes.
pub(super) struct Beginnings {
    len: usize,
    nodes: HashMap<u64, u32, RandomState>,
}

impl Beginnings {
    /// Of siblings in an old document.
    pub(super) fn new(tape: &Tape, siblings: Twins) -> Self {
        let mut places = Vec::new();
        let mut at = siblings.at;
        while at < siblings.end {
            places.push(at);
            at += tape.nodes.size(at);
        }
        let text = |place: u32| &tape.text[tape.nodes.start(place)..tape.nodes.end(place)];
        let pairs = places.windows(2).take(SAMPLE);
        let mut shared: Vec<usize> = pairs
            .map(|pair| common(text(pair[0]), text(pair[1])))
            .collect();
        shared.sort_unstable();
        // As far as most neighbours are the same, and a little further.
        let len = shared
            .get(shared.len() * 7 / 8)
            .map_or(0, |most| most + BEYOND);
        if len > LONGEST {
            places.clear();
        }
        let mut nodes = HashMap::with_capacity_and_hasher(places.len(), RandomState::default());
        for place in places {
            if let Some(beginning) = text(place).get(..len) {
                let hash = nodes.hasher().hash_one(beginning);
                nodes.insert(hash, place);
            }
        }
        Self { len, nodes }
    }

    /// The element that begins like this text.
    pub(super) fn find(&self, text: &[u8]) -> Option<u32> {
        if self.nodes.is_empty() {
            return None;
        }
        let hash = self.nodes.hasher().hash_one(text.get(..self.len)?);
        self.nodes.get(&hash).copied()
    }
}
