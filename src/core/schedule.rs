//! When to poll next.
//!
//! Polls of one topic lie on a grid whose phase is a stable hash of its key, so that topics that
//! start together do not ask together. Failures back off with full jitter instead. Time and
//! randomness are arguments.

use std::time::Duration;

use super::event::Timestamp;

/// The longest backoff, unless the interval itself is longer.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// The times at which one topic is polled.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Milliseconds between polls; at least 1.
    interval: u64,
    /// Milliseconds from a multiple of the interval to this topic's tick.
    phase: u64,
}

impl Schedule {
    /// A grid of this interval, its phase taken from the topic's key.
    pub fn new(interval: Duration, key: &str) -> Self {
        let interval = millis(interval).max(1);
        Self {
            interval,
            phase: stable_hash(key.as_bytes()) % interval,
        }
    }

    /// The first tick at or after `now`.
    pub fn tick(&self, now: Timestamp) -> Timestamp {
        let behind = (now.0 + self.interval - self.phase) % self.interval;
        Timestamp(match behind {
            0 => now.0,
            behind => now.0 + self.interval - behind,
        })
    }

    /// The poll after one that started at `started` and succeeded by `now`: a tick at least half
    /// an interval after the start, since a first poll on demand may lie anywhere on the grid.
    pub fn after_success(&self, started: Timestamp, now: Timestamp) -> Timestamp {
        let earliest = Timestamp(started.0 + self.interval.div_ceil(2));
        self.tick(earliest.max(now))
    }

    /// The poll after `failures` failures in a row, the last of which ended at `now`:
    /// `max(interval, random(0, min(60 s, interval x 2^failures)))` later. `random` is uniform in
    /// `0..=u64::MAX`.
    pub fn after_failure(&self, failures: u32, now: Timestamp, random: u64) -> Timestamp {
        let factor = 1_u64.checked_shl(failures).unwrap_or(u64::MAX);
        let ceiling = self
            .interval
            .saturating_mul(factor)
            .min(millis(MAX_BACKOFF));
        let jittered = (u128::from(random) * u128::from(ceiling)) >> 64;
        let delay = u64::try_from(jittered).unwrap_or(ceiling);
        Timestamp(now.0 + delay.max(self.interval))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn ticks_are_one_interval_apart_and_keep_their_phase() {
        let schedule = Schedule::new(SECOND, "/orders");
        let first = schedule.tick(Timestamp(1_700_000_000_000));
        assert_eq!(schedule.tick(first), first);
        let next = schedule.tick(Timestamp(first.0 + 1));
        assert_eq!(next.0 - first.0, 1000);
        assert_eq!(schedule.after_success(first, Timestamp(first.0 + 80)), next);
    }

    #[test]
    fn a_poll_on_demand_joins_the_grid_without_a_burst() {
        let schedule = Schedule::new(SECOND, "/orders");
        let tick = schedule.tick(Timestamp(1_700_000_000_000)).0;
        for started in tick + 1..tick + 1000 {
            let next = schedule.after_success(Timestamp(started), Timestamp(started + 5));
            assert!((500..1500).contains(&(next.0 - started)), "{started}");
        }
    }

    #[test]
    fn a_slow_answer_is_never_overlapped() {
        let schedule = Schedule::new(SECOND, "/orders");
        let now = Timestamp(1_700_000_009_001);
        assert!(schedule.after_success(Timestamp(1_700_000_000_000), now) >= now);
    }

    #[test]
    fn backoff_grows_to_a_minute_and_never_beats_the_interval() {
        let schedule = Schedule::new(SECOND, "/orders");
        let delay = |failures, random| schedule.after_failure(failures, Timestamp(0), random).0;
        assert_eq!(delay(1, 0), 1000);
        assert_eq!(delay(1, u64::MAX), 1999);
        assert_eq!(delay(5, u64::MAX), 31_999);
        assert_eq!(delay(6, u64::MAX), 59_999);
        assert_eq!(delay(u32::MAX, u64::MAX), 59_999);
        let slow = Schedule::new(90 * SECOND, "/orders");
        assert_eq!(slow.after_failure(3, Timestamp(0), 7).0, 90_000);
    }

    #[test]
    fn phases_of_many_topics_spread_evenly() {
        let mut tenths = [0_u32; 10];
        for n in 0..10_000 {
            let schedule = Schedule::new(SECOND, &format!("/orders/{n}"));
            tenths[usize::try_from(schedule.phase / 100).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|n| (900..1100).contains(n)), "{tenths:?}");
    }
}
