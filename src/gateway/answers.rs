//! What is pollcast's to answer: subscriptions, preflights, documents from memory, its own files.
//!
//! Promises that whatever is none of these is left as it came.

use std::sync::Arc;
use std::time::Duration;

use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::access::Outcome;
use super::{Context, Gateway, asked, cors, latest, negotiate, origin, problem};
use crate::hub::Place;
use crate::listen::KEEPALIVE;

/// How long a client may take to read a small answer of our own.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest head of a request, in bytes; Pingora reads up to a MiB of HTTP/1.1 (RFC 6585 section
/// 5 has the answer).
const MAX_HEAD: usize = 64 << 10;

impl Gateway {
    /// Answers a request for `place`, if pollcast is to answer it; whether it did.
    pub(super) async fn answered(
        &self,
        place: Option<&Place>,
        session: &mut Session,
        ctx: &mut Context,
    ) -> Result<bool> {
        session.set_write_timeout(Some(TIMEOUT));
        if session.get_keepalive() == Some(0) {
            session.set_keepalive(Some(KEEPALIVE.as_secs()));
        }
        if head_bytes(session.req_header()) > MAX_HEAD {
            session.set_keepalive(None);
            let detail = "the request's head is longer than 64 KiB";
            problem::answer(session, 431, detail, &[]).await?;
            return Ok(true);
        }
        let tickets = self.guard.tickets();
        if let Some(tickets) = tickets.filter(|it| it.path == session.req_header().uri.path()) {
            self.tickets(&tickets, session, ctx).await?;
            return Ok(true);
        }
        if let Some(place) = place {
            return self.answered_by_feed(place, session, ctx).await;
        }
        let module = ctx.scope.module.as_ref();
        let Some(module) = module.filter(|module| module.answers(session.req_header())) else {
            return Ok(false);
        };
        module.answer(session).await?;
        Ok(true)
    }

    async fn answered_by_feed(
        &self,
        place: &Place,
        session: &mut Session,
        ctx: &mut Context,
    ) -> Result<bool> {
        let (feed, request) = (place.feed(), session.req_header());
        if let Some(answer) = cors::preflight(feed, request) {
            session
                .write_response_header(Box::new(answer?), true)
                .await?;
            return Ok(true);
        }
        let is_subscription = negotiate::is_subscription(feed, request);
        if origin::is_refused(feed, request) && (is_subscription || latest::answers(feed, session))
        {
            let headers = cors::headers(feed, session.req_header());
            match is_subscription {
                true => self.refused(feed, "foreign_origin", ctx),
                false => self.metrics.answered(&feed.path, "denied"),
            }
            problem::answer(session, 403, origin::REFUSAL, &headers).await?;
            return Ok(true);
        }
        if !self.may_have(place, session, ctx).await? {
            return Ok(true);
        }
        if is_subscription {
            self.subscribe(place, session, ctx).await?;
            return Ok(true);
        }
        if latest::answers(feed, session)
            && let Ok(particulars) = asked::particulars(place, session.req_header())
        {
            ctx.outcome = Outcome::FromMemory(Arc::clone(feed));
            self.latest(place, &particulars, session, &ctx.scope)
                .await?;
            return Ok(true);
        }
        Ok(false)
    }
}

/// How long a request's head is as HTTP/1.1 writes it.
fn head_bytes(request: &RequestHeader) -> usize {
    let headers = request.headers.iter();
    let fields = headers.map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    let line = request.raw_path().len() + " HTTP/1.1\r\n\r\n".len();
    request.method.as_str().len() + line + fields.sum::<usize>()
}
