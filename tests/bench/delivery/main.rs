//! What delivery costs: pollcast beside a bare loop of `write(2)`, nginx with nchan, and Pushpin.
//!
//! `cargo bench --bench delivery -- [PART…] [--runs N] [--only SYSTEM,…] [--subscribers N]`, or
//! `make bench-delivery`, which installs the other servers. This process is the load; each server
//! has its own, and so has pollcast's upstream. Systems take turns within each round.

mod case;
mod certificate;
mod crowd;
mod event;
mod figures;
mod fires;
mod floor;
mod http1;
mod http2;
mod idle;
mod measure;
mod member;
mod nchan;
mod options;
mod pollcast;
mod process;
mod publisher;
mod pushpin;
mod storm;
mod system;
mod table;
mod upstream;

use std::path::Path;
use std::process::ExitCode;

use case::{Case, SMALL};
use crowd::Transport;
use figures::Figures;
use options::Options;
use system::{Job, Kind};

/// Subscribers of the parts that have one size only.
const CROWD: usize = 10_000;
/// Bytes of a document so large that what was missed in a storm is smaller.
const STORM_BALLAST: usize = 60_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(played) = play(&arguments) {
        return match played {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                eprintln!("{}: {failure}", arguments[0]);
                ExitCode::FAILURE
            }
        };
    }
    let Some(options) = Options::of(arguments.into_iter()) else {
        eprintln!("{}", options::USAGE);
        return ExitCode::from(2);
    };
    match bench(&options) {
        0 => ExitCode::SUCCESS,
        failures => {
            eprintln!("delivery: {failures} measurements of pollcast failed");
            ExitCode::FAILURE
        }
    }
}

/// The roles that this program plays for itself.
fn play(arguments: &[String]) -> Option<std::io::Result<()>> {
    let text = |at: usize| arguments.get(at).map(String::as_str).unwrap_or_default();
    let number = |at| text(at).parse().unwrap_or(0);
    Some(match text(0) {
        "floor" => floor::run(),
        "upstream" => upstream::run(number(1), number(2)),
        "origin" => pushpin::origin(),
        "recording" => fires::upstream(Path::new(text(1))),
        _ => return None,
    })
}

/// Measures and prints; returns how often pollcast failed.
fn bench(options: &Options) -> usize {
    let mut figures = Figures::default();
    let mut failures = 0;
    let mut cases: Vec<Case> = case::all();
    cases.retain(|case| options.wants(case.part) && options.has_size(case.job.subscribers));
    for case in &mut cases {
        for _ in 0..options.runs {
            case.round(&|kind| options.wants_of(kind));
        }
    }
    for case in &cases {
        failures += case.failures(Kind::Pollcast).0.len();
    }
    say_how(options);
    table::cases(&cases);
    figures.cases(&cases);
    if options.wants("storm") {
        failures += storms(options);
    }
    if options.wants("idle") {
        failures += idle(options, &mut figures);
    }
    if options.wants("fires") {
        failures += fires(&mut figures);
    }
    figures.print();
    failures
}

fn say_how(options: &Options) {
    println!(
        "Medians of {} runs on {} processors.",
        options.runs,
        processors()
    );
    for (name, installed) in [
        ("nchan", nchan::installed().is_some()),
        ("Pushpin", pushpin::installed().is_some()),
    ] {
        if !installed {
            println!("**{name} was skipped: it is not installed (tests/setup bench-delivery).**");
        }
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn storms(options: &Options) -> usize {
    eprintln!("… a reconnect storm");
    let job = Job {
        ballast: STORM_BALLAST,
        ..case::job(CROWD, Transport::Http1, SMALL)
    };
    let runs: Result<Vec<_>, _> = (0..options.runs).map(|_| storm::run(&job)).collect();
    match runs {
        Ok(runs) => {
            table::storms(CROWD, &runs);
            0
        }
        Err(failure) => failed("storm", &failure),
    }
}

fn idle(options: &Options, figures: &mut Figures) -> usize {
    eprintln!("… idle subscribers");
    let job = Job {
        interval: 2_000,
        ..case::job(CROWD, Transport::Http1, SMALL)
    };
    let mut seen = Vec::new();
    for kind in [Kind::Pollcast, Kind::Nchan] {
        if !options.wants_of(kind) {
            continue;
        }
        let run = || {
            kind.start(&job)
                .and_then(|mut system| idle::run(&mut *system, &job))
        };
        // Longer than all other runs, and calmer: fewer of them do.
        let runs: Result<Vec<f64>, _> = (0..options.runs.div_ceil(2)).map(|_| run()).collect();
        match runs {
            Ok(runs) => seen.push((kind, measure::median(runs.into_iter()))),
            Err(failure) if kind == Kind::Pollcast => return failed("idle", &failure),
            Err(failure) => println!("\n**{}, idle: {failure}**", kind.name()),
        }
    }
    table::idle(CROWD, &seen);
    if let Some((_, share)) = seen.iter().find(|(kind, _)| *kind == Kind::Pollcast) {
        figures.idle(*share);
    }
    0
}

fn fires(figures: &mut Figures) -> usize {
    let Some(recording) = fires::recording() else {
        println!("\nThe recording `fires` was skipped: POLLCAST_CORPUS is not set.");
        return 0;
    };
    eprintln!("… the recording");
    match fires::run(&recording) {
        Ok(bytes) => {
            table::fires(&bytes);
            figures.fires(&bytes);
            0
        }
        Err(failure) => failed("fires", &failure),
    }
}

fn failed(what: &str, failure: &str) -> usize {
    println!("\n**{what}: {failure}**");
    1
}
