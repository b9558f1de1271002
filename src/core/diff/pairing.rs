//! Which old element each new element of an array is.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::core::json::Value;

use super::align::align;
use super::arrays::Middle;
use super::key::{Key, Keys, Token, Tokens};
use super::order::in_order;

/// Elements of at least this many bytes are moved rather than said again.
const WORTH_MOVING: usize = 48;

/// A guess at what became of each element. No element is in two pairs.
pub(super) struct Pairing {
    /// By new index: the old index, none for an added element.
    pub(super) origin: Vec<Option<usize>>,
    /// By old index: the new index, none for a removed element.
    pub(super) target: Vec<Option<usize>>,
    /// By new index: whether it is of those that keep their order.
    pub(super) stays: Vec<bool>,
}

impl Pairing {
    /// Whether every element stays where it is.
    pub(super) fn is_straight(&self) -> bool {
        self.target.len() == self.origin.len()
            && (self.origin.iter().enumerate()).all(|(i, origin)| *origin == Some(i))
    }

    /// By how many places elements are shifted at most, all insertions, removals and moves together.
    pub(super) fn shifts(&self) -> usize {
        let gone = self.target.iter().filter(|target| target.is_none()).count();
        let put = self.stays.iter().filter(|stays| !**stays).count();
        (gone + put) * self.target.len().max(self.origin.len())
    }

    fn none(old: usize, new: usize) -> Self {
        Self {
            origin: vec![None; new],
            target: vec![None; old],
            stays: Vec::new(),
        }
    }

    fn pair(&mut self, old: usize, new: usize) {
        self.origin[new] = Some(old);
        self.target[old] = Some(new);
    }

    /// The first with the first while there are both.
    pub(super) fn by_index(old: usize, new: usize) -> Self {
        let mut pairing = Self::none(old, new);
        (0..old.min(new)).for_each(|i| pairing.pair(i, i));
        pairing.stays = vec![true; new];
        pairing
    }

    /// Copies, then elements with the same key; where one occurs several times, in their order.
    /// None unless nearly every element has a key of its own.
    pub(super) fn by_key(middle: &Middle<'_, '_>, key: &Key) -> Option<Self> {
        let (old, new) = (middle.old, middle.new);
        let mut pairing = Self::none(old.len(), new.len());
        for (i, twin) in middle.twins.iter().enumerate() {
            if let Some(twin) = twin.filter(|twin| pairing.target[*twin].is_none()) {
                pairing.pair(twin, i);
            }
        }
        pairing.follow(middle, key);
        pairing.look_up(middle, key)?;
        Some(pairing.settle())
    }

    /// Pairs elements that have their key from an old one as a copy, or the one that comes after the
    /// last old one.
    fn follow(&mut self, middle: &Middle<'_, '_>, key: &Key) {
        let (old, new) = (middle.old, middle.new);
        let (mut old_keys, mut new_keys) = (Keys::new(key), Keys::new(key));
        let mut copies = middle.copies.lookup(new[0]);
        let mut next = 0;
        let mut parts = Vec::new();
        // The key of the old element at this place.
        let (mut place, mut expected, mut is_whole) = (usize::MAX, Vec::new(), false);
        for (j, item) in new.iter().enumerate() {
            let mut found = self.origin[j];
            if found.is_none() && new_keys.parts(*item, &mut parts) {
                let mut holders = parts.iter().map(|part| copies.holder(*part, old, next));
                let holder = holders.next().flatten();
                found = holder.filter(|_| holders.all(|other| other == holder));
                if found.is_none() && next < old.len() {
                    if place != next {
                        place = next;
                        is_whole = old_keys.parts(old[next], &mut expected);
                    }
                    let mut pairs = parts.iter().zip(&expected);
                    let same = is_whole && pairs.all(|(a, b)| a.raw() == b.raw());
                    found = same.then_some(next);
                }
            }
            let Some(i) = found else {
                continue;
            };
            if self.origin[j].is_none() && self.target[i].is_none() {
                self.pair(i, j);
            }
            next = i + 1;
        }
    }

    /// Pairs what is left over by its keys. None unless nearly every element has one of its own.
    fn look_up(&mut self, middle: &Middle<'_, '_>, key: &Key) -> Option<()> {
        let (old, new) = (middle.old, middle.new);
        let left_over = |pairs: &[Option<usize>]| -> Vec<usize> {
            (0..pairs.len()).filter(|i| pairs[*i].is_none()).collect()
        };
        let (olds, news) = (left_over(&self.target), left_over(&self.origin));
        let tokens = Tokens::default();
        let of = |items: &[Value], places: &[usize]| -> Vec<Option<Token>> {
            let mut keys = Keys::new(key);
            let token = |place: &usize| keys.token(items[*place], &tokens);
            places.iter().map(token).collect()
        };
        let (old_tokens, new_tokens) = (of(old, &olds), of(new, &news));
        let missing = |keys: &[Option<Token>]| keys.iter().filter(|key| key.is_none()).count();
        let (pairs, doubles) = equal(&old_tokens, &new_tokens);
        let bad = missing(&old_tokens).max(missing(&new_tokens)) + doubles;
        if 4 * bad > old.len().min(new.len()) {
            return None;
        }
        for (i, j) in pairs {
            self.pair(olds[i], news[j]);
        }
        Some(())
    }

    /// Equal elements in the same order on both sides; then equal ones that are somewhere else.
    pub(super) fn by_content(old: &[Value<'_>], new: &[Value<'_>]) -> Self {
        let tokens = Tokens::default();
        let of = |items: &[Value]| -> Vec<Option<Token>> {
            items
                .iter()
                .map(|item| Some(tokens.content(*item)))
                .collect()
        };
        let (old_tokens, new_tokens) = (of(old), of(new));
        let mut numbers = HashMap::new();
        let mut numbered = |tokens: &[Option<Token>]| -> Vec<u32> {
            let mut number = |token: &Option<Token>| {
                let next = numbers.len() as u32;
                *numbers.entry(*token).or_insert(next)
            };
            tokens.iter().map(&mut number).collect()
        };
        let (before, after) = (numbered(&old_tokens), numbered(&new_tokens));
        let mut pairing = Self::none(old.len(), new.len());
        let (mut old_at, mut new_at) = (0, 0);
        let end = (old.len(), new.len());
        let hunks = align(&before, &after);
        let ends = hunks.iter().map(|hunk| (hunk.old.start, hunk.new.start));
        let starts = hunks.iter().map(|hunk| (hunk.old.end, hunk.new.end));
        for ((old_end, _), next) in ends.chain([end]).zip(starts.chain([end])) {
            for i in 0..old_end - old_at {
                pairing.pair(old_at + i, new_at + i);
            }
            (old_at, new_at) = next;
        }
        let is_large = |i: &usize| new[*i].raw().len() >= WORTH_MOVING;
        let news: Vec<Option<Token>> = (0..new.len())
            .map(|i| new_tokens[i].filter(|_| pairing.origin[i].is_none() && is_large(&i)))
            .collect();
        let olds: Vec<Option<Token>> = (0..old.len())
            .map(|i| old_tokens[i].filter(|_| pairing.target[i].is_none()))
            .collect();
        for (i, j) in equal(&olds, &news).0 {
            pairing.pair(i, j);
        }
        pairing.settle()
    }

    /// Finds the longest run of elements that keep their order, and pairs what is left over on
    /// both sides between them: changing one into the other is never dearer than taking one out
    /// and putting the other in.
    fn settle(mut self) -> Self {
        if self.is_straight() {
            self.stays = vec![true; self.origin.len()];
            return self;
        }
        let survivors: Vec<usize> = self.target.iter().flatten().copied().collect();
        let in_order = in_order(&survivors);
        self.stays = vec![false; self.origin.len()];
        let (mut old_at, mut new_at) = (0, 0);
        let stayers = survivors.iter().zip(in_order).filter(|(_, stays)| *stays);
        let ends = stayers.map(|(new, _)| (self.origin[*new].unwrap_or(0), *new));
        let ends: Vec<(usize, usize)> = ends.collect();
        for (old_end, new_end) in ends
            .into_iter()
            .chain([(self.target.len(), self.origin.len())])
        {
            while old_at < old_end && new_at < new_end {
                if self.target[old_at].is_some() {
                    old_at += 1;
                } else if self.origin[new_at].is_some() {
                    new_at += 1;
                } else {
                    self.pair(old_at, new_at);
                    self.stays[new_at] = true;
                }
            }
            (old_at, new_at) = (old_end + 1, new_end + 1);
            if let Some(stays) = self.stays.get_mut(new_end) {
                *stays = true;
            }
        }
        self
    }
}

/// Pairs equal tokens, each in one pair at most; and says how many old ones are there again.
fn equal(old: &[Option<Token>], new: &[Option<Token>]) -> (Vec<(usize, usize)>, usize) {
    // By token the first old place; by old place the next one with its token.
    let mut first: HashMap<Token, usize, RandomState> =
        HashMap::with_capacity_and_hasher(old.len(), RandomState::default());
    let mut next = vec![usize::MAX; old.len()];
    let mut doubles = 0;
    for (i, token) in old.iter().enumerate().rev() {
        if let Some(later) = token.and_then(|token| first.insert(token, i)) {
            next[i] = later;
            doubles += 1;
        }
    }
    let pair = |(j, token): (usize, &Option<Token>)| {
        let twin = first.get_mut(token.as_ref()?)?;
        let i = *twin;
        *twin = *next.get(i)?;
        Some((i, j))
    };
    (new.iter().enumerate().filter_map(pair).collect(), doubles)
}
