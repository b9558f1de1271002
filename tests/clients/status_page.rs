//! The status page in a real Chromium, of a pollcast with feeds in every state.

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::foreign::{Lines, Process, free_port, node, program};
use crate::support::upstream::{Reply, Request, Upstream};

/// Set to a folder, it takes pictures of every view: desktop, phone, light, dark.
const SCREENSHOTS: &str = "POLLCAST_SCREENSHOTS";

/// An upstream that answers each path as it was told by `POST /become/PATH`, whose body is the next
/// answer; an empty one is a failure, and `#poll#` in it is the number of the request.
fn upstream() -> Upstream {
    let answers: Mutex<HashMap<String, String>> = Mutex::default();
    let polls = AtomicU64::new(0);
    Upstream::start(move |request: &Request| {
        let path = request.target.split('?').next().unwrap_or_default();
        let mut answers = answers.lock().expect("nobody panics with it");
        if let Some(path) = path.strip_prefix("/become") {
            let answer = String::from_utf8(request.body.clone()).expect("text");
            answers.insert(path.to_owned(), answer);
            return Reply::empty(204);
        }
        match answers.get(path) {
            Some(answer) if !answer.is_empty() => {
                let poll = polls.fetch_add(1, Ordering::SeqCst).to_string();
                Reply::json(answer.replace("#poll#", &poll))
            }
            Some(_) => Reply::status(503, "{}"),
            None => Reply::json(format!("{{\"path\":\"{path}\"}}")),
        }
    })
}

/// Every state there is, a feed with parameters, and a secret that must not be seen.
fn configuration(upstream: &str, public: SocketAddr, admin: SocketAddr) -> String {
    let closed = free_port();
    format!(
        "server: {{ listen: \"{public}\", drain: 1s }}\n\
         admin: {{ listen: \"{admin}\" }}\n\
         upstreams:\n\
         \x20 shop: {{ url: \"{upstream}\", headers: {{ authorization: Bearer open-sesame }} }}\n\
         \x20 warehouse: {{ url: \"http://{closed}\" }}\n\
         feeds:\n\
         \x20 - {{ path: /orders, upstream: shop, poll: {{ interval: 100ms, idle: keep }} }}\n\
         \x20 - {{ path: /prices, upstream: shop, poll: {{ interval: 200ms, idle: keep }} }}\n\
         \x20 - {{ path: /hostile, upstream: shop, poll: {{ interval: 200ms, idle: keep }} }}\n\
         \x20 - {{ path: /large, upstream: shop, poll: {{ interval: 200ms, idle: keep }} }}\n\
         \x20 - {{ path: /noisy, upstream: shop, poll: {{ interval: 50ms, idle: keep }} }}\n\
         \x20 - {{ path: /rates, upstream: shop }}\n\
         \x20 - {{ path: /stock, upstream: warehouse, poll: {{ interval: 1s, idle: keep }} }}\n\
         \x20 - {{ path: \"/items/{{id}}\", upstream: shop, poll: {{ interval: 5s }} }}\n"
    )
}

fn pollcast(file: &Path, admin: SocketAddr) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pollcast"));
    command
        .args(["run", "-c"])
        .arg(file)
        .env("RUST_LOG", "error");
    Process::server(&mut command, admin)
}

#[test]
fn the_status_page_shows_what_pollcast_knows() {
    let upstream = upstream();
    let (public, admin) = (free_port(), free_port());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("pollcast.yaml");
    std::fs::write(&file, configuration(&upstream.url(), public, admin)).expect("a file");
    let mut running = pollcast(&file, admin);

    let mut visit = Process::start(
        node("status.mjs")
            .args([format!("http://{admin}"), format!("http://{public}")])
            .arg(upstream.url())
            .env("CHROMIUM", program("chromium"))
            .args(std::env::var_os(SCREENSHOTS))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped()),
    );
    let seen = Lines::of(visit.stdout());
    let mut answers = visit.stdin();
    let mut said = Vec::new();
    while said.last().is_none_or(|line| line != "all seen") {
        let line = seen.next();
        let line = line.unwrap_or_else(|| panic!("the page fails its visitor after {said:?}"));
        println!("{line}");
        match line.as_str() {
            "stop" => {
                running.terminate();
                assert!(running.exit_status().success(), "SIGTERM ends pollcast");
            }
            "start" => running = pollcast(&file, admin),
            _ => {}
        }
        writeln!(answers, "done").expect("the visitor listens");
        said.push(line);
    }
    drop(answers);
    assert!(visit.exit_status().success());
}
