//! Order: the longest part that keeps it, and counting within a prefix.

/// Which of `positions`, all different, form a longest increasing subsequence. O(n log n).
pub(super) fn in_order(positions: &[usize]) -> Vec<bool> {
    if positions.is_sorted() {
        return vec![true; positions.len()];
    }
    // ends[k]: the entry with the smallest position that ends an increasing run of length k + 1.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(positions.len());
    for (i, position) in positions.iter().enumerate() {
        let goes_on = ends.last().is_none_or(|end| positions[*end] < *position);
        let length = match goes_on {
            true => ends.len(),
            false => ends.partition_point(|end| positions[*end] < *position),
        };
        before.push(length.checked_sub(1).map(|k| ends[k]));
        if length == ends.len() {
            ends.push(i);
        } else {
            ends[length] = i;
        }
    }
    let mut kept = vec![false; positions.len()];
    let mut last = ends.last().copied();
    while let Some(i) = last {
        kept[i] = true;
        last = before[i];
    }
    kept
}

/// A set of small numbers that counts its members below a bound in O(log n) (a Fenwick tree).
pub(super) struct Ranks {
    tree: Vec<usize>,
}

impl Ranks {
    /// All of `0..count`.
    pub(super) fn full(count: usize) -> Self {
        // Each slot counts as many ranks as its lowest bit says, its own the last of them.
        Self {
            tree: (0..=count).map(lowest_bit).collect(),
        }
    }

    /// Takes a member out.
    pub(super) fn remove(&mut self, rank: usize) {
        let mut slot = rank + 1;
        while slot < self.tree.len() {
            self.tree[slot] -= 1;
            slot += lowest_bit(slot);
        }
    }

    /// How many members are below `rank`.
    pub(super) fn below(&self, rank: usize) -> usize {
        let (mut slot, mut sum) = (rank, 0);
        while slot > 0 {
            sum += self.tree[slot];
            slot -= lowest_bit(slot);
        }
        sum
    }
}

fn lowest_bit(slot: usize) -> usize {
    slot & slot.wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_increasing_part_is_found() {
        let kept = |positions: &[usize]| in_order(positions).iter().filter(|k| **k).count();
        assert_eq!(kept(&[]), 0);
        assert_eq!(kept(&[0, 1, 2, 3]), 4);
        assert_eq!(kept(&[3, 2, 1, 0]), 1);
        assert_eq!(kept(&[9, 0, 1, 5, 2, 3]), 4);
        assert_eq!(in_order(&[2, 0, 1]), [false, true, true]);
    }

    #[test]
    fn ranks_are_counted_below_a_bound() {
        let mut ranks = Ranks::full(5);
        let below = |ranks: &Ranks| [0, 1, 2, 3, 4, 5].map(|rank| ranks.below(rank));
        assert_eq!(below(&ranks), [0, 1, 2, 3, 4, 5]);
        ranks.remove(2);
        ranks.remove(0);
        assert_eq!(below(&ranks), [0, 0, 1, 1, 2, 3]);
    }
}
