//! What not everybody may have: policies at the door of feeds and routes.
//!
//! Promises that whoever is refused gets no event stream and nothing of a document, in an answer that
//! a page of an allowed origin may read; that what proved who somebody is goes no further than this,
//! unless the configuration wants it; and that a browser's preflights, which can carry no proof, are
//! answered without one (WHATWG Fetch section 3.3.5).

use std::sync::Arc;

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Uri};
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::access::Outcome;
use super::cors::Headers;
use super::writer::{Writers, retry};
use super::{Context, Gateway, asked, cors, negotiate, overload, problem, subscribe};
use crate::auth::{Asking, Denied, Grant, Guard};
use crate::config::{Feed, Policy, Route};
use crate::hub::Place;

/// When to ask again while nobody can be verified, in seconds.
const UNAVAILABLE: u16 = 5;

/// What a request had to show before it was taken off.
#[derive(Debug)]
pub struct Given {
    headers: HeaderMap,
    uri: Uri,
}

impl Gateway {
    /// Whether the client may have this feed. If not, it was told.
    pub(super) async fn may_have(
        &self,
        place: &Place,
        session: &mut Session,
        ctx: &mut Context,
    ) -> Result<bool> {
        let feed = place.feed();
        let Some(policy) = &feed.access else {
            return Ok(true);
        };
        if is_preflight(session.req_header()) {
            return Ok(true);
        }
        let captures = match asked::captures(place) {
            Ok(captures) => captures,
            Err(unasked) => {
                let headers = cors::headers(feed, session.req_header());
                return told(session, unasked.status, &unasked.detail, &headers).await;
            }
        };
        let request = session.req_header();
        let (headers, uri) = (&request.headers, &request.uri);
        match self
            .judge(&feed.path, policy, (headers, uri), &captures, session)
            .await
        {
            Ok(grant) => {
                let destination = self.routes.destination(uri_path(session), Some(feed));
                let route = destination
                    .as_ref()
                    .and_then(|destination| destination.route());
                if route.is_some_and(|route| route.access.is_some()) {
                    let request = session.req_header();
                    ctx.given = Some(Given {
                        headers: request.headers.clone(),
                        uri: request.uri.clone(),
                    });
                }
                take_off(session.req_header_mut(), &grant, route, Some(feed))?;
                ctx.grant = Some(grant);
                Ok(true)
            }
            Err(denied) => self.deny(denied, feed, session, ctx).await,
        }
    }

    /// Whether the client may take the route that its request goes by. If not, it was told.
    pub(super) async fn may_pass(&self, session: &mut Session, ctx: &mut Context) -> Result<bool> {
        let Some(destination) = ctx.destination.clone() else {
            return Ok(true);
        };
        let Some((route, policy)) = destination.route().and_then(guarded) else {
            return Ok(true);
        };
        if is_preflight(session.req_header()) {
            return Ok(true);
        }
        let given = ctx.given.take().unwrap_or_else(|| Given {
            headers: session.req_header().headers.clone(),
            uri: session.req_header().uri.clone(),
        });
        match self
            .judge(
                &route.path,
                policy,
                (&given.headers, &given.uri),
                &[],
                session,
            )
            .await
        {
            Ok(grant) => {
                let feed = destination.feed().map(|feed| &**feed);
                take_off(session.req_header_mut(), &grant, Some(route), feed)?;
                ctx.grant = Some(grant);
                Ok(true)
            }
            Err(denied) => {
                ctx.destination = None;
                let headers = challenge(denied, Vec::new());
                told(session, status(denied), detail(denied), &headers).await
            }
        }
    }

    async fn judge(
        &self,
        place: &str,
        policy: &Policy,
        (headers, uri): (&HeaderMap, &Uri),
        captures: &[String],
        session: &Session,
    ) -> std::result::Result<Arc<Grant>, Denied> {
        let asking = Asking {
            headers,
            uri,
            captures,
            client: self.address(session),
        };
        self.guard.admit(place, policy, &asking).await
    }

    /// Tells a client that it may not have this feed.
    async fn deny(
        &self,
        denied: Denied,
        feed: &Arc<Feed>,
        session: &mut Session,
        ctx: &mut Context,
    ) -> Result<bool> {
        let request = session.req_header();
        let headers = cors::headers(feed, request);
        if negotiate::is_subscription(feed, request) {
            self.refused(feed, word(denied), ctx);
            let comes_back = overload::comes_back_by_itself(&request.headers);
            if denied == Denied::Unavailable && comes_back {
                let frame = retry(feed.deliver.retry);
                subscribe::come_back(session, feed, &frame, &headers).await?;
                return Ok(false);
            }
        } else {
            ctx.outcome = Outcome::Refused(Arc::clone(feed), word(denied));
        }
        let headers = challenge(denied, headers);
        told(session, status(denied), detail(denied), &headers).await
    }
}

/// Has the writers look at their grants whenever some were withdrawn, for as long as there are both.
pub(super) fn keep_rechecking(
    guard: &Arc<Guard>,
    writers: &Arc<Writers>,
) -> impl Future<Output = ()> + use<> {
    let (mut withdrawals, writers) = (guard.withdrawals(), Arc::clone(writers));
    async move {
        while withdrawals.changed().await.is_ok() {
            writers.recheck();
        }
    }
}

/// Puts on a request for the upstream what the grant has for it.
pub(super) fn pass_on(request: &mut RequestHeader, grant: Option<&Grant>) -> Result<()> {
    for (name, value) in grant.map_or(&[][..], Grant::pass_on) {
        request.insert_header(name, value.clone())?;
    }
    Ok(())
}

fn guarded(route: &Route) -> Option<(&Route, &Policy)> {
    Some((route, route.access.as_deref()?))
}

fn uri_path(session: &Session) -> &str {
    session.req_header().uri.path()
}

/// A browser that asks whether a page may ask.
fn is_preflight(request: &RequestHeader) -> bool {
    request.method == Method::OPTIONS
        && request.headers.contains_key(ORIGIN)
        && request.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Takes what was proved off the request, unless the upstream is to see it: by the route's
/// `forward_credentials`, or since the feed is polled with that header of its clients.
fn take_off(
    request: &mut RequestHeader,
    grant: &Grant,
    route: Option<&Route>,
    feed: Option<&Feed>,
) -> Result<()> {
    let is_wanted = |name| {
        let parameters = feed.and_then(|feed| feed.parameters.as_ref());
        parameters.is_some_and(|parameters| parameters.credentials.contains(name))
    };
    for source in grant.sources() {
        let is_kept = match source.header() {
            Some(name) => route.is_some_and(|route| route.forward_credentials) || is_wanted(name),
            // Whatever stands in a URL is written down somewhere.
            None => false,
        };
        if !is_kept {
            source.strip(request)?;
        }
    }
    Ok(())
}

/// What is left of a body stands in the way of another request.
async fn told(session: &mut Session, status: u16, detail: &str, headers: &Headers) -> Result<bool> {
    if !session.is_body_empty() {
        session.set_keepalive(None);
    }
    problem::answer(session, status, detail, headers).await?;
    Ok(false)
}

fn status(denied: Denied) -> u16 {
    match denied {
        Denied::Missing | Denied::Invalid => 401,
        Denied::Insufficient => 403,
        Denied::Unavailable => 503,
    }
}

/// The word for metrics of refused subscriptions.
fn word(denied: Denied) -> &'static str {
    match denied {
        Denied::Missing | Denied::Invalid => "not_authenticated",
        Denied::Insufficient => "not_permitted",
        Denied::Unavailable => "unverifiable",
    }
}

fn detail(denied: Denied) -> &'static str {
    match denied {
        Denied::Missing => "this is not for everybody: send an API key or a token",
        Denied::Invalid => {
            "the API key or token is wrong, not meant for this, or not valid any more"
        }
        Denied::Insufficient => "the token does not allow this",
        Denied::Unavailable => "tokens cannot be verified at the moment; try again later",
    }
}

/// RFC 6750 section 3: no error where there was no proof.
fn challenge(denied: Denied, mut headers: Headers) -> Headers {
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
        Denied::Unavailable => {
            headers.push((RETRY_AFTER, UNAVAILABLE.into()));
            return headers;
        }
    };
    headers.push((name, HeaderValue::from_static(value)));
    headers
}
