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
            .args(match more.contains(&"--json") || more.contains(&"--time") {
                true => &[][..],
                false => &["--time", "none"],
            })
            .args(more)
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE")
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
    let long = |text: &str| text.replace("}]", &format!("}}], \"more\": {:?}", "x".repeat(400)));
    let (upstream, document) = Upstream::with_document(&long(OLD));
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let mut tail = Tail::start(&proxy.url("/feed"), &[]);
    assert!(tail.line().starts_with("#1 snapshot, "));
    assert!(tail.line().contains("orders"));
    *document.lock().unwrap() = long(NEW);
    assert_eq!(
        tail.line(),
        r#"#2 ~ /orders/0/state  "new" -> "paid"  (id 1)"#
    );
    let more = r#"{"id": 2, "state": "new"}"#;
    *document.lock().unwrap() = long(NEW)
        .replace("}]", &format!("}}, {more}]"))
        .replace("long", "short");
    assert_eq!(tail.line(), "#3 2 changes");
    let mut told = [tail.line(), tail.line()];
    told.sort();
    assert_eq!(
        told,
        [
            r#"  + /orders/1  id 2  {"id":2,"state":"new"}"#,
            r#"  ~ /note  "something long enough" -> "something short enough""#,
        ]
    );
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
    assert_eq!(merges.line(), "#2 3 changes");
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
    assert!(
        tail.note()
            .contains("the stream ended; trying again in 10ms")
    );
    assert!(
        tail.note()
            .contains("connected again, going on where it broke")
    );
    assert_eq!(tail.event()["event"], "end");
    let (code, said) = tail.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the feed is over"), "{said}");
    assert_eq!(
        upstream.requests().len(),
        2,
        "there is nothing more to ask for"
    );
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
        ("/feed", &["--mode", "merge"], ["400", "patch, snapshot"]),
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

/// A stream of these bytes for whoever asks, and 204 for whoever comes back.
fn streaming(bytes: &'static str) -> Upstream {
    Upstream::start(move |request| match request.header("last-event-id") {
        None => Reply::Raw(
            [
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nretry: 10\n\n",
                bytes.as_bytes(),
            ]
            .concat(),
        ),
        Some(_) => Reply::empty(204),
    })
}

/// What `tail` prints of this stream, and its exit code.
fn told(bytes: &'static str, more: &[&str]) -> (String, Option<i32>) {
    let upstream = streaming(bytes);
    let mut tail = Tail::start(&format!("{}/feed", upstream.url()), more);
    let lines: Vec<_> = tail.out.by_ref().map_while(Result::ok).collect();
    let (code, _) = tail.end();
    (lines.join("\n"), code)
}

const TWO: &str = "id: a-1\nevent: snapshot\ndata: {\"state\":\"new\",\"n\":1}\n\n\
    id: a-2\nevent: patch\ndata: [{\"op\":\"replace\",\"path\":\"/state\",\"value\":\"done\"}]\n\n";

#[test]
fn scripts_wait_until_a_filter_is_true() {
    let (upstream, document) = Upstream::with_document(r#"{"status": "new"}"#);
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let until = [r#".status == "done""#, "--timeout", "5m", "--quiet"];
    let arguments = [&["--until"][..], &until].concat();
    let mut tail = Tail::start(&proxy.url("/feed"), &arguments);
    crate::support::eventually("it is watched", || {
        assert!(tail.child.try_wait().expect("a child").is_none());
        upstream.count("/feed") > 3
    });
    *document.lock().unwrap() = r#"{"status": "done"}"#.into();
    assert_eq!(tail.out.next().map(Result::unwrap), None, "quiet");
    assert_eq!(tail.end(), (Some(0), String::new()));
}

#[test]
fn the_exit_status_says_how_it_ended() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let feed = proxy.url("/feed");
    let code = |more: &[&str]| Tail::start(&feed, more).end();
    assert_eq!(code(&["--count", "1"]).0, Some(0));
    assert_eq!(code(&["--until", ". == [1]"]).0, Some(0));
    let (late, said) = code(&["--until", "false", "--timeout", "200ms"]);
    assert_eq!(late, Some(124));
    assert!(said.contains("the time of --timeout is over"), "{said}");
    // A filter that never ends does not keep it.
    let endless = ["--until", "def f: f; f", "--timeout", "200ms"];
    assert_eq!(code(&endless).0, Some(124));
    let (wrong, said) = code(&["--until", ".a |"]);
    assert_eq!(wrong, Some(1));
    assert!(
        said.contains("--until is no jq filter: expected term"),
        "{said}"
    );
    let items = ["--mode", "items", "--until", "true"];
    assert!(
        code(&items)
            .1
            .contains("--mode items tells no whole document")
    );
    for (wrong, words) in [
        (&["--count", "0"][..], "--count"),
        (&["--timeout", "soon"], "--timeout"),
        (&["--last-id", "a-1", "--diff"], "--diff"),
        (&["--json", "--diff"], "--diff"),
        (
            &["--mode", "what"],
            "[possible values: patch, merge, items, snapshot]",
        ),
    ] {
        let (code, said) = code(wrong);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(words), "{said}");
    }
    let never = told(TWO, &["--until", ".n == 2"]);
    assert_eq!(never.1, Some(3), "the feed was over before");
    assert_eq!(told(TWO, &["--until", r#".state == "done""#]).1, Some(0));
    assert_eq!(told(TWO, &[]).1, Some(0));
}

#[test]
fn ctrl_c_ends_it_and_what_was_waited_for_has_not_happened() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), "");
    for (more, code) in [(&[][..], 0), (&["--count", "9"], 130)] {
        let mut tail = Tail::start(&proxy.url("/feed"), more);
        tail.line();
        crate::support::proxy::signal(tail.child.id(), "INT");
        assert_eq!(tail.end(), (Some(code), String::new()));
    }
}

#[test]
fn the_help_explains_the_exit_status() {
    let help = Command::new(env!("CARGO_BIN_EXE_pollcast"))
        .args(["tail", "--help"])
        .output()
        .expect("the binary runs");
    let help = String::from_utf8(help.stdout).expect("text");
    let (_, statuses) = help.split_once("Exit status:").expect("a section");
    for status in ["0", "1", "2", "3", "124", "130"] {
        let told = |line: &str| line.split_whitespace().next() == Some(status);
        assert!(statuses.lines().any(told), "{status}: {help}");
    }
}

#[test]
fn a_filter_that_fails_is_told_once_and_waits_on() {
    let two = "event: snapshot\ndata: 1\n\nevent: snapshot\ndata: 2\n\nid: a-3\nevent: snapshot\ndata: {\"a\":1}\n\n";
    let upstream = streaming(two);
    let tail = Tail::start(&format!("{}/feed", upstream.url()), &["--until", ".a == 1"]);
    let (code, said) = tail.end();
    assert_eq!(code, Some(0), "{said}");
    let words = "the filter of --until failed: cannot index a number with a string";
    assert_eq!(said.matches(words).count(), 1, "{said}");
}

#[test]
fn a_difference_is_shown_as_git_would() {
    let (text, _) = told(TWO, &["--diff"]);
    let expected = "#1 snapshot, 21 bytes, 2 members\n  {\"state\":\"new\",\"n\":1}\n\
        #2 patch, 49 bytes\n--- #1\n+++ #2\n@@ -1,4 +1,4 @@\n {\n-  \"state\": \"new\",\n\
        +  \"state\": \"done\",\n   \"n\": 1\n }";
    assert_eq!(text, expected);
}

#[test]
fn colours_are_for_terminals_unless_asked_for() {
    let green = "\u{1b}[32m";
    let coloured = |more: &[&str], variables: &[(&str, String)]| {
        let upstream = streaming(TWO);
        let url = format!("{}/feed", upstream.url());
        let mut tail = Tail::start_with(&url, more, variables);
        let lines: Vec<_> = tail.out.by_ref().map_while(Result::ok).collect();
        let text = lines.join("\n");
        assert_eq!(text.contains(green), text.contains('\u{1b}'), "{text:?}");
        text.contains(green)
    };
    let forced = &[("CLICOLOR_FORCE", "1".to_owned())][..];
    let unwanted = &[("NO_COLOR", "1".to_owned())][..];
    for (more, variables, expected) in [
        (&[][..], &[][..], false),
        (&["--color", "always"], &[], true),
        (&["--color", "always", "--diff"], &[], true),
        (&["--color", "always"], unwanted, true),
        (&["--color", "never"], forced, false),
        (&[], forced, true),
        (&["--json", "--color", "always"], forced, false),
    ] {
        assert_eq!(
            coloured(more, variables),
            expected,
            "{more:?} {variables:?}"
        );
    }
}

#[test]
fn what_comes_from_elsewhere_cannot_command_the_terminal() {
    let evil = "event: x\u{1b}[2J\ndata: \u{1b}]0;gone\u{7}\n\n\
        id: 9\nevent: snapshot\ndata: \"\u{9b}2J\"\n\n";
    for more in [&["--color", "always"][..], &[]] {
        let (text, _) = told(evil, more);
        assert!(
            !text
                .replace("\u{1b}[1m", "")
                .replace("\u{1b}[0m", "")
                .contains('\u{1b}'),
            "{text:?}"
        );
        assert!(!text.contains('\u{9b}'), "{text:?}");
        assert!(
            text.contains("x\\u001b[2J \\u001b]0;gone\\u0007"),
            "{text:?}"
        );
    }
}

#[test]
fn streams_that_are_not_pollcast_s_are_shown_as_they_are() {
    let (text, code) = told(
        "data: one\ndata: two\n\nid: 7\nevent: tick\ndata: {\"a\":1}\n\n",
        &[],
    );
    assert_eq!(text, "message one two\n#7 tick {\"a\":1}");
    assert_eq!(code, Some(0));
    assert_eq!(
        told("data: one\n\nid: 7\ndata: 2\n\n", &["--count", "1"]).0,
        "message one"
    );
}

#[test]
fn status_reset_and_end_are_explained() {
    let words = "event: status\ndata: {\"state\":\"stale\",\"since\":\"T1\",\"last_success\":\"T0\",\"reason\":\"503\"}\n\n\
        event: reset\ndata: {\"reason\":\"expired\"}\n\nid: 1\nevent: end\ndata: {\"reason\":\"410\"}\n\n";
    let (text, code) = told(words, &[]);
    assert!(text.contains("stale since T1: polls fail (503)"), "{text}");
    assert!(text.contains("reset: we were away for longer"), "{text}");
    assert!(text.contains("end: the feed is over (410)"), "{text}");
    assert_eq!(code, Some(0));
    assert_eq!(
        told(words, &["--count", "1"]).1,
        Some(3),
        "none of them counts"
    );
}

#[test]
fn a_change_that_does_not_fit_is_told_and_the_whole_document_asked_for() {
    let upstream = Upstream::start(|request| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nretry: 10\n\n";
        let events = match request.header("last-event-id") {
            None if request.target.ends_with("?again") => "",
            None => {
                "id: a-1\nevent: snapshot\ndata: []\n\n\
                 id: a-2\nevent: patch\ndata: [{\"op\":\"remove\",\"path\":\"/5\"}]\n\n\
                 id: a-3\nevent: patch\ndata: [{\"op\":\"add\",\"path\":\"/0\",\"value\":1}]\n\n"
            }
            Some(_) => "id: a-9\nevent: snapshot\ndata: \"never asked for\"\n\n",
        };
        Reply::Raw(format!("{head}{events}").into_bytes())
    });
    let mut tail = Tail::start(&format!("{}/feed", upstream.url()), &["--json"]);
    assert_eq!(tail.event()["data"], json!([]));
    let note = tail.note();
    assert!(
        note.contains("the patch a-2 does not fit: operation 0"),
        "{note}"
    );
    assert!(tail.note().contains("asking for the whole document"));
    assert_eq!(
        tail.event()["id"],
        "a-1",
        "from the beginning, without an id"
    );
}

#[test]
fn headers_bodies_and_a_position_can_be_given() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("headers");
    std::fs::write(&file, "authorization: Bearer s3cret\nx-two: 2\n").expect("a file");
    let url = format!("{}/feed", upstream.url());
    let file = format!("@{}", file.display());
    let more = [
        "-H",
        "x-one: 1",
        "-H",
        &file,
        "-d",
        r#"{"q":1}"#,
        "--last-id",
        "a-7",
    ];
    let (code, said) = Tail::start(&url, &more).end();
    assert_eq!(code, Some(1), "it is no stream: {said}");
    let requests = upstream.requests();
    let sent = requests.first().expect("a request");
    assert_eq!(
        (sent.method.as_str(), &sent.body[..]),
        ("POST", &br#"{"q":1}"#[..])
    );
    for (name, value) in [
        ("x-one", "1"),
        ("x-two", "2"),
        ("authorization", "Bearer s3cret"),
        ("content-type", "application/json"),
        ("accept", "text/event-stream"),
        ("last-event-id", "a-7"),
    ] {
        assert_eq!(sent.header(name), Some(value), "{name}");
    }
    for (wrong, words) in [
        ("s3cret", "a header is written \"Name: value\""),
        ("x: s3cret\u{1}", "the value of x is none"),
        ("@/nowhere/at/all", "cannot read /nowhere/at/all"),
    ] {
        let (code, said) = Tail::start(&url, &["-H", wrong]).end();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(words) && !said.contains("s3cret"), "{said}");
    }
}

#[test]
fn a_position_brings_what_was_missed() {
    let (upstream, document) = Upstream::with_document(OLD);
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let mut first = Tail::start(&proxy.url("/feed"), &["--json", "--count", "2"]);
    let id = first.event()["id"].as_str().expect("an id").to_owned();
    *document.lock().unwrap() = NEW.into();
    first.event();
    let mut second = Tail::start(&proxy.url("/feed"), &["--last-id", &id]);
    assert_eq!(second.line(), r#"#2 ~ /orders/0/state  "paid""#);
}

#[test]
fn credentials_go_to_no_other_host() {
    let elsewhere = streaming(TWO);
    let target = elsewhere.url().replace("127.0.0.1", "localhost");
    let upstream = Upstream::start(move |_| Reply::Answer {
        status: 302,
        headers: vec![("location", format!("{target}/feed"))],
        body: Vec::new(),
    });
    let url = format!("{}/feed", upstream.url());
    let (code, said) = Tail::start(&url, &["-H", "x-key: s3cret"]).end();
    assert_eq!(code, Some(1));
    assert!(
        said.contains("302") && said.contains("leads elsewhere"),
        "{said}"
    );
    assert!(elsewhere.requests().is_empty());
    assert_eq!(
        Tail::start(&url, &[]).end().0,
        Some(0),
        "there is nothing to lose"
    );
}

#[test]
fn a_server_that_is_not_ready_yet_is_waited_for() {
    let asked = std::sync::atomic::AtomicU32::new(0);
    let upstream = Upstream::start(move |_| {
        match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Reply::Raw(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nretry: 10\n\ndata: 1\n\n"
                    .to_vec(),
            ),
            1 => Reply::status(503, "{}"),
            2 => Reply::status(429, "{}"),
            _ => Reply::empty(204),
        }
    });
    let (code, said) = Tail::start(&format!("{}/feed", upstream.url()), &["--json"]).end();
    assert_eq!(code, Some(0), "{said}");
    let passed = ["503", "429"].map(|status| said.contains(&format!("the answer is {status}")));
    assert_eq!(passed, [true, true], "{said}");
}

#[test]
fn a_certificate_can_be_named_or_not_looked_at() {
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
    let pem = format!("{config}/localhost.crt");
    for more in [&["--cacert", &pem][..], &["--insecure"]] {
        let more = [more, &["--count", "1"]].concat();
        assert_eq!(Tail::start(&url, &more).end(), (Some(0), String::new()));
    }
    let (code, said) = Tail::start(&url, &["--cacert", "Cargo.toml"]).end();
    assert_eq!(code, Some(1));
    assert!(
        said.contains("cannot use the certificates of Cargo.toml"),
        "{said}"
    );
}

#[test]
fn times_are_those_of_this_machine_or_of_the_world() {
    let first = |more: &[&str]| {
        let (text, _) = told(TWO, more);
        text.split(' ').next().expect("a word").to_owned()
    };
    let utc = first(&["--time", "rfc3339"]);
    assert!(utc.len() == 24 && utc.ends_with('Z'), "{utc}");
    let local = first(&["--time", "local"]);
    assert!(
        local.len() == 8 && local.matches(':').count() == 2,
        "{local}"
    );
}

mod terminal {
    //! A real one, as far as the program can tell.

    use std::fs::File;
    use std::io::Read as _;
    use std::process::Stdio;

    use nix::pty::{Winsize, openpty};

    use super::*;

    /// A `tail` on a terminal of this width; what it writes there.
    fn on_terminal(url: &str, more: &[&str], columns: u16) -> (Child, File) {
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pair = openpty(Some(&size), None).expect("a terminal");
        let end = || Stdio::from(pair.slave.try_clone().expect("a handle"));
        let child = Command::new(env!("CARGO_BIN_EXE_pollcast"))
            .args(["tail", url])
            .args(more)
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE")
            .env("TERM", "xterm-256color")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("the binary runs");
        (child, File::from(pair.master))
    }

    /// Reads until all of these words were there.
    fn read_until(from: &mut File, words: &[&str]) -> String {
        let mut seen = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&seen).into_owned();
            if words.iter().all(|word| text.contains(word)) {
                return text;
            }
            let mut piece = [0; 1024];
            let read = from.read(&mut piece).unwrap_or(0);
            assert!(read > 0, "it ended before {words:?}: {text:?}");
            seen.extend_from_slice(&piece[..read]);
        }
    }

    #[test]
    fn it_shows_colours_what_it_waits_for_and_a_summary() {
        let long = OLD.replace("long", &"long ".repeat(50));
        let (upstream, document) = Upstream::with_document(&long);
        let proxy = Proxy::with_feed(&upstream.url(), "");
        let (mut child, mut screen) = on_terminal(&proxy.url("/feed"), &[], 60);
        let seen = read_until(&mut screen, &["snapshot", "connected; last heard"]);
        assert!(seen.contains("\u{1b}[2m"), "the time is aside: {seen:?}");
        let shown = seen.lines().find(|line| line.contains("{\"orders"));
        let shown = shown.expect("the document").trim_end();
        assert!(
            shown.ends_with("...") && shown.chars().count() <= 60,
            "{shown:?}"
        );
        *document.lock().unwrap() = long.replace("new", "paid");
        let seen = read_until(&mut screen, &["\u{1b}[32m\"paid\""]);
        let line = seen.lines().find(|line| line.contains("paid")).expect("it");
        assert!(
            line.contains("\r\u{1b}[K") || seen.contains("\r\u{1b}[K"),
            "erased: {seen:?}"
        );
        crate::support::proxy::signal(child.id(), "INT");
        read_until(&mut screen, &["2 events, "]);
        assert_eq!(crate::support::ended(&mut child).code(), Some(0));
    }

    #[test]
    fn no_color_is_heeded_there() {
        let upstream = streaming(TWO);
        let url = format!("{}/feed", upstream.url());
        let (mut child, mut screen) = on_terminal(&url, &["--color", "never"], 80);
        let seen = read_until(&mut screen, &["\"done\"", "the feed is over"]);
        assert!(!seen.contains("\u{1b}[3"), "{seen:?}");
        assert_eq!(crate::support::ended(&mut child).code(), Some(0));
    }
}

#[test]
fn whoever_stops_reading_does_not_stop_the_timeout() {
    let (upstream, _document) = Upstream::with_document(&format!("{:?}", "x".repeat(1 << 20)));
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let url = proxy.url("/feed");
    // What is printed is more than a pipe holds, and nobody reads it.
    let tail = Tail::start(&url, &["--json", "--timeout", "1s"]);
    assert_eq!(tail.end().0, Some(124));
}
