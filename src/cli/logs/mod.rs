//! Where logs go: standard error, one line each, for people or as JSON.
//!
//! Promises that whole requests are in no log, whatever `RUST_LOG` says.

use std::io::IsTerminal as _;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::LogFormat;

/// What is logged unless `RUST_LOG` says otherwise. Pingora's proxy would tell of every client that
/// leaves within its request, and its server of everyone who speaks no HTTP/2; what is pollcast's
/// own fault is logged by the gateway. Its load balancer repeats what `peers` tells.
const LOGGED: &str =
    "warn,pingora_proxy=off,pingora_core::apps=off,pingora_load_balancing=off,pollcast=info";

/// Begins to log. To be called once; what a program that embeds this has set up already stays.
pub fn begin(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGGED));
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
    };
    let _ = tracing_subscriber::registry()
        .with(lines)
        .with(filter)
        .with(filter_fn(|line| !holds_requests(line)))
        .try_init();
}

/// At these levels Pingora writes down whole requests and answers, with whatever proves who sent
/// them.
fn holds_requests(line: &Metadata<'_>) -> bool {
    line.target().starts_with("pingora") && *line.level() >= Level::DEBUG
}
