//! What `tail` is told to do.

use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum};

use crate::cli::subscribe::Source;
use crate::cli::terminal::When;

/// Printed below the options.
const AFTER_HELP: &str = "\
Examples:
  pollcast tail http://127.0.0.1:8080/orders
      one line for each thing that changed
  pollcast tail URL --diff
      the same as a diff of the indented document
  pollcast tail URL --until '.status == \"done\"' --timeout 5m --quiet
      waits in a script
  pollcast tail URL --json | jq .
      each event as a line of JSON

Exit status:
  0    what was waited for happened; without --until and --count: the feed is over, Ctrl-C, or
       nobody reads the output any more
  1    the feed cannot be followed
  2    the arguments are wrong
  3    the feed is over, or nobody reads the output, before what --until or --count wait for
  124  the time of --timeout is over
  130  Ctrl-C or SIGTERM before what --until or --count wait for";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(flatten)]
    pub(super) source: Source,
    /// Begin after the event with this id, as a client that comes back would
    #[arg(long, value_name = "ID", conflicts_with_all = ["until", "diff"])]
    pub(super) last_id: Option<String>,
    /// Print each event as one line of JSON: {"event", "id", "data"}
    #[arg(long, conflicts_with = "diff")]
    pub(super) json: bool,
    /// Print changes as a unified diff of the indented document
    #[arg(long)]
    pub(super) diff: bool,
    /// End when this jq filter gives true for the document
    #[arg(long, value_name = "FILTER")]
    pub(super) until: Option<String>,
    /// End after so many events, the first snapshot included; status, reset and end do not count
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,
    /// End after this time, such as 90s or 5m, with exit status 124
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(super) timeout: Option<Duration>,
    /// Print nothing but errors
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// Colours: NO_COLOR and CLICOLOR_FORCE are heeded by auto
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    pub(super) color: When,
    /// The time before each event
    #[arg(
        long,
        value_enum,
        value_name = "FORM",
        default_value = "local",
        conflicts_with = "json"
    )]
    pub(super) time: Time,
}

/// How the time of an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Time {
    /// 14:05:09, on this machine's clock
    Local,
    /// 2026-01-31T13:05:09.123Z
    Rfc3339,
    /// No time
    None,
}

impl Time {
    /// Now.
    pub fn text(self) -> String {
        match self {
            Time::Local => jiff::Zoned::now().strftime("%H:%M:%S").to_string(),
            Time::Rfc3339 => humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            Time::None => String::new(),
        }
    }
}
