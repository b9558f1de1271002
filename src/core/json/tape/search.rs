//! Which old element an element of an array seems to be.

use super::beginnings::Beginnings;
use super::beside::Twins;
use super::read::Reader;

/// How many old elements are looked at for the one that is here unchanged.
const NEAR: usize = 12;

/// This many elements may be lost, and one more for so many nodes of the old array, before it is
/// worth the time to remember how all old elements begin.
const FEW_LOST: u32 = 2;
const MANY_NODES: u32 = 512;

/// Where in an old array the elements of the new one are looked for.
pub(super) struct Search {
    all: Twins,
    /// After the one that the last element was taken for.
    pub(super) next: Twins,
    /// After the last one that was found unchanged.
    missing: Twins,
    /// How many elements were not found, and at how many all old ones are taken to hand.
    lost: u32,
    patience: u32,
    beginnings: Option<Beginnings>,
}

impl Search {
    pub(super) fn new(twins: Twins) -> Self {
        Self {
            all: twins,
            next: twins,
            missing: twins,
            lost: 0,
            patience: FEW_LOST + (twins.end - twins.at) / MANY_NODES,
            beginnings: None,
        }
    }

    pub(super) fn found(&mut self) {
        self.missing = self.next;
    }
}

impl Reader<'_> {
    /// The old element that the one here seems to be, and passes it: the next one if elements were
    /// changed in place, the first that was not found again if some were put in, one further on if
    /// some were taken out; any if they were moved.
    pub(super) fn search(&mut self, search: &mut Search) -> Option<u32> {
        let guess = search.next.first().or(search.missing.first())?;
        // Scalars are read as soon as looked for.
        let is_searched = matches!(self.peek(), Some(b'{' | b'['));
        let found = match is_searched && !self.is_like(guess) {
            false => None,
            true if search.beginnings.is_some() => self.begun_alike(search),
            true => self
                .same_again(search.missing)
                .or_else(|| self.begun_alike(search)),
        };
        let twin = found.unwrap_or(guess);
        search.next.at = self.old_next(twin);
        Some(twin)
    }

    /// An old element that begins like the one here, once many were lost.
    pub(super) fn begun_alike(&self, search: &mut Search) -> Option<u32> {
        search.lost += 1;
        if search.lost < search.patience {
            return None;
        }
        let tape = self.guide.as_ref()?.tape;
        let beginnings = search
            .beginnings
            .get_or_insert_with(|| Beginnings::new(tape, search.all));
        beginnings.find(&self.text[self.at..])
    }

    /// The old element that is here unchanged, if it is near.
    pub(super) fn same_again(&mut self, mut twins: Twins) -> Option<u32> {
        for _ in 0..NEAR {
            let twin = twins.first()?;
            if self.may_be(twin) && self.same_as(twin) {
                return Some(twin);
            }
            self.advance(&mut twins);
        }
        None
    }

    /// Whether the first half of the element here is that of an old one.
    pub(super) fn is_like(&mut self, twin: u32) -> bool {
        let node = self.old(twin);
        2 * self.alike(twin) > (node.end - node.start) as usize
    }

    /// Whether the text here may be that of an old node, judged by a few bytes of it.
    pub(super) fn may_be(&self, twin: u32) -> bool {
        let Some(guide) = &self.guide else {
            return false;
        };
        let node = self.old(twin);
        let len = (node.end - node.start) as usize;
        let quarters = [len / 4, len / 2, len - len / 4];
        quarters.into_iter().all(|at| {
            let old = guide.tape.text[node.start as usize..].get(at..at + 8);
            old.is_none() || old == self.text[self.at..].get(at..at + 8)
        })
    }
}
