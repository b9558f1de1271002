//! From a request to a detached event stream.

use std::sync::Arc;

use http::{Method, Version, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::cors::{self, Headers};
use super::detach::detach;
use super::negotiate::Wishes;
use super::writer::{Delivery, retry};
use super::{Gateway, problem};
use crate::core::health::Denial;
use crate::core::sse::Framing;
use crate::hub::{Topic, Warmth};
use crate::listen::Request;

impl Gateway {
    /// Answers a request that asks for a feed's events.
    pub(super) async fn subscribe(
        &self,
        topic: &Arc<Topic>,
        session: &mut Session,
        under_way: Option<Request>,
    ) -> Result<()> {
        let feed = topic.feed();
        let request = session.req_header();
        let wishes = Wishes::of(request);
        let headers = cors::headers(&feed.deliver.cors, request);
        let mode = match wishes.mode(feed.events.mode, &feed.events.modes) {
            Ok(mode) => mode,
            Err(detail) => {
                self.metrics.refused(&feed.path, "unknown_mode");
                return problem::answer(session, 400, &detail, &headers).await;
            }
        };
        if let Some(denial) = topic.ended()
            && wishes.last_id.is_some()
        {
            self.metrics.refused(&feed.path, denial.reason());
            return no_more(session, &headers).await;
        }
        if session.req_header().method == Method::HEAD {
            return head_only(session, topic, &headers).await;
        }
        let demand = topic.demand(mode);
        match topic.warm(feed.poll.timeout).await {
            Warmth::Ready => {}
            Warmth::Denied(denial) => {
                self.metrics.refused(&feed.path, denial.reason());
                return refuse(session, denial, &headers).await;
            }
            Warmth::Draining => {
                self.metrics.refused(&feed.path, "draining");
                return come_back(session, topic, &headers).await;
            }
        }
        let framing = framing(session);
        session.set_keepalive(None);
        session
            .write_response_header(Box::new(stream_head(&headers, Some(framing))?), false)
            .await?;
        let protocol = protocol(session.req_header().version);
        let peer = session
            .client_addr()
            .and_then(|address| address.as_inet())
            .copied();
        let transport = detach(session).await?;
        let delivery = Delivery {
            subscription: topic.subscribe(demand, wishes.last_id.as_deref()),
            transport,
            framing,
            connection: self.metrics.opened(feed, protocol, under_way),
        };
        self.writers.adopt(delivery, peer);
        Ok(())
    }
}

fn framing(session: &Session) -> Framing {
    match session.req_header().version {
        Version::HTTP_11 => Framing::Chunked,
        _ => Framing::CloseDelimited,
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
fn stream_head(headers: &Headers, framing: Option<Framing>) -> Result<ResponseHeader> {
    let mut head = ResponseHeader::build(200, Some(headers.len() + 6))?;
    head.insert_header(header::CONTENT_TYPE, "text/event-stream")?;
    head.insert_header(header::CACHE_CONTROL, "no-cache, no-transform")?;
    head.insert_header("x-accel-buffering", "no")?;
    for (name, value) in headers {
        head.insert_header(name, value.clone())?;
    }
    if framing == Some(Framing::Chunked) {
        head.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    }
    Ok(head)
}

async fn head_only(session: &mut Session, topic: &Topic, headers: &Headers) -> Result<()> {
    match topic.ended() {
        Some(denial) => refuse(session, denial, headers).await,
        None => {
            let head = stream_head(headers, None)?;
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

async fn refuse(session: &mut Session, denial: Denial, headers: &Headers) -> Result<()> {
    let status = denial.status();
    let detail = format!("the upstream of this feed answers {status}");
    problem::answer(session, status, &detail, headers).await
}

/// A stream that only says when to try again: EventSource gives up for ever on any error status.
async fn come_back(session: &mut Session, topic: &Topic, headers: &Headers) -> Result<()> {
    let framing = framing(session);
    session.set_keepalive(None);
    let head = stream_head(headers, Some(framing))?;
    session.write_response_header(Box::new(head), false).await?;
    let frame = retry(topic.feed().deliver.retry);
    let body = frame.bytes(Framing::CloseDelimited);
    session.write_response_body(Some(body), true).await
}
