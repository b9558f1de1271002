//! Takes a response out of Pingora's hands.
//!
//! A proxied request costs tens of kilobytes while it lives. Once the head is written, an event
//! stream needs none of that: the connection is moved out, a dummy takes its place, and Pingora
//! finishes the dummy and frees the rest.

use std::io::Cursor;

use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

/// What the dummy reads, so that Pingora finds a request in it.
const PLACEHOLDER: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

/// Moves the HTTP/1 connection out of `session`, which keeps the request's head. Bytes that were
/// written but not flushed are the new owner's to flush; bytes that were read ahead are dropped.
///
/// # Errors
/// If the session is not HTTP/1; it is lost then.
pub async fn detach(session: &mut Session) -> Result<Stream> {
    let mut dummy = ServerSession::new_http1(Box::new(Cursor::new(PLACEHOLDER.to_vec())));
    dummy.read_request().await?;
    *dummy.req_header_mut() = session.req_header().clone();
    match *std::mem::replace(&mut session.downstream_session, Box::new(dummy)) {
        ServerSession::H1(connection) => Ok(connection.into_inner()),
        _ => Error::e_explain(
            ErrorType::InternalError,
            "only HTTP/1 streams can be detached",
        ),
    }
}
