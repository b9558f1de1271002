//! `pollcast tail`: a subscriber for the terminal, and for scripts that wait.
//!
//! Owns what is said about a feed. Standard output is the events, standard error everything about
//! the connection; a pipe never gets a code for a terminal unless it is asked for.

mod arguments;
mod page;
mod progress;
mod rows;
mod told;
mod unified;
mod until;
mod words;

use std::collections::HashSet;
use std::io::ErrorKind;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep_until;

pub use self::arguments::Arguments;
use self::progress::Progress;
use self::told::Teller;
use self::until::{Judge, JudgeError};
use super::CliError;
use super::run::told_to_leave;
use super::subscribe::{Change, Event, Happening, SubscribeError, Subscription};
use super::terminal::{Screen, width};
use crate::core::json::Json;

/// How often the line that says what is waited for is drawn anew.
const TICK: Duration = Duration::from_secs(1);

/// What was waited for has not happened, and never will.
const NEVER: u8 = 3;
/// As `timeout` of the GNU coreutils.
const TIMED_OUT: u8 = 124;
/// As a shell tells of a process that SIGINT ended.
const INTERRUPTED: u8 = 130;

/// Why following a feed makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// No runtime.
    #[error("cannot start")]
    Runtime(#[source] std::io::Error),
    /// The feed cannot be followed.
    #[error(transparent)]
    Subscribe(#[from] SubscribeError),
    /// `--until` is of no use.
    #[error(transparent)]
    Judge(#[from] JudgeError),
    /// The form of changes does not tell the document.
    #[error("--mode items tells no whole document, and --{0} needs it; choose another mode")]
    Items(&'static str),
    /// The events have nowhere to go.
    #[error("cannot write to standard output")]
    Output(#[source] std::io::Error),
}

impl TailError {
    /// Whether the arguments are wrong.
    pub fn is_misuse(&self) -> bool {
        match self {
            Self::Subscribe(error) => error.is_misuse(),
            Self::Judge(error) => matches!(error, JudgeError::Filter(_)),
            Self::Items(_) => true,
            Self::Runtime(_) | Self::Output(_) => false,
        }
    }
}

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Reached,
    Over,
    Unread,
    Told,
    TimedOut,
}

pub fn tail(arguments: &Arguments) -> Result<ExitCode, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(TailError::Runtime)?;
    let (end, waited) = runtime.block_on(watched(arguments))?;
    // A filter may still be running, or a pipe be full; nobody waits for it.
    runtime.shutdown_background();
    Ok(match end {
        End::TimedOut => TIMED_OUT.into(),
        End::Told if waited => INTERRUPTED.into(),
        End::Over | End::Unread if waited => NEVER.into(),
        _ => ExitCode::SUCCESS,
    })
}

/// How it ended, and whether something was waited for.
async fn watched(arguments: &Arguments) -> Result<(End, bool), TailError> {
    let left = told_to_leave();
    let mut watch = Watch::new(arguments)?;
    let deadline = async {
        match arguments.timeout {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        ended = watch.run() => ended,
        () = deadline => Ok(End::TimedOut),
        () = left => Ok(End::Told),
    };
    watch.screen.erase();
    let end = match ended {
        // Whoever read it has seen enough.
        Err(TailError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => End::Unread,
        ended => ended?,
    };
    let told = match end {
        End::Over => Some("the feed is over".to_owned()),
        End::TimedOut => Some("the time of --timeout is over".to_owned()),
        End::Told if watch.screen.shows_waiting() => Some(watch.progress.summary(Instant::now())),
        _ => None,
    };
    if let Some(text) = told {
        watch.screen.note(&text);
    }
    Ok((end, watch.waits()))
}

/// A feed and who watches it.
struct Watch<'a> {
    arguments: &'a Arguments,
    subscription: Subscription,
    screen: Screen,
    teller: Teller,
    progress: Progress,
    judge: Option<Judge>,
    /// What the filter has failed with, each told once.
    failures: HashSet<String>,
    counted: u64,
    /// Whether the connection was lost, so that its return is worth a word.
    lost: bool,
}

impl<'a> Watch<'a> {
    fn new(arguments: &'a Arguments) -> Result<Self, TailError> {
        if arguments.source.tells_items() {
            match (&arguments.until, arguments.diff) {
                (Some(_), _) => return Err(TailError::Items("until")),
                (None, true) => return Err(TailError::Items("diff")),
                (None, false) => {}
            }
        }
        let judge = arguments.until.as_deref().map(Judge::start).transpose()?;
        let asker = arguments.source.asker()?;
        let paint = arguments.color.paint(&std::io::stdout());
        Ok(Self {
            arguments,
            subscription: Subscription::start(asker, arguments.last_id.as_deref()),
            screen: Screen::new(arguments.color, arguments.quiet),
            teller: Teller::new(paint, arguments.diff),
            progress: Progress::new(Instant::now()),
            judge,
            failures: HashSet::new(),
            counted: 0,
            lost: false,
        })
    }

    fn waits(&self) -> bool {
        self.judge.is_some() || self.arguments.count.is_some()
    }

    async fn run(&mut self) -> Result<End, TailError> {
        let mut next_tick = Instant::now();
        loop {
            let happening = tokio::select! {
                biased;
                happening = self.subscription.next() => happening?,
                () = sleep_until(next_tick.into()), if self.screen.shows_waiting() => {
                    next_tick = Instant::now() + TICK;
                    self.screen.wait(&self.progress.waiting(Instant::now()));
                    continue;
                }
            };
            let Some(happening) = happening else {
                return Ok(End::Over);
            };
            self.progress.note(&happening, Instant::now());
            if let Some(end) = self.take(happening).await? {
                return Ok(end);
            }
        }
    }

    async fn take(&mut self, happening: Happening) -> Result<Option<End>, TailError> {
        match happening {
            Happening::Heard(_) => {}
            Happening::Connected { resumed } => {
                if std::mem::take(&mut self.lost) {
                    let how = match resumed {
                        true => ", going on where it broke",
                        false => "",
                    };
                    self.screen.note(&format!("connected again{how}"));
                }
            }
            Happening::Event(event, change) => return self.event(&event, change).await,
            Happening::Misfit(misfit) => self.screen.note(&misfit.to_string()),
            Happening::Lost { why, again_in } => {
                self.lost = true;
                let wait = humantime::format_duration(again_in);
                self.screen.note(&format!("{why}; trying again in {wait}"));
            }
            Happening::Over => return Ok(Some(End::Over)),
        }
        Ok(None)
    }

    async fn event(&mut self, event: &Event, change: Change) -> Result<Option<End>, TailError> {
        let text = match self.arguments.json {
            true => format!("{{{}}}\n", event.members()),
            false => {
                let time = self.arguments.time.text();
                self.teller.tell(event, &change, &time, width())
            }
        };
        let printed = self.screen.print(&text).await;
        printed.map_err(TailError::Output)?;
        if let Change::Word(members) = &change {
            if event.name == "status" {
                self.progress.status(members);
            }
            return Ok(None);
        }
        self.counted += 1;
        if let Change::Whole { after, .. } | Change::Patched { after, .. } = &change
            && self.is_it(after).await
        {
            return Ok(Some(End::Reached));
        }
        Ok((Some(self.counted) == self.arguments.count).then_some(End::Reached))
    }

    async fn is_it(&mut self, document: &Arc<Json>) -> bool {
        let Some(judge) = &self.judge else {
            return false;
        };
        match judge.holds(document).await {
            Ok(holds) => holds,
            Err(why) => {
                if self.failures.insert(why.clone()) {
                    self.screen.note(&format!("the filter of --until {why}"));
                }
                false
            }
        }
    }
}
