//! Why a poll brought no body, in words that hold no secret.

use std::time::Duration;

use http::StatusCode;

use super::credentials::NoToken;
use super::pages::PagesError;
use crate::core::health::Denial;

/// A poll that brought no body.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// A status that brings no document: not 2xx, or a part only, or a 304 that nobody asked for.
    #[error("the upstream answered {0}")]
    Status(StatusCode),
    /// A redirect that leaves the upstream's origin, or goes in circles.
    #[error("the upstream redirects elsewhere ({0})")]
    Redirect(StatusCode),
    /// A redirect that turns a POST into a GET, which would ask something else.
    #[error("the upstream redirects ({0}), and following it would lose the POST and its body")]
    MethodLost(StatusCode),
    /// No complete answer in time.
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
    /// No connection: refused, unresolvable, untrusted.
    #[error("no connection: {0}")]
    Connect(String),
    /// The answer is longer than `document.max_bytes` after decoding.
    #[error("the answer is longer than {0} bytes (document.max_bytes)")]
    TooLarge(usize),
    /// The connection broke, or the body contradicts its framing or its encoding.
    #[error("the answer broke off or cannot be decoded: {0}")]
    Body(String),
    /// No access token to ask with.
    #[error("no access token from the token endpoint: {0}")]
    NoToken(NoToken),
    /// Our own limits leave no room for all of its requests.
    #[error(
        "the upstream's limits (max_requests_per_second, budget) leave no room for all requests \
         of a poll within {0:?} (poll.timeout)"
    )]
    Held(Duration),
    /// The pages make no document.
    #[error(transparent)]
    Pages(#[from] PagesError),
}

impl PollError {
    /// The refusal it is, if it is one.
    pub fn denial(&self) -> Option<Denial> {
        match self {
            PollError::Status(status) => Denial::from_status(status.as_u16()),
            _ => None,
        }
    }

    /// The outcome in metrics; a bounded set.
    pub fn outcome(&self) -> &'static str {
        match self {
            PollError::Status(status) if status.is_server_error() => "status_5xx",
            PollError::Status(status) if status.is_client_error() => "status_4xx",
            PollError::Status(_) => "status_other",
            PollError::Redirect(_) | PollError::MethodLost(_) => "redirect",
            PollError::Timeout(_) => "timeout",
            PollError::Connect(_) => "connect",
            PollError::TooLarge(_) => "too_large",
            PollError::Body(_) => "body",
            PollError::NoToken(_) => "no_token",
            PollError::Held(_) => "held",
            PollError::Pages(_) => "pages",
        }
    }
}
