//! What one request is known by: its id, and the trace that it belongs to.
//!
//! Promises that both are well-formed from here on, whatever a client sent, so that they can stand
//! in logs, in answers and in requests to an upstream.

use http::{HeaderMap, HeaderName, HeaderValue};
use pingora::Result;
use pingora::http::RequestHeader;

use super::{Context, Gateway};
use crate::core::trace::{self, Parent};
use crate::traces::Side;

/// The header that carries a request's id, both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// W3C Trace Context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// The longest id that is taken over, in bytes.
const MAX_ID: usize = 128;

impl Gateway {
    /// Finds out what the request is known by. If traces are told of it, it is itself the parent of
    /// what it leads to.
    pub(super) fn identify(&self, request: &mut RequestHeader, ctx: &mut Context) -> Result<()> {
        identify(request)?;
        let caller = parent(request);
        ctx.span = self.tracer.span(Side::Server, caller);
        ctx.trace = ctx.span.operation().or(caller);
        match ctx.span.operation() {
            Some(own) => adopt(request, own, caller.is_some()),
            None => Ok(()),
        }
    }
}

/// Gives the request an id, unless it has one that is fit to be repeated. Whoever answers it, logs it
/// or passes it on finds the id in its header.
///
/// # Errors
/// Never: what is written is a number.
pub fn identify(request: &mut RequestHeader) -> Result<()> {
    let mut ids = request.headers.get_all(REQUEST_ID).iter();
    if let (Some(id), None) = (ids.next(), ids.next())
        && is_fit(id.as_bytes())
    {
        return Ok(());
    }
    let id: u128 = rand::random();
    request.insert_header(REQUEST_ID, format!("{id:032x}"))
}

/// Visible ASCII without what ends a quoted text, and not too long.
fn is_fit(id: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"\\'`<>".contains(byte);
    (1..=MAX_ID).contains(&id.len()) && id.iter().all(is_plain)
}

/// The id of an identified request.
pub fn request_id(request: &RequestHeader) -> Option<&HeaderValue> {
    request.headers.get(REQUEST_ID)
}

/// The trace that the request belongs to by what it says. What it says is kept as it is, and what is
/// no valid context is removed (Trace Context, "Alternative Processing"): more than one parent, a
/// state without one. Without spans of its own pollcast takes no part in the trace, so that not even
/// a state that cannot be read is touched ("Mutating the traceparent Field").
pub fn parent(request: &mut RequestHeader) -> Option<Parent> {
    let parent = only_parent(&request.headers);
    if parent.is_none() {
        request.remove_header(&TRACEPARENT);
        request.remove_header(&TRACESTATE);
    }
    parent
}

fn only_parent(headers: &HeaderMap) -> Option<Parent> {
    let mut lines = headers.get_all(TRACEPARENT).iter();
    match (lines.next(), lines.next()) {
        (Some(line), None) => Parent::parse(line.as_bytes()),
        _ => None,
    }
}

/// Names an operation of pollcast's own as the parent of whatever the request leads to. Its state
/// goes on if it is valid, and if it belongs to the same trace.
///
/// # Errors
/// Never: what is written is made of digits.
pub fn adopt(request: &mut RequestHeader, operation: Parent, continues: bool) -> Result<()> {
    let lines = request.headers.get_all(TRACESTATE);
    if !continues || !trace::is_state(lines.iter().map(HeaderValue::as_bytes)) {
        request.remove_header(&TRACESTATE);
    }
    request.insert_header(TRACEPARENT, operation.to_string())
}

/// Sees to it that the upstream is told of both, whatever a client calls a matter of one hop
/// (`Connection`, RFC 9110 section 7.6.1): the id, and an operation of ours.
///
/// # Errors
/// Never: both were headers before.
pub fn carry(from: &RequestHeader, to: &mut RequestHeader, own: Option<Parent>) -> Result<()> {
    if let Some(id) = request_id(from) {
        to.insert_header(REQUEST_ID, id.clone())?;
    }
    match own {
        Some(own) => to.insert_header(TRACEPARENT, own.to_string()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn request(headers: &[(&'static str, &[u8])]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value).unwrap();
            request.append_header(*name, value).unwrap();
        }
        request
    }

    fn all(request: &RequestHeader, name: &HeaderName) -> Vec<String> {
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        request.headers.get_all(name).iter().map(text).collect()
    }

    #[test]
    fn an_id_that_can_stand_anywhere_is_kept_and_any_other_replaced() {
        let longest = "x".repeat(128);
        for id in ["a", "018f-7c_!#$%&()*+,/:;=?@[]^{|}~.", &longest] {
            let mut request = request(&[("x-request-id", id.as_bytes())]);
            identify(&mut request).unwrap();
            assert_eq!(all(&request, &REQUEST_ID), [id]);
        }
        let too_long = "x".repeat(129);
        for ids in [
            &[][..],
            &[&b""[..]],
            &[b"a b"],
            &[b"a\tb"],
            &[b"a\"b"],
            &[b"a\\b"],
            &[b"\xc3\xa9"],
            &[b"\x80"],
            &[too_long.as_bytes()],
            &[b"a", b"b"],
        ] {
            let headers: Vec<_> = ids.iter().map(|id| ("x-request-id", *id)).collect();
            let mut request = request(&headers);
            identify(&mut request).unwrap();
            let made = all(&request, &REQUEST_ID);
            assert_eq!(made.len(), 1, "{ids:?}");
            let is_made = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            assert!(
                made[0].len() == 32 && made[0].bytes().all(is_made),
                "{made:?}"
            );
        }
    }

    #[test]
    fn a_valid_context_stays_untouched_and_any_other_is_removed() {
        let valid = VALID.as_bytes();
        let mut kept = request(&[("traceparent", valid), ("tracestate", b"NO state=")]);
        let read = parent(&mut kept).unwrap();
        assert_eq!(read.to_string(), VALID);
        assert_eq!(all(&kept, &TRACEPARENT), [VALID]);
        assert_eq!(all(&kept, &TRACESTATE), ["NO state="]);
        for headers in [
            &[("tracestate", &b"foo=1"[..])][..],
            &[("traceparent", b"00-0"), ("tracestate", b"foo=1")],
            &[
                ("traceparent", valid),
                ("traceparent", valid),
                ("tracestate", b"foo=1"),
            ],
        ] {
            let mut request = request(headers);
            assert_eq!(parent(&mut request), None);
            assert!(request.headers.is_empty(), "{headers:?}");
        }
    }

    #[test]
    fn an_operation_of_ours_is_the_parent_and_the_state_goes_on_if_it_can() {
        let ours = Parent::new(1, 2, Parent::SAMPLED).unwrap();
        for (state, continues, left) in [
            (&b"foo=1,bar=2"[..], true, &["foo=1,bar=2"][..]),
            (b"foo=1", false, &[]),
            (b"FOO=1", true, &[]),
        ] {
            let mut request = request(&[("traceparent", VALID.as_bytes()), ("tracestate", state)]);
            adopt(&mut request, ours, continues).unwrap();
            assert_eq!(all(&request, &TRACEPARENT), [ours.to_string()]);
            assert_eq!(all(&request, &TRACESTATE), left);
        }
    }
}
