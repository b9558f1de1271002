//! `document.transform`: filters, run where they can be killed.
//!
//! A filter may run for ever or take any amount of memory, and cannot be interrupted. So each feed
//! with one has a worker: a process of this very program, started at the first need and kept.
//! Promises that what a filter does is felt by its own feed alone: whoever overruns its time is
//! killed, whoever overruns its memory dies, and the next answer finds a new worker. Workers end
//! with pollcast however it ends, and when there was nothing to do for a while.

mod frame;
mod process;
pub mod worker;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::config::{Document, Feed, Transform};
use process::Process;

/// A worker with nothing to do for so long is ended.
const IDLE: Duration = Duration::from_secs(60);

/// How many answers may wait for one worker before those who bring more wait, too.
const QUEUE: usize = 16;

/// What a worker may take beside what documents need, in bytes of address space.
const BASE_MEMORY: u64 = 256 << 20;

/// What a value takes in memory, as a multiple of its text, with room for another one.
const MEMORY_FACTOR: u64 = 32;

/// The workers of all feeds.
#[derive(Clone, Debug, Default)]
pub struct Workers(Arc<Mutex<HashMap<String, Known>>>);

/// The way to a feed's worker, if anybody still has it.
#[derive(Debug)]
struct Known {
    transform: Transform,
    queue: mpsc::WeakSender<Request>,
}

/// The way to one feed's worker, which answers in the order in which it is asked.
#[derive(Clone, Debug)]
pub(super) struct Transformer(mpsc::Sender<Request>);

/// A document to be transformed.
struct Request {
    document: Bytes,
    reply: oneshot::Sender<Result<Bytes, TransformError>>,
}

/// Why a document was not transformed. Tells nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransformError {
    /// What the filter did with the document.
    #[error("document.transform {0}")]
    Failed(String),
    /// It was stopped.
    #[error(
        "document.transform took longer than {0:?} and was stopped (document.transform.timeout)"
    )]
    Timeout(Duration),
    /// The worker ended amid its work.
    #[error(
        "document.transform ended its process ({0}); most likely it took too much memory or recursed too deeply"
    )]
    Ended(String),
    /// There is no worker to be had.
    #[error("document.transform cannot be run: {0}")]
    NoWorker(String),
}

impl TransformError {
    /// A short word for a metric's label; one of a fixed few.
    pub const fn reason(&self) -> &'static str {
        match self {
            TransformError::Failed(_) => "transform_failed",
            TransformError::Timeout(_) => "transform_timeout",
            TransformError::Ended(_) | TransformError::NoWorker(_) => "transform_broken",
        }
    }
}

impl Workers {
    /// The way to the worker of a feed, the same for all of the feed's topics; none if it needs
    /// none. To be called within a runtime.
    pub(super) fn of(&self, feed: &Feed) -> Option<Transformer> {
        let transform = feed.document.transform.as_ref()?;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all
            .get(&feed.path)
            .filter(|known| known.transform == *transform)
            .and_then(|known| known.queue.upgrade());
        if let Some(queue) = known {
            return Some(Transformer(queue));
        }
        let (queue, requests) = mpsc::channel(QUEUE);
        let known = Known {
            transform: transform.clone(),
            queue: queue.downgrade(),
        };
        all.insert(feed.path.clone(), known);
        tokio::spawn(serve(requests, transform.clone(), memory(&feed.document)));
        Some(Transformer(queue))
    }
}

/// What the worker of a feed may take, in bytes of address space.
fn memory(document: &Document) -> u64 {
    let transform = document.transform.as_ref();
    let result = transform.map_or(0, |transform| transform.max_bytes);
    BASE_MEMORY + MEMORY_FACTOR * document.max_bytes.max(result) as u64
}

impl Transformer {
    /// What the feed's filter makes of `document`. The time limit counts from when its turn comes.
    pub(super) async fn transform(&self, document: Bytes) -> Result<Bytes, TransformError> {
        let (reply, answer) = oneshot::channel();
        let gone = || TransformError::NoWorker("pollcast is leaving".to_owned());
        let request = Request { document, reply };
        self.0.send(request).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// Answers requests until nobody can ask any more.
async fn serve(mut requests: mpsc::Receiver<Request>, transform: Transform, memory: u64) {
    let mut process: Option<Process> = None;
    loop {
        let request = match timeout(IDLE, requests.recv()).await {
            Ok(request) => request,
            Err(_) => {
                if let Some(idle) = process.take() {
                    idle.end().await;
                }
                requests.recv().await
            }
        };
        let Some(Request { document, reply }) = request else {
            break;
        };
        if reply.is_closed() {
            continue;
        }
        let outcome = match process.take() {
            Some(process) => Ok(process),
            None => Process::start(&transform, memory).await,
        };
        let outcome = match outcome {
            Ok(ready) => match ready.transform(&document, transform.timeout).await {
                Ok((alive, outcome)) => {
                    process = Some(alive);
                    outcome
                }
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        // Whoever asked may have gone.
        let _ = reply.send(outcome);
    }
    if let Some(process) = process {
        process.end().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, System};

    fn feed(transform: &str) -> Arc<Feed> {
        let text = format!(
            "upstreams: {{a: {{url: 'http://a'}}}}\n\
             feeds: [{{path: /feed, upstream: a, document: {{max_bytes: 1MiB{transform}}}}}]"
        );
        let (config, _) = Config::parse(&text, &System::new("")).unwrap();
        Arc::clone(&config.feeds[0])
    }

    #[tokio::test]
    async fn all_topics_of_a_feed_share_its_worker_until_the_filter_is_another() {
        let workers = Workers::default();
        assert!(workers.of(&feed("")).is_none());
        let first = workers.of(&feed(", transform: .a")).unwrap();
        let second = workers.of(&feed(", transform: .a")).unwrap();
        assert!(first.0.same_channel(&second.0));
        let other = workers.of(&feed(", transform: .b")).unwrap();
        assert!(!first.0.same_channel(&other.0));
        // Nobody is left to ask it, so that it ends.
        let gone = other.0.downgrade();
        drop(other);
        assert!(gone.upgrade().is_none());
    }

    #[test]
    fn the_memory_of_a_worker_follows_the_longer_of_document_and_result() {
        let mib = 1 << 20;
        assert_eq!(memory(&feed(", transform: .").document), 288 * mib);
        let wide = feed(", transform: {jq: ., max_bytes: 2MiB}");
        assert_eq!(memory(&wide.document), 320 * mib);
    }
}
