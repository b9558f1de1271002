//! Why nothing was sent of a topic lately, in a word and a sentence.

use super::event::Timestamp;
use super::health::Health;
use super::schedule::{Next, Why};

/// A change that is older than so many intervals is no longer of late.
const LATELY: u64 = 3;
/// From poll to poll, in milliseconds: beyond it, people begin to wonder.
const FAR: u64 = 60_000;

/// What is known of a topic.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What its polls say.
    pub health: &'a Health,
    /// Whether a poll was answered, or turned away, since polling last began.
    pub is_warm: bool,
    /// Whether it is polled now: somebody listens, or it is polled for nobody.
    pub is_wanted: bool,
    /// When the newest change came; none before the first.
    pub changed: Option<Timestamp>,
    /// The next poll, if one is planned.
    pub next: Option<Next>,
}

/// Why nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quiet {
    /// The word.
    pub reason: Reason,
    /// The sentence. It holds no ages, which would change by themselves.
    pub text: String,
}

/// The words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nobody listens, so that nothing is polled.
    Paused,
    /// Polls are answered, and the document stays the same.
    Unchanged,
    /// Polls fail.
    Failing,
    /// A poll is due, and something holds it back.
    HeldBack,
    /// Polling has begun, and no poll was answered yet.
    NotPolledYet,
    /// The next poll is far away.
    Waiting,
    /// The upstream refuses the feed.
    Ended,
}

impl Reason {
    /// Every one.
    pub const ALL: [Reason; 7] = [
        Reason::Paused,
        Reason::Unchanged,
        Reason::Failing,
        Reason::HeldBack,
        Reason::NotPolledYet,
        Reason::Waiting,
        Reason::Ended,
    ];

    /// The word on the status API.
    pub const fn word(self) -> &'static str {
        match self {
            Reason::Paused => "paused",
            Reason::Unchanged => "unchanged",
            Reason::Failing => "failing",
            Reason::HeldBack => "held_back",
            Reason::NotPolledYet => "not_polled_yet",
            Reason::Waiting => "waiting",
            Reason::Ended => "ended",
        }
    }
}

/// Why nothing was sent lately; none where something was.
pub fn quiet(facts: &Facts<'_>, now: Timestamp) -> Option<Quiet> {
    let Facts { health, next, .. } = *facts;
    let said = |reason, text| Some(Quiet { reason, text });
    if let Some(denial) = health.ended() {
        let text = format!(
            "the upstream refuses it ({}, status {}): subscribers were sent away",
            denial.reason(),
            denial.status()
        );
        return said(Reason::Ended, text);
    }
    if !facts.is_wanted {
        let text = "nobody listens, so the upstream is not asked".to_owned();
        return said(Reason::Paused, text);
    }
    if let Some(next) = next
        && let Why::Held(hold) = next.why
    {
        let text = match health.reason().filter(|_| health.failures() > 0) {
            Some(reason) => format!("{}; last: {reason}", hold.sentence()),
            None => hold.sentence().to_owned(),
        };
        return said(Reason::HeldBack, text);
    }
    if !facts.is_warm {
        let text = "polling has begun, and no poll was answered yet".to_owned();
        return said(Reason::NotPolledYet, text);
    }
    if health.failures() > 0 {
        let text = match (health.reason(), health.last_success()) {
            (Some(reason), Some(at)) => format!("polls fail: {reason}; the last good one was {at}"),
            (Some(reason), None) => format!("polls fail: {reason}; none succeeded so far"),
            (None, _) => "polls fail".to_owned(),
        };
        return said(Reason::Failing, text);
    }
    let (changed, next) = (facts.changed?, next?);
    if now.since(changed) <= LATELY.saturating_mul(next.interval) {
        return None;
    }
    let asked = health.last_success().unwrap_or(changed);
    if next.at.since(asked) >= FAR {
        let text = format!("the next poll is at {}: {}", next.at, next.sentence());
        return said(Reason::Waiting, text);
    }
    let text = format!("polls are answered, and the document is the same since {changed}");
    said(Reason::Unchanged, text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::health::Denial;
    use super::super::schedule::Hold;
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn health() -> Health {
        let mut health = Health::new(Duration::from_secs(2), Duration::ZERO, Timestamp(0));
        health.succeeded(Timestamp(NOW.0 - 1000));
        health
    }

    fn failing(denial: Option<Denial>) -> Health {
        let mut health = health();
        health.failed("the upstream answered 500".to_owned(), denial, NOW);
        health
    }

    fn next(interval: u64, why: Why) -> Option<Next> {
        let at = Timestamp(NOW.0 - 1000 + interval);
        Some(Next {
            at,
            wake: at,
            interval,
            why,
        })
    }

    /// Warm, wanted, changed just now, polled every two seconds.
    fn facts(health: &Health) -> Facts<'_> {
        Facts {
            health,
            is_warm: true,
            is_wanted: true,
            changed: Some(NOW),
            next: next(2000, Why::Interval),
        }
    }

    #[test]
    fn every_word_has_its_reason() {
        let long_ago = Some(Timestamp(NOW.0 - 6001));
        let (good, bad) = (health(), failing(None));
        let over = failing(Denial::from_status(410));
        let fresh = Health::new(Duration::from_secs(2), Duration::ZERO, NOW);
        let held = next(2000, Why::Held(Hold::RetryAfter));
        #[rustfmt::skip]
        let table = [
            (facts(&good), None),
            (Facts { changed: Some(Timestamp(NOW.0 - 6000)), ..facts(&good) }, None),
            (Facts { changed: long_ago, ..facts(&good) }, Some((Reason::Unchanged, "the same since 1970-01-01T00:16:33.999Z"))),
            (Facts { changed: long_ago, next: next(59_999, Why::Interval), ..facts(&good) }, None),
            (Facts { changed: Some(Timestamp(0)), next: next(59_999, Why::Interval), ..facts(&good) }, Some((Reason::Unchanged, "since"))),
            (Facts { changed: Some(Timestamp(0)), next: next(60_000, Why::MaxAge), ..facts(&good) }, Some((Reason::Waiting, "Cache-Control"))),
            (facts(&bad), Some((Reason::Failing, "answered 500; the last good one was 1970"))),
            (Facts { next: held, ..facts(&bad) }, Some((Reason::HeldBack, "(Retry-After); last: the upstream answered 500"))),
            (Facts { next: held, ..facts(&good) }, Some((Reason::HeldBack, "(Retry-After)"))),
            (Facts { next: held, is_warm: false, ..facts(&good) }, Some((Reason::HeldBack, "(Retry-After)"))),
            (Facts { is_warm: false, next: None, changed: None, ..facts(&fresh) }, Some((Reason::NotPolledYet, "no poll"))),
            (Facts { is_wanted: false, is_warm: false, ..facts(&bad) }, Some((Reason::Paused, "nobody listens"))),
            (Facts { is_wanted: false, ..facts(&over) }, Some((Reason::Ended, "(gone, status 410)"))),
            (Facts { next: held, ..facts(&over) }, Some((Reason::Ended, "gone"))),
        ];
        let mut seen = Vec::new();
        for (facts, expected) in table {
            let found = quiet(&facts, NOW);
            let Some((reason, part)) = expected else {
                assert_eq!(found, None, "{facts:?}");
                continue;
            };
            let found = found.unwrap_or_else(|| panic!("{reason:?}: {facts:?}"));
            assert_eq!(found.reason, reason, "{facts:?}");
            assert!(found.text.contains(part), "{}", found.text);
            seen.push(reason);
        }
        for reason in Reason::ALL {
            assert!(seen.contains(&reason), "{}", reason.word());
        }
    }
}
