//! Which children of two documents are the same, for whoever looks at some of them beside the diff.
//!
//! Owns no knowledge of its own: it follows what [`Memory`] has learnt. Promises that the children
//! of one value are looked at in numbers that do not grow with the document.

use std::collections::HashMap;

use crate::core::json::{Kind, Name, Pair, Value, pairs};

use super::key::{Key, Keys, Tokens};
use super::memory::{Memory, Step};

/// The most children of one array or table that are looked at.
const SAMPLE: usize = 64;

/// What is known at the end of a way into a document.
#[derive(Clone, Copy, Debug)]
pub(in crate::core) struct Known<'m> {
    memory: &'m Memory,
    place: Option<usize>,
}

/// Children that are there on both sides.
#[derive(Debug, Default)]
pub(in crate::core) struct Same<'a> {
    /// Their index in the new value, the old one and the new one.
    pub(in crate::core) pairs: Vec<(usize, Value<'a>, Value<'a>)>,
    /// How many each of them stands for.
    pub(in crate::core) weight: f64,
}

impl<'m> Known<'m> {
    /// At the root.
    pub(in crate::core) fn root(memory: &'m Memory) -> Self {
        let place = Some(0);
        Self { memory, place }
    }

    /// One step further, to a member.
    pub(in crate::core) fn member(self, name: Name<'_>) -> Self {
        self.step(Step::Member(name))
    }

    /// One step further, to an element.
    pub(in crate::core) fn element(self) -> Self {
        self.step(Step::Element)
    }

    fn step(self, step: Step<'_>) -> Self {
        let place = self.place.and_then(|at| self.memory.after(at, step));
        Self { place, ..self }
    }

    /// Some children that are the same on both sides, spread over all of them: members by name;
    /// elements by their key where there is one, else by index. None where that cannot be said.
    pub(in crate::core) fn same<'a>(self, old: Value<'a>, new: Value<'a>) -> Option<Same<'a>> {
        match (old.kind(), new.kind()) {
            (Kind::Object, Kind::Object) => Some(members(old, new)),
            (Kind::Array, Kind::Array) => self.elements(old, new),
            _ => None,
        }
    }

    fn elements<'a>(self, old: Value<'a>, new: Value<'a>) -> Option<Same<'a>> {
        let olds: Vec<Value> = old.children().collect();
        let news: Vec<Value> = new.children().collect();
        let found = || self.memory.key_at(self.place?);
        let under = |key: &Key| by_key(&olds, &news, key);
        let by_key = self.memory.key().and_then(under);
        by_key.or_else(|| found().and_then(under)).or_else(|| {
            let pairs = olds.iter().zip(&news).enumerate();
            let pairs = pairs.map(|(i, (old, new))| (i, *old, *new));
            (olds.len() == news.len()).then(|| Same::of(pairs, news.len()))
        })
    }
}

impl<'a> Same<'a> {
    /// Some of `count` pairs.
    fn of(pairs: impl Iterator<Item = (usize, Value<'a>, Value<'a>)>, count: usize) -> Self {
        let pairs: Vec<_> = pairs.step_by(stride(count)).collect();
        let weight = count as f64 / pairs.len().max(1) as f64;
        Self { pairs, weight }
    }
}

fn stride(count: usize) -> usize {
    count.div_ceil(SAMPLE).max(1)
}

fn members<'a>(old: Value<'a>, new: Value<'a>) -> Same<'a> {
    let both = pairs(old, new).filter_map(|pair| match pair {
        Pair::Both(old, new) => Some((old, new)),
        Pair::Gone(_) | Pair::New(_) => None,
    });
    let both = both.enumerate().map(|(i, (old, new))| (i, old, new));
    Same::of(both, new.children().count())
}

/// None unless most of the elements that are looked at have a key that is there again.
fn by_key<'a>(olds: &[Value<'a>], news: &[Value<'a>], key: &Key) -> Option<Same<'a>> {
    let (mut old_keys, mut new_keys) = (Keys::new(key), Keys::new(key));
    let mut pairs = Vec::new();
    let mut missed = Vec::new();
    let looked_at = news.iter().enumerate().step_by(stride(news.len()));
    for (j, new) in looked_at {
        // Mostly nothing moved, or all by what was put in before.
        let shifted = (j + olds.len()).checked_sub(news.len());
        let guesses = [Some(j), shifted];
        let mut guesses = guesses.into_iter().flatten().filter_map(|i| olds.get(i));
        match guesses.find(|old| old_keys.same(**old, &mut new_keys, *new)) {
            Some(old) => pairs.push((j, *old, *new)),
            None => missed.push((j, *new)),
        }
    }
    let count = pairs.len() + missed.len();
    if 4 * missed.len() > count {
        let tokens = Tokens::default();
        let by_token: HashMap<_, _> = (olds.iter())
            .filter_map(|old| Some((old_keys.token(*old, &tokens)?, *old)))
            .collect();
        pairs.extend(missed.into_iter().filter_map(|(j, new)| {
            let old = by_token.get(&new_keys.token(new, &tokens)?)?;
            Some((j, *old, new))
        }));
    }
    if 2 * pairs.len() < count || (count == 0 && !olds.is_empty()) {
        return None;
    }
    let weight = news.len() as f64 / count.max(1) as f64;
    Some(Same { pairs, weight })
}
