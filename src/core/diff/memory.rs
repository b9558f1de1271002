//! What is remembered of the arrays of a topic's documents, from one to the next.
//!
//! Owns the tree of places: a place is a way from the root in which every element of an array
//! counts as the same step, as in `/rows/*/tags`. Promises to stay small, whatever an upstream
//! makes up.

use std::collections::HashMap;

use crate::core::json::{Name, escape, member_name};

use super::infer::Identity;
use super::key::Key;

/// The most places of one document that are kept apart.
const MAX_PLACES: usize = 1024;

/// The most members of one object that are kept apart; an object with more is a table, and its
/// rows are alike.
const MAX_MEMBERS: usize = 64;

/// Longer names are not kept, in bytes as they are written.
pub(super) const LONGEST_NAME: usize = 256;

/// What was learnt from the documents of a topic.
#[derive(Clone, Debug)]
pub struct Memory {
    /// The member that identifies elements, if the user has said so.
    key: Option<Key>,
    places: Vec<Place>,
    /// Counts the comparisons.
    turn: u64,
    /// The length of the last patch, in bytes.
    last_len: usize,
}

#[derive(Clone, Debug, Default)]
struct Place {
    /// By name as it is written.
    members: HashMap<Box<[u8]>, usize>,
    /// Any element, or any member past the most.
    any: Option<usize>,
    identity: Identity,
}

/// The members that were found to identify the elements of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InferredKey {
    /// Where the array is, as `document.ignore` would write it; empty for the document itself.
    pub place: String,
    /// The members, which identify an element together.
    pub key: Vec<String>,
}

/// One step of the way to a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    Member(Name<'a>),
    Element,
}

impl Memory {
    /// Nothing learnt; `key` is the member that identifies the elements of arrays of objects,
    /// where it does.
    pub fn new(key: Option<&str>) -> Self {
        Self {
            key: key.map(Key::named),
            places: vec![Place::default()],
            turn: 0,
            last_len: 0,
        }
    }

    pub(super) fn begin(&mut self) {
        self.turn += 1;
    }

    pub(super) fn end(&mut self, patch_len: usize) {
        self.last_len = patch_len;
    }

    /// The length that a patch will probably have, in bytes.
    pub(super) fn likely_len(&self) -> usize {
        self.last_len
    }

    pub(super) fn turn(&self) -> u64 {
        self.turn
    }

    /// The member that identifies elements, if the user has said so.
    pub(super) fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// What is known of the array at the end of this way; none where there are too many.
    pub(super) fn identity(&mut self, steps: &[Step<'_>]) -> Option<&mut Identity> {
        let place = steps
            .iter()
            .try_fold(0, |place, step| self.step(place, *step))?;
        Some(&mut self.places[place].identity)
    }

    /// The keys that were found so far, by place.
    pub fn keys(&self) -> Vec<InferredKey> {
        let mut keys = Vec::new();
        self.keys_below(0, &mut String::new(), &mut keys);
        keys.sort_by(|a, b| a.place.cmp(&b.place));
        keys
    }

    fn keys_below(&self, at: usize, way: &mut String, keys: &mut Vec<InferredKey>) {
        let place = &self.places[at];
        keys.extend(place.identity.key().map(|key| InferredKey {
            place: way.clone(),
            key: key.names(),
        }));
        let members = place
            .members
            .iter()
            .filter_map(|(name, next)| Some((escape(&member_name(name)?), *next)));
        for (token, next) in members.chain(place.any.map(|next| ("*".to_owned(), next))) {
            let len = way.len();
            way.push('/');
            way.push_str(&token);
            self.keys_below(next, way, keys);
            way.truncate(len);
        }
    }

    /// The key that was found for the array at a place.
    pub(super) fn key_at(&self, place: usize) -> Option<&Key> {
        self.places[place].identity.key()
    }

    /// Where one step leads, if it was ever taken.
    pub(super) fn after(&self, at: usize, step: Step<'_>) -> Option<usize> {
        let place = &self.places[at];
        let known = match step {
            Step::Member(name) if is_short(name) => place.members.get(name.raw()).copied(),
            _ => None,
        };
        known.or_else(|| place.any.filter(|_| !place.keeps_apart(step)))
    }

    fn step(&mut self, at: usize, step: Step<'_>) -> Option<usize> {
        let known = self.after(at, step);
        if known.is_some() || self.places.len() == MAX_PLACES {
            return known;
        }
        let apart = self.places[at].keeps_apart(step);
        let new = self.places.len();
        self.places.push(Place::default());
        let place = &mut self.places[at];
        match step {
            Step::Member(name) if apart => {
                place.members.insert(name.raw().into(), new);
            }
            _ => place.any = Some(new),
        }
        Some(new)
    }
}

impl Place {
    /// Whether this step is one that leads to a place of its own.
    fn keeps_apart(&self, step: Step<'_>) -> bool {
        matches!(step, Step::Member(name) if is_short(name)) && self.members.len() < MAX_MEMBERS
    }
}

fn is_short(name: Name<'_>) -> bool {
    name.raw().len() <= LONGEST_NAME
}
