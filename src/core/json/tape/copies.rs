//! What two documents have in common, byte for byte.

use super::Value;

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

impl Copies {
    pub(super) fn add(&mut self, new: u32, old: u32, count: u32) {
        match self.runs.last_mut() {
            Some(last) if last.new + last.count == new && last.old + last.count == old => {
                last.count += count;
            }
            _ => self.runs.push(Run { new, old, count }),
        }
    }

    /// The place, among these values of the old document, of the one that holds what a value was
    /// copied from. They must be in order; `likely` is looked at first.
    pub(in crate::core) fn holder(
        &self,
        value: Value<'_>,
        old: &[Value<'_>],
        likely: usize,
    ) -> Option<usize> {
        let run = self
            .runs
            .partition_point(|run| run.new + run.count <= value.at);
        let run = self.runs.get(run).filter(|run| run.new <= value.at)?;
        let at = run.old + (value.at - run.new);
        let holds = |place: usize| {
            let old = old.get(place)?;
            (old.at..old.at + old.node().size)
                .contains(&at)
                .then_some(place)
        };
        holds(likely).or_else(|| {
            let after = old.partition_point(|old| old.at <= at);
            holds(after.checked_sub(1)?)
        })
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
        let mut run = self
            .runs
            .partition_point(|run| run.new + run.count <= first.at);
        let mut place = 0;
        let twin = |value: &Value| {
            while self
                .runs
                .get(run)
                .is_some_and(|run| run.new + run.count <= value.at)
            {
                run += 1;
            }
            let run = self.runs.get(run).filter(|run| run.new <= value.at)?;
            let at = run.old + (value.at - run.new);
            // Copies are mostly in order; where they are not, the place is looked for.
            if old.get(place).is_none_or(|old| old.at != at) {
                place = old.binary_search_by_key(&at, |old| old.at).ok()?;
            }
            place += 1;
            Some(place - 1)
        };
        new.iter().map(twin).collect()
    }
}
