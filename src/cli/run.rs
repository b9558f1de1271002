//! `pollcast run`: serve until told to leave.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use http::Method;
use tokio::signal::unix::{SignalKind, signal};
use tracing::warn;

use super::{CliError, logs};
use crate::config::{Config, Feed, Idle, Listener, LogFormat, Warning};
use crate::core::schedule::Cadence;
use crate::server::{Server, StartError};

#[derive(Args, Debug)]
#[group(id = "what", required = true, multiple = true, args = ["config", "upstream", "feed"])]
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
    #[command(flatten)]
    logging: Logging,
}

/// Apart from what is run, one of which must be there.
#[derive(Args, Debug)]
struct Logging {
    /// How logs are written, whatever the file says
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<Format>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, CliError> {
    let (config, warnings) = match (&arguments.config, &arguments.upstream) {
        (Some(file), _) => Config::load(file)?,
        (None, upstream) => {
            let upstream = upstream.as_deref().unwrap_or_default();
            Config::quick(upstream, &arguments.feed).map_err(CliError::Arguments)?
        }
    };
    let logs = logs::begin(match arguments.logging.log_format {
        Some(Format::Text) => LogFormat::Text,
        Some(Format::Json) => LogFormat::Json,
        None => config.logs.format,
    });
    for Warning(problem) in &warnings {
        warn!(
            place = problem.place,
            remedy = problem.remedy,
            "{}",
            problem.what
        );
    }
    let server = Server::bind_replaceable(config)?
        .read_from(arguments.config.clone())
        .losing(logs.dropped());
    let introduction = introduction(&server);
    serve(server, &introduction)?;
    Ok(ExitCode::SUCCESS)
}

/// Serves until told to leave. Introduces itself once signals are heard: whoever waits for that
/// may send one at once.
pub(super) fn serve(server: Server, introduction: &str) -> Result<(), StartError> {
    let mut introduction = Some(introduction);
    server.run(|| {
        let told = told_to_leave();
        if let Some(text) = introduction.take() {
            // Nobody has to read it.
            let _ = super::print(text);
        }
        told
    })
}

/// Ready on SIGTERM or SIGINT; listens from the call on, which must be within a runtime.
pub(super) fn told_to_leave() -> impl Future<Output = ()> {
    let listen = |kind| {
        let signals = signal(kind);
        async move {
            match signals {
                Ok(mut signals) => {
                    signals.recv().await;
                }
                Err(error) => {
                    warn!(%error, "cannot listen for a signal");
                    std::future::pending::<()>().await;
                }
            }
        }
    };
    let terminate = listen(SignalKind::terminate());
    let interrupt = listen(SignalKind::interrupt());
    async move {
        tokio::select! {
            () = terminate => {}
            () = interrupt => {}
        }
    }
}

/// What is polled and where to look.
fn introduction(server: &Server) -> String {
    let mut text = format!("pollcast {}\n", env!("CARGO_PKG_VERSION"));
    text += &describe(server.config());
    for origin in server.origins() {
        let _ = writeln!(text, "listening on {origin}");
    }
    let admin = server.admin_address();
    let _ = writeln!(
        text,
        "admin on http://{admin}/  (the status page; metrics at /metrics)"
    );
    // A listener behind a load balancer is the last to try by hand.
    let listeners = server.config().server.listen.iter().zip(server.origins());
    let nearest = listeners.min_by_key(|(listener, _)| listener.proxy_protocol);
    // Of a feed with parameters it is for clients to say what they want.
    let mut feeds = server.config().feeds.iter();
    let plain = feeds.find(|feed| feed.parameters.is_none());
    if let (Some(feed), Some((listener, origin))) = (plain, nearest) {
        let _ = writeln!(
            text,
            "watch it:  {} -H 'Accept: text/event-stream' {origin}{}",
            curl(listener),
            feed.path
        );
    }
    text
}

/// How curl reaches a listener. No certificate is made out to the address that it listens on.
fn curl(listener: &Listener) -> &'static str {
    match (listener.tls.is_some(), listener.proxy_protocol) {
        (false, false) => "curl -N",
        (true, false) => "curl -kN",
        (false, true) => "curl -N --haproxy-protocol",
        (true, true) => "curl -kN --haproxy-protocol",
    }
}

/// What a configuration does, a line for each feed and route.
pub(super) fn describe(config: &Config) -> String {
    let mut text = String::new();
    for feed in &config.feeds {
        let (url, rhythm) = (asked(feed), rhythm(feed));
        let _ = writeln!(text, "  feed  {}  polls {url} {rhythm}", feed.path);
    }
    for route in &config.routes {
        let url = &route.upstream.url;
        let _ = writeln!(text, "  proxy {}  passes through to {url}", route.path);
    }
    text
}

/// What a poll asks for: where, with which method if it is no GET, and whether page by page.
fn asked(feed: &Feed) -> String {
    let request = &feed.request;
    let method = match (feed.takes_body(), &request.method) {
        (true, _) => "POST ",
        (false, &Method::GET) => "",
        (false, method) => &format!("{method} "),
    };
    let pages = request.pages.as_ref().map_or("", |_| ", page by page,");
    format!("{method}{}{pages}", request.shown)
}

fn rhythm(feed: &Feed) -> String {
    let poll = &feed.poll;
    let every = humantime::format_duration(poll.interval);
    let rhythm = match poll.cadence {
        Cadence::Fixed => format!("every {every}"),
        Cadence::Adaptive { least, most } => format!(
            "every {} to {}",
            humantime::format_duration(least),
            humantime::format_duration(most)
        ),
        Cadence::Fresh if feed.upstream.pace.budget.is_none() => format!("every {every}"),
        Cadence::Fresh => format!("every {every} as far as the budget goes"),
    };
    match poll.idle {
        Idle::Pause => format!("{rhythm} while somebody listens"),
        Idle::Keep => rhythm,
    }
}
