//! At most so many in a time: a token bucket, kept as the time at which it will be full.

use std::time::Duration;

use crate::core::event::Timestamp;

const NANOS_PER_MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// So many polls in a period, as in `600/h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How many; at least one.
    pub polls: u64,
    /// In which time.
    pub period: Duration,
}

impl Allowance {
    /// Polls in a millisecond.
    #[allow(clippy::cast_precision_loss)]
    pub fn per_milli(&self) -> f64 {
        self.polls as f64 / (self.period.as_secs_f64() * 1000.0)
    }
}

/// A token bucket (the generic cell rate algorithm: one number, no timer).
#[derive(Clone, Debug)]
pub struct Rate {
    /// Nanoseconds in which one token comes back.
    every: u64,
    /// How far ahead `full_at` may run, in nanoseconds: one token less than the bucket holds.
    ahead: u64,
    /// When all tokens will be back, in nanoseconds since 1970.
    full_at: u64,
}

impl Rate {
    /// At most `number` in any second. Fifty or fewer come evenly spaced; of more, a fiftieth may
    /// come at once, which the steady rate pays for.
    pub fn per_second(number: u32) -> Self {
        let number = u64::from(number.max(1));
        let burst = (number / 50).max(1);
        let every = SECOND.div_ceil(number - (burst - 1));
        Self::new(every, burst)
    }

    /// At most the allowance over time, and a sixtieth of it at once.
    pub fn of(allowance: Allowance) -> Self {
        let period = u64::try_from(allowance.period.as_nanos()).unwrap_or(u64::MAX);
        let polls = allowance.polls.max(1);
        Self::new(period.div_ceil(polls), (polls / 60).max(1))
    }

    fn new(every: u64, burst: u64) -> Self {
        Self {
            every,
            ahead: every.saturating_mul(burst - 1),
            full_at: 0,
        }
    }

    /// When the next may come; now or earlier if it may at once.
    pub fn ready_at(&self) -> Timestamp {
        Timestamp(
            self.full_at
                .saturating_sub(self.ahead)
                .div_ceil(NANOS_PER_MILLI),
        )
    }

    /// One came.
    pub fn take(&mut self, now: Timestamp) {
        let now = now.0.saturating_mul(NANOS_PER_MILLI);
        self.full_at = self.full_at.max(now).saturating_add(self.every);
    }

    /// How many may come at once.
    pub fn left(&self, now: Timestamp) -> u64 {
        let now = now.0.saturating_mul(NANOS_PER_MILLI);
        let used = self.full_at.saturating_sub(now).div_ceil(self.every);
        (self.ahead / self.every + 1).saturating_sub(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When polls come that always wait for their turn.
    fn greedy(mut rate: Rate, count: usize, start: u64) -> Vec<u64> {
        let mut now = Timestamp(start);
        let mut times = Vec::new();
        for _ in 0..count {
            now = now.max(rate.ready_at());
            rate.take(now);
            times.push(now.0);
        }
        times
    }

    fn most_within(times: &[u64], window: u64) -> usize {
        let until = |at: u64| times.partition_point(|each| *each < at + window);
        let counts = times.iter().enumerate().map(|(n, at)| until(*at) - n);
        counts.max().unwrap()
    }

    #[test]
    fn in_no_second_are_there_more_and_hardly_fewer() {
        for number in [1, 2, 3, 7, 50, 100, 999, 5000] {
            let count = 4 * number as usize;
            let times = greedy(Rate::per_second(number), count, 1_700_000_000_123);
            assert!(most_within(&times, 1000) <= number as usize, "{number}");
            let took = times.last().unwrap() - times[0];
            assert!(took <= 4200, "{number}: {took}");
        }
    }

    #[test]
    fn a_budget_holds_over_its_period_with_a_small_burst() {
        let hour = Duration::from_secs(3600);
        let rate = Rate::of(Allowance {
            polls: 600,
            period: hour,
        });
        let now = 1_700_000_000_000;
        assert_eq!(rate.left(Timestamp(now)), 10);
        let times = greedy(rate, 1300, now);
        assert_eq!(times.iter().filter(|at| **at == now).count(), 10);
        assert!(most_within(&times, 3_600_000) <= 610);
        assert!(times[1209] - now <= 7_200_000);
    }

    #[test]
    fn what_was_not_used_is_not_saved_up() {
        let mut rate = Rate::per_second(100);
        let now = Timestamp(1_700_000_000_000);
        rate.take(now);
        assert_eq!(rate.left(now.after(3_600_000)), 2);
    }
}
