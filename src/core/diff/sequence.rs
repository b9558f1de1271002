//! Arrays without a key: aligned as sequences, so that an insertion is one operation.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{Hash, Hasher, RandomState};

use crate::core::json::Json;

use super::align::{Hunk, align};
use super::{Differ, writer::Full};

impl Differ<'_> {
    pub(super) fn sequence(&mut self, old: &[Json], new: &[Json]) -> Result<(), Full> {
        if let ([old], [new]) = (old, new) {
            return self.element(0, |differ| differ.value(old, new));
        }
        for hunk in hunks(old, new) {
            let start = hunk.new.start;
            self.hunk(&old[hunk.old], &new[hunk.new], start)?;
        }
        Ok(())
    }

    /// Pairs the elements by index; `start` is where the hunk stands now that all before it is new.
    fn hunk(&mut self, old: &[Json], new: &[Json], start: usize) -> Result<(), Full> {
        let paired = old.len().min(new.len());
        for (i, (old, new)) in old.iter().zip(new).enumerate() {
            self.element(start + i, |differ| differ.value(old, new))?;
        }
        for _ in paired..old.len() {
            self.element(start + paired, |differ| differ.writer.remove())?;
        }
        for (i, value) in new.iter().enumerate().skip(paired) {
            self.element(start + i, |differ| differ.writer.add(value))?;
        }
        Ok(())
    }
}

/// Where two arrays differ, in order.
fn hunks(old: &[Json], new: &[Json]) -> Vec<Hunk> {
    // Most changes are small: what is equal at both ends is not even hashed.
    let prefix = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let pairs = old[prefix..].iter().rev().zip(new[prefix..].iter().rev());
    let suffix = pairs.take_while(|(a, b)| a == b).count();
    let old = &old[prefix..old.len() - suffix];
    let new = &new[prefix..new.len() - suffix];
    let mut hunks = if old.is_empty() || new.is_empty() || old.len() + new.len() == 2 {
        vec![Hunk {
            old: 0..old.len(),
            new: 0..new.len(),
        }]
    } else {
        let mut interner = Interner::default();
        let old: Vec<u32> = old.iter().map(|item| interner.token(item)).collect();
        let new: Vec<u32> = new.iter().map(|item| interner.token(item)).collect();
        align(&old, &new)
    };
    for Hunk { old, new } in &mut hunks {
        *old = old.start + prefix..old.end + prefix;
        *new = new.start + prefix..new.end + prefix;
    }
    hunks
}

/// Gives equal elements equal tokens.
#[derive(Default)]
struct Interner<'a> {
    state: RandomState,
    tokens: HashMap<Element<'a>, u32>,
}

struct Element<'a> {
    digest: u64,
    json: &'a Json,
}

impl Hash for Element<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.digest);
    }
}

impl PartialEq for Element<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest && self.json == other.json
    }
}

impl Eq for Element<'_> {}

impl<'a> Interner<'a> {
    fn token(&mut self, json: &'a Json) -> u32 {
        let next = self.tokens.len() as u32;
        let digest = json.digest(&self.state);
        match self.tokens.entry(Element { digest, json }) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => *entry.insert(next),
        }
    }
}
