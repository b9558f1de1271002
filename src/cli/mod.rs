//! The command line: arguments in, one of eight jobs out.
//!
//! Owns what is printed for people. Promises one clear message and a non-zero exit for whatever
//! goes wrong; what goes to standard output is the job's result, everything else is standard error.

mod beside;
mod check;
mod demo;
mod diff;
#[doc(hidden)]
pub mod fuzz;
mod hash_key;
mod logs;
mod ready;
mod record;
mod recording;
mod replay;
mod run;
mod subscribe;
mod tail;
mod terminal;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use logs::last_words;

use crate::config::{LoadError, Problems};
use crate::server::StartError;
use crate::upstream::transform::worker;

/// Poll once, push to everyone.
///
/// pollcast is a reverse proxy that polls JSON endpoints, works out what changed, and pushes the
/// changes to any number of clients as Server-Sent Events. Everything else passes through.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    job: Job,
}

const EXAMPLES: &str = "\
Try it:
  pollcast demo
      a made-up legacy API, pollcast in front of it, and a page to watch
  pollcast run --upstream http://127.0.0.1:9000 --feed /orders
      turns http://127.0.0.1:9000/orders into a live stream at http://127.0.0.1:8080/orders
  curl -N -H 'Accept: text/event-stream' http://127.0.0.1:8080/orders
      watches it as it is on the wire;  pollcast tail http://127.0.0.1:8080/orders  explains it
  pollcast check -c pollcast.yaml
      says everything that is wrong with a configuration, in one go";

#[derive(Debug, Subcommand)]
enum Job {
    /// Serve: poll the feeds, push their changes, pass everything else through
    Run(run::Arguments),
    /// Check a configuration file and say what it does, without starting anything
    Check(check::Arguments),
    /// Say whether the pollcast on this machine is ready, by its exit code: for health checks
    Ready(ready::Arguments),
    /// Show it all: a made-up legacy API, pollcast in front of it, and a page to watch
    Demo(demo::Arguments),
    /// Subscribe to a feed and print each change, or wait until it says what is waited for
    Tail(tail::Arguments),
    /// Keep a feed, or what any JSON API answers, as a file
    Record(record::Arguments),
    /// Serve a recording again: as the API that was polled, and live
    Replay(replay::Arguments),
    /// Print the JSON Patch (RFC 6902) that turns one JSON file into another
    Diff(diff::Arguments),
    /// Make or read an API key, and print the hash that goes into the configuration
    HashKey(hash_key::Arguments),
    /// Run a feed's filter; pollcast starts this itself
    #[command(name = worker::COMMAND, hide = true)]
    TransformWorker {
        /// The longest result, in bytes
        max_bytes: usize,
        /// The most address space, in bytes
        memory: u64,
    },
}

/// Why a job could not be done. The message ends up on standard error, its causes behind it.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration file is missing or wrong.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The arguments that stand for a configuration are wrong.
    #[error("these arguments do not make a configuration\n{0}")]
    Arguments(Problems),
    /// The server cannot start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The demo cannot start.
    #[error(transparent)]
    Demo(#[from] demo::DemoError),
    /// `diff` cannot read a document.
    #[error(transparent)]
    Diff(#[from] diff::DiffError),
    /// `hash-key` has no key.
    #[error(transparent)]
    HashKey(#[from] hash_key::KeyError),
    /// `tail` cannot go on.
    #[error(transparent)]
    Tail(#[from] tail::TailError),
    /// `record` cannot go on.
    #[error(transparent)]
    Record(#[from] record::RecordError),
    /// `ready` gets no answer.
    #[error(transparent)]
    Ready(#[from] ready::ReadyError),
    /// `replay` has nothing to serve, or nowhere to do so.
    #[error(transparent)]
    Replay(#[from] replay::ReplayError),
    /// A feed's filter cannot be run.
    #[error(transparent)]
    Worker(#[from] worker::WorkerError),
    /// The result has nowhere to go.
    #[error("cannot write to standard output")]
    Output(#[source] std::io::Error),
}

impl CliError {
    /// What the process ends with: 2 where the arguments are wrong, as for what clap refuses, else 1.
    #[must_use]
    pub fn status(&self) -> ExitCode {
        let is_misuse = match self {
            Self::Arguments(_) => true,
            Self::Tail(error) => error.is_misuse(),
            Self::Record(error) => error.is_misuse(),
            _ => false,
        };
        if is_misuse {
            ExitCode::from(2)
        } else {
            ExitCode::FAILURE
        }
    }
}

/// Does what the process's arguments say.
///
/// # Errors
/// [`CliError`]; what clap refuses ends the process with status 2.
pub fn run() -> Result<ExitCode, CliError> {
    match Arguments::parse().job {
        Job::Run(arguments) => run::run(&arguments),
        Job::Check(arguments) => check::check(&arguments),
        Job::Ready(arguments) => ready::ready(&arguments),
        Job::Demo(arguments) => demo::demo(&arguments),
        Job::Tail(arguments) => tail::tail(&arguments),
        Job::Record(arguments) => record::record(&arguments),
        Job::Replay(arguments) => replay::replay(&arguments),
        Job::Diff(arguments) => diff::diff(&arguments),
        Job::HashKey(arguments) => hash_key::hash_key(&arguments),
        Job::TransformWorker { max_bytes, memory } => match worker::work(max_bytes, memory)? {},
    }
}

/// Writes a job's result; `println!` would panic where nobody reads it.
fn print(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(CliError::Output)
}
