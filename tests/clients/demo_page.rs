//! Chromium's own EventSource on the real demo page.

use std::process::{Command, Stdio};

use crate::foreign::{Lines, Process, node, program};

/// Set to a folder, it takes pictures of the page: desktop, phone, light, dark, narrow.
const SCREENSHOTS: &str = "POLLCAST_SCREENSHOTS";

#[test]
fn the_demo_page_shows_what_the_desk_holds() {
    let mut demo = Process::start(
        Command::new(env!("CARGO_BIN_EXE_pollcast"))
            .args(["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped()),
    );
    let told = Lines::of(demo.stdout());
    let page = loop {
        let line = told.next().expect("the demo starts");
        if let Some(rest) = line.strip_prefix("Open ") {
            break rest.split(' ').next().expect("an address").to_owned();
        }
    };

    let mut visit = Process::start(
        node("page.mjs")
            .arg(&page)
            .env("CHROMIUM", program("chromium"))
            .args(std::env::var_os(SCREENSHOTS))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped()),
    );
    let seen = Lines::of(visit.stdout());
    let mut said = Vec::new();
    while said.last().is_none_or(|line| line != "all seen") {
        let line = seen.next();
        said.push(line.unwrap_or_else(|| panic!("the page fails its visitor after {said:?}")));
    }

    // The page is still open and listening.
    demo.terminate();
    assert!(demo.exit_status().success(), "SIGTERM ends the demo");
    visit.close_stdin();
    assert!(visit.exit_status().success());
}
