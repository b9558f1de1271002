//! Where tickets are given out (`auth.tickets.path`).
//!
//! A page that can send a header here gets a URL for an EventSource, which can send none. Promises
//! that nobody gets a ticket for what they could not have subscribed to by this very request, that no
//! page of another origin gets one, and that what is sent here goes no further.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ALLOW,
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ORIGIN, RETRY_AFTER, VARY,
};
use http::{HeaderValue, Method, Uri};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use serde::Deserialize;
use serde_json::json;

use super::cors::Headers;
use super::{Context, Gateway, asked, cors, denied, origin, problem};
use crate::auth::{NoTicket, Source, TICKET};
use crate::config::{Cors, Tickets};

/// The longest body, in bytes: as long as a target may be, and a little more.
const MOST_BODY: usize = 8 << 10;
/// When to ask again where there are too many, in seconds.
const LATER: u16 = 10;

/// What is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// The path of an event stream, with its query.
    feed: String,
}

/// Why there is no ticket: a status and an explanation.
type Refusal = (u16, String);

impl Gateway {
    /// Answers a request at the path of tickets.
    pub(super) async fn tickets(
        &self,
        tickets: &Tickets,
        session: &mut Session,
        ctx: &Context,
    ) -> Result<()> {
        let request = session.req_header();
        if request.method == Method::OPTIONS {
            return self.tickets_preflight(session).await;
        }
        if request.method != Method::POST {
            let allow = [(ALLOW, HeaderValue::from_static("POST"))];
            return refuse(session, (405, "ask with POST".to_owned()), &allow).await;
        }
        let target = match wish(session).await? {
            Ok(target) => target,
            Err(refusal) => return refuse(session, refusal, &[]).await,
        };
        let Some(place) = ctx.scope.table.at(target.path()) else {
            let detail = "no feed has the path that `feed` begins with";
            return refuse(session, (404, detail.to_owned()), &[]).await;
        };
        let feed = place.feed();
        let headers = cors::headers(feed, session.req_header());
        if origin::is_refused(feed, session.req_header()) {
            return refuse(session, (403, origin::REFUSAL.to_owned()), &headers).await;
        }
        let Some(policy) = &feed.access else {
            let detail = "this feed is for everybody: it needs no ticket";
            return refuse(session, (400, detail.to_owned()), &headers).await;
        };
        if feed.takes_body() {
            let detail = "this feed is subscribed to by POST, which can send headers itself";
            return refuse(session, (400, detail.to_owned()), &headers).await;
        }
        let captures = match asked::captures(&place) {
            Ok(captures) => captures,
            Err(unasked) => {
                return refuse(session, (unasked.status, unasked.detail), &headers).await;
            }
        };
        let shown = (&session.req_header().headers, &target);
        let mut asking = ctx.scope.asking(shown, &captures, true, session);
        asking.method = &Method::GET;
        let given = match self.guard.admit(&feed.path, policy, &asking).await {
            Ok(grant) => self.guard.give_ticket(&asking, &grant),
            Err(denied) => {
                session.set_keepalive(None);
                denied::refuse(&denied, headers, true, session).await?;
                return Ok(());
            }
        };
        match given {
            Ok(ticket) => give(session, &target, &ticket, tickets.ttl, &headers).await,
            Err(none) => {
                let (status, detail) = none_now(none);
                let mut headers = headers;
                headers.push((RETRY_AFTER, LATER.into()));
                refuse(session, (status, detail.to_owned()), &headers).await
            }
        }
    }

    /// A preflight names no feed: pages may ask whose origin may read any feed that is not for
    /// everybody. Whether they get a ticket is said by the feed that they ask for.
    async fn tickets_preflight(&self, session: &mut Session) -> Result<()> {
        let request = session.req_header();
        let is_allowed = |cors: &Cors| origin::allowed(cors, &request.headers).is_some();
        let mut head = ResponseHeader::build(204, Some(8))?;
        head.insert_header(VARY, "origin")?;
        let (mut may_ask, mut with_credentials) = (false, false);
        for (feed, _) in self.hub.feeds() {
            if feed.access.is_some() && is_allowed(&feed.deliver.cors) {
                may_ask = true;
                with_credentials |= feed.deliver.cors.credentials;
            }
        }
        if let Some(origin) = request.headers.get(ORIGIN).filter(|_| may_ask) {
            head.insert_header(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone())?;
            head.insert_header(ACCESS_CONTROL_ALLOW_METHODS, "POST")?;
            if with_credentials {
                head.insert_header(ACCESS_CONTROL_ALLOW_CREDENTIALS, "true")?;
            }
            if let Some(wanted) = request.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
                head.insert_header(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone())?;
            }
            cors::allow_private_network(request, &mut head)?;
            head.insert_header(ACCESS_CONTROL_MAX_AGE, "600")?;
        }
        session.write_response_header(Box::new(head), true).await
    }
}

/// What the body asks for.
///
/// # Errors
/// The inner error is what is wrong with it; the outer one, that the client is gone.
async fn wish(session: &mut Session) -> Result<std::result::Result<Uri, Refusal>> {
    let wrong = |detail: &str| Ok(Err((400, detail.to_owned())));
    let body = match asked::body(session, MOST_BODY).await? {
        Ok(body) => body,
        Err(unasked) => return Ok(Err((unasked.status, unasked.detail))),
    };
    let Ok(wish) = serde_json::from_slice::<Wish>(&body) else {
        return wrong(
            "the body is not {\"feed\": \"/path?query\"}, the path and query of an event stream",
        );
    };
    let target: Option<Uri> = wish.feed.parse().ok();
    let target = target.filter(|uri| wish.feed.starts_with('/') && uri.authority().is_none());
    let Some(target) = target.filter(|_| !wish.feed.contains('#')) else {
        return wrong("`feed` is no path with a query, such as /orders/7?mode=patch");
    };
    // One that is in there already would come twice.
    let mut request = RequestHeader::build(Method::GET, wish.feed.as_bytes(), None)?;
    request.set_uri(target);
    Source::Query(TICKET.to_owned()).strip(&mut request)?;
    Ok(Ok(request.uri.clone()))
}

async fn give(
    session: &mut Session,
    target: &Uri,
    ticket: &str,
    ttl: Duration,
    headers: &Headers,
) -> Result<()> {
    let mark = if target.query().is_some() { '&' } else { '?' };
    let url = format!("{target}{mark}{TICKET}={ticket}");
    let body = json!({"ticket": ticket, "url": url, "expires_in": ttl.as_secs()}).to_string();
    let mut head = ResponseHeader::build(201, Some(headers.len() + 3))?;
    for (name, value) in headers {
        head.append_header(name, value.clone())?;
    }
    head.insert_header(CONTENT_TYPE, "application/json")?;
    head.insert_header(CONTENT_LENGTH, body.len())?;
    head.insert_header(CACHE_CONTROL, "no-store")?;
    session.write_response_header(Box::new(head), false).await?;
    session
        .write_response_body(Some(Bytes::from(body)), true)
        .await
}

/// What is left of a body stands in the way of another request.
async fn refuse(
    session: &mut Session,
    (status, detail): Refusal,
    headers: &[(http::HeaderName, HeaderValue)],
) -> Result<()> {
    session.set_keepalive(None);
    problem::answer(session, status, &detail, headers).await
}

fn none_now(none: NoTicket) -> (u16, &'static str) {
    match none {
        NoTicket::Full => (
            503,
            "as many tickets are out as there may be; use those, or try later",
        ),
        NoTicket::ClientFull => (
            429,
            "too many tickets are out for this client; use those first",
        ),
        NoTicket::Failed => (503, "no ticket can be made now; try again later"),
    }
}
