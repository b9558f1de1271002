//! The client module against the real binary: in Chromium, in Node, in bundles, in the examples.
//!
//! `client.mjs`, `client_tabs.mjs` and `client_files.mjs` have a scene for each test, and bring their
//! own upstream, network and browser (`client_stage.mjs`).

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::foreign::{Lines, Process, node, program};
use crate::history::bodies;

/// Plays a scene to its end.
pub fn play(script: &str, arguments: &[&str]) {
    let mut scene = Process::start(
        node(script)
            .args(arguments)
            .env("POLLCAST", env!("CARGO_BIN_EXE_pollcast"))
            .env("CHROMIUM", program("chromium"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped()),
    );
    let seen = Lines::of(scene.stdout());
    let mut said: Vec<String> = Vec::new();
    while said.last().is_none_or(|line| line != "all seen") {
        let line = seen.next();
        said.push(line.unwrap_or_else(|| panic!("{arguments:?} fails after {said:?}")));
    }
    assert!(scene.exit_status().success());
}

#[test]
fn the_client_shows_the_same_document_in_every_mode() {
    play("client.mjs", &["modes"]);
}

#[test]
fn the_client_calls_back_when_what_is_at_a_pointer_changes() {
    play("client.mjs", &["callbacks"]);
}

#[test]
fn the_client_reads_streams_by_the_rules_and_stops_only_when_told_to() {
    play("client.mjs", &["rules"]);
}

#[test]
fn the_client_waits_as_long_as_it_is_told_and_is_silent_once_closed() {
    play("client.mjs", &["limits"]);
}

#[test]
fn the_client_goes_on_where_event_source_gives_up() {
    play("client.mjs", &["gives_up"]);
}

#[test]
fn the_client_notices_a_dead_connection_and_a_network_that_is_back() {
    play("client.mjs", &["silence"]);
}

#[test]
fn tabs_share_one_connection_whoever_leaves_sleeps_or_crashes() {
    play("client_tabs.mjs", &["tabs"]);
}

#[test]
fn a_tab_that_hangs_gives_the_connection_to_another() {
    play("client_tabs.mjs", &["hangs"]);
}

#[test]
fn the_client_applies_patches_as_the_standards_say() {
    play("client_files.mjs", &["applied"]);
}

#[test]
fn the_clients_types_are_true_and_its_small_file_is_its_source() {
    play("client_files.mjs", &["files"]);
}

#[test]
fn the_clients_package_works_in_node_in_bundles_and_in_frameworks() {
    play("client_files.mjs", &["package"]);
}

#[test]
fn the_client_follows_recorded_polls() {
    let Some(folder) = std::env::var_os("POLLCAST_CORPUS") else {
        let line = "skipped: POLLCAST_CORPUS is not set\n";
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return;
    };
    for (file, polls, rows, key) in [
        ("fires.ndjson.zst", 185..225, "/Incidents", "UniqueId"),
        ("fpl.ndjson.zst", 100..200, "/outages", "County Name"),
    ] {
        let bodies = bodies(&Path::new(&folder).join(file), polls);
        let texts = tempfile::NamedTempFile::new().expect("a temporary file");
        serde_json::to_writer(texts.as_file(), &bodies).expect("it is written");
        let texts = texts.path().to_str().expect("text");
        play("client.mjs", &["recorded", texts, rows, key]);
    }
}
