//! `pollcast tail`: a subscriber for the terminal, and for scripts.

use std::io::{BufRead, BufReader, Lines};
use std::process::{ChildStdout, Command, Stdio};

use serde_json::json;

use crate::support::proxy::Proxy;
use crate::support::running::Running;
use crate::support::tail::{NEW, OLD, TWO, follow, follow_with, streaming, told};
use crate::support::upstream::{Reply, Upstream};

#[test]
fn changes_are_told_with_what_was_there_before() {
    let long = |text: &str| text.replace("}]", &format!("}}], \"more\": {:?}", "x".repeat(400)));
    let (upstream, document) = Upstream::with_document(&long(OLD));
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let mut tail = follow(&proxy.url("/feed"), &[]);
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
    let mut patches = follow(&proxy.url("/feed?x=1"), &["--json"]);
    let mut snapshots = follow(&proxy.url("/feed"), &["--json", "--mode", "snapshot"]);
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
    let mut merges = follow(&proxy.url("/feed"), &["--mode", "merge"]);
    let mut items = follow(&proxy.url("/feed"), &["--mode", "items"]);
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
fn nobody_reading_any_more_ends_it_quietly() {
    let (upstream, document) = Upstream::with_document("[0]");
    let proxy = Proxy::with_feed(&upstream.url(), "");
    for more in [&["--json"][..], &[]] {
        let mut tail = follow(&proxy.url("/feed"), more);
        tail.line();
        let Running { child, out, err } = &mut tail;
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

#[test]
fn scripts_wait_until_a_filter_is_true() {
    let (upstream, document) = Upstream::with_document(r#"{"status": "new"}"#);
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let until = [r#".status == "done""#, "--timeout", "5m", "--quiet"];
    let arguments = [&["--until"][..], &until].concat();
    let mut tail = follow(&proxy.url("/feed"), &arguments);
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
    let code = |more: &[&str]| follow(&feed, more).end();
    assert_eq!(code(&["--count", "1"]).0, Some(0));
    assert_eq!(code(&["--until", ". == [1]"]).0, Some(0));
    let (late, said) = code(&["--until", "false", "--timeout", "200ms"]);
    assert_eq!(late, Some(124));
    assert!(said.contains("the time of --timeout is over"), "{said}");
    // A filter that never ends does not keep it.
    let endless = ["--until", "def f: f; f", "--timeout", "200ms"];
    assert_eq!(code(&endless).0, Some(124));
    let (wrong, said) = code(&["--until", ".a |"]);
    assert_eq!(wrong, Some(2));
    assert!(
        said.contains("--until is no jq filter: expected term"),
        "{said}"
    );
    assert_eq!(said.matches("expected term").count(), 1, "{said}");
    let (wrong, said) = code(&["--mode", "items", "--until", "true"]);
    assert_eq!(wrong, Some(2));
    assert!(
        said.contains("--mode items tells no whole document"),
        "{said}"
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
        let mut tail = follow(&proxy.url("/feed"), more);
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
    let tail = follow(&format!("{}/feed", upstream.url()), &["--until", ".a == 1"]);
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
        let mut tail = follow_with(&url, more, variables);
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
    let mut tail = follow(&format!("{}/feed", upstream.url()), &["--json"]);
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
    use crate::support::running::Killed;

    /// A `tail` on a terminal of this width; what it writes there.
    fn on_terminal(url: &str, more: &[&str], columns: u16) -> (Killed, File) {
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
        (Killed(child), File::from(pair.master))
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
    let tail = follow(&url, &["--json", "--timeout", "1s"]);
    assert_eq!(tail.end().0, Some(124));
}
