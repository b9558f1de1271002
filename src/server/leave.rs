//! The order of leaving: what is open ends, what is under way is finished, what was counted is told.
//!
//! Promises that each step has a bound, and that who is told twice to leave leaves at once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::backplane::Backplane;
use crate::gateway::Admission;
use crate::traces::Tracer;

/// Closing the store may take so long, whatever time is left.
const CLOSING: Duration = Duration::from_secs(1);

/// Waits until every connection was asked something or is gone, until the deadline. False if told
/// to leave meanwhile.
pub(super) async fn newcomers<F: Future<Output = ()>>(
    newcomers: &TaskTracker,
    deadline: Instant,
    leave: &mut impl FnMut() -> F,
) -> bool {
    newcomers.close();
    tokio::select! {
        _ = timeout_at(deadline, newcomers.wait()) => true,
        () = leave() => {
            warn!("told twice to leave");
            false
        }
    }
}

/// Waits for all that is open to be finished, until the deadline. False if told to leave meanwhile.
pub(super) async fn finished<F: Future<Output = ()>>(
    admission: &Admission,
    unfinished: &TaskTracker,
    deadline: Instant,
    leave: &mut impl FnMut() -> F,
) -> bool {
    let finished = async {
        admission.finished().await;
        // What was written to an HTTP/2 stream is sent by its connection's own task.
        unfinished.close();
        unfinished.wait().await;
    };
    tokio::select! {
        () = finished => {}
        () = sleep_until(deadline) => warn!(open = admission.open(), "drain time is over"),
        () = leave() => {
            warn!(open = admission.open(), "told twice to leave");
            return false;
        }
    }
    true
}

/// Closes the store; what a slow disk has not taken by the deadline is left to the next start, which
/// finds it nearly as well.
pub(super) async fn close<F: Future<Output = ()>>(
    backplane: Arc<dyn Backplane>,
    deadline: Instant,
    leave: &mut impl FnMut() -> F,
) {
    let closed = tokio::spawn(async move { backplane.close().await });
    // A process that has nothing to end has little time left, and this takes little.
    let deadline = deadline.max(Instant::now() + CLOSING);
    tokio::select! {
        closed = timeout_at(deadline, closed) => {
            if closed.is_err() {
                warn!("the store is not closed: the disk takes too long");
            }
        }
        () = leave() => warn!("told twice to leave"),
    }
}

/// Sends the spans that are left; what cannot be sent by the deadline is not.
pub(super) async fn flush<F: Future<Output = ()>>(
    tracer: Tracer,
    deadline: Instant,
    leave: &mut impl FnMut() -> F,
) {
    let patience = deadline.saturating_duration_since(Instant::now());
    let finished = tokio::task::spawn_blocking(move || tracer.finish(patience));
    tokio::select! {
        _ = timeout_at(deadline, finished) => {}
        () = leave() => warn!("told twice to leave"),
    }
}
