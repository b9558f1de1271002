//! Clients that accept gzip see each event before the next one is made.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::foreign::{Lines, Process, node, program, python};
use crate::support::proxy::Proxy;
use crate::support::upstream::{Reply, Upstream};

/// More than one chain of events holds.
const EVENTS: u64 = 70;

/// What a client has printed so far, as JSON.
struct Follower {
    process: Process,
    lines: Lines,
}

impl Follower {
    fn start(command: &mut Command) -> Self {
        let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let lines = Lines::of(process.stdout());
        Self { process, lines }
    }

    fn next(&self) -> Value {
        let line = self.lines.next().expect("the client goes on");
        serde_json::from_str(&line).expect("a line of JSON")
    }

    fn end(mut self) {
        self.process.close_stdin();
        assert!(self.process.exit_status().success(), "the client fails");
    }
}

fn document(n: u64) -> Value {
    let rows: Vec<_> = (0..20)
        .map(|id| json!({ "id": id, "n": n / (id + 1) }))
        .collect();
    json!({ "n": n, "rows": rows, "text": "Grüße \u{1f600} from n to n ".repeat(9) })
}

/// A feed of `document(n)`, and a page of the same origin.
fn stage() -> (Upstream, std::sync::Arc<std::sync::Mutex<String>>, Proxy) {
    let current = std::sync::Arc::new(std::sync::Mutex::new(document(0).to_string()));
    let answer = std::sync::Arc::clone(&current);
    let upstream = Upstream::start(move |request| match request.target.as_str() {
        "/feed" => Reply::json(answer.lock().unwrap().clone()),
        _ => Reply::Answer {
            status: 200,
            headers: vec![("content-type", "text/html".into())],
            body: b"<!doctype html><link rel=icon href=data:,><title>page</title>".to_vec(),
        },
    });
    let proxy = Proxy::with_feed(&upstream.url(), "");
    (upstream, current, proxy)
}

/// Makes an event only when the one before was seen; the connection is compressed.
fn follow_live(client: impl FnOnce(&Proxy) -> Follower, seen: impl Fn(&Follower, u64)) {
    let (_upstream, current, proxy) = stage();
    let follower = client(&proxy);
    seen(&follower, 0);
    for n in 1..=EVENTS {
        *current.lock().unwrap() = document(n).to_string();
        seen(&follower, n);
    }
    follower.end();
    let blocks = proxy.metric("pollcast_gzip_blocks_total", &["form=\"chained\""]);
    assert!(blocks > 0.5, "nothing was compressed");
}

/// The client comes to hold this document.
fn holds(follower: &Follower, n: u64) {
    loop {
        let line = follower.next();
        if line.get("document").is_some() {
            assert_eq!(line["document"], document(n));
            return;
        }
        if let Some(coding) = line.get("coding") {
            assert_eq!(coding, "gzip");
        }
    }
}

#[test]
fn npm_eventsource_decodes_each_event_at_once() {
    let start = |proxy: &Proxy| Follower::start(node("follow.mjs").arg(proxy.url("/feed")));
    follow_live(start, holds);
}

#[test]
fn httpx_decodes_each_event_at_once() {
    let start = |proxy: &Proxy| Follower::start(python("follow.py").arg(proxy.url("/feed")));
    follow_live(start, holds);
}

#[test]
fn chromium_decodes_each_event_at_once() {
    let start = |proxy: &Proxy| {
        let mut visit = node("chromium.mjs");
        visit.args([&proxy.url("/page"), "/feed"]);
        Follower::start(visit.env("CHROMIUM", program("chromium")))
    };
    follow_live(start, holds);
}

#[test]
fn nodes_fetch_decodes_each_event_at_once() {
    let start = |proxy: &Proxy| {
        let follower = Follower::start(node("fetch.mjs").arg(proxy.url("/feed")));
        assert_eq!(follower.next(), json!({ "coding": "gzip" }));
        follower
    };
    follow_live(start, |follower, n| {
        // The changes say `n` in their first operation, the snapshot in its first member.
        let (snapshot, patch) = (format!("{{\"n\":{n},"), format!("\"value\":{n}}}"));
        let mut text = String::new();
        while !(text.ends_with("\n\n") && (text.contains(&snapshot) || text.contains(&patch))) {
            text += follower.next()["text"].as_str().expect("text");
        }
    });
}
