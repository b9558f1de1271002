//! One watcher's response.
//!
//! Promises signs of life, an end with a last chunk when the process leaves, and that a client which
//! takes nothing holds up nobody.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, Version, header};
use pingora::protocols::http::ServerSession;
use pingora::{Error, ErrorType, Result};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::answer::{PATIENCE, head};
use super::live::Watcher;
use crate::core::sse::{Frame, Wire};

const HEARTBEAT: Duration = Duration::from_secs(15);
/// The reconnection time in milliseconds, give or take half.
const RETRY: u64 = 3000;

/// Writes the head; the body of an answer to HEAD is empty.
pub(super) async fn open(session: &mut ServerSession) -> Result<()> {
    session.set_write_timeout(Some(PATIENCE));
    let mut head = head(StatusCode::OK)?;
    head.insert_header(header::CONTENT_TYPE, "text/event-stream")?;
    head.insert_header(header::CACHE_CONTROL, "no-cache, no-transform")?;
    head.insert_header(header::VARY, "accept")?;
    head.insert_header("x-accel-buffering", "no")?;
    match session.req_header().version {
        Version::HTTP_11 => head.insert_header(header::TRANSFER_ENCODING, "chunked")?,
        // Its end is that of the connection.
        _ => session.set_keepalive(None),
    }
    session.write_response_header(Box::new(head)).await
}

/// Writes what the watcher gets until it is over, or what the client was let in by, or the process
/// leaves, or the client does.
///
/// # Errors
/// If the client left or takes nothing: the connection is of no more use.
pub(super) async fn send(
    session: &mut ServerSession,
    mut watcher: Watcher,
    mut leaving: watch::Receiver<bool>,
    over: impl Future<Output = ()>,
) -> Result<()> {
    write(session, &retry()).await?;
    let mut over = pin!(over);
    let mut silent_until = Instant::now() + HEARTBEAT;
    loop {
        while let Some(frame) = watcher.next() {
            write(session, &frame).await?;
            silent_until = Instant::now() + HEARTBEAT;
        }
        if watcher.is_over() {
            break;
        }
        tokio::select! {
            () = watcher.changed() => {}
            () = sleep_until(silent_until) => {
                write(session, &Frame::comment()).await?;
                silent_until = Instant::now() + HEARTBEAT;
            }
            () = &mut over => break,
            () = told(&mut leaving) => {
                write(session, &retry()).await?;
                break;
            }
            _ = session.read_body_or_idle(true) => {
                return Error::e_explain(ErrorType::ConnectionClosed, "a watcher left");
            }
        }
    }
    session.write_response_body(Bytes::new(), true).await
}

async fn told(leaving: &mut watch::Receiver<bool>) {
    // The sender lives as long as the process.
    let _ = leaving.wait_for(|is_leaving| *is_leaving).await;
}

async fn write(session: &mut ServerSession, frame: &Frame) -> Result<()> {
    let bytes = frame.bytes(Wire::PLAIN);
    session.write_response_body(bytes, false).await
}

fn retry() -> Frame {
    Frame::retry(rand::random_range(RETRY / 2..=RETRY * 3 / 2))
}
