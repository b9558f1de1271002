//! What is held of tokens, and when another one may be asked for. Pure: `now` and randomness are
//! arguments.

use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

use crate::core::schedule::backoff;

/// A token is renewed this long before its end, or after four fifths of a short life.
const MARGIN: Duration = Duration::from_secs(30);
/// The least time between two failures to get a token, in milliseconds.
const LEAST_PAUSE: u64 = 1000;
/// A token lives no shorter than this, whatever its issuer says, or each poll would ask for one.
const SHORTEST: Duration = Duration::from_secs(1);
/// A token lives no longer than this without being renewed, whatever its issuer says.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A token that was given out.
#[derive(Clone, Debug)]
struct Token {
    /// As it is sent; marked sensitive.
    header: HeaderValue,
    /// When to renew it and when it ends; it lasts until it is refused if its issuer does not say.
    life: Option<(Instant, Instant)>,
}

/// What is wanted of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// That it has not ended.
    Valid,
    /// That it need not be renewed.
    Fresh,
    /// That it is not this one, which was refused.
    Other(HeaderValue),
}

/// The token that is held, and what came of asking for others.
#[derive(Debug, Default)]
pub(super) struct Holding {
    token: Option<Token>,
    /// How often asking failed in a row, and when it may be tried again.
    failures: u32,
    retry_at: Option<Instant>,
    /// How many tokens were refused in a row, and when another one may be replaced for that.
    refusals: u32,
    replace_at: Option<Instant>,
    /// The token that was replaced last because it was refused.
    replaced: Option<HeaderValue>,
}

impl Holding {
    /// The token that is held, if it is as wanted.
    pub(super) fn token(&self, want: &Want, now: Instant) -> Option<HeaderValue> {
        let token = self.token.as_ref()?;
        let fits = match want {
            Want::Valid => token.life.is_none_or(|(_, end)| now < end),
            Want::Fresh => token.life.is_none_or(|(due, _)| now < due),
            Want::Other(refused) => {
                token.header != *refused && token.life.is_none_or(|(_, end)| now < end)
            }
        };
        fits.then(|| token.header.clone())
    }

    /// Whether a token may be asked for, as far as earlier failures go.
    pub(super) fn may_ask(&self, now: Instant) -> bool {
        self.retry_at.is_none_or(|at| now >= at)
    }

    /// Whether another token may be asked for because this one was refused: once for each token,
    /// and after an ever longer time while fresh tokens are refused as well.
    pub(super) fn may_replace(&mut self, refused: &HeaderValue, now: Instant, random: u64) -> bool {
        if self.replaced.as_ref() == Some(refused) {
            return true;
        }
        if self.replace_at.is_some_and(|at| now < at) {
            return false;
        }
        self.refusals = self.refusals.saturating_add(1);
        self.replace_at = Some(now + pause(self.refusals, random));
        self.replaced = Some(refused.clone());
        true
    }

    /// Holds a token that was given out for `life`. False if it is the one that was refused.
    pub(super) fn take(
        &mut self,
        header: HeaderValue,
        life: Option<Duration>,
        now: Instant,
    ) -> bool {
        if self.replaced.as_ref() == Some(&header) {
            return false;
        }
        let life = life.map(|life| {
            let life = life.clamp(SHORTEST, LONGEST);
            (now + life - MARGIN.min(life / 5), now + life)
        });
        self.token = Some(Token { header, life });
        self.failures = 0;
        self.retry_at = None;
        true
    }

    /// Notes that no token was to be had; how often in a row.
    pub(super) fn failed(&mut self, now: Instant, random: u64) -> u32 {
        self.failures = self.failures.saturating_add(1);
        self.retry_at = Some(now + pause(self.failures, random));
        self.failures
    }

    /// Notes that the upstream took a token.
    pub(super) fn accepted(&mut self) {
        self.refusals = 0;
        self.replace_at = None;
    }
}

/// The time until the next attempt, with full jitter.
fn pause(failures: u32, random: u64) -> Duration {
    Duration::from_millis(backoff(LEAST_PAUSE, failures, random))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn header(text: &'static str) -> HeaderValue {
        HeaderValue::from_static(text)
    }

    fn held(life: Option<Duration>) -> (Holding, Instant) {
        let (mut holding, now) = (Holding::default(), Instant::now());
        assert!(holding.take(header("a"), life, now));
        (holding, now)
    }

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        for (life, due) in [(3600, 3570), (150, 120), (100, 80), (10, 8), (5, 4)] {
            let (holding, now) = held(Some(Duration::from_secs(life)));
            let at = |seconds| now + Duration::from_secs(seconds);
            assert!(holding.token(&Want::Fresh, at(due)).is_none());
            let before = at(due) - Duration::from_millis(1);
            assert!(holding.token(&Want::Fresh, before).is_some());
            let last = at(life) - Duration::from_millis(1);
            assert!(holding.token(&Want::Valid, last).is_some());
            assert!(holding.token(&Want::Valid, at(life)).is_none());
        }
    }

    #[test]
    fn a_token_without_an_end_lasts_and_a_life_beyond_measure_is_bounded() {
        let (holding, now) = held(None);
        assert!(holding.token(&Want::Fresh, now + 1000 * HOUR).is_some());
        let (holding, now) = held(Some(Duration::MAX));
        assert!(holding.token(&Want::Fresh, now + 1000 * HOUR).is_some());
        let (holding, now) = held(Some(Duration::ZERO));
        assert!(holding.token(&Want::Valid, now).is_some());
        assert!(holding.token(&Want::Valid, now + SHORTEST).is_none());
    }

    #[test]
    fn failures_are_followed_by_ever_longer_pauses_up_to_a_minute() {
        let (mut holding, now) = held(None);
        assert!(holding.may_ask(now));
        for (failures, seconds) in [(1, 2), (2, 4), (3, 8), (4, 16), (5, 32), (6, 60), (7, 60)] {
            assert_eq!(holding.failed(now, u64::MAX), failures);
            assert!(!holding.may_ask(now + Duration::from_secs(seconds - 1)));
            assert!(holding.may_ask(now + Duration::from_secs(seconds)));
        }
        holding.failed(now, 0);
        assert!(!holding.may_ask(now + Duration::from_millis(999)));
        assert!(holding.take(header("b"), None, now));
        assert!(holding.may_ask(now));
    }

    #[test]
    fn a_refused_token_is_replaced_at_once_and_fresh_ones_after_pauses() {
        let (mut holding, now) = held(None);
        let (a, b) = (header("a"), header("b"));
        assert!(holding.token(&Want::Other(a.clone()), now).is_none());
        assert!(holding.may_replace(&a, now, u64::MAX));
        assert!(holding.may_replace(&a, now, u64::MAX), "all pollers join");
        assert!(holding.take(b.clone(), None, now));
        assert_eq!(holding.token(&Want::Other(a), now), Some(b.clone()));

        assert!(!holding.may_replace(&b, now, u64::MAX), "it is fresh");
        let later = now + Duration::from_secs(2);
        assert!(holding.may_replace(&b, later, u64::MAX));
        let c = header("c");
        assert!(holding.take(c.clone(), None, later));
        assert!(!holding.may_replace(&c, later + Duration::from_secs(3), 0));
        holding.accepted();
        assert!(holding.may_replace(&c, later, 0), "it was good once");
    }

    #[test]
    fn the_token_that_was_refused_is_not_taken_again() {
        let (mut holding, now) = held(None);
        assert!(holding.may_replace(&header("a"), now, 0));
        assert!(!holding.take(header("a"), None, now));
        assert!(holding.take(header("b"), None, now));
    }
}
