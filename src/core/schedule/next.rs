//! The next poll, and why it is then.

use super::hold::Hold;
use crate::core::event::Timestamp;

/// When a topic is polled next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// When the upstream is asked.
    pub at: Timestamp,
    /// When to look again; before [`Self::at`] where time without an answer has to be counted.
    pub wake: Timestamp,
    /// Milliseconds from poll to poll, as the schedule would have it at present.
    pub interval: u64,
    /// What decided.
    pub why: Why,
}

/// What decided when a topic is polled next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The configured interval.
    Interval,
    /// The document changed: the interval is shorter, or as short as it may be.
    Changing,
    /// The document rests: the interval is longer, or as long as it may be.
    Resting,
    /// Changes come on a beat of so many milliseconds; just after the next.
    Beat(u64),
    /// This feed's share of the upstream's budget.
    Budget,
    /// The answer cannot be another before (`Cache-Control`).
    MaxAge,
    /// The upstream asks for this interval (`X-Poll-Interval`).
    PollInterval,
    /// The last poll failed.
    Backoff,
    /// Whether a refusal lasts is asked on time.
    Refusal,
    /// The upstream answers again; its topics come back one after the other.
    Recovery,
    /// Somebody says that something changed.
    Poke,
    /// It is due, and held back.
    Held(Hold),
}

impl Why {
    /// One word of a fixed set.
    pub fn word(self) -> &'static str {
        match self {
            Why::Interval => "interval",
            Why::Changing => "changing",
            Why::Resting => "resting",
            Why::Beat(_) => "beat",
            Why::Budget => "budget",
            Why::MaxAge => "max_age",
            Why::PollInterval => "poll_interval",
            Why::Backoff => "backoff",
            Why::Refusal => "refusal",
            Why::Recovery => "recovery",
            Why::Poke => "poke",
            Why::Held(hold) => hold.word(),
        }
    }
}

impl Next {
    /// The reason as a sentence for people.
    pub fn sentence(&self) -> String {
        let every = seconds(self.interval);
        match self.why {
            Why::Interval => format!("polled every {every}"),
            Why::Changing => format!("the document changes: polled every {every}"),
            Why::Resting => format!("the document rests: polled every {every}"),
            Why::Beat(period) => format!(
                "changes come every {}: polled just after, and every {every}",
                seconds(period)
            ),
            Why::Budget => format!("its share of the upstream's budget: one poll every {every}"),
            Why::MaxAge => format!(
                "the upstream says that the answer stays the same until then (Cache-Control); \
                 `poll.respect` without `max_age` polls every {every} nevertheless"
            ),
            Why::PollInterval => format!(
                "the upstream asks for rarer polls (X-Poll-Interval); `poll.respect` without \
                 `poll_interval` polls every {every} nevertheless"
            ),
            Why::Backoff => "the last poll failed".to_owned(),
            Why::Refusal => "the upstream refuses the feed; it ends if that lasts".to_owned(),
            Why::Recovery => {
                "the upstream answers again; its feeds come back one after the other".to_owned()
            }
            Why::Poke => "somebody asked for a poll".to_owned(),
            Why::Held(hold) => hold.sentence().to_owned(),
        }
    }
}

/// Milliseconds as people write them.
fn seconds(millis: u64) -> String {
    humantime::format_duration(std::time::Duration::from_millis(millis)).to_string()
}
