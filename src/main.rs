//! The door: everything else is in the library.

use std::error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    match pollcast::cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprint!("pollcast: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprint!(": {error}");
                cause = error.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}
