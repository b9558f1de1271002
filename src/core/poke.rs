//! When a poll that somebody asked for may begin.
//!
//! Whoever says that something changed is believed, so that the poll begins at once. An upstream
//! that fails is left in peace nevertheless: pokes must not undo its backoff, however many there
//! are. Time and randomness are arguments.

use super::event::Timestamp;

/// After one failure, in milliseconds; twice as long after each further one.
const FIRST_PAUSE: u64 = 1000;
const LONGEST_PAUSE: u64 = 60_000;

/// The earliest begin of a poked poll after `failures` failures in a row, the last poll having
/// ended at `ended`: at once, or after `random(p / 2, p)` with `p = min(60 s, 1 s x 2^(failures - 1))`.
/// `random` is uniform in `0..=u64::MAX`.
pub fn earliest(failures: u32, ended: Timestamp, random: u64) -> Timestamp {
    let Some(doublings) = failures.checked_sub(1) else {
        return ended;
    };
    let factor = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
    let pause = FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE);
    let least = pause / 2;
    Timestamp(ended.0 + least + random % (pause - least + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_that_answers_is_asked_at_once() {
        assert_eq!(earliest(0, Timestamp(7), u64::MAX), Timestamp(7));
    }

    #[test]
    fn one_that_fails_is_given_more_and_more_time_up_to_a_minute() {
        for (failures, least, most) in [
            (1, 500, 1000),
            (2, 1000, 2000),
            (6, 16_000, 32_000),
            (7, 30_000, 60_000),
            (64, 30_000, 60_000),
            (65, 30_000, 60_000),
            (u32::MAX, 30_000, 60_000),
        ] {
            let at = |random| earliest(failures, Timestamp(5), random).0 - 5;
            assert_eq!((at(0), at(most - least)), (least, most), "{failures}");
            assert!((least..=most).contains(&at(u64::MAX)), "{failures}");
        }
    }
}
