//! `pollcast record`: keeps a feed as a file.
//!
//! Owns what is written, and that the file is whole at any time. A feed of pollcast is followed; of
//! what answers with JSON only, each change between two polls is written as pollcast would tell it.

mod file;
mod polled;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::time::sleep_until;

use self::file::Out;
use self::polled::{Observed, Poller};
use super::CliError;
use super::recording::Writer;
use super::run::told_to_leave;
use super::subscribe::{Asker, Change, Happening, Source, SubscribeError, Subscription};
use super::terminal::{Screen, When};

/// How often the line that says how it goes is drawn anew.
const TICK: Duration = Duration::from_secs(1);

const AFTER_HELP: &str = "\
Examples:
  pollcast record http://127.0.0.1:8080/orders -o orders.ndjson
      until Ctrl-C
  pollcast record https://example.com/api.json -o api.ndjson --interval 30s --for 1h
      an API that can only be asked
  pollcast record URL -o - --for 10m | gzip > orders.ndjson.gz
  pollcast replay orders.ndjson
      serves it again

Exit status: 0 when --for or --count is reached, when the feed is over, and on Ctrl-C; 1 if the
feed cannot be followed or the file not be written; 2 if the arguments are wrong.";

#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// The file to write, one JSON object a line; - is standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Go on with a file that exists
    #[arg(long)]
    append: bool,
    /// End after this time, such as 90s or 10m
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    time: Option<Duration>,
    /// End after so many documents and changes, the first document included
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Between two polls, where the URL answers with JSON and not with events
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = pause)]
    interval: Duration,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

/// Why nothing more is recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// No runtime.
    #[error("cannot start")]
    Runtime(#[source] std::io::Error),
    /// The feed cannot be followed.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    /// It has no room, or is not ours.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file as it was named.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It holds something already.
    #[error("{} exists; --append goes on with it, or choose another name", .0.display())]
    Exists(PathBuf),
    /// It is to be gone on with, and holds something else.
    #[error("{} is no recording of pollcast, so that nothing is appended to it; choose another name", .0.display())]
    Foreign(PathBuf),
}

impl RecordError {
    /// Whether the arguments are wrong.
    pub fn is_misuse(&self) -> bool {
        matches!(self, Self::Subscribe(error) if error.is_misuse())
    }
}

pub fn record(arguments: &Arguments) -> Result<ExitCode, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RecordError::Runtime)?;
    let recorded = runtime.block_on(recorded(arguments));
    // A pipe may be full; nobody waits for it.
    runtime.shutdown_background();
    recorded?;
    Ok(ExitCode::SUCCESS)
}

async fn recorded(arguments: &Arguments) -> Result<(), RecordError> {
    let left = told_to_leave();
    let mut recorder = Recorder::new(arguments)?;
    let deadline = async {
        match arguments.time {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        ended = recorder.run() => ended,
        () = deadline => Ok(()),
        () = left => Ok(()),
    };
    recorder.screen.erase();
    match ended {
        // Whoever read it has seen enough.
        Err(RecordError::Write { source, .. }) if source.kind() == ErrorKind::BrokenPipe => {}
        ended => ended?,
    }
    let told = recorder.told();
    recorder.screen.note(&told);
    Ok(())
}

/// A feed and the file that keeps it.
struct Recorder<'a> {
    arguments: &'a Arguments,
    asker: Asker,
    out: Out,
    writer: Writer<Vec<u8>>,
    screen: Screen,
    started: Instant,
    counted: u64,
}

impl<'a> Recorder<'a> {
    fn new(arguments: &'a Arguments) -> Result<Self, RecordError> {
        let asker = arguments.source.asker()?;
        let mut screen = Screen::new(When::Auto, arguments.quiet);
        let opened = file::open(&arguments.output, arguments.append)?;
        if opened.torn > 0 {
            let torn = opened.torn;
            screen.note(&format!(
                "the last line was torn; its {torn} bytes are cut off"
            ));
        }
        let mut recorder = Self {
            arguments,
            asker,
            out: opened.out,
            writer: Writer::new(Vec::new()),
            screen,
            started: Instant::now(),
            counted: 0,
        };
        if opened.is_new {
            let from = recorder.asker.place();
            let path = arguments.source.url.path();
            let begun = recorder.writer.begin(&from, path);
            begun.map_err(|source| recorder.unwritten(source))?;
        }
        Ok(recorder)
    }

    /// Follows; if that is not understood, polls.
    async fn run(&mut self) -> Result<(), RecordError> {
        self.written(Ok(())).await?;
        match self.follow().await {
            Err(RecordError::Subscribe(SubscribeError::NoStream(_))) => self.poll().await,
            ended => ended,
        }
    }

    async fn follow(&mut self) -> Result<(), RecordError> {
        let mut subscription = Subscription::start(self.asker.clone(), None);
        let mut next_tick = Instant::now();
        loop {
            let happening = tokio::select! {
                biased;
                happening = subscription.next() => happening?,
                () = sleep_until(next_tick.into()), if self.screen.shows_waiting() => {
                    next_tick = Instant::now() + TICK;
                    self.show();
                    continue;
                }
            };
            let written = match happening {
                None | Some(Happening::Over) => {
                    self.screen.note("the feed is over");
                    return Ok(());
                }
                Some(Happening::Heard(_)) => Ok(()),
                Some(Happening::Connected { resumed }) => self.writer.connected(resumed),
                Some(Happening::Event(event, change)) => {
                    let written = self.writer.event(&event, &change);
                    self.counted += u64::from(!matches!(change, Change::Word(_)));
                    written
                }
                Some(Happening::Misfit(misfit)) => {
                    self.screen.note(&misfit.to_string());
                    Ok(())
                }
                Some(Happening::Lost { why, again_in }) => {
                    let wait = humantime::format_duration(again_in);
                    self.screen.note(&format!("{why}; trying again in {wait}"));
                    self.writer.lost(&why)
                }
            };
            self.written(written).await?;
            if self.is_enough() {
                return Ok(());
            }
        }
    }

    async fn poll(&mut self) -> Result<(), RecordError> {
        let interval = self.arguments.interval;
        let every = humantime::format_duration(interval);
        self.screen
            .note(&format!("no event stream there: asking every {every}"));
        let mut poller = Poller::new(self.asker.clone());
        let mut next_poll = Instant::now();
        loop {
            sleep_until(next_poll.into()).await;
            next_poll = Instant::now().max(next_poll + interval);
            let Observed {
                event,
                change,
                problem,
            } = match poller.poll().await? {
                Some(observed) => observed,
                None => {
                    self.show();
                    continue;
                }
            };
            if let Some(problem) = problem {
                self.screen.note(&problem);
            }
            let written = self.writer.event(&event, &change);
            self.written(written).await?;
            self.counted += u64::from(!matches!(change, Change::Word(_)));
            if self.is_enough() {
                return Ok(());
            }
            self.show();
        }
    }

    fn is_enough(&self) -> bool {
        self.arguments
            .count
            .is_some_and(|count| self.counted >= count)
    }

    fn show(&mut self) {
        let told = self.told();
        self.screen.wait(&format!("recording: {told}"));
    }

    /// What is in the file by now.
    fn told(&self) -> String {
        let (lines, bytes) = self.writer.written();
        let bytes = bytesize::ByteSize(bytes).display().si();
        let time = Duration::from_secs(self.started.elapsed().as_secs());
        let time = humantime::format_duration(time);
        let file = self.arguments.output.display();
        let s = if self.counted == 1 { "" } else { "s" };
        format!(
            "{} document{s} in {lines} lines, {bytes}, in {time}: {file}",
            self.counted
        )
    }

    /// Writes what there is to write.
    async fn written(&mut self, told: std::io::Result<()>) -> Result<(), RecordError> {
        let lines = std::mem::take(self.writer.out());
        let written = match told {
            Ok(()) if lines.is_empty() => Ok(()),
            Ok(()) => self.out.write(lines).await,
            Err(error) => Err(error),
        };
        written.map_err(|source| self.unwritten(source))
    }

    fn unwritten(&self, source: std::io::Error) -> RecordError {
        RecordError::Write {
            path: self.arguments.output.clone(),
            source,
        }
    }
}

/// A time between two polls: a tenth of a second or more.
fn pause(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(pause) if pause >= Duration::from_millis(100) => Ok(pause),
        Ok(_) => Err("at least 100ms".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
