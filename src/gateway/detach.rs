//! Takes a response out of Pingora's hands.
//!
//! A proxied request costs tens of kilobytes while it lives. Once its answer is decided, an event
//! stream needs none of that: the connection is moved out, a dummy takes its place, and Pingora
//! finishes the dummy and frees the rest.

use std::io::Cursor;

use bytes::Bytes;
use http::header;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::date::get_cached_date;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, OkOrErr, Result};

use super::writer::Transport;

/// What the dummy reads, so that Pingora finds a request in it.
const PLACEHOLDER: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

/// Moves the connection, or the stream of an HTTP/2 connection, out of `session`, which keeps the
/// request's head. Bytes that were read ahead are dropped. An HTTP/2 stream is answered with `head`;
/// on HTTP/1 the head is left to the new owner, as bytes, to go out with the first of the body: a
/// write of its own would take as long as all else that a newcomer costs.
///
/// # Errors
/// If the stream is gone already; the session is lost then.
pub async fn detach(session: &mut Session, mut head: ResponseHeader) -> Result<(Transport, Bytes)> {
    let mut dummy = ServerSession::new_http1(Box::new(Cursor::new(PLACEHOLDER.to_vec())));
    dummy.read_request().await?;
    *dummy.req_header_mut() = session.req_header().clone();
    match *std::mem::replace(&mut session.downstream_session, Box::new(dummy)) {
        ServerSession::H1(connection) => {
            head.insert_header(header::DATE, get_cached_date())?;
            head.insert_header(header::CONNECTION, "close")?;
            let mut bytes = b"HTTP/1.1 200 OK\r\n".to_vec();
            head.header_to_h1_wire(&mut bytes);
            bytes.extend_from_slice(b"\r\n");
            Ok((Transport::Http1(connection.into_inner()), bytes.into()))
        }
        ServerSession::H2(mut stream) => {
            stream.write_response_header(Box::new(head), false)?;
            let stream = stream.take_response_body_writer();
            let stream = stream.or_err(ErrorType::InternalError, "nothing to write to")?;
            Ok((Transport::Http2(stream), Bytes::new()))
        }
        _ => Error::e_explain(ErrorType::InternalError, "neither HTTP/1 nor HTTP/2"),
    }
}
