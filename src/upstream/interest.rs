//! How long somebody's interest in a topic lasts: in its being polled, and in its changes being
//! encoded in a mode.

use std::time::Duration;

use tokio::time::Instant;

use crate::core::event::{Mode, Modes};
use crate::hub::Audience;

/// What the audience of a topic, present and recent, is interested in.
///
/// Whoever left may come back, and wants to go on from where it was: interest outlasts the last
/// listener by `linger`.
#[derive(Debug)]
pub struct Interest {
    linger: Duration,
    /// Modes in which changes are encoded whoever listens.
    always: Modes,
    seen: Audience,
    /// By mode: when the last listener was seen to have left; `None` before the first came.
    left: [Option<Instant>; Mode::ALL.len()],
    /// Since when nobody has listened; `None` while somebody does.
    idle_since: Option<Instant>,
}

impl Interest {
    /// Nobody's.
    pub fn new(linger: Duration, always: Modes) -> Self {
        Self {
            linger,
            always,
            seen: Audience::default(),
            left: [None; Mode::ALL.len()],
            idle_since: None,
        }
    }

    /// Takes note of a change of the audience.
    pub fn note(&mut self, audience: Audience, now: Instant) {
        self.idle_since = (audience.listening() == 0).then_some(now);
        for mode in Mode::ALL {
            // Somebody who came and left between two notes counts as well.
            let (before, after) = (self.seen.in_mode(mode), audience.in_mode(mode));
            if after.listening == 0 && (before.listening > 0 || before.arrived != after.arrived) {
                self.left[mode as usize] = Some(now);
            }
        }
        self.seen = audience;
    }

    /// Whether nobody has listened for `linger`.
    pub fn is_over(&self, now: Instant) -> bool {
        self.idle_since
            .is_some_and(|since| now.duration_since(since) >= self.linger)
    }

    /// The modes in which somebody listens, or may come back to.
    pub fn modes(&self, now: Instant) -> Modes {
        let lingers = |left: Instant| now.duration_since(left) < self.linger;
        let wanted = |mode: &Mode| {
            self.always.contains(*mode)
                || self.seen.in_mode(*mode).listening > 0
                || self.left[*mode as usize].is_some_and(lingers)
        };
        Mode::ALL.into_iter().filter(wanted).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_secs(30);

    fn modes<const N: usize>(modes: [Mode; N]) -> Modes {
        modes.into_iter().collect()
    }

    #[test]
    fn a_mode_is_wanted_while_somebody_listens_in_it_and_a_while_longer() {
        let start = Instant::now();
        let mut interest = Interest::new(LINGER, Modes::NONE);
        let mut audience = Audience::default();
        assert_eq!(interest.modes(start), Modes::NONE);
        audience.come(Mode::Merge);
        audience.come(Mode::Items);
        interest.note(audience, start);
        assert_eq!(interest.modes(start), modes([Mode::Merge, Mode::Items]));
        audience.leave(Mode::Merge);
        let left = start + LINGER;
        interest.note(audience, left);
        let almost = left + LINGER - Duration::from_millis(1);
        assert_eq!(interest.modes(almost), modes([Mode::Merge, Mode::Items]));
        assert_eq!(interest.modes(left + LINGER), modes([Mode::Items]));
        // What others do makes it no longer.
        audience.come(Mode::Items);
        interest.note(audience, almost);
        assert_eq!(interest.modes(left + LINGER), modes([Mode::Items]));
    }

    #[test]
    fn somebody_who_came_and_left_unseen_may_come_back() {
        let start = Instant::now();
        let mut interest = Interest::new(LINGER, Modes::NONE);
        let mut audience = Audience::default();
        for _ in 0..2 {
            audience.come(Mode::Items);
            audience.leave(Mode::Items);
        }
        interest.note(audience, start);
        assert_eq!(interest.modes(start), modes([Mode::Items]));
        assert!(!interest.is_over(start));
        assert!(interest.is_over(start + LINGER));
    }

    #[test]
    fn without_linger_interest_ends_with_the_last_listener() {
        let start = Instant::now();
        let mut interest = Interest::new(Duration::ZERO, modes([Mode::Patch]));
        let mut audience = Audience::default();
        audience.come(Mode::Merge);
        interest.note(audience, start);
        assert!(!interest.is_over(start));
        audience.leave(Mode::Merge);
        interest.note(audience, start);
        assert!(interest.is_over(start));
        assert_eq!(interest.modes(start), modes([Mode::Patch]));
    }
}
