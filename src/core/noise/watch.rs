//! One place that is watched: what the last comparison found there, and what that adds up to.

use crate::core::diff::Known;
use crate::core::json::Value;

/// Of ten values at a place so many must have changed for the place to count as changed.
const NEARLY_ALL: u32 = 9;

/// What an operation of a patch takes beside the path and the value, its comma included.
const OPERATION: usize = r#"{"op":"replace","path":"","value":},"#.len();

/// What a member takes beside its name and the value: quotes, colon, comma.
const MEMBER: usize = 4;

/// A place under observation.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    /// Comparisons at which it was seen to change, without one at which it did not.
    pub(super) seen: u32,
    /// Since it was told.
    pub(super) found: Option<Found>,
    last: Tally,
}

/// What is kept of a place that was told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// What it has cost since.
    pub(super) bytes: f64,
    /// Polls in a row at which it did not change.
    pub(super) still: u32,
}

/// What one comparison found.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    there: u32,
    changed: u32,
    passed: bool,
    /// How many values there are in all, by the weights of those that were looked at.
    values: f64,
    cost: Cost,
}

/// What the values that changed cost, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    /// As operations of a patch.
    pub(super) patch: f64,
    /// As a part of the document.
    pub(super) text: f64,
}

/// What one comparison says of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Changed,
    Still,
    /// It could not be looked at.
    Unknown,
}

/// Where a walk is.
#[derive(Clone, Copy)]
pub(super) struct Spot<'m> {
    pub(super) known: Known<'m>,
    /// The length of the way, and of its last step.
    path: usize,
    step: usize,
    /// How many values the one here stands for.
    weight: f64,
}

impl<'m> Spot<'m> {
    pub(super) fn root(known: Known<'m>) -> Self {
        Self {
            known,
            path: 0,
            step: 0,
            weight: 1.0,
        }
    }

    /// One step further, which is `step` bytes long and one of `weight` like it.
    pub(super) fn inside(self, known: Known<'m>, step: usize, weight: f64) -> Self {
        Self {
            known,
            path: self.path + 1 + step,
            step,
            weight: self.weight * weight,
        }
    }
}

impl Watch {
    pub(super) fn begin(&mut self) {
        self.last = Tally::default();
    }

    /// Something on the way could not be looked at.
    pub(super) fn pass(&mut self) {
        self.last.passed = true;
    }

    pub(super) fn compare(&mut self, old: Value<'_>, new: Value<'_>, spot: Spot<'_>) {
        let last = &mut self.last;
        last.there += 1;
        last.values += spot.weight;
        if old.is_scalar() && new.is_scalar() && old != new {
            last.changed += 1;
            let bytes = |fixed: usize| spot.weight * (fixed + new.len()) as f64;
            last.cost.patch += bytes(OPERATION + spot.path);
            last.cost.text += bytes(MEMBER + spot.step);
        }
    }

    pub(super) fn is_found(&self) -> bool {
        self.found.is_some()
    }

    /// How many values there were at the last comparison.
    pub(super) fn values(&self) -> f64 {
        self.last.values
    }

    /// What it cost at the last comparison.
    pub(super) fn cost(&self) -> Cost {
        self.last.cost
    }

    /// What the last comparison says.
    pub(super) fn verdict(&self) -> Verdict {
        let Tally { there, changed, .. } = self.last;
        if there == 0 && self.last.passed {
            Verdict::Unknown
        } else if changed > 0 && 10 * changed >= NEARLY_ALL * there {
            Verdict::Changed
        } else {
            Verdict::Still
        }
    }
}
