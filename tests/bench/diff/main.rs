//! How small patches are and how fast they come, beside the `json-patch` crate with
//! `serde_json::Value` and three libraries from npm. Every patch is verified.
//!
//! `cargo bench --bench diff -- [corpus] [synthetic] [unchanged] [large] [exported] [--quick] [--no-peers]`,
//! or `make bench-diff`, which installs the libraries. All parts unless some are named.

mod case;
mod compare;
mod contenders;
mod corpus;
mod exported;
mod figures;
mod large;
mod memory;
mod peers;
mod race;
mod synthetic;
mod tables;
mod unchanged;
mod verify;

use std::process::ExitCode;

use bytes::Bytes;
use case::{Case, FIRST};
use figures::Figures;
use peers::Peers;

/// The allocator of the real program, for everybody in this process.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const PARTS: [&str; 5] = ["corpus", "synthetic", "unchanged", "large", "exported"];
/// Bytes of the large document, and of the one for a quick look.
const LARGE: [usize; 2] = [50_000_000, 5_000_000];

fn main() -> ExitCode {
    let Some(options) = Options::of(std::env::args().skip(1)) else {
        eprintln!("usage: diff [{}] [--quick] [--no-peers]", PARTS.join("] ["));
        return ExitCode::from(2);
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("diff: a wrong patch. {wrong}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Options {
    parts: Vec<String>,
    quick: bool,
    no_peers: bool,
}

impl Options {
    fn of(arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self::default();
        for argument in arguments {
            match &*argument {
                "--quick" => options.quick = true,
                "--no-peers" => options.no_peers = true,
                "--bench" => {} // says cargo
                part if PARTS.contains(&part) => options.parts.push(argument),
                _ => return None,
            }
        }
        Some(options)
    }

    fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }
}

fn run(options: &Options) -> Result<(), String> {
    let mut figures = Figures::default();
    let recorded = recorded(options);
    say_how(options);
    compare_all(options, &recorded, &mut figures)?;
    if options.wants("unchanged") {
        unchanged(options, &recorded, &mut figures);
    }
    if options.wants("large") {
        progress("a large document");
        let seen: Vec<_> = large::large(LARGE[usize::from(options.quick)]).collect();
        tables::large(&seen);
        seen.iter().for_each(|seen| figures.large(seen));
    }
    if options.wants("exported") {
        progress("exported numbers");
        tables::exported(&exported::exported());
    }
    figures.print();
    Ok(())
}

fn recorded(options: &Options) -> Vec<Case> {
    let Some(cases) = corpus::read() else {
        println!("Recorded polls skipped: POLLCAST_CORPUS is not set.");
        return Vec::new();
    };
    let few = |case: Case| {
        if options.quick {
            case.shortened(FIRST)
        } else {
            case
        }
    };
    cases.into_iter().map(few).collect()
}

fn say_how(options: &Options) {
    println!(
        "serde_json's Value as built here: {}.",
        match contenders::value_is_default() {
            true => "as by default (sorted maps, numbers of 64 bits)",
            false => "NOT as by default, another crate of this build turned features on",
        }
    );
    if options.quick {
        println!("A quick look: nothing here is to be quoted.");
    }
}

fn compare_all(options: &Options, recorded: &[Case], figures: &mut Figures) -> Result<(), String> {
    let mut peers = if options.no_peers {
        None
    } else {
        Peers::installed()
    };
    if peers.is_none() {
        println!("npm libraries skipped: left out, or not installed (tests/setup bench-diff).");
    }
    let mut compared = Vec::new();
    let mut add = |case: &Case| {
        progress(&case.name);
        compare::compare(case, peers.as_mut()).map(|seen| compared.push(seen))
    };
    if options.wants("corpus") {
        recorded.iter().try_for_each(&mut add)?;
    }
    if options.wants("synthetic") {
        let cases = synthetic::cases(options.quick);
        cases.iter().try_for_each(|build| add(&build()))?;
    }
    if !compared.is_empty() {
        tables::shares(&compared);
        tables::patches(&compared);
        tables::times(&compared);
        tables::memories(&compared);
    }
    compared.iter().for_each(|case| figures.compared(case));
    Ok(())
}

fn unchanged(options: &Options, recorded: &[Case], figures: &mut Figures) {
    progress("unchanged bodies");
    let last = |case: &Case| (case.name.clone(), case.bodies[case.pairs()].clone());
    let mut bodies: Vec<(String, Bytes)> = recorded.iter().map(last).collect();
    let (large, _) = synthetic::orders(
        LARGE[usize::from(options.quick)],
        synthetic::Leaf::SameLength,
    );
    bodies.push(("large".to_owned(), Bytes::from(large)));
    let seen = bodies.into_iter().map(|(name, body)| {
        let seen = unchanged::unchanged(&body);
        figures.unchanged(&name, &seen);
        (name, body.len(), seen)
    });
    tables::unchanged(&seen.collect::<Vec<_>>());
}

/// On the other stream, so that the tables can be kept by themselves.
fn progress(what: &str) {
    eprintln!("… {what}");
}
