//! The access log: one line for each request, and for a subscription one when it opens and one when
//! it ends.
//!
//! Promises that a line holds nothing that proves who somebody is: of the target only the path, of
//! the headers only the request's id and the trace. Text of clients stands in quotes, escaped, and
//! is cut where it is long. What is not logged costs nothing.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderValue, Version};
use percent_encoding::{CONTROLS, utf8_percent_encode};
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType};
use tracing::info;

use super::identity::request_id;
use super::routes::Destination;
use super::{Context, Gateway, spans};
use crate::config::Feed;
use crate::core::cursor::Opening;
use crate::core::event::Mode;
use crate::core::sse::Wire;
use crate::core::trace::Parent;
use crate::peers::Server;

/// What `RUST_LOG` calls the lines, wherever they are written.
const TARGET: &str = concat!(env!("CARGO_PKG_NAME"), "::access");
/// The longest text of a client in a line, in bytes.
const LONGEST: usize = 1024;

/// What became of a request that was not passed through.
#[derive(Clone, Debug, Default)]
pub enum Outcome {
    /// An answer of pollcast's own, or none.
    #[default]
    Answered,
    /// The newest document, or why there is none.
    FromMemory(Arc<Feed>),
    /// A subscription that got no event stream, for this reason.
    Refused(Arc<Feed>, &'static str),
    /// A subscription. It has lines of its own.
    Subscribed(Arc<Feed>),
}

impl Gateway {
    /// Tells log and traces what became of a request.
    pub(super) fn report(&self, session: &Session, failure: Option<&Error>, ctx: &mut Context) {
        let is_logged = match ctx.outcome {
            Outcome::Refused(..) => ctx.scope.access.subscriptions,
            _ => ctx.scope.access.requests,
        };
        if !is_logged && !ctx.span.is_recorded() {
            return;
        }
        let finished = Finished {
            began: ctx.began,
            client: ctx.scope.address(session),
            trace: ctx.trace,
            outcome: &ctx.outcome,
            destination: ctx.destination.as_ref(),
            server: ctx.asked.last(),
            failure,
        };
        if is_logged {
            finished.log(session);
        }
        if ctx.span.is_recorded() {
            spans::describe(&mut ctx.span, session, &finished);
        }
    }
}

/// A request that is over.
pub struct Finished<'a> {
    /// When its head was there.
    pub began: Instant,
    /// Whose it was.
    pub client: Option<IpAddr>,
    /// The trace it belongs to.
    pub trace: Option<Parent>,
    /// What became of it, if it has no destination.
    pub outcome: &'a Outcome,
    /// Where it was passed through to.
    pub destination: Option<&'a Destination>,
    /// Who answered it there.
    pub server: Option<&'a Server>,
    /// Why it was not answered to the end.
    pub failure: Option<&'a Error>,
}

impl Finished<'_> {
    /// The path of its target, if need be the beginning of it.
    pub fn path(&self, session: &Session) -> String {
        path(session.req_header().uri.path())
    }

    /// Writes its line.
    pub fn log(&self, session: &Session) {
        let request = session.req_header();
        let (what, feed, reason) = match (self.destination, self.outcome) {
            (Some(destination), _) => ("forwarded", destination.feed_path(), None),
            (None, Outcome::Answered) => ("answered", None, None),
            (None, Outcome::FromMemory(feed)) => ("remembered", Some(feed.path.as_str()), None),
            (None, Outcome::Refused(feed, reason)) => {
                ("refused", Some(feed.path.as_str()), Some(*reason))
            }
            (None, Outcome::Subscribed(_)) => return,
        };
        let head = session.response_written();
        info!(
            target: TARGET,
            method = &*short(request.method.as_str()),
            path = self.path(session),
            status = head.map(|head| head.status.as_u16()),
            protocol = protocol(request.version),
            bytes = session.body_bytes_sent(),
            duration_ms = milliseconds(self.began),
            client = self.client.map(|client| client.to_string()),
            request_id = request_id(request).and_then(text),
            trace_id = self.trace.map(|parent| parent.trace_id()),
            route = self.destination.and_then(|destination| Some(destination.route()?.path.as_str())),
            feed,
            upstream = self.destination.map(|destination| destination.upstream().name.as_str()),
            server = self.server.map(Server::authority),
            reason,
            error = self.failure.map(|failure| failure.etype().as_str()),
            client_left = self.failure.is_some_and(has_left),
            "{what}"
        );
    }
}

/// Whether the client was gone before it had its answer.
fn has_left(failure: &Error) -> bool {
    failure.esource() == &ErrorSource::Downstream
        && matches!(
            failure.etype(),
            ErrorType::WriteError
                | ErrorType::WriteTimedout
                | ErrorType::ReadError
                | ErrorType::ConnectionClosed
                | ErrorType::H2Error
        )
}

/// What the lines of one subscription say.
#[derive(Debug)]
pub struct Stay {
    began: Instant,
    feed: Arc<Feed>,
    path: Box<str>,
    request_id: Option<HeaderValue>,
    trace: Option<Parent>,
    client: Option<IpAddr>,
}

/// What a subscriber was sent, as far as its connection took it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    /// Events of any kind.
    pub events: u64,
    /// Bytes of the body, compressed if it is, without transfer coding.
    pub bytes: u64,
}

impl Stay {
    /// A subscription of the request in `session` to this feed.
    pub fn new(
        session: &Session,
        feed: &Arc<Feed>,
        client: Option<IpAddr>,
        (began, trace): (Instant, Option<Parent>),
    ) -> Self {
        let request = session.req_header();
        Self {
            began,
            feed: Arc::clone(feed),
            path: path(request.uri.path()).into(),
            request_id: request_id(request).cloned(),
            trace,
            client,
        }
    }

    /// Writes the line of its beginning.
    pub fn opened(&self, version: Version, mode: Mode, wire: Wire, opening: Opening) {
        info!(
            target: TARGET,
            feed = self.feed.path,
            path = &*self.path,
            protocol = protocol(version),
            mode = mode.name(),
            encoding = wire.coding.name(),
            resumed = matches!(opening, Opening::Resumed | Opening::Condensed),
            reset = match opening {
                Opening::Reset(reason) => Some(reason.name()),
                _ => None,
            },
            client = self.client.map(|client| client.to_string()),
            request_id = self.request_id.as_ref().and_then(text),
            trace_id = self.trace.map(|parent| parent.trace_id()),
            "subscribed"
        );
    }

    /// Writes the line of its end.
    pub fn closed(&self, sent: Sent, reason: &str) {
        info!(
            target: TARGET,
            feed = self.feed.path,
            path = &*self.path,
            duration_ms = milliseconds(self.began),
            events = sent.events,
            bytes = sent.bytes,
            reason,
            client = self.client.map(|client| client.to_string()),
            request_id = self.request_id.as_ref().and_then(text),
            trace_id = self.trace.map(|parent| parent.trace_id()),
            "unsubscribed"
        );
    }
}

/// The word for a version of HTTP.
pub fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "http/2",
        Version::HTTP_11 => "http/1.1",
        _ => "http/1.0",
    }
}

fn milliseconds(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}

/// A path, or its beginning, in ASCII: a line of JSON, too, must hold nothing that moves a terminal
/// or that some readers take for the line's end.
fn path(text: &str) -> String {
    utf8_percent_encode(&short(text), CONTROLS).to_string()
}

/// The text, or its beginning.
fn short(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST {
        return text.into();
    }
    let mut end = LONGEST;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", &text[..end]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(short("/orders"), "/orders");
        let long = format!("/{}", "\u{e9}".repeat(600));
        let cut = short(&long);
        assert_eq!(cut.len(), 1023 + "...".len());
        assert!(cut.ends_with("\u{e9}..."));
    }

    #[test]
    fn a_path_is_told_in_visible_ascii() {
        assert_eq!(path("/a%0a\"b\\c"), "/a%0a\"b\\c");
        assert_eq!(
            path("/\u{7f}\u{9b}31m\u{2028}\u{202e}"),
            "/%7F%C2%9B31m%E2%80%A8%E2%80%AE"
        );
    }

    #[test]
    fn only_who_is_gone_has_left() {
        assert!(has_left(&Error::new_down(ErrorType::ConnectionClosed)));
        assert!(!has_left(&Error::new_down(ErrorType::InvalidHTTPHeader)));
        assert!(!has_left(&Error::new_up(ErrorType::ConnectionClosed)));
    }
}
