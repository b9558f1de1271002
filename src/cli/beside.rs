//! A small HTTP server beside the proxy, on a thread of its own: an API to show pollcast with.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use pingora::apps::HttpServerApp;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::listen::{self, Entrance, Metrics, Rules};
use crate::metrics::Registry;

/// Nobody but the proxy on the same machine connects.
const PATIENCE: Duration = Duration::from_secs(90);

/// Serves `app` on `listener`, and does what there is to do `meanwhile`, until the process ends. The
/// thread is called `name`.
///
/// # Errors
/// If there is no thread or no runtime to be had.
pub fn serve<A, F>(name: &str, listener: TcpListener, app: A, meanwhile: F) -> io::Result<()>
where
    A: HttpServerApp + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let entrance = Entrance::at(listener)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Nobody tells it to leave.
    let leaving = watch::Sender::new(false);
    let rules = Rules {
        quiet_for: PATIENCE,
        header_timeout: PATIENCE,
        rate: None,
        metrics: Metrics::new(&Registry::default()),
        leaving: leaving.subscribe(),
        unfinished: TaskTracker::new(),
        newcomers: TaskTracker::new(),
    };
    let serve = move || {
        runtime.block_on(async {
            let _ = tokio::join!(listen::serve(entrance, Arc::new(app), rules), meanwhile);
            drop(leaving);
        });
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(serve)?;
    Ok(())
}
