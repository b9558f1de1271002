//! The places of the values in a text, kept small: 12 bytes for a scalar, 20 for an array or
//! object.

/// Where the values of a text are, in its order; what an array or object holds comes directly
/// after it.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    slots: Vec<Slot>,
    /// What else there is to know of arrays and objects, in the same order.
    inner: Vec<Inner>,
}

/// Where a value is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// Where its text starts and ends.
    pub(super) start: u32,
    pub(super) end: u32,
    /// How many nodes it is, all inside it included.
    pub(super) size: u32,
    /// What it adds to the compact text of what it is in: its own, a member's name and colon
    /// included.
    pub(super) len: u32,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    start: u32,
    end: u32,
    /// Of a scalar its `len`; of an array or object its place in `inner`, and [`INNER`].
    rest: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Inner {
    size: u32,
    len: u32,
}

/// Marks arrays and objects.
const INNER: u32 = 1 << 31;

/// The longest text, in bytes: every length is below [`INNER`].
pub(super) const MAX_TEXT: usize = INNER as usize - 1;

impl Nodes {
    pub(super) fn with_capacity(scalars: usize) -> Self {
        Self {
            slots: Vec::with_capacity(scalars),
            inner: Vec::new(),
        }
    }

    /// With room for as many as there are in `like`.
    pub(super) fn with_capacity_of(like: &Nodes) -> Self {
        Self {
            slots: Vec::with_capacity(like.slots.len()),
            inner: Vec::with_capacity(like.inner.len()),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>() + self.inner.capacity() * size_of::<Inner>()
    }

    pub(super) fn start(&self, at: u32) -> usize {
        self.slots[at as usize].start as usize
    }

    pub(super) fn end(&self, at: u32) -> usize {
        self.slots[at as usize].end as usize
    }

    pub(super) fn size(&self, at: u32) -> u32 {
        match self.slots[at as usize].rest {
            inner if inner & INNER != 0 => self.inner[(inner & !INNER) as usize].size,
            _ => 1,
        }
    }

    pub(super) fn get(&self, at: u32) -> Node {
        let Slot { start, end, rest } = self.slots[at as usize];
        let Inner { size, len } = match rest & INNER {
            0 => Inner { size: 1, len: rest },
            _ => self.inner[(rest & !INNER) as usize],
        };
        Node {
            start,
            end,
            size,
            len,
        }
    }

    /// Adds a scalar.
    pub(super) fn push(&mut self, start: usize, end: usize, len: usize) {
        self.slots.push(Slot {
            start: start as u32,
            end: end as u32,
            rest: len as u32,
        });
    }

    /// Adds an array or object, which is to be closed.
    pub(super) fn open(&mut self, start: usize) {
        self.slots.push(Slot {
            start: start as u32,
            end: 0,
            rest: INNER | self.inner.len() as u32,
        });
        self.inner.push(Inner::default());
    }

    /// All nodes after this one are inside it.
    pub(super) fn close(&mut self, at: usize, end: usize, len: u32) {
        let size = (self.slots.len() - at) as u32;
        let slot = &mut self.slots[at];
        slot.end = end as u32;
        self.inner[(slot.rest & !INNER) as usize] = Inner { size, len };
    }

    /// Adds copies of nodes whose text is `shift` bytes (modulo 2³²) further on. They must be whole
    /// siblings.
    pub(super) fn copy(&mut self, from: &Nodes, first: u32, end: u32, shift: u32) {
        let slots = &from.slots[first as usize..end as usize];
        if let [slot] = slots
            && slot.rest & INNER == 0
        {
            self.slots.push(Slot {
                start: slot.start.wrapping_add(shift),
                end: slot.end.wrapping_add(shift),
                rest: slot.rest,
            });
            return;
        }
        let inner = from.inner_of(slots);
        let moved = (self.inner.len() as u32).wrapping_sub(inner.start as u32);
        self.slots.extend(slots.iter().map(|slot| {
            Slot {
                start: slot.start.wrapping_add(shift),
                end: slot.end.wrapping_add(shift),
                // All ones for arrays and objects, so that there is nothing to decide.
                rest: slot
                    .rest
                    .wrapping_add(moved & (slot.rest >> 31).wrapping_neg()),
            }
        }));
        self.inner.extend_from_slice(&from.inner[inner]);
    }

    /// Takes out the nodes from this one on.
    pub(super) fn truncate(&mut self, at: usize) {
        let inner = self.inner_of(&self.slots[at..]);
        self.inner.truncate(inner.start);
        self.slots.truncate(at);
    }

    /// Takes out some of the values from `first` on, which are siblings; they must be in order.
    pub(super) fn remove(&mut self, first: usize, doomed: &[u32]) {
        if doomed.is_empty() {
            return;
        }
        let inner = self.inner_of(&self.slots[first..]);
        let inside = self.inner[inner.start..].to_vec();
        let slots = self.slots[first..].iter().map(|slot| Slot {
            rest: slot.rest - inner.start as u32 * (slot.rest >> 31),
            ..*slot
        });
        let old = Nodes {
            slots: slots.collect(),
            inner: inside,
        };
        self.truncate(first);
        let mut kept = 0;
        let end = old.slots.len() as u32;
        for doomed in doomed
            .iter()
            .map(|doomed| doomed - first as u32)
            .chain([end])
        {
            self.copy(&old, kept, doomed, 0);
            kept = doomed + if doomed < end { old.size(doomed) } else { 0 };
        }
    }

    pub(super) fn shrink_to_fit(&mut self) {
        self.slots.shrink_to_fit();
        self.inner.shrink_to_fit();
    }

    /// Where in `inner` what these slots say is.
    fn inner_of(&self, slots: &[Slot]) -> std::ops::Range<usize> {
        let is_inner = |slot: &&Slot| slot.rest & INNER != 0;
        let place = |slot: &Slot| (slot.rest & !INNER) as usize;
        match slots.iter().find(is_inner) {
            None => self.inner.len()..self.inner.len(),
            Some(first) => {
                let last = slots.iter().rfind(is_inner).unwrap_or(first);
                place(first)..place(last) + 1
            }
        }
    }
}
