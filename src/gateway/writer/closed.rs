//! Why a stream is over.

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
    /// It was open for as long as it may be.
    Lifetime,
    /// What its client was let in by is over.
    Unauthorized,
}

impl Closed {
    /// Every reason.
    pub const ALL: [Closed; 8] = [
        Closed::Left,
        Closed::Broken,
        Closed::WriteTimeout,
        Closed::Chatter,
        Closed::Ended,
        Closed::Drained,
        Closed::Lifetime,
        Closed::Unauthorized,
    ];

    /// The word for metrics and the access log.
    pub const fn reason(self) -> &'static str {
        match self {
            Closed::Left => "client_left",
            Closed::Broken => "connection_broken",
            Closed::WriteTimeout => "write_timeout",
            Closed::Chatter => "client_chatter",
            Closed::Ended => "feed_ended",
            Closed::Drained => "drained",
            Closed::Lifetime => "max_lifetime",
            Closed::Unauthorized => "unauthorized",
        }
    }
}
