//! `pollcast tail`: a subscriber for the terminal, and for scripts.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::support::proxy::Proxy;
use crate::support::upstream::{Reply, Upstream};

/// A running `tail`; killed when dropped.
struct Tail {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    err: Lines<BufReader<ChildStderr>>,
}

impl Tail {
    fn start(url: &str, more: &[&str]) -> Self {
        Self::start_with(url, more, &[])
    }

    fn start_with(url: &str, more: &[&str], variables: &[(&str, String)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pollcast"))
            .args(["tail", url])
            .args(more)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let out = BufReader::new(child.stdout.take().expect("piped")).lines();
        let err = BufReader::new(child.stderr.take().expect("piped")).lines();
        Self { child, out, err }
    }

    fn line(&mut self) -> String {
        self.out.next().expect("a line").expect("text")
    }

    fn event(&mut self) -> Value {
        serde_json::from_str(&self.line()).expect("a line of JSON")
    }

    fn note(&mut self) -> String {
        self.err.next().expect("a note").expect("text")
    }

    /// Its exit code, and the last thing it said.
    fn end(mut self) -> (Option<i32>, String) {
        let said: Vec<_> = self.err.by_ref().map_while(Result::ok).collect();
        let code = self.child.wait().expect("a child").code();
        (code, said.join("\n"))
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const OLD: &str = r#"{"orders": [{"id": 1, "state": "new"}], "note": "something long enough"}"#;
const NEW: &str = r#"{"orders": [{"id": 1, "state": "paid"}], "note": "something long enough"}"#;

#[test]
fn changes_are_told_with_what_was_there_before() {
    let (upstream, document) = Upstream::with_document(OLD);
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let mut tail = Tail::start(&proxy.url("/feed"), &[]);
    assert!(tail.line().starts_with("#1 snapshot, "));
    assert!(tail.line().contains("orders"));
    *document.lock().unwrap() = NEW.into();
    assert!(tail.line().starts_with("#2 patch, "));
    assert_eq!(tail.line().trim(), r#"~ /orders/0/state  "new" -> "paid""#);
}

#[test]
fn lines_for_scripts_are_json_and_modes_can_be_chosen() {
    let (upstream, document) = Upstream::with_document(OLD);
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let mut patches = Tail::start(&proxy.url("/feed?x=1"), &["--json"]);
    let mut snapshots = Tail::start(&proxy.url("/feed"), &["--json", "--mode", "snapshot"]);
    for tail in [&mut patches, &mut snapshots] {
        let event = tail.event();
        assert_eq!(event["event"], "snapshot");
        assert!(event["id"].as_str().is_some_and(|id| id.ends_with("-1")));
        assert_eq!(event["data"]["orders"][0]["id"], 1);
    }
    *document.lock().unwrap() = NEW.into();
    assert_eq!(patches.event()["event"], "patch");
    assert_eq!(snapshots.event()["event"], "snapshot");
}

#[test]
fn merges_and_items_are_told_like_patches() {
    let rows = |old: &str, more: &str| {
        let long = "something long enough to make the other forms pay; ".repeat(5);
        format!(r#"{{"note": "{long}", "orders": {{"a/b": {{"state": "{old}"}}{more}}}}}"#)
    };
    let (upstream, document) = Upstream::with_document(&rows("new", r#", "c": 7"#));
    let more = ", document: { items: /orders }, events: { modes: [merge, items] }";
    let proxy = Proxy::with_feed(&upstream.url(), more);
    let mut merges = Tail::start(&proxy.url("/feed"), &["--mode", "merge"]);
    let mut items = Tail::start(&proxy.url("/feed"), &["--mode", "items"]);
    for tail in [&mut merges, &mut items] {
        assert!(tail.line().starts_with("#1 snapshot, "));
        tail.line();
    }
    *document.lock().unwrap() = rows("paid", r#", "d": {"e": 1}"#);
    assert!(merges.line().starts_with("#2 merge, "));
    let mut told: Vec<_> = (0..3).map(|_| merges.line().trim().to_owned()).collect();
    told.sort();
    let changed = r#"~ /orders/a~1b/state  "new" -> "paid""#;
    let expected = [r#"+ /orders/d  {"e":1}"#, "- /orders/c  7", changed];
    assert_eq!(told, expected);

    let told: Vec<_> = (0..4).map(|_| items.line()).collect();
    let without_id = |line: &String| line.trim_start_matches("#2").trim().to_owned();
    let mut plain: Vec<_> = told.iter().map(without_id).collect();
    plain.sort();
    let expected = [
        r#"added "d"  {"e":1}"#,
        r#"changed "a/b""#,
        r#"removed "c"  7"#,
        r#"~ /state  "paid""#,
    ];
    assert_eq!(plain, expected);
    let with_id = told.iter().filter(|line| line.starts_with("#2 "));
    assert_eq!(with_id.count(), 1, "the last event of the change");
}

#[test]
fn a_stream_that_breaks_is_taken_up_again_with_its_last_id() {
    let upstream = Upstream::start(|request| match request.header("last-event-id") {
        None => Reply::Raw(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n\
              retry: 10\n\nid: a-1\nevent: snapshot\ndata: [1]\n\nid: a-2\nevent: patch\ndata: ["
                .to_vec(),
        ),
        Some("a-1") => Reply::Raw(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n\
              id: a-2\nevent: end\ndata: {\"reason\":\"gone\"}\n\n"
                .to_vec(),
        ),
        Some(_) => Reply::empty(204),
    });
    let mut tail = Tail::start(&format!("{}/feed", upstream.url()), &["--json"]);
    assert_eq!(
        tail.event(),
        json!({"event": "snapshot", "id": "a-1", "data": [1]})
    );
    assert!(tail.note().contains("trying again"));
    assert_eq!(tail.event()["event"], "end");
    let (code, said) = tail.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the feed is over"), "{said}");
    assert_eq!(upstream.requests().len(), 3);
}

#[test]
fn a_restarted_proxy_is_found_again() {
    let (upstream, document) = Upstream::with_document("[1]");
    let more = ", deliver: { retry: 50ms }";
    let mut proxy = Proxy::with_feed(&upstream.url(), more);
    let mut tail = Tail::start(&proxy.url("/feed"), &["--json"]);
    assert_eq!(tail.event()["data"], json!([1]));
    let address = proxy.address();
    proxy.signal("TERM");
    assert!(proxy.exit_status().success());
    assert!(tail.note().contains("trying again"));
    *document.lock().unwrap() = "[2]".into();
    let _proxy = Proxy::start(&format!(
        "server: {{ listen: \"{address}\" }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 50ms }} }}]\n",
        upstream.url()
    ));
    // Another life of the process: the position cannot be continued, and that is said.
    assert_eq!(tail.event()["event"], "reset");
    assert_eq!(tail.event()["data"], json!([2]));
}

#[test]
fn what_makes_no_sense_to_follow_is_explained() {
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/gone" => Reply::status(404, "{}"),
        _ => Reply::json("[1]"),
    });
    let proxy = Proxy::start(&format!(
        "upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy }}, {{ path: /gone, upstream: legacy }}]\n\
         proxy: [{{ path: /plain, upstream: legacy }}]\n",
        upstream.url()
    ));
    for (target, more, words) in [
        ("/gone", &[][..], ["404", "upstream"]),
        ("/nowhere", &[], ["404", "no feed"]),
        ("/feed", &["--mode", "x"], ["400", "patch, snapshot"]),
        ("/plain", &[], ["not with an event stream", "/plain"]),
    ] {
        let (code, said) = Tail::start(&proxy.url(target), more).end();
        assert_eq!(code, Some(1), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let (code, said) = Tail::start("ftp://127.0.0.1/feed", &[]).end();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("http://"), "{said}");
    // Nobody there: a browser would try again, and so does it.
    let mut tail = Tail::start("http://127.0.0.1:9/feed", &[]);
    let note = tail.note();
    assert!(note.contains("no connection (Connection refused"), "{note}");
    assert!(note.contains("trying again in"), "{note}");
    // Neither is what speaks no TLS taken for a certificate.
    let mut tail = Tail::start(&proxy.url("/feed").replace("http:", "https:"), &[]);
    let note = tail.note();
    assert!(note.contains("is https spoken there?"), "{note}");
}

#[test]
fn a_certificate_that_nobody_vouches_for_can_be_trusted() {
    let (upstream, _document) = Upstream::with_document("[0]");
    let config = format!("{}/config", env!("CARGO_MANIFEST_DIR"));
    let proxy = Proxy::start(&format!(
        "server: {{ listen: {{ address: \"127.0.0.1:0\", \
         tls: {{ certificate: {config}/localhost.crt, key: {config}/localhost.key }} }} }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy }}]\n",
        upstream.url()
    ));
    let url = format!("https://{}/feed", proxy.address());
    let mut tail = Tail::start(&url, &[]);
    let note = tail.note();
    assert!(
        note.contains("self-signed certificate; to trust it"),
        "{note}"
    );
    assert!(note.contains("SSL_CERT_FILE"), "{note}");
    let trusting = [("SSL_CERT_FILE", format!("{config}/localhost.crt"))];
    let mut tail = Tail::start_with(&url, &["--json"], &trusting);
    assert_eq!(tail.event()["event"], "snapshot");
}

#[test]
fn nobody_reading_any_more_ends_it_quietly() {
    let (upstream, document) = Upstream::with_document("[0]");
    let proxy = Proxy::with_feed(&upstream.url(), "");
    for more in [&["--json"][..], &[]] {
        let mut tail = Tail::start(&proxy.url("/feed"), more);
        tail.line();
        let Tail { child, out, err } = &mut tail;
        drop(std::mem::replace(out, empty()));
        let mut number = 0;
        crate::support::eventually("it ends", || {
            number += 1;
            *document.lock().unwrap() = format!("[{number}]");
            child.try_wait().expect("a child").is_some()
        });
        let said: Vec<_> = err.map_while(Result::ok).collect();
        assert!(!said.join("\n").contains("panicked"), "{said:?}");
    }
}

/// The output of a process that has none.
fn empty() -> Lines<BufReader<ChildStdout>> {
    let mut child = Command::new("true")
        .stdout(Stdio::piped())
        .spawn()
        .expect("true");
    child.wait().expect("a child");
    BufReader::new(child.stdout.take().expect("piped")).lines()
}
