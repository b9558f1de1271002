//! Whoever reads the log, or does not, keeps nobody waiting.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::support::client::{get, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::stage::{Stage, numbered};

/// A pollcast whose standard error is a pipe that nobody reads, and the other end of it.
fn unread(upstream: &str) -> (Proxy, File, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let made = Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("mkfifo runs").success());
    // With both directions it need not wait for the other end.
    let end = OpenOptions::new().read(true).write(true).open(&path);
    let more = format!("2>'{}'", path.display());
    let proxy = Proxy::start_saying(
        &more,
        &format!(
            "logs: {{ access: on }}\n\
             upstreams: {{ legacy: {{ url: \"{upstream}\" }} }}\n\
             feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 50ms }}, json: latest }}]\n"
        ),
    );
    (proxy, end.expect("a pipe"), folder)
}

fn lost(proxy: &Proxy) -> f64 {
    proxy.metric("pollcast_log_lines_dropped_total", &[])
}

/// Requests whose lines in the access log are 4 KB each, until some are lost.
fn fill(proxy: &Proxy) {
    let path = format!("/feed?{}", "x".repeat(4000));
    eventually("lines are dropped", || {
        for _ in 0..50 {
            let answer = get(proxy.address(), &path, &[]);
            assert_eq!(answer.status, 200);
        }
        lost(proxy) > 0.5
    });
}

#[test]
fn a_log_that_nobody_reads_holds_up_no_stream_and_says_later_what_is_missing() {
    let stage = Stage::serving(numbered(0));
    let (proxy, end, _folder) = unread(&stage.url());
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    fill(&proxy);
    for n in 1..20 {
        stage.serves(numbered(n));
        stream.expect("patch");
    }
    let said = Arc::new(Mutex::new(String::new()));
    let lines = BufReader::new(end).lines().map_while(Result::ok);
    let kept = Arc::clone(&said);
    std::thread::spawn(move || {
        lines.for_each(|line| {
            if line.contains("dropped") {
                kept.lock().unwrap().push_str(&line);
            }
        });
    });
    eventually("the log tells of them", || {
        said.lock().unwrap().contains("log lines were dropped")
    });
}

#[test]
fn a_log_that_nobody_reads_keeps_no_process_from_its_end() {
    let stage = Stage::serving("{}");
    let (mut proxy, _end, _folder) = unread(&stage.url());
    fill(&proxy);
    proxy.signal("TERM");
    assert!(proxy.exit_status().success());
}

#[test]
fn the_last_lines_are_in_the_log_when_the_process_has_ended() {
    let stage = Stage::serving("{}");
    let mut proxy = Proxy::with_feed(&stage.url(), "");
    proxy.signal("TERM");
    assert!(proxy.exit_status().success());
    eventually("the line is read", || proxy.log().contains("leaving"));
}
