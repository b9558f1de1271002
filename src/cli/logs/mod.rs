//! Where logs go: standard error, one line each, for people or as JSON.
//!
//! Promises that whole requests are in no log, whatever `RUST_LOG` says; that nobody who logs waits
//! for whoever reads; and that a process which ends or panics has its last lines written, unless
//! nobody reads them.

mod lines;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{IsTerminal as _, Write as _};
use std::panic::{self, PanicHookInfo};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use lines::Lines;
use prometheus::IntCounter;

use tracing::{Level, Metadata, error};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::LogFormat;

/// What is logged unless `RUST_LOG` says otherwise. Pingora's proxy would tell of every client that
/// leaves within its request, and its server of everyone who speaks no HTTP/2; what is pollcast's
/// own fault is logged by the gateway. Its load balancer repeats what `peers` tells.
const LOGGED: &str =
    "warn,pingora_proxy=off,pingora_core::apps=off,pingora_load_balancing=off,pollcast=info";

/// How long the last lines may take when the process ends.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is logged; the last lines are written when this is dropped.
#[derive(Debug)]
pub(super) struct Logs {
    lines: Option<Lines>,
    dropped: IntCounter,
}

impl Logs {
    /// Counts the lines that were lost because nobody read them.
    pub(super) fn dropped(&self) -> IntCounter {
        self.dropped.clone()
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        if let Some(lines) = &self.lines {
            lines.flush(PATIENCE);
        }
    }
}

/// Begins to log. To be called once; what a program that embeds this has set up already stays.
pub(super) fn begin(format: LogFormat) -> Logs {
    let dropped = IntCounter::new(
        "pollcast_log_lines_dropped_total",
        "Log lines that were dropped, since nobody read standard error fast enough.",
    )
    .expect("invariant: the name is valid");
    let lines = Lines::start(std::io::stderr(), dropped.clone()).ok();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGGED));
    let writer = match &lines {
        Some(lines) => BoxMakeWriter::new(lines.clone()),
        None => BoxMakeWriter::new(std::io::stderr),
    };
    let layer = fmt::layer().with_writer(writer);
    let layer = match format {
        LogFormat::Text => layer.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
    };
    let begun = tracing_subscriber::registry()
        .with(layer)
        .with(filter)
        .with(filter_fn(|line| !holds_requests(line)))
        .try_init();
    if begun.is_ok() {
        let last = lines.clone();
        panic::set_hook(Box::new(move |panic| tell(panic, last.as_ref())));
    }
    Logs { lines, dropped }
}

/// Writes what a process has to say at last to standard error, unless nobody reads it.
pub fn last_words(text: String) {
    let (written, is_written) = sync_channel(1);
    let write = move || {
        let _ = std::io::stderr().write_all(text.as_bytes());
        let _ = written.send(());
    };
    if thread::Builder::new().spawn(write).is_ok() {
        let _ = is_written.recv_timeout(PATIENCE);
    }
}

/// A panic is a line like others: written by the standard library it would wait for its reader.
fn tell(panic: &PanicHookInfo<'_>, lines: Option<&Lines>) {
    let trace = Backtrace::capture();
    let place = panic.location().map(ToString::to_string);
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    error!(
        place,
        thread = thread::current().name(),
        backtrace = (trace.status() == BacktraceStatus::Captured).then(|| trace.to_string()),
        "panicked: {}",
        text.unwrap_or("for an unknown reason")
    );
    // It may be the last that this process says.
    if let Some(lines) = lines {
        lines.flush(PATIENCE);
    }
}

/// At these levels Pingora writes down whole requests and answers, with whatever proves who sent
/// them.
fn holds_requests(line: &Metadata<'_>) -> bool {
    line.target().starts_with("pingora") && *line.level() >= Level::DEBUG
}
