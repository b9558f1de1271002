//! `pollcast run`: serve until told to leave.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing::warn;
use tracing_subscriber::EnvFilter;

use super::CliError;
use crate::config::{Config, Feed, Idle, Warning};
use crate::server::Server;

/// What is logged unless `RUST_LOG` says otherwise.
const LOGGED: &str = "warn,pollcast=info";

#[derive(Args, Debug)]
#[group(id = "what", required = true, multiple = true)]
pub struct Arguments {
    /// Configuration file (YAML); `pollcast check` explains what is wrong with one
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["upstream", "feed"])]
    config: Option<PathBuf>,
    /// Base URL of the API to poll, instead of a file
    #[arg(long, value_name = "URL", requires = "feed")]
    upstream: Option<String>,
    /// Path to poll and to serve as a live stream; may be given more than once
    #[arg(long, value_name = "PATH", requires = "upstream")]
    feed: Vec<String>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, CliError> {
    log_to_stderr();
    let (config, warnings) = match (&arguments.config, &arguments.upstream) {
        (Some(file), _) => Config::load(file)?,
        (None, upstream) => {
            let upstream = upstream.as_deref().unwrap_or_default();
            Config::quick(upstream, &arguments.feed).map_err(CliError::Arguments)?
        }
    };
    for Warning(problem) in &warnings {
        warn!(
            place = problem.place,
            remedy = problem.remedy,
            "{}",
            problem.what
        );
    }
    let server = Server::bind(config)?;
    introduce(&server);
    server.run(told_to_leave)?;
    Ok(ExitCode::SUCCESS)
}

/// Logs go to standard error, one line each.
pub(super) fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGGED));
    // Somebody who embeds this may have set up logging already.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .try_init();
}

/// SIGTERM or SIGINT.
pub(super) async fn told_to_leave() {
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signals) => {
                signals.recv().await;
            }
            Err(error) => {
                warn!(%error, "cannot listen for a signal");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::interrupt()) => {}
    }
}

/// Says what is polled and where to look.
fn introduce(server: &Server) {
    say!("pollcast {}", env!("CARGO_PKG_VERSION"));
    describe(server.config());
    for address in server.addresses() {
        say!("listening on http://{address}");
    }
    say!("admin on http://{}/metrics", server.admin_address());
    if let (Some(feed), Some(address)) = (server.config().feeds.first(), server.addresses().next())
    {
        let path = &feed.path;
        say!("watch it:  curl -N -H 'Accept: text/event-stream' http://{address}{path}");
    }
}

/// Says what a configuration does, a line for each feed and route.
pub(super) fn describe(config: &Config) {
    for feed in &config.feeds {
        say!(
            "  feed  {}  polls {} {}",
            feed.path,
            polled(feed),
            rhythm(feed)
        );
    }
    for route in &config.routes {
        let upstream = &route.upstream;
        say!("  proxy {}  passes through to {}", route.path, upstream.url);
    }
}

/// The polled URL; its query may hold a secret.
fn polled(feed: &Feed) -> String {
    let mut url = feed.request.url.clone();
    let more = match url.query() {
        Some(_) => "?...",
        None => "",
    };
    url.set_query(None);
    format!("{url}{more}")
}

fn rhythm(feed: &Feed) -> String {
    let every = humantime::format_duration(feed.poll.interval);
    match feed.poll.idle {
        Idle::Pause => format!("every {every} while somebody listens"),
        Idle::Keep => format!("every {every}"),
    }
}
