//! One round: each system in turn, each with an upstream of its own.

use std::fs;
use std::time::{Duration, Instant};

use crate::figures::{Figures, Seen};
use crate::options::Options;
use crate::pollcast::Pollcast;
use crate::process::{self, Role};

/// How long a system may take until it asks for all topics.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Floor,
    Bare,
    Pollcast,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Floor, Self::Bare, Self::Pollcast];

    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Bare => "bare",
            Self::Pollcast => "pollcast",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What one round has seen.
pub struct Round {
    pub systems: Vec<(Kind, Figures)>,
    /// Resident bytes of a pollcast that has one topic.
    pub alone: Option<usize>,
}

/// A process that polls.
enum System {
    Role(Role),
    Pollcast(Pollcast),
}

impl System {
    fn start(kind: Kind, upstream: &str, options: &Options, topics: usize) -> Result<Self, String> {
        let arguments = [
            upstream.to_owned(),
            topics.to_string(),
            options.interval.to_string(),
        ];
        Ok(match kind {
            Kind::Pollcast => Self::Pollcast(Pollcast::start(upstream, options, topics)?),
            kind => Self::Role(Role::start(kind.name(), &arguments)),
        })
    }

    fn id(&self) -> u32 {
        match self {
            Self::Role(role) => role.id(),
            Self::Pollcast(pollcast) => pollcast.id(),
        }
    }
}

/// # Errors
/// Why a system could not be measured.
pub fn measure(options: &Options) -> Result<Round, String> {
    let mut systems = Vec::new();
    for kind in &options.systems {
        systems.push((*kind, one(*kind, options, options.topics)?));
    }
    let alone = match options.systems.contains(&Kind::Pollcast) {
        true => Some(one(Kind::Pollcast, options, 1)?.resident),
        false => None,
    };
    Ok(Round { systems, alone })
}

fn one(kind: Kind, options: &Options, topics: usize) -> Result<Figures, String> {
    let mut upstream = Role::start(
        "upstream",
        &[topics.to_string(), options.interval.to_string()],
    );
    let at = upstream.answer();
    let system = System::start(kind, &at, options, topics)?;
    warm(&mut upstream, kind, topics, options.interval)?;
    let id = system.id();
    upstream.command("begin");
    let (before, kernel_before) = (process::processor_time(&[id]), ticks(id));
    std::thread::sleep(Duration::from_secs(options.seconds));
    let seen = seen(&mut upstream)?;
    let (after, kernel_after) = (process::processor_time(&[id]), ticks(id));
    let expected = topics as u64 * options.seconds * 1000 / options.interval as u64;
    if seen.polls < expected / 2 {
        return Err(format!(
            "{} polled {} times instead of {expected}: is the machine too busy?",
            kind.name(),
            seen.polls
        ));
    }
    let [user, kernel] = [0, 1].map(|at| kernel_after[at] - kernel_before[at]);
    Ok(Figures {
        seen,
        processor: after - before,
        kernel: kernel as f64 / (user + kernel).max(1) as f64,
        resident: process::resident(&[id]),
    })
}

/// Waits until all topics are asked for, and some intervals more.
fn warm(upstream: &mut Role, kind: Kind, topics: usize, interval: usize) -> Result<(), String> {
    let begun = Instant::now();
    while seen(upstream)?.topics < topics as u64 {
        if begun.elapsed() > PATIENCE {
            return Err(format!("{} never asked for all topics", kind.name()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_millis(3 * interval as u64));
    Ok(())
}

fn seen(upstream: &mut Role) -> Result<Seen, String> {
    upstream.command("tell");
    upstream.answer().parse()
}

/// Clock ticks of a process in its own code and in the kernel (proc(5): utime, stime).
fn ticks(process: u32) -> [u64; 2] {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    let behind_name = stat.rsplit(") ").next().expect("a name in brackets");
    let mut words = behind_name.split(' ').skip(11);
    [(); 2].map(|()| {
        let word = words.next().expect("a number");
        word.parse().expect("a number")
    })
}
