//! The document is what a feed's filter makes of an answer, and a filter harms nobody but its feed.

use std::fs;

use serde_json::json;

use crate::support::client::{Response, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::replica::Replica;
use crate::support::stage::{Stage, numbered};
use crate::support::upstream::{Reply, Upstream};

fn feed(transform: &str) -> String {
    format!(", poll: {{ interval: 20ms }}, document: {{ transform: {transform} }}")
}

/// The processes that pollcast has started and that are not gone, zombies included.
fn workers(proxy: &Proxy) -> Vec<u32> {
    let pid = proxy.pid();
    let mut children: Vec<u32> = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).expect("its threads") {
        let list = task.expect("a thread").path().join("children");
        let list = fs::read_to_string(list).unwrap_or_default();
        children.extend(list.split_whitespace().flat_map(str::parse::<u32>));
    }
    children
}

/// What a process is doing (proc_pid_stat(5)): `R` for working, `Z` for ended; none if it is gone.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

fn failed(proxy: &Proxy, outcome: &str) -> bool {
    let label = format!("outcome=\"{outcome}\"");
    proxy.metric("pollcast_polls_total", &[&label]) > 0.5
}

fn reason(stream: &mut Response) -> String {
    let status = stream.expect("status").value;
    assert_eq!(status["state"], "stale", "{status}");
    status["reason"].as_str().expect("a text").to_owned()
}

#[test]
fn a_hundred_documents_pass_through_one_worker() {
    let answer = |n: u64| format!(r#"{{"at":{n},"rows":[{{"id":1,"n":{n}.50,"x":0}}]}}"#);
    let stage = Stage::serving(answer(0));
    let proxy = Proxy::with_feed(&stage.url(), &feed("'.rows | map({id, n})'"));
    let mut stream = subscribe(proxy.address(), "/feed");
    assert_eq!(stream.expect("snapshot").data, r#"[{"id":1,"n":0.50}]"#);
    let worker = workers(&proxy);
    assert_eq!(worker.len(), 1);
    let mut replica = Replica::default();
    for n in 1..=100 {
        stage.serves(answer(n));
        replica.take(&stream.event().expect("a change"));
        assert_eq!(
            replica.document,
            Some(json!([{"id": 1, "n": n as f64 + 0.5}]))
        );
    }
    assert_eq!(workers(&proxy), worker);
}

#[test]
fn an_answer_that_is_the_last_one_again_is_not_transformed_again() {
    let stage = Stage::serving("[1]");
    // Another value each time that it runs.
    let proxy = Proxy::with_feed(&stage.url(), &feed("'{now: now}'"));
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    let polls = stage.upstream.count("/feed");
    eventually("more polls", || stage.upstream.count("/feed") > polls + 5);
    let changed = proxy.metric("pollcast_polls_total", &["outcome=\"changed\""]);
    assert!(changed < 1.5, "{changed}");
}

#[test]
fn format_transform_select_and_ignore_follow_one_another() {
    let stage = Stage::serving("id;n\n1;5\n2;6\n");
    let more = ", poll: { interval: 20ms }, document: { format: { csv: { delimiter: \";\" } }, \
                transform: '{rows: map(.double = .n * 2)}', select: \"$.rows[?@.double > 10]\", \
                ignore: [\"/*/n\"] }";
    let proxy = Proxy::with_feed(&stage.url(), more);
    let mut stream = subscribe(proxy.address(), "/feed");
    assert_eq!(stream.expect("snapshot").data, r#"[{"id":2,"double":12}]"#);
}

#[test]
fn a_filter_that_fails_is_told_without_a_word_of_the_document() {
    let stage = Stage::serving(r#"{"rows":[]}"#);
    let proxy = Proxy::with_feed(&stage.url(), &feed("'.rows | length'"));
    let mut stream = subscribe(proxy.address(), "/feed");
    assert_eq!(stream.expect("snapshot").data, "0");
    stage.serves(r#"{"rows":true,"secret":"s3cret"}"#);
    let told = reason(&mut stream);
    assert!(told.starts_with("document.transform failed: "), "{told}");
    stage.serves(r#"["s3cret"]"#);
    stage.serves("{");
    stage.serves(r#"{"rows":[1]}"#);
    while stream.event().expect("news").data != "1" {}
    assert!(failed(&proxy, "transform_failed"));
    assert!(!proxy.log().contains("s3cret"), "{}", proxy.log());
}

#[test]
fn exactly_one_value_is_wanted() {
    for (filter, told) in [
        (
            "empty",
            "document.transform gave no value; it must give exactly one",
        ),
        (
            ".[]",
            "document.transform gave more than one value; write [ ] around it for an array of them",
        ),
        (
            "[range(1000)]",
            "document.transform gave more than 1024 bytes (document.transform.max_bytes)",
        ),
    ] {
        let (upstream, _document) = Upstream::with_document("[1,2]");
        let transform = format!("{{ jq: '{filter}', max_bytes: 1KiB, timeout: 30s }}");
        let proxy = Proxy::with_feed(&upstream.url(), &feed(&transform));
        let mut stream = subscribe(proxy.address(), "/feed");
        let status = stream.expect("status").value;
        assert_eq!(status["reason"], told);
    }
}

/// A filter that does something terrible to `true`, and passes on anything else.
fn survives(terrible: &str, timeout: &str, outcome: &str, part: &str) {
    let stage = Stage::serving(numbered(1));
    let other = Stage::serving(numbered(1));
    let filter = format!("if . == true then {terrible} else . end");
    let transform = format!("{{ jq: '{filter}', timeout: {timeout}, max_bytes: 1MiB }}");
    let limits = "max_bytes: 1MiB, transform: ";
    let proxy = Proxy::start(&format!(
        "upstreams: {{ a: {{ url: \"{}\" }}, b: {{ url: \"{}\" }} }}\nfeeds:\n\
         \x20 - {{ path: /a, upstream: a, poll: {{ interval: 20ms }}, document: {{ {limits}{transform} }} }}\n\
         \x20 - {{ path: /b, upstream: b, poll: {{ interval: 20ms }}, document: {{ {limits}. }} }}\n",
        stage.url(),
        other.url()
    ));
    let (mut a, mut b) = (
        subscribe(proxy.address(), "/a"),
        subscribe(proxy.address(), "/b"),
    );
    a.expect("snapshot");
    b.expect("snapshot");
    let before = workers(&proxy);
    assert_eq!(before.len(), 2);

    stage.serves("true");
    let told = reason(&mut a);
    assert!(told.contains(part), "{told}");
    assert!(failed(&proxy, outcome));
    // The neighbour notices nothing.
    other.serves(numbered(2));
    assert_eq!(b.expect("patch").value[0]["value"], json!(2));

    stage.serves(numbered(3));
    assert_eq!(a.expect("status").value["state"], "live");
    assert_eq!(a.expect("patch").value[0]["value"], json!(3));
    eventually("nothing is left of the old worker", || {
        let after = workers(&proxy);
        after.len() == 2 && after.iter().filter(|pid| before.contains(pid)).count() == 1
    });
}

#[test]
fn a_filter_that_never_ends_is_killed_and_the_next_answer_is_read() {
    survives(
        "def f: f; f",
        "100ms",
        "transform_timeout",
        "took longer than 100ms",
    );
}

#[test]
fn a_filter_that_takes_all_memory_ends_alone_and_the_next_answer_is_read() {
    survives(
        "[range(1e12)]",
        "30s",
        "transform_broken",
        "ended its process",
    );
}

#[test]
fn a_filter_that_recurses_without_end_ends_alone_and_the_next_answer_is_read() {
    survives(
        "def f: 1 + f; f",
        "30s",
        "transform_broken",
        "ended its process",
    );
}

#[test]
fn a_filter_sees_neither_the_environment_nor_files() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), &feed("."));
    subscribe(proxy.address(), "/feed").expect("snapshot");
    let worker = workers(&proxy)[0];
    let environment = fs::read(format!("/proc/{worker}/environ")).expect("it runs");
    assert_eq!(environment, b"");
}

#[test]
fn workers_end_with_pollcast_however_it_ends() {
    for signal in ["TERM", "KILL"] {
        let stage = Stage::serving("[1]");
        let endless = "{ jq: 'if . == true then def f: f; f else . end', timeout: 1h }";
        let mut proxy = Proxy::with_feed(&stage.url(), &feed(endless));
        let mut stream = subscribe(proxy.address(), "/feed");
        stream.expect("snapshot");
        let worker = workers(&proxy)[0];
        // Amid its work, too.
        stage.serves("true");
        eventually("it is at work", || state(worker) == Some('R'));
        drop(stream);
        proxy.signal(signal);
        proxy.exit_status();
        // Who collects what pollcast left behind is not ours to say.
        eventually("the worker is gone", || {
            matches!(state(worker), None | Some('Z'))
        });
    }
}

#[test]
fn a_document_of_many_megabytes_passes_through() {
    let row = |id: usize| format!(r#"{{"id":{id},"text":"{}"}}"#, "x".repeat(1000));
    let rows: Vec<String> = (0..5000).map(row).collect();
    let body = format!("[{}]", rows.join(","));
    let upstream = Upstream::start(move |_| Reply::json(body.clone()));
    let proxy = Proxy::with_feed(&upstream.url(), &feed("{ jq: 'map(.id)', timeout: 30s }"));
    let snapshot = subscribe(proxy.address(), "/feed").expect("snapshot");
    assert_eq!(snapshot.value.as_array().map(Vec::len), Some(5000));
}
