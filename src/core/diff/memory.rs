//! What is remembered of the arrays of a topic's documents, from one to the next.
//!
//! Owns the tree of places: a place is a way from the root in which every element of an array
//! counts as the same step, as in `/rows/*/tags`. Promises to stay small, whatever an upstream
//! makes up.

use std::collections::HashMap;

use crate::core::json::Name;

use super::infer::Identity;
use super::key::Key;

/// The most places of one document that are kept apart.
const MAX_PLACES: usize = 1024;

/// The most members of one object that are kept apart; an object with more is a table, and its
/// rows are alike.
const MAX_MEMBERS: usize = 64;

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

    fn step(&mut self, at: usize, step: Step<'_>) -> Option<usize> {
        let place = &self.places[at];
        let known = match step {
            Step::Member(name) => place.members.get(name.raw()).copied(),
            Step::Element => None,
        };
        let apart = matches!(step, Step::Member(_)) && place.members.len() < MAX_MEMBERS;
        let known = known.or_else(|| place.any.filter(|_| !apart));
        if known.is_some() || self.places.len() == MAX_PLACES {
            return known;
        }
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
