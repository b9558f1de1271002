//! What is known of one connection, and how long it may stay without a request.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pingora::protocols::Digest;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::task_tracker::TaskTrackerToken;

/// One accepted connection, whatever is spoken on it.
#[derive(Debug)]
pub struct Connection {
    peer: SocketAddr,
    /// Requests under way, and streams that outlived theirs.
    requests: AtomicUsize,
    was_asked: AtomicBool,
    /// Counts it among those on which nothing was asked yet.
    newcomer: Mutex<Option<TaskTrackerToken>>,
    /// Wakes when the first begins or the last ends.
    turned: Notify,
    /// Whether what was written last did not fit into the socket.
    is_blocked: AtomicBool,
}

/// One request on a connection, or what became of it; the connection is kept while this lives.
#[derive(Debug)]
pub struct Request(Arc<Connection>);

impl Connection {
    /// A connection from this client, on which nothing was asked yet.
    pub(super) fn new(peer: SocketAddr, newcomer: TaskTrackerToken) -> Arc<Self> {
        Arc::new(Self {
            peer,
            requests: AtomicUsize::new(0),
            was_asked: AtomicBool::new(false),
            newcomer: Mutex::new(Some(newcomer)),
            turned: Notify::new(),
            is_blocked: AtomicBool::new(false),
        })
    }

    /// The connection that a request of Pingora's came on, if our listeners accepted it.
    pub fn of(digest: Option<&Digest>) -> Option<Arc<Self>> {
        let data = digest?.proxy_digest.as_ref()?.user_data.as_ref()?;
        data.downcast_ref::<Arc<Self>>().cloned()
    }

    /// The client: the socket's peer, or whom a PROXY protocol header announced.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Counts a request whose head is read.
    pub fn request(self: &Arc<Self>) -> Request {
        if !self.was_asked.swap(true, Ordering::Relaxed) {
            let mut newcomer = self.newcomer.lock().unwrap_or_else(PoisonError::into_inner);
            *newcomer = None;
        }
        if self.requests.fetch_add(1, Ordering::SeqCst) == 0 {
            self.turned.notify_one();
        }
        Request(Arc::clone(self))
    }

    /// Whether a request's head was ever read.
    pub(super) fn was_asked(&self) -> bool {
        self.was_asked.load(Ordering::Relaxed)
    }

    /// Notes whether the socket took what was written.
    pub(super) fn note_blocked(&self, is_blocked: bool) {
        self.is_blocked.store(is_blocked, Ordering::Relaxed);
    }

    /// Ready once no request was under way until `first`, or for `idle` after the last one ended.
    pub(super) async fn overdue(&self, first: Instant, idle: Duration) {
        let mut deadline = first;
        loop {
            if self.is_busy() {
                self.turned.notified().await;
                deadline = Instant::now() + idle;
                continue;
            }
            tokio::select! {
                () = self.turned.notified() => deadline = Instant::now() + idle,
                () = sleep_until(deadline) => if !self.is_busy() {
                    return;
                },
            }
        }
    }

    /// Ready once no request was under way for `quiet`, and the socket took all that was written.
    pub(super) async fn finished(&self, quiet: Duration) {
        loop {
            self.overdue(Instant::now() + quiet, quiet).await;
            if !self.is_blocked.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    fn is_busy(&self) -> bool {
        self.requests.load(Ordering::SeqCst) > 0
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if self.0.requests.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.turned.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio_util::task::TaskTracker;

    use super::*;

    fn connection() -> Arc<Connection> {
        Connection::new(
            SocketAddr::from(([127, 0, 0, 1], 1)),
            TaskTracker::new().token(),
        )
    }

    /// Whether it is ready, after everything else had its turn.
    async fn is_ready(future: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            () = future => true,
            () = tokio::time::sleep(Duration::from_millis(5)) => false,
        }
    }

    #[tokio::test]
    async fn without_a_request_it_is_overdue_at_the_first_moment() {
        let now = Instant::now();
        let (day, soon) = (Duration::from_secs(86_400), Duration::ZERO);
        assert!(is_ready(connection().overdue(now, day)).await);
        assert!(!is_ready(connection().overdue(now + day, soon)).await);
    }

    #[tokio::test]
    async fn it_is_kept_while_any_request_is_under_way() {
        let connection = connection();
        let requests = [connection.request(), connection.request()];
        let mut overdue = pin!(connection.overdue(Instant::now(), Duration::ZERO));
        for request in requests {
            assert!(!is_ready(overdue.as_mut()).await);
            drop(request);
        }
        assert!(is_ready(overdue).await);
    }

    #[tokio::test]
    async fn a_request_that_ended_between_two_looks_counts_too() {
        let connection = connection();
        let day = Duration::from_secs(86_400);
        let mut overdue = pin!(connection.overdue(Instant::now() + day, Duration::ZERO));
        assert!(!is_ready(overdue.as_mut()).await);
        drop(connection.request());
        assert!(is_ready(overdue).await);
    }

    #[tokio::test]
    async fn it_is_not_finished_while_the_socket_takes_nothing() {
        let connection = connection();
        connection.note_blocked(true);
        let mut finished = pin!(connection.finished(Duration::from_micros(1)));
        assert!(!is_ready(finished.as_mut()).await);
        connection.note_blocked(false);
        assert!(is_ready(finished).await);
    }
}
