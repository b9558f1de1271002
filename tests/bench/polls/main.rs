//! What a poll costs: pollcast with thousands of topics beside a bare loop around the same HTTP
//! client, and a floor of ready-made bytes on tokio's sockets.
//!
//! `cargo bench --bench polls -- [--topics N] [--interval MS] [--seconds N] [--runs N] [--only …]
//! [--captures]`, or `make bench-polls`. The upstream and each system have processes of their own; systems take
//! turns within a round.

mod asker;
mod figures;
mod options;
mod pollcast;
#[path = "../delivery/process.rs"]
#[allow(dead_code)]
mod process;
mod round;
mod table;
mod upstream;

use std::process::ExitCode;

use options::Options;

/// As pollcast's: the bare loop shall not lose by its allocator.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

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
    let mut rounds = Vec::new();
    for number in 1..=options.runs {
        match round::measure(&options) {
            Ok(round) => rounds.push(round),
            Err(failure) => {
                eprintln!("polls: round {number}: {failure}");
                return ExitCode::FAILURE;
            }
        }
        eprintln!("polls: round {number} of {} is done", options.runs);
    }
    table::print(&options, &rounds);
    ExitCode::SUCCESS
}

/// The roles that this program plays for itself.
fn play(arguments: &[String]) -> Option<std::io::Result<()>> {
    let text = |at: usize| arguments.get(at).map(String::as_str).unwrap_or_default();
    let number = |at| text(at).parse().unwrap_or(0);
    Some(match text(0) {
        "upstream" => upstream::run(number(1), number(2)),
        "bare" => asker::run(text(1), number(2), number(3), asker::bare),
        "floor" => asker::run(text(1), number(2), number(3), asker::floor),
        _ => return None,
    })
}
