//! Faster while the document changes, slower while it rests.

use crate::core::event::Timestamp;

/// An interval between two bounds, in milliseconds.
///
/// A change shortens it towards half of the time since the change before, by half at most; a poll
/// that finds nothing lengthens it by a quarter. A document that changes every P settles at about
/// P/2, one that always changes at the least, one that never does at the most.
#[derive(Clone, Debug)]
pub struct Adaptive {
    least: u64,
    most: u64,
    interval: u64,
    last_change: Option<Timestamp>,
}

impl Adaptive {
    /// Begins at `interval`, which lies between the bounds.
    pub fn new(interval: u64, least: u64, most: u64) -> Self {
        Self {
            least,
            most,
            interval,
            last_change: None,
        }
    }

    /// The interval now.
    pub fn interval(&self) -> u64 {
        self.interval
    }

    /// A poll that started at `at` found another document, or the same.
    pub fn observe(&mut self, changed: bool, at: Timestamp) {
        let wanted = if changed {
            let gap = self.last_change.replace(at).map(|last| at.since(last));
            gap.map_or(self.interval, |gap| {
                (gap / 2).clamp(self.interval / 2, self.interval)
            })
        } else {
            self.interval + (self.interval / 4).max(1)
        };
        self.interval = wanted.clamp(self.least, self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Polls a document that changes every `period` until `end`; the times of the polls.
    fn polls(period: u64, end: u64) -> Vec<u64> {
        let mut adaptive = Adaptive::new(2000, 500, 30_000);
        let (mut now, mut seen, mut polls) = (0, 0, Vec::new());
        while now < end {
            polls.push(now);
            let version = now / period;
            adaptive.observe(version != seen, Timestamp(now));
            seen = version;
            now += adaptive.interval();
        }
        polls
    }

    fn last_gap(polls: &[u64]) -> u64 {
        polls[polls.len() - 1] - polls[polls.len() - 2]
    }

    #[test]
    fn a_document_that_always_changes_is_polled_at_the_least() {
        assert_eq!(last_gap(&polls(100, 60_000)), 500);
    }

    #[test]
    fn a_document_that_rests_is_polled_ever_more_rarely() {
        let polls = polls(1_000_000_000, 600_000);
        let gaps: Vec<u64> = polls.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.is_sorted());
        assert_eq!(gaps.last(), Some(&30_000));
        assert!(gaps.len() < 40, "{}", gaps.len());
    }

    #[test]
    fn polls_of_a_steady_document_settle_around_half_of_its_period() {
        for period in [4000, 10_000, 40_000] {
            let polls = polls(period, 200 * period);
            let late = polls.iter().filter(|at| **at >= 100 * period).count() as u64;
            assert!((100..=300).contains(&late), "{period}: {late}");
        }
    }

    #[test]
    fn a_change_after_a_long_rest_halves_the_interval_at_most() {
        let mut adaptive = Adaptive::new(8000, 1000, 8000);
        adaptive.observe(true, Timestamp(0));
        assert_eq!(adaptive.interval(), 8000);
        adaptive.observe(true, Timestamp(8000));
        assert_eq!(adaptive.interval(), 4000);
        adaptive.observe(true, Timestamp(1_000_000));
        assert_eq!(adaptive.interval(), 4000);
    }
}
