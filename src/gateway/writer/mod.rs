//! Writing event streams: the seam behind which subscribers are served.
//!
//! Owns the connections of all subscribers. Promises that a frame once begun is finished before
//! anything else is written, that a client which takes no bytes for too long is cut off, and that
//! one which leaves is noticed. A change costs nothing per subscriber but the write itself: no
//! allocation, no timer, no task and no lock of ours.
//!
//! | room | what it knows |
//! |---|---|
//! | `shard` | the sweep: one task for many subscribers, who is served next |
//! | `crowd` | the subscribers of one topic: what is due at each place, found out once for all |
//! | `client` | one subscriber: what is being sent, when patience ends |
//! | `closed` | why it is over |
//! | `batch` | shared bytes that go out in one write |
//! | `transport` | a socket, or a stream of an HTTP/2 connection |
//! | `mailbox` | how the sweep is woken |
//! | `wheel` | one timer for all |

mod batch;
mod client;
mod closed;
mod crowd;
mod mailbox;
mod shard;
mod transport;
mod wheel;

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::access::Stay;
use super::metrics::Connection;
use super::seats::Seat;
use crate::auth::Grant;
use crate::clock::Clock;
use crate::core::sse::{Frame, Wire};
use crate::hub::Subscription;
pub use closed::Closed;
use mailbox::Mailbox;
pub use transport::Transport;

/// One response to be written.
#[derive(Debug)]
pub struct Delivery {
    /// What is sent.
    pub subscription: Subscription,
    /// Where to.
    pub transport: Transport,
    /// What goes before the body: the response's head, where that is not written yet.
    pub head: Bytes,
    /// How the body is written.
    pub wire: Wire,
    /// Its place among those who may subscribe, kept until the stream is over.
    pub seat: Seat,
    /// Counts it as open.
    pub connection: Connection,
    /// Writes the line of its end, if there is an access log.
    pub stay: Option<Box<Stay>>,
    /// What its client was let in by, where not everybody is.
    pub grant: Option<Arc<Grant>>,
}

/// Serves every subscriber that it adopts.
#[derive(Debug)]
pub struct Writers {
    shards: Vec<Arc<Mailbox>>,
    next: AtomicUsize,
    hasher: RandomState,
    streams: TaskTracker,
}

/// A delivery on its way to a shard, counted as under way.
type Newcomer = (Delivery, TaskTrackerToken);

impl Writers {
    /// Writers that share the work between so many tasks; `streams` counts the open ones. To be
    /// called inside a runtime.
    pub fn new(shards: usize, streams: TaskTracker, clock: Clock) -> Self {
        let shard = |_| {
            let mailbox = Arc::new(Mailbox::default());
            tokio::spawn(shard::keep_running(Arc::clone(&mailbox), clock));
            mailbox
        };
        Self {
            shards: (0..shards).map(shard).collect(),
            next: AtomicUsize::new(0),
            hasher: RandomState::new(),
            streams,
        }
    }

    /// Has every shard look once at what its subscribers were let in by.
    pub fn recheck(&self) {
        for shard in &self.shards {
            shard.recheck();
        }
    }

    /// What wakes every shard and says how far each had come: a number that moves by the next call
    /// if the shard is alive.
    pub fn pulse(&self) -> impl Fn() -> Vec<u64> + Send + 'static {
        let shards = self.shards.clone();
        move || shards.iter().map(|shard| shard.knock()).collect()
    }

    /// Serves this subscriber until it leaves or is sent away. The streams of one HTTP/2
    /// connection, which is told by its `peer`, are served together, so that one write takes the
    /// frames of many.
    pub fn adopt(&self, delivery: Delivery, peer: Option<SocketAddr>) {
        let number = match (&delivery.transport, peer) {
            (Transport::Http2(_), Some(peer)) => self.hasher.hash_one(peer) as usize,
            _ => self.next.fetch_add(1, Ordering::Relaxed),
        };
        let shard = &self.shards[number % self.shards.len()];
        shard.adopt((delivery, self.streams.token()));
    }
}

/// The reconnection time for one client: the feed's, give or take half, so that a crowd which was
/// cut off together does not come back together.
pub(super) fn retry(configured: Duration) -> Frame {
    let millis = u64::try_from(configured.as_millis()).unwrap_or(u64::MAX);
    let half = millis / 2;
    Frame::retry(rand::random_range(
        millis - half..=millis.saturating_add(half),
    ))
}
