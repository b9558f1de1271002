//! From a request to a detached event stream.

use std::sync::Arc;

use http::{Method, Version, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::access::{Outcome, Stay, protocol};
use super::client::Client;
use super::cors::{self, Headers};
use super::detach::detach;
use super::negotiate::Wishes;
use super::seats::{Full, Seat};
use super::writer::{Delivery, retry};
use super::{Context, Gateway, asked, overload, peer, problem};
use crate::config::{Compression, Feed};
use crate::core::accept;
use crate::core::event::Mode;
use crate::core::health::Denial;
use crate::core::sse::{Coding, Frame, Framing, Wire};
use crate::hub::{Demand, Particulars, Place, Unserved, Warmth};

impl Gateway {
    /// Answers a request that asks for a feed's events.
    pub(super) async fn subscribe(
        &self,
        place: &Place,
        session: &mut Session,
        ctx: &mut Context,
    ) -> Result<()> {
        let feed = place.feed();
        let request = session.req_header();
        let wishes = Wishes::of(request);
        let headers = cors::headers(feed, request);
        let mode = match wishes.mode(feed.events.mode, &feed.events.modes) {
            Ok(mode) => mode,
            Err(detail) => {
                self.refused(feed, "unknown_mode", ctx);
                return problem::answer(session, 400, &detail, &headers).await;
            }
        };
        let particulars = match asked::of(place, session).await? {
            Ok(particulars) => particulars,
            Err(unasked) => {
                self.refused(feed, unasked.reason, ctx);
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
            self.refused(feed, denial.reason(), ctx);
            return no_more(session, &headers).await;
        }
        if session.req_header().method == Method::HEAD {
            return head_only(session, feed, ended, &headers).await;
        }
        let client = ctx.scope.client(session);
        match self.admit(place, &particulars, mode, client).await {
            Err(refusal) => {
                self.refused(feed, refusal.reason(), ctx);
                turn_away(session, refusal, feed, &headers).await
            }
            Ok(admitted) => {
                let last_id = wishes.last_id.as_deref();
                self.stream(feed, admitted, (mode, last_id), &headers, session, ctx)
                    .await
            }
        }
    }

    /// Gives the connection to the writers, who begin after `last_id`.
    async fn stream(
        &self,
        feed: &Arc<Feed>,
        (seat, demand): (Seat, Demand),
        (mode, last_id): (Mode, Option<&[u8]>),
        headers: &Headers,
        session: &mut Session,
        ctx: &mut Context,
    ) -> Result<()> {
        let wire = Wire {
            framing: framing(session),
            coding: coding(feed, session),
        };
        let version = session.req_header().version;
        let peer = peer(session);
        let stay = ctx.scope.access.subscriptions.then(|| {
            let address = ctx.scope.address(session);
            Box::new(Stay::new(session, feed, address, (ctx.began, ctx.trace)))
        });
        let head = stream_head(feed, headers, wire)?;
        let (transport, head) = detach(session, head).await?;
        let topic = Arc::clone(demand.topic());
        let subscription = topic.subscribe(demand, wire.coding, last_id);
        if let Some(stay) = &stay {
            stay.opened(version, mode, wire, subscription.opening());
        }
        ctx.outcome = Outcome::Subscribed(Arc::clone(feed));
        let protocol = protocol(version);
        let request = ctx.request.take();
        let delivery = Delivery {
            subscription,
            transport,
            head,
            wire,
            seat,
            connection: self.metrics.opened(feed, protocol, wire.coding, request),
            stay,
        };
        self.writers.adopt(delivery, peer);
        Ok(())
    }

    /// A seat, and the demand of a topic that was polled. Who is refused has neither: whoever reads
    /// the answer may ask again at once.
    async fn admit(
        &self,
        place: &Place,
        particulars: &Particulars,
        mode: Mode,
        client: Option<Client>,
    ) -> std::result::Result<(Seat, Demand), Refusal> {
        let feed = place.feed();
        let seat = self.seats.take(feed, client).map_err(Refusal::Full)?;
        let demand =
            self.hub
                .demand(place, particulars, mode)
                .map_err(|unserved| match unserved {
                    Unserved::Full => Refusal::Full(Full::Topics),
                    Unserved::Memory => Refusal::Full(Full::Memory),
                    Unserved::Draining => Refusal::Leaving,
                })?;
        match demand.topic().warm(feed.poll.timeout).await {
            Warmth::Ready => Ok((seat, demand)),
            Warmth::Denied(denial) => Err(Refusal::Denied(denial)),
            Warmth::Draining => Err(Refusal::Leaving),
        }
    }

    /// Notes that nobody is subscribed by this request.
    fn refused(&self, feed: &Arc<Feed>, reason: &'static str, ctx: &mut Context) {
        self.metrics.refused(&feed.path, reason);
        ctx.outcome = Outcome::Refused(Arc::clone(feed), reason);
    }
}

async fn turn_away(
    session: &mut Session,
    refusal: Refusal,
    feed: &Feed,
    headers: &Headers,
) -> Result<()> {
    match refusal {
        Refusal::Full(full) => overload::refuse(session, full, feed, headers).await,
        Refusal::Denied(denial) => refuse(session, denial, headers).await,
        Refusal::Leaving => come_back(session, feed, &retry(feed.deliver.retry), headers).await,
    }
}

/// Why somebody gets no event stream who asked for one rightly.
enum Refusal {
    /// There is no room.
    Full(Full),
    /// The upstream refuses the feed.
    Denied(Denial),
    /// The process is about to leave.
    Leaving,
}

impl Refusal {
    /// The word for metrics.
    fn reason(&self) -> &'static str {
        match self {
            Refusal::Full(full) => full.reason(),
            Refusal::Denied(denial) => denial.reason(),
            Refusal::Leaving => "draining",
        }
    }
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
        Compression::Gzip => accept::coding(&session.req_header().headers),
        Compression::Off => Coding::Identity,
    }
}

/// The head of an event stream; nothing between here and the client may store, transform or
/// buffer it.
fn stream_head(feed: &Feed, headers: &Headers, wire: Wire) -> Result<ResponseHeader> {
    let mut head = ResponseHeader::build(200, Some(headers.len() + 7))?;
    head.insert_header(header::CONTENT_TYPE, "text/event-stream")?;
    let caching = match feed.is_private() {
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
