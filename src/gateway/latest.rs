//! Plain GETs to a feed's path, answered from memory (`json: latest`).
//!
//! Promises that clients which only know how to ask cost the upstream nothing, that they never get
//! an answer to another question than theirs, and that what they get says how old it is (RFC 9111
//! section 5.1). A client may wait for what is newer (RFC 7240 section 4.3); it takes a subscriber's
//! seat for that long.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use headers::{Header, LastModified};
use http::{HeaderValue, Method, header};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use tokio::task::block_in_place;
use tokio::time::sleep;

use super::client::Client;
use super::cors::Headers;
use super::negotiate::Wishes;
use super::preconditions::{self, Verdict, etag, last_modified};
use super::prefer::preferred_wait;
use super::scope::Scope;
use super::seats::Full;
use super::{Gateway, cors, problem, subscribe};
use crate::config::{Compression, Feed, Json};
use crate::core::event::{Mode, State, Timestamp};
use crate::core::latest::Latest;
use crate::core::sse::Coding;
use crate::hub::{Newest, Particulars, Place, Topic, Unserved};

/// The longest wait that is granted: many a proxy gives up after a minute.
const LONGEST_WAIT: u64 = 55;
/// What a client may send slowly per second, as for events.
const BYTES_PER_SECOND: usize = 16 << 10;
const EXPOSED: HeaderValue =
    HeaderValue::from_static("etag, age, cache-status, preference-applied, x-request-id");

/// Whether memory can answer this request: a GET or HEAD that asks nothing but what the feed polls.
/// Anything else in the query or a body would be ignored, and the answer be a wrong one.
pub(super) fn answers(feed: &Feed, session: &mut Session) -> bool {
    let request = session.req_header();
    feed.json == Json::Latest
        && !feed.takes_body()
        && matches!(request.method, Method::GET | Method::HEAD)
        && has_known_query(feed, request)
        && !session.is_upgrade_req()
        && session.is_body_empty()
}

/// Whether the query holds only what streams of the feed take, too.
fn has_known_query(feed: &Feed, request: &RequestHeader) -> bool {
    let query = request.uri.query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes()).all(|(name, value)| match &*name {
        "last_event_id" => true,
        "mode" => value
            .parse()
            .is_ok_and(|mode: Mode| feed.events.modes.contains(&mode)),
        name => feed
            .parameters
            .as_ref()
            .is_some_and(|parameters| parameters.forward_query.iter().any(|it| it == name)),
    })
}

/// What one request gets.
struct Answer {
    document: Arc<Latest>,
    newest: Newest,
    /// The seconds that its client was ready to wait, if it did.
    waited: Option<u64>,
    /// Whose upstream was not asked for it.
    spares: Option<Arc<Topic>>,
}

impl Gateway {
    /// Answers a request for which [`answers`] holds.
    pub(super) async fn latest(
        &self,
        place: &Place,
        particulars: &Particulars,
        session: &mut Session,
        scope: &Scope,
    ) -> Result<()> {
        let feed = place.feed();
        let headers = cors_headers(feed, session.req_header());
        let demand = match self.hub.demand(place, particulars, Mode::Snapshot) {
            Ok(demand) => demand,
            Err(unserved) => {
                self.metrics.answered(&feed.path, "unavailable");
                return unserved_now(session, feed, unserved, headers).await;
            }
        };
        let topic = Arc::clone(demand.topic());
        let was_warm = topic.is_warm();
        // What the wait came to is part of what is read next, all of one moment.
        topic.warm(feed.poll.timeout).await;
        let mut newest = topic.newest();
        let client = scope.client(session);
        let waited = self.wait(&topic, session, client, &newest).await;
        if waited.is_some() {
            newest = topic.newest();
        }
        if newest.draining {
            session.set_keepalive(None);
        }
        if let Some(denial) = newest.denied {
            self.metrics.answered(&feed.path, "denied");
            return subscribe::refuse(session, denial, &headers).await;
        }
        let Some(document) = newest.document.clone() else {
            self.metrics.answered(&feed.path, "unavailable");
            return unavailable(session, feed, &newest, headers).await;
        };
        // Nothing is waited for any more, however slowly the answer is read.
        drop(demand);
        let answer = Answer {
            document,
            newest,
            waited,
            // Whoever waits for a poll listens to it.
            spares: (was_warm && waited.is_none()).then_some(topic),
        };
        self.tell(feed, session, &headers, answer).await
    }

    /// Waits for a newer document than the client has, if it likes to and has the newest. Returns
    /// the seconds that were granted.
    async fn wait(
        &self,
        topic: &Arc<Topic>,
        session: &mut Session,
        client: Option<Client>,
        newest: &Newest,
    ) -> Option<u64> {
        let request = session.req_header();
        let seconds = preferred_wait(&request.headers)?.min(LONGEST_WAIT);
        let document = newest.document.as_ref()?;
        let id = document.id();
        let knows = |verdict| matches!(verdict, Verdict::NotModified(_));
        let by_tag = request.headers.contains_key(header::IF_NONE_MATCH)
            && knows(preconditions::verdict(
                &request.headers,
                id,
                Coding::Identity,
                None,
            ));
        let by_id = || Wishes::of(request).last_id == Some(id.to_string().into_bytes());
        if seconds == 0 || !(by_tag || by_id()) {
            return None;
        }
        // Without a seat it is told at once.
        let _seat = self.seats.take(topic.feed(), client).ok()?;
        tokio::select! {
            () = topic.newer_than(id) => {}
            () = sleep(Duration::from_secs(seconds)) => {}
            // It left, or closed its end, or sent its next request already, a byte of which is lost.
            _ = session.as_downstream_mut().read_body_or_idle(true) => session.set_keepalive(None),
        }
        Some(seconds)
    }

    async fn tell(
        &self,
        feed: &Feed,
        session: &mut Session,
        headers: &Headers,
        answer: Answer,
    ) -> Result<()> {
        let now = self.clock.now();
        let request = session.req_header();
        let coding = subscribe::coding(feed, session);
        let id = answer.document.id();
        let modified = answer
            .newest
            .changed
            .and_then(|changed| last_modified(changed, now));
        let verdict = preconditions::verdict(&request.headers, id, coding, modified);
        let waited = answer.waited.is_some();
        let outcome = match verdict {
            Verdict::Failed => "failed_precondition",
            Verdict::Send if waited => "waited_full",
            Verdict::Send => "full",
            Verdict::NotModified(_) if waited => "waited_not_modified",
            Verdict::NotModified(_) => "not_modified",
        };
        self.metrics.answered(&feed.path, outcome);
        let (status, coding) = match verdict {
            Verdict::Failed => {
                let detail = "the document is another one by now";
                return problem::answer(session, 412, detail, headers).await;
            }
            Verdict::Send => (200, coding),
            Verdict::NotModified(coding) => (304, coding),
        };
        if let Some(topic) = &answer.spares {
            let has_body = status == 200 && request.method == Method::GET;
            let bytes = has_body.then(|| answer.document.body(Coding::Identity).len());
            topic.answered(bytes.unwrap_or_default());
        }
        let mut head = head(status, feed, headers, &answer, now)?;
        head.insert_header(header::ETAG, etag(id, coding))?;
        if let Some(modified) = modified {
            insert(&mut head, &LastModified::from(modified))?;
        }
        match status {
            200 => send(session, head, feed, &body(&answer.document, coding), coding).await,
            _ => session.write_response_header(Box::new(head), true).await,
        }
    }
}

/// What a full answer and a 304 have in common (RFC 9110 section 15.4.5).
fn head(
    status: u16,
    feed: &Feed,
    headers: &Headers,
    answer: &Answer,
    now: Timestamp,
) -> Result<ResponseHeader> {
    let mut head = ResponseHeader::build(status, Some(headers.len() + 10))?;
    for (name, value) in headers {
        head.insert_header(name, value.clone())?;
    }
    if feed.deliver.compression == Compression::Gzip {
        head.append_header(header::VARY, "accept-encoding")?;
    }
    // To be asked for each time: only pollcast knows whether it is still so.
    let control = match feed.is_for_some() {
        true => "private, no-cache",
        false => "no-cache",
    };
    head.insert_header(header::CACHE_CONTROL, control)?;
    if let Some(at) = answer.newest.last_success {
        head.insert_header(header::AGE, now.0.saturating_sub(at.0) / 1000)?;
    }
    head.insert_header("cache-status", cache_status(answer.newest.state))?;
    if let Some(seconds) = answer.waited {
        head.insert_header("preference-applied", format!("wait={seconds}"))?;
    }
    Ok(head)
}

/// Where the answer comes from (RFC 9211), and whether the upstream still says so.
fn cache_status(state: State) -> &'static str {
    match state {
        State::Live => "pollcast; hit",
        State::Stale => "pollcast; hit; detail=stale",
        State::Down => "pollcast; hit; detail=down",
    }
}

fn body(document: &Latest, coding: Coding) -> Bytes {
    match document.is_quick(coding) {
        true => document.body(coding),
        false => block_in_place(|| document.body(coding)),
    }
}

async fn send(
    session: &mut Session,
    mut head: ResponseHeader,
    feed: &Feed,
    body: &Bytes,
    coding: Coding,
) -> Result<()> {
    head.insert_header(header::CONTENT_TYPE, "application/json")?;
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    if coding == Coding::Gzip {
        head.insert_header(header::CONTENT_ENCODING, "gzip")?;
    }
    let more = Duration::from_secs((body.len() / BYTES_PER_SECOND) as u64);
    session.set_write_timeout(Some(feed.deliver.write_timeout + more));
    let is_head = session.req_header().method == Method::HEAD;
    session
        .write_response_header(Box::new(head), is_head)
        .await?;
    match is_head {
        true => Ok(()),
        false => session.write_response_body(Some(body.clone()), true).await,
    }
}

/// There is no document: why not, and when to ask again.
async fn unavailable(
    session: &mut Session,
    feed: &Feed,
    newest: &Newest,
    headers: Headers,
) -> Result<()> {
    let reason = newest.reason.as_deref().unwrap_or("none was polled");
    let detail = format!("there is no document yet: {reason}");
    come_back(session, feed, &detail, headers).await
}

/// Nobody may have what was asked for now.
async fn unserved_now(
    session: &mut Session,
    feed: &Feed,
    unserved: Unserved,
    headers: Headers,
) -> Result<()> {
    session.set_keepalive(None);
    let detail = match unserved {
        Unserved::Full => Full::Topics.detail(),
        Unserved::Memory => Full::Memory.detail(),
        Unserved::Draining => "this server is about to leave",
    };
    come_back(session, feed, detail, headers).await
}

async fn come_back(
    session: &mut Session,
    feed: &Feed,
    detail: &str,
    mut headers: Headers,
) -> Result<()> {
    let seconds = feed.poll.interval.as_secs().clamp(1, 60);
    headers.push((header::RETRY_AFTER, seconds.into()));
    problem::answer(session, 503, detail, &headers).await
}

/// What an answer says about origins, and what pages of those may read of it.
fn cors_headers(feed: &Feed, request: &RequestHeader) -> Headers {
    let mut headers = cors::headers(feed, request);
    let is_allowed = |(name, _): &(_, _)| name == header::ACCESS_CONTROL_ALLOW_ORIGIN;
    if headers.iter().any(is_allowed) {
        headers.push((header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED));
    }
    headers
}

pub(super) fn insert<H: Header>(head: &mut ResponseHeader, header: &H) -> Result<()> {
    let mut values = Vec::with_capacity(1);
    header.encode(&mut values);
    for value in values {
        head.insert_header(H::name(), value)?;
    }
    Ok(())
}
