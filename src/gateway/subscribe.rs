//! From a request to a detached event stream.

use std::sync::Arc;

use http::{Method, Version, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::asked::{self, Unasked};
use super::cors::{self, Headers};
use super::detach::detach;
use super::negotiate::Wishes;
use super::seats::Full;
use super::writer::{Delivery, retry};
use super::{Gateway, negotiate, overload, peer, problem};
use crate::config::{Compression, Feed};
use crate::core::health::Denial;
use crate::core::sse::{Coding, Frame, Framing, Wire};
use crate::hub::{Particulars, Place, Unserved, Warmth};
use crate::listen::Request;

impl Gateway {
    /// Answers a request that asks for a feed's events.
    pub(super) async fn subscribe(
        &self,
        place: &Place,
        session: &mut Session,
        under_way: Option<Request>,
    ) -> Result<()> {
        let feed = place.feed();
        let request = session.req_header();
        let wishes = Wishes::of(request);
        let headers = cors::headers(feed, request);
        let mode = match wishes.mode(feed.events.mode, &feed.events.modes) {
            Ok(mode) => mode,
            Err(detail) => {
                self.metrics.refused(&feed.path, "unknown_mode");
                return problem::answer(session, 400, &detail, &headers).await;
            }
        };
        let particulars = match asked(place, session).await? {
            Ok(particulars) => particulars,
            Err(unasked) => {
                self.metrics.refused(&feed.path, unasked.reason);
                // What is left of a body stands in the way of another request.
                session.set_keepalive(None);
                return problem::answer(session, unasked.status, &unasked.detail, &headers).await;
            }
        };
        let topic = self.hub.topic(place, &particulars);
        let ended = topic.and_then(|topic| topic.ended());
        if let Some(denial) = ended
            && wishes.last_id.is_some()
        {
            self.metrics.refused(&feed.path, denial.reason());
            return no_more(session, &headers).await;
        }
        if session.req_header().method == Method::HEAD {
            return head_only(session, feed, ended, &headers).await;
        }
        let seat = match self.seats.take(feed, self.client(session)) {
            Ok(seat) => seat,
            Err(full) => return self.overloaded(session, full, feed, &headers).await,
        };
        let demand = match self.hub.demand(place, &particulars, mode) {
            Ok(demand) => demand,
            Err(Unserved::Full) => {
                drop(seat);
                return self.overloaded(session, Full::Topics, feed, &headers).await;
            }
            Err(Unserved::Draining) => return self.leave(session, feed, &headers).await,
        };
        drop(particulars);
        let topic = Arc::clone(demand.topic());
        match topic.warm(feed.poll.timeout).await {
            Warmth::Ready => {}
            Warmth::Denied(denial) => {
                // Free before the answer is out: whoever reads it may ask again at once.
                drop((seat, demand));
                self.metrics.refused(&feed.path, denial.reason());
                return refuse(session, denial, &headers).await;
            }
            Warmth::Draining => return self.leave(session, feed, &headers).await,
        }
        let wire = Wire {
            framing: framing(session),
            coding: coding(feed, session),
        };
        let protocol = protocol(session.req_header().version);
        let peer = peer(session);
        let head = stream_head(feed, &headers, wire)?;
        let (transport, head) = detach(session, head).await?;
        let delivery = Delivery {
            subscription: topic.subscribe(demand, wire.coding, wishes.last_id.as_deref()),
            transport,
            head,
            wire,
            seat,
            connection: self.metrics.opened(feed, protocol, under_way),
        };
        self.writers.adopt(delivery, peer);
        Ok(())
    }

    async fn overloaded(
        &self,
        session: &mut Session,
        full: Full,
        feed: &Feed,
        headers: &Headers,
    ) -> Result<()> {
        self.metrics.refused(&feed.path, full.reason());
        overload::refuse(session, full, feed, headers).await
    }

    async fn leave(&self, session: &mut Session, feed: &Feed, headers: &Headers) -> Result<()> {
        self.metrics.refused(&feed.path, "draining");
        come_back(session, feed, &retry(feed.deliver.retry), headers).await
    }
}

/// What the request asks for, its body included where that counts.
async fn asked(place: &Place, session: &mut Session) -> Result<Result<Particulars, Unasked>> {
    let mut particulars = match asked::particulars(place, session.req_header()) {
        Ok(particulars) => particulars,
        Err(unasked) => return Ok(Err(unasked)),
    };
    let parameters = place.feed().parameters.as_ref();
    if let Some(most) = parameters.and_then(|parameters| parameters.client_body) {
        match asked::body(session, most).await? {
            Ok(body) => particulars.body = Some(body),
            Err(unasked) => return Ok(Err(unasked)),
        }
    }
    Ok(Ok(particulars))
}

fn framing(session: &Session) -> Framing {
    match session.req_header().version {
        Version::HTTP_11 => Framing::Chunked,
        _ => Framing::Bare,
    }
}

/// How a stream of this feed is compressed for this client.
pub(super) fn coding(feed: &Feed, session: &Session) -> Coding {
    match feed.deliver.compression {
        Compression::Gzip => negotiate::coding(&session.req_header().headers),
        Compression::Off => Coding::Identity,
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "http/2",
        Version::HTTP_11 => "http/1.1",
        _ => "http/1.0",
    }
}

/// The head of an event stream; nothing between here and the client may store, transform or
/// buffer it.
fn stream_head(feed: &Feed, headers: &Headers, wire: Wire) -> Result<ResponseHeader> {
    let mut head = ResponseHeader::build(200, Some(headers.len() + 7))?;
    head.insert_header(header::CONTENT_TYPE, "text/event-stream")?;
    let is_private = feed
        .parameters
        .as_ref()
        .is_some_and(|parameters| !parameters.credentials.is_empty());
    let caching = match is_private {
        true => "private, no-cache, no-transform",
        false => "no-cache, no-transform",
    };
    head.insert_header(header::CACHE_CONTROL, caching)?;
    head.insert_header("x-accel-buffering", "no")?;
    for (name, value) in headers {
        head.insert_header(name, value.clone())?;
    }
    if feed.deliver.compression == Compression::Gzip {
        head.append_header(header::VARY, "accept-encoding")?;
    }
    if wire.coding == Coding::Gzip {
        head.insert_header(header::CONTENT_ENCODING, "gzip")?;
    }
    if wire.framing == Framing::Chunked {
        head.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    }
    Ok(head)
}

async fn head_only(
    session: &mut Session,
    feed: &Feed,
    ended: Option<Denial>,
    headers: &Headers,
) -> Result<()> {
    match ended {
        Some(denial) => refuse(session, denial, headers).await,
        None => {
            let wire = Wire {
                framing: Framing::Bare,
                coding: coding(feed, session),
            };
            let head = stream_head(feed, headers, wire)?;
            session.write_response_header(Box::new(head), true).await
        }
    }
}

/// 204 stops an EventSource for good (WHATWG HTML section 9.2.3).
async fn no_more(session: &mut Session, headers: &Headers) -> Result<()> {
    let mut head = ResponseHeader::build(204, Some(headers.len() + 2))?;
    for (name, value) in headers {
        head.insert_header(name, value.clone())?;
    }
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    session.write_response_header(Box::new(head), true).await
}

pub(super) async fn refuse(session: &mut Session, denial: Denial, headers: &Headers) -> Result<()> {
    let status = denial.status();
    let detail = format!("the upstream of this feed answers {status}");
    problem::answer(session, status, &detail, headers).await
}

/// A stream that only says when to try again: EventSource gives up for ever on any error status.
pub(super) async fn come_back(
    session: &mut Session,
    feed: &Feed,
    retry: &Frame,
    headers: &Headers,
) -> Result<()> {
    let wire = Wire {
        framing: framing(session),
        coding: Coding::Identity,
    };
    session.set_keepalive(None);
    let head = stream_head(feed, headers, wire)?;
    session.write_response_header(Box::new(head), false).await?;
    let body = retry.bytes(Wire::PLAIN);
    session.write_response_body(Some(body), true).await
}
