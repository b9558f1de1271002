//! Arrays: removals, moves, additions, then what changed inside.

use crate::core::json::{Copies, Kind, Value};

use super::infer::sample;
use super::key::{Key, Keys};
use super::order::Ranks;
use super::pairing::Pairing;
use super::{Differ, writer::Full};

/// The most places by which a patch may shift elements of one array, all its insertions, removals
/// and moves together: whoever applies it to an array in memory pays for each.
const MOST_SHIFTS: usize = 1 << 27;

/// Among more elements than these most must be copies, or it is not worth a short cut.
const FEW: usize = 16;

/// What differs of two arrays: what is equal at both ends is left out.
pub(super) struct Middle<'s, 'a> {
    /// Where it starts.
    pub(super) start: usize,
    pub(super) old: &'s [Value<'a>],
    pub(super) new: &'s [Value<'a>],
    /// By new index: the old element that it is a copy of, as far as that is known.
    pub(super) twins: &'s [Option<usize>],
    pub(super) copies: &'s Copies,
}

/// An element that may have changed: its index, what it was, what it is.
type Changed<'a> = (usize, Value<'a>, Value<'a>);

impl<'a> Differ<'a> {
    pub(super) fn array(&mut self, old: Value<'a>, new: Value<'a>) -> Result<(), Full> {
        if let Some(changed) = self.in_place(old, new) {
            return changed.into_iter().try_for_each(|(index, old, new)| {
                self.element(index, |differ| differ.value(old, new))
            });
        }
        self.rearranged(old, new)
    }

    /// By index the elements that are no copies, if all elements are where they were: a short cut
    /// for what most polls bring.
    fn in_place(&mut self, old: Value<'a>, new: Value<'a>) -> Option<Vec<Changed<'a>>> {
        let (mut olds, mut news) = (old.children(), new.children());
        let all_copies = self.copies;
        let mut copies = all_copies.lookup(new);
        let mut changed: Vec<Changed> = Vec::new();
        for index in 0.. {
            match (olds.next(), news.next()) {
                (None, None) => break,
                (Some(old), Some(new)) => match copies.is_copy_of(new, old) {
                    Some(true) => {}
                    Some(false) => return None,
                    None if changed.len() > FEW && 2 * changed.len() > index => return None,
                    None => changed.push((index, old, new)),
                },
                _ => return None,
            }
        }
        if let [_, _, ..] = changed[..] {
            let key = self.settled_key()?;
            let (mut old_keys, mut new_keys) = (Keys::new(key), Keys::new(key));
            let mut copies = all_copies.lookup(new);
            changed
                .iter()
                .all(|(_, old, new)| {
                    new_keys.is_copied(*new, &mut copies, *old)
                        || old_keys.same(*old, &mut new_keys, *new)
                })
                .then_some(())?;
        }
        Some(changed)
    }

    /// The key of the elements here, unless it is time to look for a better one.
    fn settled_key(&mut self) -> Option<&Key> {
        let turn = self.memory.turn();
        if self.memory.key().is_some() {
            return self.memory.key();
        }
        let identity = self.memory.identity(&self.steps)?;
        if identity.is_due(turn) {
            return None;
        }
        identity.key()
    }

    fn rearranged(&mut self, old: Value<'a>, new: Value<'a>) -> Result<(), Full> {
        let (olds, news) = (old.collect(), new.collect());
        let mut twins = self.copies.twins(&olds, &news);
        let same = |i: usize, j: usize| twins[j] == Some(i) || olds[i].is_written_like(news[j]);
        let shorter = olds.len().min(news.len());
        let prefix = (0..shorter).take_while(|i| same(*i, *i)).count();
        let suffix = (1..=shorter - prefix)
            .take_while(|i| same(olds.len() - i, news.len() - i))
            .count();
        let (old_end, new_end) = (olds.len() - suffix, news.len() - suffix);
        let inside = prefix..old_end;
        for twin in &mut twins {
            *twin = twin
                .filter(|twin| inside.contains(twin))
                .map(|twin| twin - prefix);
        }
        let middle = Middle {
            start: prefix,
            old: &olds[prefix..old_end],
            new: &news[prefix..new_end],
            twins: &twins[prefix..new_end],
            copies: self.copies,
        };
        let pairing = match (middle.old, middle.new) {
            ([], _) | (_, []) | ([_], [_]) => Pairing::by_index(middle.old.len(), middle.new.len()),
            _ => self.pairing(&middle, &olds, &news),
        };
        if !pairing.is_straight() {
            if middle.old == middle.new {
                return Ok(());
            }
            if pairing.shifts() > MOST_SHIFTS {
                return Err(Full);
            }
            self.removals(&middle, &pairing)?;
            self.arrange(&middle, &pairing)?;
        }
        for (index, origin) in pairing.origin.iter().enumerate() {
            let Some(origin) = origin.filter(|_| pairing.origin[index] != middle.twins[index])
            else {
                continue;
            };
            let (old, new) = (middle.old[origin], middle.new[index]);
            // Arrays and objects are compared on the way down.
            if old.is_scalar() && old.looks_like(new) {
                continue;
            }
            self.element(middle.start + index, |differ| differ.other(old, new))?;
        }
        Ok(())
    }

    fn pairing(
        &mut self,
        middle: &Middle<'_, 'a>,
        olds: &[Value<'a>],
        news: &[Value<'a>],
    ) -> Pairing {
        let is_object = |items: &[Value]| items[0].kind() == Kind::Object;
        let by_key = if is_object(middle.old) && is_object(middle.new) {
            self.by_key(middle, olds, news)
        } else {
            None
        };
        by_key.unwrap_or_else(|| Pairing::by_content(middle.old, middle.new))
    }

    fn by_key(
        &mut self,
        middle: &Middle<'_, 'a>,
        olds: &[Value<'a>],
        news: &[Value<'a>],
    ) -> Option<Pairing> {
        let under = |key: &Key| Pairing::by_key(middle, key);
        if let Some(pairing) = self.memory.key().and_then(under) {
            return Some(pairing);
        }
        let turn = self.memory.turn();
        let identity = self.memory.identity(&self.steps)?;
        let known = identity.key().and_then(under);
        if known.is_none() && identity.key().is_some() {
            identity.abandon();
        }
        if !identity.is_due(turn) {
            return known;
        }
        if known
            .as_ref()
            .is_some_and(|known| keeps_much(middle, known))
        {
            identity.did_well(turn);
            return known;
        }
        let (olds, news) = (sample(olds, middle.start), sample(news, middle.start));
        identity.infer(olds, news, turn);
        identity.key().and_then(under)
    }

    fn removals(&mut self, middle: &Middle<'_, 'a>, pairing: &Pairing) -> Result<(), Full> {
        for (index, target) in pairing.target.iter().enumerate().rev() {
            if target.is_none() {
                self.element(middle.start + index, |differ| differ.writer.remove())?;
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
    fn arrange(&mut self, middle: &Middle<'_, 'a>, pairing: &Pairing) -> Result<(), Full> {
        let survivors: Vec<usize> = pairing.target.iter().flatten().copied().collect();
        let mut rank_of = vec![0; middle.new.len()];
        for (rank, index) in survivors.iter().enumerate() {
            rank_of[*index] = rank;
        }
        let next_stayer = next_stayers(&survivors, &pairing.stays);
        let mut waiting = Ranks::full(survivors.len());
        let mut passed = 0; // the rank of the last survivor that stayed
        for (index, rank) in rank_of.into_iter().enumerate() {
            if pairing.origin[index].is_none() {
                let to = middle.start + index + waiting.below(passed);
                self.element(to, |differ| differ.writer.add(middle.new[index]))?;
            } else if pairing.stays[index] {
                waiting.remove(rank);
                passed = rank;
            } else {
                waiting.remove(rank);
                let from = next_stayer[rank].min(index) + waiting.below(rank);
                let to = index + waiting.below(passed);
                if from != to {
                    self.writer.shift(middle.start + from, middle.start + to)?;
                }
            }
        }
        Ok(())
    }
}

/// Whether so much stays the same that no other key need be looked for.
fn keeps_much(middle: &Middle<'_, '_>, pairing: &Pairing) -> bool {
    let same = |(index, origin): (usize, &Option<usize>)| {
        origin.is_some_and(|origin| {
            middle.twins[index] == Some(origin)
                || middle.old[origin].is_written_like(middle.new[index])
        })
    };
    let pairs = pairing.origin.iter().enumerate();
    let same = pairs.filter(|pair| same(*pair)).count();
    2 * same >= middle.old.len().min(middle.new.len())
}

/// By rank: the new index of the next survivor that stays, which is how many elements will have
/// been placed before the mover of this rank once that survivor is reached.
fn next_stayers(survivors: &[usize], stays: &[bool]) -> Vec<usize> {
    let mut next = vec![usize::MAX; survivors.len()];
    let mut stayer = usize::MAX;
    for rank in (0..survivors.len()).rev() {
        next[rank] = stayer;
        if stays[survivors[rank]] {
            stayer = survivors[rank];
        }
    }
    next
}
