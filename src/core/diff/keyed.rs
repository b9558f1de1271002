//! Arrays of objects with a key: removals, moves, additions, then what changed inside.

use std::collections::HashMap;

use crate::core::json::{Json, Number};

use super::order::{Ranks, in_order};
use super::{Differ, writer::Full};

/// Which old element each new element is.
pub(super) struct Pairing {
    /// By new index: the old index, none for an added element.
    origin: Vec<Option<usize>>,
    /// By old index: the new index, none for a removed element.
    target: Vec<Option<usize>>,
}

/// A key's value. `null`, arrays and objects identify nothing.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum Identity<'a> {
    Bool(bool),
    Number(&'a Number),
    String(&'a str),
}

impl<'a> Identity<'a> {
    pub(super) fn of(value: &'a Json) -> Option<Self> {
        match value {
            Json::Bool(value) => Some(Identity::Bool(*value)),
            Json::Number(number) => Some(Identity::Number(number)),
            Json::String(string) => Some(Identity::String(string)),
            Json::Null | Json::Array(_) | Json::Object(_) => None,
        }
    }
}

impl Pairing {
    /// None unless every element on both sides is an object with a scalar `key` that is unique on
    /// its side.
    pub(super) fn new(old: &[Json], new: &[Json], key: &str) -> Option<Self> {
        let olds = identities(old, key)?;
        let news = identities(new, key)?;
        let mut target = vec![None; old.len()];
        let mut origin = vec![None; new.len()];
        for (identity, new_index) in news {
            if let Some(old_index) = olds.get(&identity) {
                origin[new_index] = Some(*old_index);
                target[*old_index] = Some(new_index);
            }
        }
        Some(Self { origin, target })
    }
}

/// The elements by identity; none unless every one is an object with a scalar `key` that is unique.
pub(super) fn identities<'a>(items: &'a [Json], key: &str) -> Option<HashMap<Identity<'a>, usize>> {
    let mut found = HashMap::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let Json::Object(members) = item else {
            return None;
        };
        let identity = Identity::of(members.get(key)?)?;
        if found.insert(identity, index).is_some() {
            return None;
        }
    }
    Some(found)
}

impl Differ<'_> {
    pub(super) fn keyed(
        &mut self,
        old: &[Json],
        new: &[Json],
        pairing: &Pairing,
    ) -> Result<(), Full> {
        for (index, target) in pairing.target.iter().enumerate().rev() {
            if target.is_none() {
                self.element(index, |differ| differ.writer.remove())?;
            }
        }
        self.arrange(new, pairing)?;
        for (index, origin) in pairing.origin.iter().enumerate() {
            if let Some(origin) = origin {
                self.element(index, |differ| differ.value(&old[*origin], &new[index]))?;
            }
        }
        Ok(())
    }

    /// Brings the survivors into their new order and inserts what was added.
    ///
    /// Walks over the new order and puts each mover and each added element directly behind the
    /// element before it. The longest run of survivors that are in order already stays. Positions
    /// at each moment are computed, not simulated: before any place stand all elements placed so
    /// far that belong before it, and the survivors there that the walk has not reached.
    fn arrange(&mut self, new: &[Json], pairing: &Pairing) -> Result<(), Full> {
        let survivors: Vec<usize> = pairing.target.iter().flatten().copied().collect();
        let stays = in_order(&survivors);
        let mut rank_of = vec![0; new.len()];
        for (rank, index) in survivors.iter().enumerate() {
            rank_of[*index] = rank;
        }
        let next_stayer = next_stayers(&survivors, &stays);
        let mut waiting = Ranks::full(survivors.len());
        let mut passed = 0; // the rank of the last survivor that stayed
        for index in 0..new.len() {
            let rank = rank_of[index];
            if pairing.origin[index].is_none() {
                let to = index + waiting.below(passed);
                self.element(to, |differ| differ.writer.add(&new[index]))?;
            } else if stays[rank] {
                waiting.remove(rank);
                passed = rank;
            } else {
                waiting.remove(rank);
                let from = next_stayer[rank].min(index) + waiting.below(rank);
                let to = index + waiting.below(passed);
                if from != to {
                    self.writer.shift(from, to)?;
                }
            }
        }
        Ok(())
    }
}

/// By rank: the new index of the next survivor that stays, which is how many elements will have
/// been placed before the mover of this rank once that survivor is reached.
fn next_stayers(survivors: &[usize], stays: &[bool]) -> Vec<usize> {
    let mut next = vec![usize::MAX; survivors.len()];
    let mut stayer = usize::MAX;
    for rank in (0..survivors.len()).rev() {
        next[rank] = stayer;
        if stays[rank] {
            stayer = survivors[rank];
        }
    }
    next
}
