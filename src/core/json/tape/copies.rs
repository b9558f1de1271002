//! What two documents have in common, byte for byte.

use super::Value;

/// So many runs there mostly are at most.
const ROOM: usize = 32;

/// Which nodes of a document were copied from the one before.
#[derive(Clone, Debug, Default)]
pub struct Copies {
    /// In order; runs that continue one another are one.
    runs: Vec<Run>,
}

/// Nodes from `old` on that are nodes from `new` on.
#[derive(Clone, Copy, Debug)]
struct Run {
    new: u32,
    old: u32,
    count: u32,
}

/// Looks up copies in the order of the new document.
#[derive(Debug)]
pub(in crate::core) struct Lookup<'c> {
    runs: &'c [Run],
}

impl Lookup<'_> {
    /// The old node that a value was copied from.
    fn source(&mut self, value: Value<'_>) -> Option<u32> {
        let is_passed = |run: &Run| run.new + run.count <= value.at;
        while self.runs.first().is_some_and(is_passed) {
            self.runs = &self.runs[1..];
        }
        let run = self.runs.first().filter(|run| run.new <= value.at)?;
        Some(run.old + (value.at - run.new))
    }

    /// Whether a value was copied from this old one; none if it was not copied.
    pub(in crate::core) fn is_copy_of(&mut self, value: Value<'_>, old: Value<'_>) -> Option<bool> {
        self.source(value).map(|at| at == old.at)
    }

    /// Whether a value was copied from inside this old one.
    pub(in crate::core) fn is_from(&mut self, value: Value<'_>, old: Value<'_>) -> bool {
        let source = self.source(value);
        source.is_some_and(|at| (old.at..old.at + old.size()).contains(&at))
    }

    /// The place, among these values of the old document, of the one that holds what a value was
    /// copied from. They must be in order; `likely` is looked at first.
    pub(in crate::core) fn holder(
        &mut self,
        value: Value<'_>,
        old: &[Value<'_>],
        likely: usize,
    ) -> Option<usize> {
        let at = self.source(value)?;
        let holds = |place: usize| {
            let old = old.get(place)?;
            (old.at..old.at + old.size()).contains(&at).then_some(place)
        };
        holds(likely).or_else(|| {
            let after = old.partition_point(|old| old.at <= at);
            holds(after.checked_sub(1)?)
        })
    }
}

impl Copies {
    /// None yet, with room for what most polls bring.
    pub(super) fn with_room() -> Self {
        Self {
            runs: Vec::with_capacity(ROOM),
        }
    }

    pub(super) fn add(&mut self, new: u32, old: u32, count: u32) {
        match self.runs.last_mut() {
            Some(last) if last.new + last.count == new && last.old + last.count == old => {
                last.count += count;
            }
            _ => self.runs.push(Run { new, old, count }),
        }
    }

    /// By index: the element of the old array, by its index, that an element of the new one is a
    /// copy of. Both must be in order.
    pub(in crate::core) fn twins(
        &self,
        old: &[Value<'_>],
        new: &[Value<'_>],
    ) -> Vec<Option<usize>> {
        let Some(first) = new.first() else {
            return Vec::new();
        };
        let mut lookup = self.lookup(*first);
        let mut place = 0;
        let twin = |value: &Value| {
            let at = lookup.source(*value)?;
            // Copies are mostly in order; where they are not, the place is looked for.
            if old.get(place).is_none_or(|old| old.at != at) {
                place = old.binary_search_by_key(&at, |old| old.at).ok()?;
            }
            place += 1;
            Some(place - 1)
        };
        new.iter().map(twin).collect()
    }

    /// For values from this one on.
    pub(in crate::core) fn lookup(&self, first: Value<'_>) -> Lookup<'_> {
        let passed = |run: &Run| run.new + run.count <= first.at;
        Lookup {
            runs: &self.runs[self.runs.partition_point(passed)..],
        }
    }
}
