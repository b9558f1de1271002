//! The door: everything else is in the library.

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;

/// glibc keeps what a large document took for good; jemalloc gives it back within seconds.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match pollcast::cli::run() {
        Ok(code) => code,
        Err(error) => {
            let mut text = format!("pollcast: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                let _ = write!(text, ": {error}");
                cause = error.source();
            }
            text.push('\n');
            pollcast::cli::last_words(text);
            error.status()
        }
    }
}
