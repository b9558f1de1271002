//! What the head of an answer says about the next poll, as values that can do no harm.

use super::DAY;

/// What an upstream asked for. Times are milliseconds from the answer on, a day at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Not before (`Retry-After`, RFC 9110 section 10.2.3).
    pub retry_after: Option<u64>,
    /// The answer stays what it is for so long (`Cache-Control` less `Age`, RFC 9111 section 4.2).
    pub fresh_for: Option<u64>,
    /// The least time between polls (`X-Poll-Interval`, as GitHub sends it).
    pub poll_interval: Option<u64>,
    /// How many requests are left (`RateLimit`, `X-RateLimit-*`).
    pub quota: Option<Quota>,
}

/// Requests that are left until a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many.
    pub remaining: u64,
    /// Milliseconds until there are more.
    pub resets_in: u64,
}

/// Which of an upstream's wishes a feed heeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Respect {
    /// [`Hints::retry_after`].
    pub retry_after: bool,
    /// [`Hints::fresh_for`].
    pub max_age: bool,
    /// [`Hints::poll_interval`].
    pub poll_interval: bool,
    /// [`Hints::quota`].
    pub rate_limit: bool,
}

impl Respect {
    /// Every wish.
    pub const ALL: Self = Self {
        retry_after: true,
        max_age: true,
        poll_interval: true,
        rate_limit: true,
    };
    /// None of them.
    pub const NONE: Self = Self {
        retry_after: false,
        max_age: false,
        poll_interval: false,
        rate_limit: false,
    };
}

impl Hints {
    /// What is left of them for a feed that heeds only some, each a day at most.
    #[must_use]
    pub fn heeded(self, respect: Respect) -> Self {
        let heed = |wish: Option<u64>, heeds: bool| wish.filter(|_| heeds).map(|ms| ms.min(DAY));
        Self {
            retry_after: heed(self.retry_after, respect.retry_after),
            fresh_for: heed(self.fresh_for, respect.max_age),
            poll_interval: heed(self.poll_interval, respect.poll_interval),
            quota: self
                .quota
                .filter(|_| respect.rate_limit)
                .map(|quota| Quota {
                    resets_in: quota.resets_in.min(DAY),
                    ..quota
                }),
        }
    }
}
