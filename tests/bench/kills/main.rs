//! `make kills`: processes over one store, killed at moments of chance's choice, while clients that
//! resume hold every id and every state against what was ever seen.

#![allow(clippy::print_stdout)]

mod client;
mod cycles;
mod ledger;
mod upstream;

use std::process::ExitCode;

fn main() -> ExitCode {
    let number = std::env::args().find_map(|argument| argument.parse().ok());
    let number = number.unwrap_or(10_000);
    let told = |cycle: u32, ledger: &ledger::Ledger| {
        if cycle.is_multiple_of(100) {
            let (events, ids, resumed, resets) = ledger.tally();
            println!(
                "{cycle} kills, {events} events, {ids} ids, {resumed} resumed, {resets} resets"
            );
        }
    };
    let ledger = match cycles::run(number, told) {
        Ok(ledger) => ledger,
        Err(error) => {
            println!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let (events, ids, resumed, _) = ledger.tally();
    let wrong = ledger.verdict();
    wrong.iter().for_each(|line| println!("wrong: {line}"));
    println!("{number} kills, {events} events under {ids} ids, {resumed} resumed");
    match wrong.is_empty() && ids > 0 && resumed > 0 {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
