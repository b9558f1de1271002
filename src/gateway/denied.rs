//! What somebody is told who is not let in.
//!
//! Promises that an event source never takes a refusal for the end of its feed, and that no answer
//! says more than what is missing.

use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use pingora::Result;
use pingora::proxy::Session;

use super::cors::Headers;
use super::problem;
use crate::auth::Denied;

/// When to ask again while nobody can be verified, in seconds.
const UNAVAILABLE: u16 = 5;

/// What is left of a body stands in the way of another request.
pub(super) async fn told(
    session: &mut Session,
    status: u16,
    detail: &str,
    headers: &Headers,
) -> Result<bool> {
    if !session.is_body_empty() {
        session.set_keepalive(None);
    }
    problem::answer(session, status, detail, headers).await?;
    Ok(false)
}

/// Tells somebody who is not let in. A redirect leads people to where they log in; an EventSource
/// would take what it finds there for the end of the feed.
pub(super) async fn refuse(
    denied: &Denied,
    headers: Headers,
    events: bool,
    session: &mut Session,
) -> Result<bool> {
    let Denied::Elsewhere(refusal) = denied else {
        let headers = challenge(denied, headers);
        return told(session, status(denied), detail(denied), &headers).await;
    };
    let is_wanted = |name: &HeaderName| !events || *name == WWW_AUTHENTICATE;
    let told_too = refusal.headers.iter().filter(|(name, _)| is_wanted(name));
    let headers: Headers = headers.into_iter().chain(told_too.cloned()).collect();
    let status = match refusal.status {
        status if events && status.is_redirection() => StatusCode::UNAUTHORIZED,
        status => status,
    };
    told(session, status.as_u16(), detail(denied), &headers).await
}

fn status(denied: &Denied) -> u16 {
    match denied {
        Denied::Elsewhere(refusal) => refusal.status.as_u16(),
        Denied::Missing | Denied::Invalid => 401,
        Denied::Insufficient => 403,
        Denied::Unavailable => 503,
    }
}

/// The word for metrics of refused subscriptions.
pub(super) fn word(denied: &Denied) -> &'static str {
    match denied {
        Denied::Elsewhere(refusal) if refusal.status == StatusCode::FORBIDDEN => "not_permitted",
        Denied::Missing | Denied::Invalid | Denied::Elsewhere(_) => "not_authenticated",
        Denied::Insufficient => "not_permitted",
        Denied::Unavailable => "unverifiable",
    }
}

fn detail(denied: &Denied) -> &'static str {
    match denied {
        Denied::Missing => "this is not for everybody: send an API key or a token",
        Denied::Invalid => {
            "the API key or token is wrong, not meant for this, or not valid any more"
        }
        Denied::Elsewhere(_) => "the service that decides who is let in does not let in this",
        Denied::Insufficient => "the token does not allow this",
        Denied::Unavailable => "who may have this cannot be found out now; try again later",
    }
}

/// RFC 6750 section 3: no error where there was no proof.
fn challenge(denied: &Denied, mut headers: Headers) -> Headers {
    let (name, value) = match denied {
        Denied::Missing => (WWW_AUTHENTICATE, "Bearer realm=\"pollcast\""),
        Denied::Invalid => (
            WWW_AUTHENTICATE,
            "Bearer realm=\"pollcast\", error=\"invalid_token\"",
        ),
        Denied::Insufficient => (
            WWW_AUTHENTICATE,
            "Bearer realm=\"pollcast\", error=\"insufficient_scope\"",
        ),
        Denied::Elsewhere(_) => return headers,
        Denied::Unavailable => {
            headers.push((RETRY_AFTER, UNAVAILABLE.into()));
            return headers;
        }
    };
    headers.push((name, HeaderValue::from_static(value)));
    headers
}
