//! One task for one subscriber.

use std::io::ErrorKind;
use std::time::Duration;

use pingora::protocols::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};

use super::{Delivery, retry};
use crate::core::sse::{Frame, Framing, LAST_CHUNK};
use crate::hub::{Step, Subscription};

/// A slow client gets one second more for each of these.
const BYTES_PER_SECOND: usize = 16 * 1024;
/// What a client may send after its request, in bytes; nothing of it is looked at.
const MAX_CHATTER: usize = 64 * 1024;

/// Why a stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    /// The client closed its end.
    Left,
    /// The connection broke.
    Broken,
    /// The client took no bytes for too long.
    WriteTimeout,
    /// The client sent more than anybody needs to.
    Chatter,
    /// The feed ended.
    Ended,
    /// The process is leaving.
    Drained,
}

impl Closed {
    const fn reason(self) -> &'static str {
        match self {
            Closed::Left => "client_left",
            Closed::Broken => "connection_broken",
            Closed::WriteTimeout => "write_timeout",
            Closed::Chatter => "client_chatter",
            Closed::Ended => "feed_ended",
            Closed::Drained => "drained",
        }
    }
}

/// Writes to one client until one of them has enough.
pub async fn serve(delivery: Delivery) {
    let Delivery {
        subscription,
        stream,
        framing,
        seat,
        connection,
    } = delivery;
    let mut client = Client {
        stream,
        framing,
        subscription,
        last_write: Instant::now(),
    };
    let closed = match client.attend().await {
        Ok(never) => match never {},
        Err(closed) => closed,
    };
    // Whoever is counted as gone demands nothing any more.
    let Client {
        stream: _stream,
        subscription,
        ..
    } = client;
    drop((subscription, seat));
    connection.closed(closed.reason());
}

struct Client {
    stream: Stream,
    framing: Framing,
    subscription: Subscription,
    last_write: Instant,
}

impl Client {
    async fn attend(&mut self) -> Result<std::convert::Infallible, Closed> {
        self.send(&self.fresh_retry()).await?;
        let every = self.subscription.topic().feed().deliver.heartbeat.every;
        // The first beat comes anywhere in the period, so that clients do not beat together.
        let beat = sleep_until(Instant::now() + every.mul_f64(rand::random_range(0.5..1.0)));
        tokio::pin!(beat);
        let mut chatter = 0;
        loop {
            self.catch_up().await?;
            let mut heard = [0; 64];
            tokio::select! {
                () = self.subscription.woken() => {}
                () = &mut beat => {
                    if self.last_write.elapsed() >= every / 2 {
                        let topic = self.subscription.topic().clone();
                        self.send(topic.heartbeat()).await?;
                    }
                    beat.as_mut().reset(self.last_write + every);
                }
                read = self.stream.read(&mut heard) => {
                    chatter += match read {
                        Ok(0) => return Err(Closed::Left),
                        Ok(bytes) => bytes,
                        Err(_) => return Err(Closed::Broken),
                    };
                    if chatter > MAX_CHATTER {
                        return Err(Closed::Chatter);
                    }
                }
            }
        }
    }

    /// Sends all that is pending.
    async fn catch_up(&mut self) -> Result<(), Closed> {
        loop {
            match self.subscription.step() {
                Step::Send(frame) => self.send(&frame).await?,
                Step::Wait => return Ok(()),
                Step::End(frame) => {
                    self.send(&frame).await?;
                    return Err(self.finish(Closed::Ended).await);
                }
                Step::Leave => {
                    self.send(&self.fresh_retry()).await?;
                    return Err(self.finish(Closed::Drained).await);
                }
            }
        }
    }

    /// Writes a frame to its last byte, or gives the client up.
    async fn send(&mut self, frame: &Frame) -> Result<(), Closed> {
        let bytes = frame.bytes(self.framing);
        self.write(&bytes).await?;
        self.subscription.topic().metrics().delivered(frame);
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        let patience = self.subscription.topic().feed().deliver.write_timeout
            + Duration::from_secs((bytes.len() / BYTES_PER_SECOND) as u64);
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        let outcome = timeout(patience, write).await;
        self.last_write = Instant::now();
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if error.kind() != ErrorKind::TimedOut => Err(Closed::Broken),
            Ok(Err(_)) | Err(_) => Err(Closed::WriteTimeout),
        }
    }

    /// Ends the body as its framing wants it; the reason stays what it was.
    async fn finish(&mut self, closed: Closed) -> Closed {
        if self.framing == Framing::Chunked && self.write(LAST_CHUNK).await.is_err() {
            return Closed::Broken;
        }
        // What could not be said in time is not worth waiting for.
        let _ = timeout(Duration::from_secs(1), self.stream.shutdown()).await;
        closed
    }

    fn fresh_retry(&self) -> Frame {
        retry(self.subscription.topic().feed().deliver.retry)
    }
}
