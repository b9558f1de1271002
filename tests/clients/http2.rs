//! HTTP/2 over TLS with curl, Node and Chromium: many feeds on one connection.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::foreign::{Lines, Process, node, program};
use crate::support::proxy::Proxy;
use crate::support::stage::{Stage, numbered};
use crate::support::upstream::{Reply, Request};

/// More than the six connections that a browser opens to one origin for HTTP/1.1.
const FEEDS: usize = 20;

/// A proxy with TLS in front of as many feeds, each at `/feeds/N`.
fn proxy(upstream: &str) -> Proxy {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let file = |name: &str| folder.join(name).display().to_string();
    let mut config = format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\", tls: {{ certificate: \"{}\", key: \"{}\" }} }}] }}\n\
         upstreams: {{ legacy: {{ url: \"{upstream}\" }} }}\n\
         feeds:\n",
        file("localhost.crt"),
        file("localhost.key")
    );
    for number in 0..FEEDS {
        let _ = writeln!(
            config,
            "  - {{ path: /feeds/{number}, upstream: legacy, poll: {{ interval: 100ms }} }}"
        );
    }
    Proxy::start(&config)
}

fn url(proxy: &Proxy, path: &str) -> String {
    format!("https://localhost:{}{path}", proxy.address().port())
}

/// An upstream with a page, and documents of this number.
fn page_and(n: u64) -> impl Fn(&Request) -> Reply {
    move |request| match request.target.as_str() {
        "/" => Reply::Answer {
            status: 200,
            headers: vec![("content-type", "text/html".into())],
            body: b"<!doctype html><link rel=icon href=data:,><title>feeds</title>".to_vec(),
        },
        _ => Reply::json(numbered(n)),
    }
}

/// Reads what a follower says until it has all of them.
fn wait_for(told: &Lines, wanted: &str) {
    let mut said = Vec::new();
    loop {
        let line = told.next();
        let line = line.unwrap_or_else(|| panic!("no {wanted:?} after {said:?}"));
        if line.contains(wanted) {
            return;
        }
        said.push(line);
    }
}

#[test]
fn curl_follows_a_feed() {
    let stage = Stage::new(page_and(1));
    let proxy = proxy(&stage.url());
    let mut curl = Process::start(
        Command::new(program("curl"))
            .args([
                "-sNk",
                "--http2",
                "-D",
                "-",
                "-H",
                "accept: text/event-stream",
            ])
            .arg(url(&proxy, "/feeds/0"))
            .stdout(Stdio::piped()),
    );
    let told = Lines::of(curl.stdout());
    wait_for(&told, "HTTP/2 200");
    wait_for(&told, "event: snapshot");
    stage.becomes(page_and(2));
    wait_for(&told, "event: patch");
}

#[test]
fn node_follows_every_feed_on_one_connection() {
    follow("http2.mjs", |_| {});
}

#[test]
fn chromium_follows_every_feed_on_one_connection() {
    follow("feeds.mjs", |command| {
        command.env("CHROMIUM", program("chromium"));
    });
}

/// Runs a follower that says `all have n=N` once every feed said so.
fn follow(script: &str, prepare: impl FnOnce(&mut Command)) {
    let stage = Stage::new(page_and(1));
    let proxy = proxy(&stage.url());
    let mut command = node(script);
    command
        .arg(url(&proxy, "/"))
        .arg(FEEDS.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    prepare(&mut command);
    let mut follower = Process::start(&mut command);
    let told = Lines::of(follower.stdout());
    wait_for(&told, "all have n=1");
    let open = proxy.metric("pollcast_connections", &["http/2"]);
    assert!((open - FEEDS as f64).abs() < 0.5, "{open} streams are open");
    assert_eq!(clients(&proxy), 1);
    for n in 2..5 {
        stage.becomes(page_and(n));
        wait_for(&told, &format!("all have n={n}"));
    }
    follower.close_stdin();
    assert!(follower.exit_status().success());
}

/// How many connections clients hold to the proxy (proc(5): `net/tcp`, state 1 is established).
fn clients(proxy: &Proxy) -> usize {
    let port = format!(":{:04X}", proxy.address().port());
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
    let is_client = |line: &&str| {
        let columns: Vec<_> = line.split_whitespace().collect();
        columns.len() > 3 && columns[1].ends_with(&port) && columns[3] == "01"
    };
    table.lines().filter(is_client).count()
}
