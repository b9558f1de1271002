//! A feed is kept as a file, and the file is a feed again: the same documents in the same order.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::client;
use crate::support::ended;
use crate::support::eventually;
use crate::support::proxy::{Proxy, signal};
use crate::support::running::Running;
use crate::support::upstream::{Reply, Upstream};

/// A replay of this file, and where its feed is.
fn replay(file: &Path, more: &[&str]) -> (Running, String) {
    let file = file.to_str().expect("a path");
    let ports = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let mut running = Running::start(&[&["replay", file][..], &ports, more].concat());
    let live = loop {
        let line = running.out.next().expect("an introduction").expect("text");
        if let Some(url) = line.trim().strip_prefix("the same, live:") {
            break url.trim().to_owned();
        }
    };
    (running, live)
}

fn output(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pollcast"))
        .args(arguments)
        .output()
        .expect("the binary runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).expect("the recording");
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("JSON on each line")
}

/// The documents of events, in their order, by an implementation of RFC 6902 that is not ours.
fn documents<'a>(events: impl IntoIterator<Item = &'a Value>) -> Vec<Value> {
    let mut document = Value::Null;
    let mut documents = Vec::new();
    for event in events {
        match event["event"].as_str() {
            Some("snapshot") => document = event["data"].clone(),
            Some("patch") => {
                let patch: json_patch::Patch =
                    serde_json::from_value(event["data"].clone()).expect("a patch");
                json_patch::patch(&mut document, &patch).expect("it fits");
            }
            _ => {
                if let Some(whole) = event.get("document") {
                    assert_eq!(*whole, document, "the whole document once more");
                }
                continue;
            }
        }
        documents.push(document.clone());
    }
    documents
}

fn world(step: usize) -> Value {
    let rows: Vec<_> = (0..12)
        .map(|row| json!({"id": row, "state": if row < step { "done" } else { "new" }}))
        .collect();
    json!({"step": step, "rows": rows})
}

/// Records so many worlds from a real pollcast; the worlds.
fn recorded(file: &Path, count: usize) -> Vec<Value> {
    let worlds: Vec<_> = (0..count).map(world).collect();
    let (upstream, document) = Upstream::with_document(&worlds[0].to_string());
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let url = proxy.url("/feed?token=s3cret");
    let number = count.to_string();
    let path = file.to_str().expect("a path");
    let recorder = Running::start(&["record", &url, "-o", path, "--count", &number]);
    for (step, world) in worlds.iter().enumerate() {
        *document.lock().unwrap() = world.to_string();
        eventually("it is recorded", || {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let changes = text.lines().filter(|line| line.contains(r#""event""#));
            changes.count() > step
        });
    }
    let (code, said) = recorder.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("{count} documents in")), "{said}");
    worlds
}

#[test]
fn the_whole_road_brings_the_same_documents_in_the_same_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let worlds = recorded(&first, 8);
    let kept = lines(&first);
    assert_eq!(kept[0]["pollcast_recording"], 1);
    assert_eq!(kept[0]["path"], "/feed");
    let text = std::fs::read_to_string(&first).expect("the recording");
    assert!(!text.contains("s3cret"), "{text}");
    assert!(kept.iter().all(|line| line["at"].as_str().is_some()));
    assert_eq!(documents(&kept), worlds);
    assert!(kept.iter().any(|line| line["event"] == "patch"));

    let (replay_1, live) = replay(&first, &["--wait", "--exit", "--speed", "max"]);
    assert!(live.ends_with("/feed"), "{live}");
    let tail = output(&["tail", &live, "--json"]);
    assert_eq!(tail.status.code(), Some(0), "{}", said(&tail));
    let events: Vec<Value> = String::from_utf8_lossy(&tail.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(documents(&events), worlds);
    assert_eq!(events.last().expect("events")["event"], "end");
    assert_eq!(replay_1.end().0, Some(0), "it ends by itself");

    let (_replay_2, live) = replay(&first, &["--wait", "--exit", "--speed", "3"]);
    let path = second.to_str().expect("a path");
    let again = output(&["record", &live, "-o", path]);
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    assert_eq!(documents(&lines(&second)), worlds);
}

#[test]
fn a_replay_answers_like_the_api_that_was_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("polls");
    std::fs::write(
        &file,
        "{\"at\": 100, \"body\": \"[1.50]\"}\n{\"at\": 103600, \"body\": \"[2]\"}\n",
    )
    .expect("a file");
    let (mut replay, live) = replay(&file, &["--path", "/old/api"]);
    let curl = |url: &str| {
        let answer = Command::new("curl").args(["-s", url]).output();
        String::from_utf8(answer.expect("curl runs").stdout).expect("text")
    };
    assert_eq!(
        curl(&live),
        "[1.50]",
        "byte for byte, and hours before the next"
    );
    let address: SocketAddr = live
        .trim_start_matches("http://")
        .trim_end_matches("/old/api")
        .parse()
        .expect("an address");
    let mut stream = client::subscribe(address, "/old/api");
    assert_eq!(stream.expect("snapshot").data, "[1.50]");
    assert!(curl(&live.replace("/old/api", "/else")).contains("this recording is at /old/api"));
    signal(replay.child.id(), "INT");
    assert!(ended(&mut replay.child).success());
}

#[test]
fn a_part_of_a_recording_can_be_chosen_and_go_round() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("polls");
    let line = |second: u64| {
        format!("{{\"at\":\"2026-01-01T00:00:0{second}Z\",\"body\":\"[{second}]\"}}\n")
    };
    std::fs::write(&file, (0..9).map(line).collect::<String>()).expect("a file");
    let part = [
        "--from",
        "2026-01-01T00:00:03.5Z",
        "--until",
        "2026-01-01T00:00:05Z",
    ];
    let more = [&part[..], &["--loop", "--wait", "--speed", "max"]].concat();
    let (_replay, live) = replay(&file, &more);
    let mode = [
        "tail", &live, "--json", "--mode", "snapshot", "--count", "6",
    ];
    let told = String::from_utf8(output(&mode).stdout).expect("text");
    let events = told
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let told: Vec<_> = events.map(|event| event["data"][0].clone()).collect();
    assert_eq!(told, [3, 4, 5, 3, 4, 5]);
}

#[test]
fn an_outage_is_an_outage_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("recording");
    let text = r#"{"at":1,"event":"snapshot","id":"a-1","data":[1]}
{"at":2,"event":"status","id":"a-1","data":{"state":"stale","reason":"the answer is 503"}}
{"at":3,"event":"status","id":"a-1","data":{"state":"live"}}
{"at":4,"event":"patch","id":"a-2","data":[{"op":"add","path":"/-","value":2}]}
"#;
    std::fs::write(&file, text).expect("a file");
    let (_replay, live) = replay(&file, &["--wait", "--exit", "--speed", "max"]);
    let told = String::from_utf8(output(&["tail", &live, "--json"]).stdout).expect("text");
    let events = told
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let told: Vec<_> = events
        .map(|event| match event["data"]["state"].as_str() {
            Some(state) => state.to_owned(),
            None => event["event"].as_str().expect("a name").to_owned(),
        })
        .collect();
    assert_eq!(told, ["snapshot", "stale", "live", "snapshot", "end"]);
}

#[test]
fn what_is_no_recording_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    let whole = r#"{"at":1,"event":"snapshot","id":"a-1","data":[1]}"#;
    for (text, words) in [
        ("", "it is empty"),
        ("garbage\n", "line 1: it is no line of a recording"),
        (&format!("{whole}\n{whole}\n[]\n"), "line 3: it is no line"),
        (r#"{"pollcast_recording":9}"#, "version 9"),
        (r#"{"at":1,"connection":"open"}"#, "no whole document"),
    ] {
        std::fs::write(&file, text).expect("a file");
        let output = output(&["replay", file.to_str().expect("a path")]);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains(words), "{}", said(&output));
        assert_eq!(said(&output).lines().count(), 1, "{}", said(&output));
    }
    let missing = output(&["replay", "/nowhere/at/all"]);
    assert!(said(&missing).contains("cannot replay /nowhere/at/all: cannot read it: No such file"));
    std::fs::write(&file, format!("{whole}\n")).expect("a file");
    let path = file.to_str().expect("a path");
    let nothing = output(&["replay", path, "--from", "2026-01-01T00:00:00Z"]);
    assert!(
        said(&nothing).contains("nothing between --from and --until"),
        "{}",
        said(&nothing)
    );
    for wrong in [
        &["--speed", "0"][..],
        &["--path", "x"],
        &["--path", "/{x}"],
        &["--from", "noon"],
    ] {
        let output = output(&[&["replay", path][..], wrong].concat());
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    }
    // A line that was torn off in the middle is no reason to lose the rest.
    std::fs::write(&file, format!("{whole}\n{{\"at\":2,\"ev")).expect("a file");
    let (mut replay, _) = replay(&file, &[]);
    signal(replay.child.id(), "TERM");
    let told: Vec<_> = replay.err.by_ref().map_while(Result::ok).collect();
    assert!(
        told.join("\n")
            .contains("line 2, the last one, is torn and left out"),
        "{told:?}"
    );
}

#[test]
fn an_api_that_can_only_be_asked_is_recorded_too() {
    let state = std::sync::Arc::new(std::sync::Mutex::new((
        200,
        r#"{"n":1,"text":"more words than a patch has, so that one is worth it"}"#.to_owned(),
    )));
    let held = std::sync::Arc::clone(&state);
    let upstream = Upstream::start(move |request| {
        let (status, body) = held.lock().unwrap().clone();
        let tag = format!("\"{}\"", body.len());
        if status == 200 && request.header("if-none-match") == Some(&tag) {
            return Reply::empty(304);
        }
        Reply::Answer {
            status,
            headers: vec![("content-type", "application/json".into()), ("etag", tag)],
            body: body.into_bytes(),
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("api.ndjson");
    let url = format!("{}/api", upstream.url());
    let path = file.to_str().expect("a path");
    let recorder = Running::start(&["record", &url, "-o", path, "--interval", "100ms"]);
    let wait_for = |words: &str| {
        eventually(words, || {
            std::fs::read_to_string(&file)
                .unwrap_or_default()
                .contains(words)
        });
    };
    wait_for(r#""event":"snapshot""#);
    eventually("it asks conditionally", || {
        upstream
            .requests()
            .iter()
            .any(|request| request.header("if-none-match").is_some())
    });
    state.lock().unwrap().1 =
        r#"{"n":10,"text":"more words than a patch has, so that one is worth it"}"#.into();
    wait_for(r#""event":"patch""#);
    state.lock().unwrap().0 = 503;
    wait_for(r#""state":"stale""#);
    state.lock().unwrap().0 = 200;
    wait_for(r#""state":"live""#);
    signal(recorder.child.id(), "INT");
    let (code, said) = recorder.end();
    assert_eq!(code, Some(0), "{said}");
    for words in [
        "no event stream there: asking every 100ms",
        "a poll failed",
        "answers again",
    ] {
        assert!(said.contains(words), "{said}");
    }
    let text = "more words than a patch has, so that one is worth it";
    let expected = [
        json!({"n": 1, "text": text}),
        json!({"n": 10, "text": text}),
    ];
    assert_eq!(documents(&lines(&file)), expected);
}

#[test]
fn a_recording_goes_on_over_reconnects_and_says_so() {
    let (upstream, document) = Upstream::with_document("[1]");
    let mut proxy = Proxy::with_feed(&upstream.url(), ", deliver: { retry: 50ms }");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("feed");
    let path = file.to_str().expect("a path");
    let recorder = Running::start(&["record", &proxy.url("/feed"), "-o", path, "--count", "2"]);
    let has = |words: &str| {
        eventually(words, || {
            std::fs::read_to_string(&file)
                .unwrap_or_default()
                .contains(words)
        });
    };
    has(r#""event":"snapshot""#);
    let address = proxy.address();
    proxy.signal("TERM");
    assert!(proxy.exit_status().success());
    has(r#""connection":"lost""#);
    *document.lock().unwrap() = "[2]".into();
    let _proxy = Proxy::start(&format!(
        "server: {{ listen: \"{address}\" }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 50ms }} }}]\n",
        upstream.url()
    ));
    assert_eq!(recorder.end().0, Some(0));
    let kept = lines(&file);
    assert_eq!(documents(&kept), [json!([1]), json!([2])]);
    assert!(kept.iter().any(|line| line["event"] == "reset"), "{kept:?}");
    assert!(kept.iter().any(|line| line["resumed"] == true), "{kept:?}");
}

#[test]
fn a_file_is_gone_on_with_only_when_that_is_said() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("feed");
    let (url, path) = (proxy.url("/feed"), file.to_str().expect("a path"));
    let arguments = ["record", &url, "-o", path, "--count", "1"];
    assert!(output(&arguments).status.success());
    let before = std::fs::read_to_string(&file).expect("the file");
    let refused = output(&arguments);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said(&refused).contains("exists; --append goes on with it"),
        "{}",
        said(&refused)
    );
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), before);
    let mut torn = std::fs::OpenOptions::new()
        .append(true)
        .open(&file)
        .expect("the file");
    torn.write_all(b"{\"at\":\"20").expect("room");
    let appended = output(&[&arguments[..], &["--append"]].concat());
    assert!(appended.status.success(), "{}", said(&appended));
    assert!(
        said(&appended).contains("its 9 bytes are cut off"),
        "{}",
        said(&appended)
    );
    let after = std::fs::read_to_string(&file).expect("the file");
    assert!(after.starts_with(&before));
    assert_eq!(documents(&lines(&file)), [json!([1]), json!([1])]);
    // Reading a pipe would not end, and nobody can go on with it.
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("it runs");
    assert!(made.success());
    let piped = ["record", &url, "--append", "-o"];
    let refused = output(&[&piped[..], &[pipe.to_str().expect("a path")]].concat());
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    let other = folder.path().join("other");
    std::fs::write(&other, "{\"my\":\"only copy\"}").expect("room");
    let foreign = ["record", &url, "--append", "-o"];
    let refused = output(&[&foreign[..], &[other.to_str().expect("a path")]].concat());
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said(&refused).contains("is no recording of pollcast"),
        "{}",
        said(&refused)
    );
    assert_eq!(
        std::fs::read_to_string(&other).expect("the file"),
        "{\"my\":\"only copy\"}"
    );
    let time = ["record", &url, "-o", "-", "--for", "300ms", "--quiet"];
    let piped = output(&time);
    assert!(piped.status.success());
    assert_eq!(said(&piped), "");
    assert_eq!(
        piped.stdout.iter().filter(|byte| **byte == b'\n').count(),
        3
    );
}

#[test]
fn a_reader_that_stops_does_not_keep_a_recorder_from_ending() {
    let (upstream, _document) = Upstream::with_document(&format!("{:?}", "x".repeat(1 << 20)));
    let proxy = Proxy::with_feed(&upstream.url(), "");
    // What is written is more than a pipe holds, and nobody reads it.
    let url = proxy.url("/feed");
    let recorder = Running::start(&["record", &url, "-o", "-", "--for", "1s"]);
    assert_eq!(recorder.end().0, Some(0));
    let mut recorder = Running::start(&["record", &url, "-o", "-"]);
    assert!(recorder.out.next().is_some());
    signal(recorder.child.id(), "TERM");
    assert_eq!(recorder.end().0, Some(0));
}
