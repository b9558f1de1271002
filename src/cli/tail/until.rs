//! Whether the document is what somebody waits for: `--until`.
//!
//! A filter may run for ever, and its text is the user's own: it runs on a thread beside, so that
//! Ctrl-C and `--timeout` end the process whatever the filter does.

use std::sync::Arc;
use std::sync::mpsc as queue;
use std::thread;

use tokio::sync::oneshot;

use crate::core::json::Json;
use crate::formats::jq::{Filter, FilterError, RunError};

/// What the deepest filter takes, in bytes; of which only what is used counts.
const STACK: usize = 128 << 20;

/// What a filter says of a document.
type Verdict = Result<bool, String>;

/// A filter that judges documents.
pub struct Judge {
    documents: queue::Sender<(Arc<Json>, oneshot::Sender<Verdict>)>,
}

/// Why there is no judge.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// The text is no filter.
    #[error("--until is no jq filter")]
    Filter(#[from] FilterError),
    /// No thread to run it on.
    #[error("cannot run --until")]
    Thread(#[source] std::io::Error),
}

impl Judge {
    /// A judge by this filter.
    ///
    /// # Errors
    /// [`JudgeError`].
    pub fn start(text: &str) -> Result<Self, JudgeError> {
        let (documents, waiting) = queue::channel::<(Arc<Json>, oneshot::Sender<Verdict>)>();
        let (compiled, ready) = queue::channel();
        let text = text.to_owned();
        let judging = move || {
            let filter = match Filter::parse(&text) {
                Ok(filter) => filter,
                Err(error) => return drop(compiled.send(Err(error))),
            };
            let _ = compiled.send(Ok(()));
            for (document, verdict) in waiting {
                let _ = verdict.send(judge(&filter, &document));
            }
        };
        let thread = thread::Builder::new().name("until".to_owned());
        thread
            .stack_size(STACK)
            .spawn(judging)
            .map_err(JudgeError::Thread)?;
        let gave_up = || Err(FilterError::of_all("jaq gave up on it".to_owned()));
        ready.recv().unwrap_or_else(|_| gave_up())?;
        Ok(Self { documents })
    }

    /// Whether the filter gives `true` for this document.
    ///
    /// # Errors
    /// Why it gives neither yes nor no.
    pub async fn holds(&self, document: &Arc<Json>) -> Verdict {
        let (verdict, given) = oneshot::channel();
        let gave_up = || "jaq gave up on it".to_owned();
        self.documents
            .send((Arc::clone(document), verdict))
            .map_err(|_| gave_up())?;
        given.await.unwrap_or_else(|_| Err(gave_up()))
    }
}

/// A filter that gives nothing, as `select` does, has not found what it looks for.
fn judge(filter: &Filter, document: &Json) -> Verdict {
    match filter.run(&document.encode(), usize::MAX) {
        Ok(value) => Ok(&value[..] == b"true"),
        Err(RunError::None) => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}
