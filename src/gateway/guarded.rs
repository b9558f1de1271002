//! What not everybody may have: policies at the door of feeds and routes.
//!
//! Promises that whoever is refused gets no event stream and nothing of a document, in an answer that
//! a page of an allowed origin may read; that what proved who somebody is goes no further than this,
//! unless the configuration wants it; and that a browser's preflights, which can carry no proof, are
//! answered without one (WHATWG Fetch section 3.3.5).

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Uri};
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::access::Outcome;
use super::denied::{refuse, told, word};
use super::scope::Scope;
use super::writer::{Writers, retry};
use super::{
    Context, Gateway, asked, cors, fence, is_secure, negotiate, overload, preflight, subscribe,
};
use crate::auth::{Asking, Denied, Grant, Guard, Source, TICKET};
use crate::config::{Auth, Feed, Policy, Route};
use crate::hub::Place;

/// What a request had to show before it was taken off.
#[derive(Debug)]
pub struct Given {
    headers: HeaderMap,
    uri: Uri,
}

impl Gateway {
    /// Whether nobody behind can take the request for one that has another guard. If not, the client
    /// was told.
    pub(super) async fn is_plain(
        &self,
        place: Option<&Place>,
        session: &mut Session,
        ctx: &Context,
    ) -> Result<bool> {
        let path = uri_path(session);
        let destination = ctx.scope.routes.destination(path, place.map(Place::feed));
        let route = destination.as_ref().and_then(|it| it.route());
        match ctx.scope.fence.lets_by(path, place, route) {
            true => Ok(true),
            false => told(session, 400, fence::REFUSAL, &Vec::new()).await,
        }
    }

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
        if preflight::is_one(session) {
            preflight::bare(session.req_header_mut());
            return Ok(true);
        }
        let captures = match asked::captures(place) {
            Ok(captures) => captures,
            Err(unasked) => {
                let headers = cors::headers(feed, session.req_header());
                return told(session, unasked.status, &unasked.detail, &headers).await;
            }
        };
        let events = negotiate::is_subscription(feed, session.req_header());
        let request = session.req_header();
        let shown = (&request.headers, &request.uri);
        let asking = ctx.scope.asking(shown, &captures, events, session);
        let ticket = asking.find(&Source::Query(TICKET.to_owned()));
        let judged = match ticket.filter(|_| events && self.guard.gives_tickets()) {
            Some(ticket) => self.guard.admit_by_ticket(&feed.path, &ticket, &asking),
            None => self.guard.admit(&feed.path, policy, &asking).await,
        };
        if self.guard.gives_tickets() {
            Source::Query(TICKET.to_owned()).strip(session.req_header_mut())?;
        }
        match judged {
            Ok(grant) => {
                let routes = &ctx.scope.routes;
                let destination = routes.destination(uri_path(session), Some(feed));
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
                put_on(session.req_header_mut(), &grant)?;
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
        if preflight::is_one(session) {
            preflight::bare(session.req_header_mut());
            return Ok(true);
        }
        let given = ctx.given.take().unwrap_or_else(|| Given {
            headers: session.req_header().headers.clone(),
            uri: session.req_header().uri.clone(),
        });
        let asking = ctx
            .scope
            .asking((&given.headers, &given.uri), &[], false, session);
        match self.guard.admit(&route.path, policy, &asking).await {
            Ok(grant) => {
                let feed = destination.feed().map(|feed| &**feed);
                take_off(session.req_header_mut(), &grant, Some(route), feed)?;
                put_on(session.req_header_mut(), &grant)?;
                ctx.grant = Some(grant);
                Ok(true)
            }
            Err(denied) => {
                ctx.destination = None;
                refuse(&denied, Vec::new(), false, session).await
            }
        }
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
            self.refused(feed, word(&denied), ctx);
            let comes_back = overload::comes_back_by_itself(&request.headers);
            if denied == Denied::Unavailable && comes_back {
                let frame = retry(feed.deliver.retry);
                subscribe::come_back(session, feed, &frame, &headers).await?;
                return Ok(false);
            }
        } else {
            ctx.outcome = Outcome::Refused(Arc::clone(feed), word(&denied));
        }
        let events = negotiate::is_subscription(feed, session.req_header());
        refuse(&denied, headers, events, session).await
    }
}

impl Scope {
    /// What there is to judge a request by.
    pub(super) fn asking<'a>(
        &self,
        (headers, uri): (&'a HeaderMap, &'a Uri),
        captures: &'a [String],
        events: bool,
        session: &'a Session,
    ) -> Asking<'a> {
        Asking {
            headers,
            method: &session.req_header().method,
            uri,
            events,
            is_secure: is_secure(session),
            captures,
            client: self.address(session),
        }
    }
}

/// Names of headers that say of clients what a service found out, and nobody else may.
pub(super) fn claims(auth: &Auth) -> Vec<HeaderName> {
    let services = auth.forwards.iter();
    services
        .flat_map(|service| service.response_headers.iter().cloned())
        .collect()
}

/// Takes off what a client claims of itself. Some upstreams take `_` for `-` (RFC 3875 section 4.1.18).
pub(super) fn disclaim(request: &mut RequestHeader, claims: &[HeaderName]) {
    if claims.is_empty() {
        return;
    }
    let dashed = |name: &HeaderName| name.as_str().replace('_', "-");
    let is_claim = |name: &&HeaderName| claims.iter().any(|claim| dashed(claim) == dashed(name));
    let found: Vec<_> = request.headers.keys().filter(is_claim).cloned().collect();
    for name in found {
        request.remove_header(&name);
    }
}

/// Sees to it that the upstream is told what services say of a client, whatever that calls a matter of
/// one hop (`Connection`, RFC 9110 section 7.6.1).
///
/// # Errors
/// Never: all of it were headers before.
pub(super) fn carry(
    from: &RequestHeader,
    to: &mut RequestHeader,
    claims: &[HeaderName],
) -> Result<()> {
    for name in claims {
        to.remove_header(name);
        for value in from.headers.get_all(name) {
            to.append_header(name, value.clone())?;
        }
    }
    Ok(())
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

/// Puts on a request what the grant has for upstreams, and for polls that are made for this client.
fn put_on(request: &mut RequestHeader, grant: &Grant) -> Result<()> {
    for (name, _) in grant.pass_on() {
        request.remove_header(name);
    }
    for (name, value) in grant.pass_on() {
        request.append_header(name, value.clone())?;
    }
    Ok(())
}

fn guarded(route: &Route) -> Option<(&Route, &Policy)> {
    Some((route, route.access.as_deref()?))
}

fn uri_path(session: &Session) -> &str {
    session.req_header().uri.path()
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
