//! Takes a response out of Pingora's hands.
//!
//! A proxied request costs tens of kilobytes while it lives. Once the head is written, an event
//! stream needs none of that: the connection is moved out, a dummy takes its place, and Pingora
//! finishes the dummy and frees the rest.

use std::io::Cursor;

use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, OrErr, Result};
use tokio::io::AsyncWriteExt;

use super::writer::Transport;

/// What the dummy reads, so that Pingora finds a request in it.
const PLACEHOLDER: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

/// Moves the connection, or the stream of an HTTP/2 connection, out of `session`, which keeps the
/// request's head. Bytes that were read ahead are dropped.
///
/// # Errors
/// If the response's head was not written; the session is lost then.
pub async fn detach(session: &mut Session) -> Result<Transport> {
    let mut dummy = ServerSession::new_http1(Box::new(Cursor::new(PLACEHOLDER.to_vec())));
    dummy.read_request().await?;
    *dummy.req_header_mut() = session.req_header().clone();
    let transport = match *std::mem::replace(&mut session.downstream_session, Box::new(dummy)) {
        ServerSession::H1(connection) => {
            let mut stream = connection.into_inner();
            stream
                .flush()
                .await
                .or_err(ErrorType::WriteError, "flushing the head")?;
            Some(Transport::Http1(stream))
        }
        ServerSession::H2(mut stream) => stream.take_response_body_writer().map(Transport::Http2),
        _ => None,
    };
    transport.ok_or_else(|| Error::explain(ErrorType::InternalError, "nothing to write to"))
}
