//! How long to leave alone what fails.

/// The longest backoff in milliseconds, unless the base itself is longer.
pub const LONGEST: u64 = 60_000;

/// Milliseconds to wait after `failures` failures in a row:
/// `max(base, random(0, min(60 s, base x 2^failures)))`, which is full jitter that never beats the
/// base. `random` is uniform in `0..=u64::MAX`.
pub fn backoff(base: u64, failures: u32, random: u64) -> u64 {
    let factor = 1_u64.checked_shl(failures).unwrap_or(u64::MAX);
    let ceiling = base.saturating_mul(factor).min(LONGEST);
    base.max(below(ceiling, random))
}

/// Milliseconds from the last poll's end to the earliest that a poke may bring, after `failures`
/// failures in a row: none if the last poll was answered, else a backoff from a second on. Pokes
/// must not undo the peace that an upstream gets which fails, however many there are.
pub fn poked(failures: u32, random: u64) -> u64 {
    match failures.checked_sub(1) {
        None => 0,
        Some(further) => backoff(1000, further, random),
    }
}

/// A number below `limit`, as `random` falls in `0..=u64::MAX`; 0 if there is none.
fn below(limit: u64, random: u64) -> u64 {
    let scaled = (u128::from(random) * u128::from(limit)) >> 64;
    u64::try_from(scaled).unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poke_is_followed_at_once_unless_the_upstream_fails() {
        assert_eq!(poked(0, u64::MAX), 0);
        assert_eq!(poked(1, 0), 1000);
        assert_eq!(poked(3, u64::MAX), 3999);
        assert_eq!(poked(u32::MAX, u64::MAX), 59_999);
    }

    #[test]
    fn backoff_grows_to_a_minute_and_never_beats_the_base() {
        assert_eq!(backoff(1000, 1, 0), 1000);
        assert_eq!(backoff(1000, 1, u64::MAX), 1999);
        assert_eq!(backoff(1000, 5, u64::MAX), 31_999);
        assert_eq!(backoff(1000, 6, u64::MAX), 59_999);
        assert_eq!(backoff(1000, u32::MAX, u64::MAX), 59_999);
        assert_eq!(backoff(90_000, 3, 7), 90_000);
    }

    #[test]
    fn every_wait_up_to_the_ceiling_is_as_likely() {
        let quarters = [0, 1, 2, 3].map(|n| backoff(1, 10, n * (u64::MAX / 4)));
        assert_eq!(quarters, [1, 255, 511, 767]);
    }
}
