//! Alignment of two token sequences, with bounded effort.
//!
//! `imara-diff` aligns sequences of up to [`WHOLE`] tokens a side. Longer ones are first cut at the
//! tokens that occur once on each side and are in order (patience diff), and what is long even
//! then into windows of proportional size.

use std::collections::HashMap;
use std::ops::Range;

use imara_diff::{Algorithm, Diff, Token};

use super::order::in_order;

/// The most tokens a side that are aligned in one piece.
const WHOLE: usize = 2048;

/// The most tokens a side of a piece of more than that. `imara-diff` looks around every frequent
/// token as far as it goes, which is quadratic in the length: a million tokens cost a million
/// times this.
const WINDOW: usize = 1024;

/// Tokens of the old sequence that gave way to tokens of the new one; either may be none.
#[derive(Debug, PartialEq)]
pub(super) struct Hunk {
    pub(super) old: Range<usize>,
    pub(super) new: Range<usize>,
}

/// Where two sequences differ, in order. Outside the hunks they are equal token by token.
pub(super) fn align(old: &[u32], new: &[u32]) -> Vec<Hunk> {
    let mut alignment = Alignment {
        old,
        new,
        hunks: Vec::new(),
    };
    let (mut old_at, mut new_at) = (0, 0);
    if old.len().max(new.len()) > WHOLE {
        for (old_anchor, new_anchor) in anchors(old, new) {
            alignment.gap(old_at..old_anchor, new_at..new_anchor);
            (old_at, new_at) = (old_anchor + 1, new_anchor + 1);
        }
    }
    alignment.gap(old_at..old.len(), new_at..new.len());
    alignment.hunks
}

struct Alignment<'a> {
    old: &'a [u32],
    new: &'a [u32],
    hunks: Vec<Hunk>,
}

impl Alignment<'_> {
    /// A stretch between anchors.
    fn gap(&mut self, old: Range<usize>, new: Range<usize>) {
        let whole = self.old.len().max(self.new.len()) <= WHOLE;
        let parts = match old.len().max(new.len()) {
            1.. if whole => 1,
            longest => longest.div_ceil(WINDOW),
        };
        for part in 0..parts {
            let cut = |range: &Range<usize>| {
                let at = |part: usize| range.start + range.len() * part / parts;
                at(part)..at(part + 1)
            };
            self.window(cut(&old), cut(&new));
        }
    }

    /// A stretch short enough for `imara-diff`.
    fn window(&mut self, old: Range<usize>, new: Range<usize>) {
        if old.is_empty() || new.is_empty() {
            return self.push(old, new);
        }
        // Its memory goes with the largest token, so tokens are numbered afresh.
        let mut numbers = HashMap::new();
        let mut numbered = |tokens: &[u32]| -> Vec<Token> {
            let mut number = |token: &u32| {
                let next = numbers.len() as u32;
                Token(*numbers.entry(*token).or_insert(next))
            };
            tokens.iter().map(&mut number).collect()
        };
        let before = numbered(&self.old[old.clone()]);
        let after = numbered(&self.new[new.clone()]);
        let mut diff = Diff::default();
        diff.compute_with(Algorithm::Myers, &before, &after, numbers.len() as u32);
        for hunk in diff.hunks() {
            let range = |start: usize, hunk: &Range<u32>| {
                start + hunk.start as usize..start + hunk.end as usize
            };
            self.push(
                range(old.start, &hunk.before),
                range(new.start, &hunk.after),
            );
        }
    }

    fn push(&mut self, old: Range<usize>, new: Range<usize>) {
        if old.is_empty() && new.is_empty() {
            return;
        }
        match self.hunks.last_mut() {
            Some(last) if last.old.end == old.start && last.new.end == new.start => {
                last.old.end = old.end;
                last.new.end = new.end;
            }
            _ => self.hunks.push(Hunk { old, new }),
        }
    }
}

/// The positions of tokens that occur once on each side, as many as are in order on both.
fn anchors(old: &[u32], new: &[u32]) -> Vec<(usize, usize)> {
    let olds = single(old);
    let news = single(new);
    let pairs: Vec<(usize, usize)> = (old.iter().enumerate())
        .filter(|(_, token)| olds.get(*token).is_some_and(Option::is_some))
        .filter_map(|(i, token)| Some((i, (*news.get(token)?)?)))
        .collect();
    let positions: Vec<usize> = pairs.iter().map(|(_, position)| *position).collect();
    let kept = in_order(&positions);
    pairs
        .into_iter()
        .zip(kept)
        .filter_map(|(pair, kept)| kept.then_some(pair))
        .collect()
}

/// By token: where it is, none if it occurs more than once.
fn single(tokens: &[u32]) -> HashMap<u32, Option<usize>> {
    let mut found = HashMap::with_capacity(tokens.len());
    for (i, token) in tokens.iter().enumerate() {
        found
            .entry(*token)
            .and_modify(|position| *position = None)
            .or_insert(Some(i));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the promise about what lies outside the hunks, and returns the hunks' total length.
    fn checked(old: &[u32], new: &[u32]) -> usize {
        let (mut old_at, mut new_at, mut total) = (0, 0, 0);
        for hunk in align(old, new) {
            assert_eq!(old[old_at..hunk.old.start], new[new_at..hunk.new.start]);
            (old_at, new_at) = (hunk.old.end, hunk.new.end);
            total += hunk.old.len() + hunk.new.len();
        }
        assert_eq!(old[old_at..], new[new_at..]);
        total
    }

    /// Numbers in no order, the same each time (a linear congruential generator).
    fn scattered(count: usize) -> Vec<u32> {
        let step = |x: &u64| {
            Some(
                x.wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407),
            )
        };
        std::iter::successors(Some(1), step)
            .map(|x| (x >> 33) as u32)
            .take(count)
            .collect()
    }

    #[test]
    fn one_insertion_is_one_hunk_at_any_length() {
        for length in [0, 1, 10, WHOLE - 1, WHOLE, 3 * WHOLE] {
            let old: Vec<u32> = (0..length as u32).collect();
            for at in [0, length / 2, length] {
                let mut new = old.clone();
                new.insert(at, u32::MAX);
                assert_eq!(
                    align(&old, &new),
                    [Hunk {
                        old: at..at,
                        new: at..at + 1
                    }]
                );
                assert_eq!(
                    align(&new, &old),
                    [Hunk {
                        old: at..at + 1,
                        new: at..at
                    }]
                );
            }
        }
    }

    #[test]
    fn equal_sequences_have_no_hunk() {
        for length in [0, 1, 3 * WHOLE] {
            assert_eq!(checked(&scattered(length), &scattered(length)), 0);
        }
    }

    #[test]
    fn tokens_in_any_order_are_aligned() {
        let count = 20_000;
        let tokens = scattered(2 * count);
        let few: Vec<u32> = tokens.iter().map(|token| token % 2).collect();
        checked(&few[..count], &few[count..]);
        let some: Vec<u32> = tokens.iter().map(|token| token % 5000).collect();
        checked(&some[..count], &some[count..]);
        let reversed: Vec<u32> = tokens.iter().rev().copied().collect();
        checked(&tokens, &reversed);
        checked(&vec![1; count], &vec![2; count]);
    }
}
