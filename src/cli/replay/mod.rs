//! `pollcast replay`: serves a recording again.
//!
//! Composes what the demo composes: an API that can only be asked, here the recorded one, and a
//! real pollcast in front of it.

mod show;
mod stage;

use std::fs::File;
use std::io::{BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Args;
use tokio::sync::watch;

use self::show::{Pace, Show};
use self::stage::Stage;
use super::recording::{RecordingError, Timeline, millis};
use super::run::told_to_leave;
use super::{CliError, logs};
use crate::config::{Config, LogFormat, System};
use crate::server::Server;

const AFTER_HELP: &str = "\
Examples:
  pollcast replay orders.ndjson --speed 10
      ten times as fast; then  pollcast tail http://127.0.0.1:8080/orders
  pollcast replay orders.ndjson --wait --exit
      for a test: begins when the first client comes, and ends when all is told
  zstd -dc history.ndjson.zst | pollcast replay - --path /fires --speed max
      a history of {\"at\": seconds, \"body\": text} lines";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The recording; - is standard input
    file: PathBuf,
    /// Where the feed is to be seen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the status page and metrics are to be seen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9091")]
    admin: SocketAddr,
    /// The feed's path; by default that of the recorded one, or /replay
    #[arg(long, value_name = "PATH", value_parser = feed_path)]
    path: Option<String>,
    /// How many times as fast as it was recorded, or max: each answer as soon as the one before
    /// was asked for
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = speed)]
    speed: Speed,
    /// Begin anew at the end
    #[arg(long, conflicts_with = "exit")]
    r#loop: bool,
    /// Begin when the first client comes
    #[arg(long)]
    wait: bool,
    /// Tell subscribers that the feed is over at the end, and exit
    #[arg(long)]
    exit: bool,
    /// Begin with the document as of this time (RFC 3339, UTC)
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<u64>,
    /// End at this time (RFC 3339, UTC)
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<u64>,
}

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// So many times as fast.
    Times(f64),
    /// As fast as it is asked for.
    Max,
}

/// Why nothing can be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file is no recording.
    #[error("cannot replay {}", path.display())]
    Recording {
        /// The file as it was named.
        path: PathBuf,
        /// Why not.
        source: RecordingError,
    },
    /// `--from` and `--until` leave nothing.
    #[error("there is nothing between --from and --until: the recording is from {first} to {last}")]
    Nothing {
        /// Its first moment.
        first: String,
        /// Its last moment.
        last: String,
    },
    /// No socket or no thread for the recorded API.
    #[error("cannot start the recorded API")]
    Start(#[source] std::io::Error),
}

pub fn replay(arguments: &Arguments) -> Result<ExitCode, CliError> {
    let logs = logs::begin(LogFormat::Text);
    let timeline = read(arguments)?;
    let path = path(arguments, &timeline);
    let (first, last) = timeline.span();
    let (from, until) = (
        arguments.from.unwrap_or(first),
        arguments.until.unwrap_or(last),
    );
    if from > until || until < first || from > last {
        let (first, last) = (shown(first), shown(last));
        return Err(ReplayError::Nothing { first, last }.into());
    }
    for warning in &timeline.warnings {
        tracing::warn!(file = %arguments.file.display(), "{warning}");
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(ReplayError::Start)?;
    let legacy = listener.local_addr().map_err(ReplayError::Start)?;
    let text = configuration(arguments, legacy, &path);
    let (config, _) = Config::parse(&text, &System::new("")).map_err(CliError::Arguments)?;
    let server = Server::bind(config)?.losing(logs.dropped());
    let pace = Pace {
        speed: arguments.speed,
        from,
        until,
        again: arguments.r#loop,
        wait: arguments.wait,
        end: arguments.exit,
    };
    let (over, ended) = watch::channel(false);
    // It ends the process once; whoever is told twice to leave waits for nobody.
    let mut ended = Some(ended);
    Stage::start(listener, path.clone(), Show::new(&timeline, pace), over)
        .map_err(ReplayError::Start)?;
    let length = Duration::from_millis(until - from);
    let beginning = format!(
        "{} from {}",
        humantime::format_duration(length),
        shown(from)
    );
    let mut introduction = Some(introduction(&server, legacy, &path, &beginning));
    server.run(move || {
        let told = told_to_leave();
        if let Some(text) = introduction.take() {
            // Nobody has to read it.
            let _ = super::print(&text);
        }
        let ended = ended.take();
        async move {
            let over = async {
                match ended {
                    Some(mut ended) => ended.wait_for(|over| *over).await.is_ok(),
                    None => false,
                }
            };
            tokio::select! {
                () = told => {}
                true = over => {}
            }
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What is replayed, and where.
fn introduction(server: &Server, legacy: SocketAddr, path: &str, beginning: &str) -> String {
    let origin = server.origins().next().unwrap_or_default();
    format!(
        "pollcast {} replay of {beginning}\n  \
         the recorded API, which can only be asked:  http://{legacy}{path}\n  \
         the same, live:                             {origin}{path}\n  \
         status page, and /metrics:                  http://{}/\n\n\
         pollcast tail {origin}{path}  watches it. Ctrl-C ends it all.\n",
        env!("CARGO_PKG_VERSION"),
        server.admin_address(),
    )
}

fn read(arguments: &Arguments) -> Result<Timeline, ReplayError> {
    let path = &arguments.file;
    let input: Result<Box<dyn Read>, _> = match path.to_str() {
        Some("-") => Ok(Box::new(std::io::stdin())),
        _ => File::open(path).map(|file| Box::new(file) as Box<dyn Read>),
    };
    input
        .map_err(RecordingError::Read)
        .and_then(|input| Timeline::read(BufReader::new(input)))
        .map_err(|source| ReplayError::Recording {
            path: path.clone(),
            source,
        })
}

/// Where the feed is: as told, as recorded, or somewhere.
fn path(arguments: &Arguments, timeline: &Timeline) -> String {
    let recorded = timeline.path.as_deref().filter(|path| *path != "/");
    let recorded = recorded.and_then(|path| feed_path(path).ok());
    let told = arguments.path.clone().or(recorded);
    told.unwrap_or_else(|| "/replay".to_owned())
}

/// What somebody would write who puts pollcast in front of the recorded API.
fn configuration(arguments: &Arguments, legacy: SocketAddr, path: &str) -> String {
    let Arguments { listen, admin, .. } = arguments;
    let interval = humantime::format_duration(stage::INTERVAL);
    // A feed that waits for its first client must not stop soon after that one leaves.
    let idle = match arguments.wait {
        true => "idle: pause, linger: 24h",
        false => "idle: keep",
    };
    format!(
        r#"
server: {{ listen: "{listen}", drain: 1s }}
admin: {{ listen: "{admin}" }}
upstreams:
  recorded: {{ url: "http://{legacy}", headers: {{ {mark}: "yes" }} }}
feeds:
  - path: "{path}"
    upstream: recorded
    poll: {{ interval: {interval}, {idle} }}
    document: {{ max_bytes: 256MiB }}
"#,
        mark = stage::POLL
    )
}

/// A path that means itself, in a configuration as well.
fn feed_path(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~%!&'()+,;=:@".contains(c);
    match text.strip_prefix('/') {
        Some(rest) if !rest.is_empty() && text.chars().all(plain) => Ok(text.to_owned()),
        Some(_) => Err("a path has letters, digits and /-._~ behind its /".to_owned()),
        None => Err("a path begins with /".to_owned()),
    }
}

fn speed(text: &str) -> Result<Speed, String> {
    match text.parse() {
        _ if text == "max" => Ok(Speed::Max),
        Ok(times) if (0.001..=1e6).contains(&times) => Ok(Speed::Times(times)),
        _ => Err("a number from 0.001 to 1000000, or max".to_owned()),
    }
}

fn time(text: &str) -> Result<u64, String> {
    let at = humantime::parse_rfc3339_weak(text).map_err(|error| error.to_string())?;
    millis(at).ok_or_else(|| "before 1970".to_owned())
}

fn shown(at: u64) -> String {
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(at));
    let at = at.filter(|at| *at < SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_800));
    at.map_or_else(
        || "the end of time".to_owned(),
        |at| humantime::format_rfc3339_millis(at).to_string(),
    )
}
