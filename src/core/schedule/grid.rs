//! Where a topic's polls lie in time, so that topics that start together do not ask together.

use crate::core::event::Timestamp;

/// The ticks of one topic: one interval apart, at a phase that is a stable hash of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    hash: u64,
}

impl Grid {
    /// The place of the topic with this key, the same in every process.
    pub fn new(key: &str) -> Self {
        Self {
            hash: stable_hash(key.as_bytes()),
        }
    }

    /// The first tick at or after `now`, on the grid of this interval in milliseconds.
    pub fn tick(&self, interval: u64, now: Timestamp) -> Timestamp {
        let interval = interval.max(1);
        let behind = (now.0 + interval - self.hash % interval) % interval;
        match behind {
            0 => now,
            behind => now.after(interval - behind),
        }
    }
}

/// FNV-1a with the finaliser of MurmurHash3, the same in every build: `std`'s hashers promise no
/// such thing, and a restart must not move every topic's phase.
fn stable_hash(bytes: &[u8]) -> u64 {
    let mut hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    #[test]
    fn ticks_are_one_interval_apart_and_keep_their_phase() {
        let grid = Grid::new("/orders");
        let first = grid.tick(1000, NOW);
        assert_eq!(grid.tick(1000, first), first);
        assert_eq!(grid.tick(1000, first.after(1)), first.after(1000));
    }

    /// Pearson's chi-square of `counts` against an even spread.
    #[allow(clippy::cast_precision_loss)]
    fn chi_square(counts: &[u64]) -> f64 {
        let even = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
        let share = |&count: &u64| (count as f64 - even).powi(2) / even;
        counts.iter().map(share).sum()
    }

    #[test]
    fn the_first_polls_of_ten_thousand_topics_spread_evenly_over_the_interval() {
        // 99 degrees of freedom: an even spread stays below 148.2 in 999 of 1,000 cases.
        const LIMIT: f64 = 148.2;
        for (interval, key) in [(2000, "/orders/"), (10_000, "/a/b?page="), (60_000, "x")] {
            let mut counts = [0_u64; 100];
            for n in 0..10_000 {
                let first = Grid::new(&format!("{key}{n}")).tick(interval, NOW);
                counts[usize::try_from(first.since(NOW) * 100 / interval).unwrap()] += 1;
            }
            let found = chi_square(&counts);
            assert!(found < LIMIT, "{key}: {found}");
            // It can fail: half of the interval is no even spread.
            let mut half = counts;
            half[..50].fill(0);
            assert!(chi_square(&half) > LIMIT);
        }
    }
}
