//! The sockets of a configuration, and what holds on them.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::http::v2::server::{H2Options, default_h2_options};

use super::StartError;
use crate::config::{Config, Feed, Listener};
use crate::listen::{Entrance, OpenError};

/// Sent bytes of which nobody acknowledges any for this long break the connection: TCP's user
/// timeout, which also ends a peer that is alive and reads nothing.
const LEAST_SILENCE: Duration = Duration::from_secs(90);
const SILENCE_MARGIN: Duration = Duration::from_secs(30);
/// Requests and event streams on one HTTP/2 connection: browsers open every feed of a page on one.
const HTTP2_STREAMS: u32 = 256;
/// What one HTTP/2 stream may hold unsent, in bytes; a subscriber needs no more, its log does.
const HTTP2_SEND_BUFFER: usize = 16 << 10;
/// What a client may send ahead of whoever reads it, in bytes: on a stream, on a connection.
const HTTP2_STREAM_WINDOW: u32 = 128 << 10;
const HTTP2_CONNECTION_WINDOW: u32 = 256 << 10;

/// Takes hold of a listener's address, or of the `socket` that listens there already; `key` is
/// where the configuration says so.
///
/// # Errors
/// [`StartError::Listen`] and [`StartError::Certificate`].
pub(super) fn open(
    listener: &Listener,
    key: &'static str,
    socket: Option<OwnedFd>,
) -> Result<Entrance, StartError> {
    let address = listener.address;
    Entrance::open(listener, socket.map(TcpListener::from)).map_err(|error| match error {
        OpenError::Certificate(source) => StartError::Certificate { address, source },
        OpenError::Bind(source) => StartError::Listen {
            address,
            key,
            hint: match source.kind() {
                std::io::ErrorKind::AddrInUse => "stop what listens there, or choose another port",
                std::io::ErrorKind::PermissionDenied => {
                    "choose a port above 1023, or grant the right"
                }
                std::io::ErrorKind::AddrNotAvailable => "this machine has no such address",
                _ => "see the cause",
            },
            source,
        },
    })
}

/// Bounds for one connection. Pingora's and `h2`'s own stay where they are: the size of a head,
/// streams that were reset but not noticed yet, answers to them.
pub(super) fn http2_options() -> H2Options {
    let mut options = default_h2_options();
    options
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_send_buffer_size(HTTP2_SEND_BUFFER)
        .initial_window_size(HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW);
    options
}

/// How long a peer may acknowledge nothing: longer than any writer of ours waits for it, so that
/// the writer decides.
pub(super) fn longest_silence(config: &Config) -> Duration {
    let patience = |feed: &Arc<Feed>| feed.deliver.write_timeout;
    let longest = config.feeds.iter().map(patience).max().unwrap_or_default();
    LEAST_SILENCE.max(longest + SILENCE_MARGIN)
}
