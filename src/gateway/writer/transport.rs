//! Where bytes go: a socket of HTTP/1, or one stream of an HTTP/2 connection.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use h2::SendStream;
use pingora::protocols::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::batch::Batch;

/// How many pieces one write takes.
const MAX_SLICES: usize = 20;
/// What a transport without vectored writes, such as TLS, is given at once: one record
/// (RFC 8446 section 5.1).
const RECORD: usize = 16 << 10;
/// DATA frames up to this size are copied into the connection's write buffer by `h2`, so that one
/// write takes many; a longer one has a write of its own.
const SMALL_PIECE: usize = 255;
/// From here on fewer frames are worth more than shared writes: `h2` keeps the memory for as many
/// as ever waited on a connection.
const LARGE: usize = 1 << 10;
/// What is asked of an HTTP/2 stream's window at once.
const RESERVE: usize = 16 << 10;

/// In so many pieces anything may be taken, and in more if they are this large on average: a piece
/// that waits costs `h2` some hundred bytes, however small it is.
const MIN_PIECES: usize = 64;
const SMALLEST_PIECE: usize = 64;

/// How much of a batch is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// In bytes.
    sent: usize,
    /// In writes or frames.
    pieces: usize,
}

/// The way to one client.
pub enum Transport {
    /// A connection of its own.
    Http1(Stream),
    /// A stream; the connection belongs to the HTTP/2 implementation.
    Http2(SendStream<Bytes>),
}

/// What was heard of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing for now; the waker is kept.
    Silence,
    /// So many bytes, which are dropped.
    Chatter(usize),
    /// It sends no more; it may still read.
    HalfClosed,
    /// It is gone.
    Left,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Transport::Http1(_) => "Http1",
            Transport::Http2(_) => "Http2",
        })
    }
}

impl Transport {
    /// Writes what is left of the batch, and moves `progress` along. Ready when all is written.
    ///
    /// # Errors
    /// If the connection or the stream is broken; as timed out if the client takes so little at a
    /// time that what each piece costs would add up.
    pub fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        batch: &Batch,
        progress: &mut Progress,
    ) -> Poll<Result<()>> {
        while progress.sent < batch.len() {
            if progress.pieces > MIN_PIECES + batch.len() / SMALLEST_PIECE {
                return Poll::Ready(Err(ErrorKind::TimedOut.into()));
            }
            let wrote = match self {
                Transport::Http1(stream) => ready!(write(stream, context, batch, progress.sent))?,
                Transport::Http2(stream) => ready!(send(stream, context, batch, progress.sent))?,
            };
            progress.sent += wrote;
            progress.pieces += 1;
        }
        if let Transport::Http2(stream) = self {
            // From now on only its end is waited for.
            if stream.poll_reset(context).is_ready() {
                context.waker().wake_by_ref();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Listens for whether the client is still there.
    ///
    /// # Errors
    /// If the connection broke.
    pub fn poll_hear(&mut self, context: &mut Context<'_>) -> Result<Heard> {
        match self {
            Transport::Http1(stream) => hear(stream, context),
            // The waker of a stream has one place, which waiting for its window shares.
            Transport::Http2(stream) => Ok(match stream.poll_reset(context) {
                Poll::Ready(_) => Heard::Left,
                Poll::Pending => Heard::Silence,
            }),
        }
    }

    /// Ends it after the last byte was written.
    pub fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Transport::Http1(stream) => Pin::new(stream).poll_shutdown(context).map(drop),
            Transport::Http2(stream) => {
                // Whoever is gone needs no end.
                let _ = stream.send_data(Bytes::new(), true);
                Poll::Ready(())
            }
        }
    }

    /// Whether the client is to be asked for now and then, as no socket of its own tells of its end.
    pub fn must_be_asked(&self) -> bool {
        matches!(self, Transport::Http2(_))
    }
}

fn write(
    stream: &mut Stream,
    context: &mut Context<'_>,
    batch: &Batch,
    sent: usize,
) -> Poll<Result<usize>> {
    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
    let filled = batch.slices(sent, &mut slices);
    let slices = &slices[..filled];
    let stream = Pin::new(stream);
    let wrote = match slices {
        [only] => ready!(stream.poll_write(context, only))?,
        many if stream.is_write_vectored() => ready!(stream.poll_write_vectored(context, many))?,
        // A write that had to wait is repeated with the same bytes, as TLS wants it.
        many => ready!(stream.poll_write(context, &record(many)))?,
    };
    match wrote {
        0 => Poll::Ready(Err(ErrorKind::WriteZero.into())),
        wrote => Poll::Ready(Ok(wrote)),
    }
}

/// The first bytes of these slices, as many as a record holds.
fn record(slices: &[IoSlice<'_>]) -> Vec<u8> {
    let mut record = Vec::with_capacity(RECORD);
    for slice in slices {
        let room = RECORD - record.len();
        record.extend_from_slice(&slice[..slice.len().min(room)]);
    }
    record
}

fn send(
    stream: &mut SendStream<Bytes>,
    context: &mut Context<'_>,
    batch: &Batch,
    sent: usize,
) -> Poll<Result<usize>> {
    let is_joined = batch.is_for_one() && batch.len() <= RESERVE;
    let left = match is_joined {
        true => batch.len() - sent,
        false => batch.rest_of_part(sent).len(),
    };
    let wanted = match left {
        small @ ..LARGE if !batch.is_for_one() => small.min(SMALL_PIECE),
        any => any.min(RESERVE),
    };
    // Or what is reserved here would wake this very stream.
    let _ = stream.poll_reset(&mut Context::from_waker(Waker::noop()));
    stream.reserve_capacity(wanted);
    let mut room = stream.capacity();
    while room == 0 {
        room = match ready!(stream.poll_capacity(context)) {
            Some(room) => room.map_err(Error::other)?,
            None => return Poll::Ready(Err(ErrorKind::BrokenPipe.into())),
        };
    }
    let length = wanted.min(room);
    // No more is copied than goes: a small piece that waits in `h2` would keep the whole copy.
    let data = match is_joined {
        true => batch.joined(sent, length),
        false => batch.rest_of_part(sent).slice(..length),
    };
    stream.send_data(data, false).map_err(Error::other)?;
    Poll::Ready(Ok(length))
}

fn hear(stream: &mut Stream, context: &mut Context<'_>) -> Result<Heard> {
    let mut bytes = [0; 512];
    let mut buffer = ReadBuf::new(&mut bytes);
    match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
        Poll::Pending => Ok(Heard::Silence),
        Poll::Ready(read) => {
            read?;
            Ok(match buffer.filled().len() {
                // The end of a TLS connection's one direction is the end of the other
                // (RFC 8446 section 6.1 allows otherwise; no HTTP client does it).
                0 if stream.get_ssl_digest().is_some() => Heard::Left,
                0 => Heard::HalfClosed,
                bytes => Heard::Chatter(bytes),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;

    use super::*;
    use crate::core::sse::{Frame, Wire};

    #[tokio::test]
    async fn the_end_of_a_stream_wakes_whoever_has_sent_all() {
        let (near, far) = tokio::io::duplex(64 << 10);
        let client = async {
            let (mut client, connection) = h2::client::handshake(far).await.unwrap();
            tokio::spawn(connection);
            let (response, mut stream) = client.send_request(Default::default(), true).unwrap();
            let mut body = response.await.unwrap().into_body();
            body.data().await.unwrap().unwrap();
            stream.send_reset(h2::Reason::CANCEL);
            client
        };
        let server = async {
            let mut connection = h2::server::handshake(near).await.unwrap();
            let (_, mut answer) = connection.accept().await.unwrap().unwrap();
            let stream = answer.send_response(Default::default(), false).unwrap();
            tokio::spawn(async move { while connection.accept().await.is_some() {} });
            let mut transport = Transport::Http2(stream);
            let batch = Batch::of(vec![Arc::new(Frame::retry(1))], Wire::PLAIN);
            let mut progress = Progress::default();
            poll_fn(|context| transport.poll_send(context, &batch, &mut progress))
                .await
                .unwrap();
            poll_fn(|context| match transport.poll_hear(context).unwrap() {
                Heard::Silence => Poll::Pending,
                heard => Poll::Ready(heard),
            })
            .await
        };
        let (_client, heard) = tokio::join!(client, server);
        assert_eq!(heard, Heard::Left);
    }
}
