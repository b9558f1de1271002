//! The other side: what runs in a worker's process.
//!
//! Reads a filter, then one document after the other, and answers each. A thread of its own reads,
//! so that the end of the input ends the process at once, whatever the filter is doing.

use std::convert::Infallible;
use std::io::{self, stdin, stdout};
use std::sync::mpsc;
use std::thread;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::frame::{self, DOCUMENT, FAILURE};
use crate::config::compile;

/// The hidden subcommand that is a worker.
pub const COMMAND: &str = "transform-worker";

/// Why a worker could not begin.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Nobody to talk to.
    #[error("cannot talk to pollcast")]
    Talk(#[from] io::Error),
    /// The system does not let it be bounded.
    #[error("cannot bound the memory")]
    Bound(#[from] rustix::io::Errno),
    /// The filter does not compile, though it did before.
    #[error("cannot compile the filter: {0}")]
    Filter(#[from] crate::formats::jq::FilterError),
}

/// The program's arguments.
pub(super) fn arguments(max_bytes: usize, memory: u64) -> [String; 3] {
    [
        COMMAND.to_owned(),
        max_bytes.to_string(),
        memory.to_string(),
    ]
}

/// Works until pollcast goes away, which ends the process. Results have at most `max_bytes`; the
/// process takes at most `memory` bytes of address space.
///
/// # Errors
/// [`WorkerError`] where it cannot begin.
pub fn work(max_bytes: usize, memory: u64) -> Result<Infallible, WorkerError> {
    bound(Resource::As, memory)?;
    // A core would hold a document.
    bound(Resource::Core, 0)?;
    let filter = String::from_utf8_lossy(&frame::read(&mut stdin().lock())?).into_owned();
    let filter = compile(&filter)?;
    frame::write(&mut stdout().lock(), &[])?;
    let documents = documents();
    loop {
        let document = documents.recv().map_err(io::Error::other)?;
        let answer = match filter.run(&document, max_bytes) {
            Ok(json) => [&[DOCUMENT], &*json].concat(),
            Err(error) => [&[FAILURE], error.to_string().as_bytes()].concat(),
        };
        frame::write(&mut stdout().lock(), &answer)?;
    }
}

fn bound(resource: Resource, limit: u64) -> rustix::io::Result<()> {
    let limit = Rlimit {
        current: Some(limit),
        maximum: Some(limit),
    };
    setrlimit(resource, limit)
}

/// The documents, as they come in.
fn documents() -> mpsc::Receiver<Vec<u8>> {
    let (sender, documents) = mpsc::channel();
    thread::spawn(move || {
        while let Ok(document) = frame::read(&mut stdin().lock()) {
            if sender.send(document).is_err() {
                break;
            }
        }
        std::process::exit(0);
    });
    documents
}
