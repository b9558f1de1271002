//! What a series of polls says about a feed: live, stale, down, or over.
//!
//! Owns the rules of the design's section "Status" and "End". The caller passes the time.

use std::time::Duration;

use super::event::{State, Timestamp};

/// No feed is down before this much time without a success.
const DOWN_AT_LEAST: Duration = Duration::from_secs(60);
/// Intervals without a success after which a feed is down.
const DOWN_INTERVALS: u32 = 10;
/// Failures in a row that make a held document stale.
const STALE_AFTER: u32 = 2;

/// A refusal that can mean that the feed is over: the upstream's 401, 403, 404 or 410.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial(u16);

impl Denial {
    /// Recognises the statuses that are answers about the feed itself rather than accidents.
    pub fn from_status(status: u16) -> Option<Self> {
        matches!(status, 401 | 403 | 404 | 410).then_some(Self(status))
    }

    /// The upstream's status code.
    pub fn status(self) -> u16 {
        self.0
    }

    /// 410 Gone is meant to last (RFC 9110 section 15.5.11); so is what is said of a client's own
    /// credentials.
    fn is_final(self, of_one_client: bool) -> bool {
        match self.0 {
            410 => true,
            401 | 403 => of_one_client,
            _ => false,
        }
    }

    /// The word in an `end` event.
    pub fn reason(self) -> &'static str {
        match self.0 {
            401 => "unauthorized",
            403 => "forbidden",
            404 => "not_found",
            _ => "gone",
        }
    }
}

/// The condition of one topic.
#[derive(Clone, Debug)]
pub struct Health {
    down_after: Duration,
    end_after: Duration,
    /// Whether the polls carry one client's credentials, about which a refusal is then final.
    of_one_client: bool,
    state: State,
    since: Timestamp,
    /// Failures in a row.
    failures: u32,
    last_success: Option<Timestamp>,
    /// From when silence counts: the last success, or a later end of a pause of our own.
    silent_from: Option<Timestamp>,
    /// The refusal of the last poll and when its unbroken row began.
    denied: Option<(Denial, Timestamp)>,
    /// Why the last poll failed.
    reason: Option<String>,
    ended: Option<Denial>,
    /// The last success before an outage and the first after it, while the feed is live again.
    gap: Option<(Timestamp, Timestamp)>,
}

impl Health {
    /// A feed that was never polled: down.
    pub fn new(interval: Duration, end_after: Duration, now: Timestamp) -> Self {
        Self {
            down_after: interval.saturating_mul(DOWN_INTERVALS).max(DOWN_AT_LEAST),
            end_after,
            of_one_client: false,
            state: State::Down,
            since: now,
            failures: 0,
            last_success: None,
            silent_from: None,
            denied: None,
            reason: Some("no poll was answered yet".to_owned()),
            ended: None,
            gap: None,
        }
    }

    /// The same for polls that carry one client's credentials: 401 and 403 end it at once.
    pub fn of_one_client(self) -> Self {
        Self {
            of_one_client: true,
            ..self
        }
    }

    /// The same for a feed that was polled in another life, and last with success then: stale until
    /// a poll says more.
    pub fn continued(self, last_success: Option<Timestamp>) -> Self {
        Self {
            state: State::Stale,
            last_success,
            silent_from: Some(self.since),
            reason: Some("no poll was answered since pollcast started".to_owned()),
            ..self
        }
    }

    /// A poll brought a document, a 304 or the same bytes. True if the state changed.
    pub fn succeeded(&mut self, now: Timestamp) -> bool {
        if self.state != State::Live {
            let outage = self.last_success.filter(|_| self.failures > 0);
            self.gap = outage.map(|from| (from, now));
        }
        self.failures = 0;
        self.last_success = Some(now);
        self.silent_from = Some(now);
        self.denied = None;
        self.reason = None;
        self.ended = None;
        self.enter(State::Live, now)
    }

    /// A poll failed. True if the state changed or the feed ended.
    pub fn failed(&mut self, reason: String, denial: Option<Denial>, now: Timestamp) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.reason = Some(reason);
        self.denied = denial.map(|denial| match self.denied {
            Some((_, first)) => (denial, first),
            None => (denial, now),
        });
        let was_over = self.ended.is_some();
        if let Some((denial, first)) = self.denied
            && (denial.is_final(self.of_one_client) || elapsed(first, now) >= self.end_after)
        {
            self.ended = Some(denial);
        }
        let changed = self.passed(now);
        changed || self.ended.is_some() != was_over
    }

    /// Time passed without a poll. True if the state changed.
    pub fn passed(&mut self, now: Timestamp) -> bool {
        let silent = match self.silent_from {
            None => true,
            Some(from) => self.failures > 0 && elapsed(from, now) >= self.down_after,
        };
        let state = if silent {
            State::Down
        } else if self.failures >= STALE_AFTER && self.state == State::Live {
            State::Stale
        } else {
            return false;
        };
        self.enter(state, now)
    }

    fn enter(&mut self, state: State, now: Timestamp) -> bool {
        let changed = self.state != state;
        if changed {
            self.state = state;
            self.since = now;
        }
        changed
    }

    /// Polling stops because nobody listens: what is held can no longer pass for live.
    pub fn paused(&mut self, now: Timestamp) {
        if self.state == State::Live {
            self.reason = Some("polling was paused and has not succeeded since".to_owned());
            self.enter(State::Stale, now);
        }
    }

    /// Polling begins again after a pause of our own, which says nothing about the upstream.
    pub fn resumed(&mut self, now: Timestamp) {
        self.silent_from = self.silent_from.map(|_| now);
        // Nobody asked meanwhile, so no refusal was seen to last.
        self.denied = None;
        self.failures = 0;
    }

    /// The state now.
    pub fn state(&self) -> State {
        self.state
    }

    /// When it began.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// When the last poll succeeded.
    pub fn last_success(&self) -> Option<Timestamp> {
        self.last_success
    }

    /// Why the last poll failed, if it did.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// The refusal of the last poll, if it was one.
    pub fn denied(&self) -> Option<Denial> {
        self.denied.map(|(denial, _)| denial)
    }

    /// The refusal that ended the feed, until a poll succeeds again.
    pub fn ended(&self) -> Option<Denial> {
        self.ended
    }

    /// When a refusal will have lasted long enough to end the feed; a poll should ask then.
    pub fn ends_at(&self) -> Option<Timestamp> {
        let (_, first) = self.denied.filter(|_| self.ended.is_none())?;
        Some(after(first, self.end_after))
    }

    /// When the feed will be down unless a poll succeeds.
    pub fn down_at(&self) -> Option<Timestamp> {
        let from = self.silent_from?;
        (self.failures > 0 && self.state != State::Down).then(|| after(from, self.down_after))
    }

    /// The last success before an outage and the first after it, until the feed is no longer live:
    /// what happened between them nobody saw.
    pub fn gap(&self) -> Option<(Timestamp, Timestamp)> {
        self.gap.filter(|_| self.state == State::Live)
    }

    /// The `status` event's data.
    pub fn to_json(&self) -> String {
        let quoted = |text: String| serde_json::Value::from(text).to_string();
        let gap = self.gap().map_or_else(String::new, |(from, to)| {
            format!(r#","gap":{{"from":"{from}","to":"{to}"}}"#)
        });
        format!(
            r#"{{"state":"{}","since":"{}","last_success":{},"reason":{}{gap}}}"#,
            self.state.name(),
            self.since,
            self.last_success
                .map_or("null".into(), |at| quoted(at.to_string())),
            self.reason.clone().map_or("null".into(), quoted),
        )
    }
}

fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::from_millis(to.0.saturating_sub(from.0))
}

fn after(from: Timestamp, duration: Duration) -> Timestamp {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Timestamp(from.0.saturating_add(millis))
}

#[cfg(test)]
mod tests;
