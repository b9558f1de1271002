//! What holds back a poll that is due.

/// A limit of the upstream, or its own wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hold {
    /// `max_in_flight` polls are under way.
    InFlight,
    /// `max_requests_per_second` polls began within the second.
    Rate,
    /// The `budget` is used up.
    Budget,
    /// The upstream has few requests left for us, or none (`RateLimit`, `X-RateLimit-*`).
    Quota,
    /// The upstream asks for a pause (`Retry-After`).
    RetryAfter,
    /// The circuit breaker is open.
    Breaker,
}

impl Hold {
    /// Every one.
    pub const ALL: [Hold; 6] = [
        Hold::InFlight,
        Hold::Rate,
        Hold::Budget,
        Hold::Quota,
        Hold::RetryAfter,
        Hold::Breaker,
    ];

    /// The word in metrics and on the status API.
    pub const fn word(self) -> &'static str {
        match self {
            Hold::InFlight => "max_in_flight",
            Hold::Rate => "max_requests_per_second",
            Hold::Budget => "budget_spent",
            Hold::Quota => "rate_limit",
            Hold::RetryAfter => "retry_after",
            Hold::Breaker => "circuit_breaker",
        }
    }

    /// The reason for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Hold::InFlight => "due; waits for another poll of this upstream to end (max_in_flight)",
            Hold::Rate => "due; waits for its turn (max_requests_per_second)",
            Hold::Budget => "due; the upstream's budget is spent for now",
            Hold::Quota => "due; the upstream leaves us few requests (RateLimit, X-RateLimit-*)",
            Hold::RetryAfter => "due; the upstream asked for a pause (Retry-After)",
            Hold::Breaker => "due; the upstream failed too often in a row (circuit_breaker)",
        }
    }
}
