//! Why a stream is over.

use crate::hub::Departure;

/// Why a stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The client closed its end.
    Left,
    /// The connection broke.
    Broken,
    /// The client took no bytes for too long.
    WriteTimeout,
    /// The client sent more than anybody needs to.
    Chatter,
    /// The feed ended.
    Ended,
    /// The process is leaving.
    Drained,
    /// The configuration has the feed in another way.
    Changed,
    /// The configuration has the feed no more.
    Removed,
    /// It was open for as long as it may be.
    Lifetime,
}

impl From<Departure> for Closed {
    fn from(why: Departure) -> Self {
        match why {
            Departure::Process => Closed::Drained,
            Departure::Changed => Closed::Changed,
            Departure::Removed => Closed::Removed,
        }
    }
}

impl Closed {
    /// Every reason.
    pub const ALL: [Closed; 9] = [
        Closed::Left,
        Closed::Broken,
        Closed::WriteTimeout,
        Closed::Chatter,
        Closed::Ended,
        Closed::Drained,
        Closed::Changed,
        Closed::Removed,
        Closed::Lifetime,
    ];

    /// Whether there is nothing to come back to.
    pub const fn is_final(self) -> bool {
        matches!(self, Closed::Ended | Closed::Removed)
    }

    /// The word for metrics and the access log.
    pub const fn reason(self) -> &'static str {
        match self {
            Closed::Left => "client_left",
            Closed::Broken => "connection_broken",
            Closed::WriteTimeout => "write_timeout",
            Closed::Chatter => "client_chatter",
            Closed::Ended => "feed_ended",
            Closed::Drained => "drained",
            Closed::Changed => "feed_changed",
            Closed::Removed => "feed_removed",
            Closed::Lifetime => "max_lifetime",
        }
    }
}
