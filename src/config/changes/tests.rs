//! What is a difference, and what is told of it.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use serde_json::json;

use super::*;
use crate::config::Surroundings;

/// A machine on which every variable and every file holds this.
struct Holding(&'static str);

impl Surroundings for Holding {
    fn variable(&self, _: &str) -> Option<OsString> {
        Some(self.0.into())
    }

    fn file(&self, _: &str) -> io::Result<String> {
        Ok(self.0.to_owned())
    }

    fn locate(&self, path: &str) -> PathBuf {
        path.into()
    }

    fn parallelism(&self) -> usize {
        2
    }

    fn open_files(&self) -> Option<u64> {
        None
    }

    fn memory(&self) -> Option<usize> {
        None
    }
}

fn parsed(text: &str, around: &Holding) -> Config {
    match Config::parse(text, around) {
        Ok((config, _)) => config,
        Err(problems) => panic!("{text}\n{problems}"),
    }
}

fn between(old: &str, new: &str) -> Changes {
    let around = Holding("x");
    Changes::between(&parsed(old, &around), &parsed(new, &around))
}

fn is_same_document(old: &str, new: &str) -> bool {
    let print = |text| parsed(text, &Holding("x")).feeds[0].fingerprint.clone();
    print(old) == print(new)
}

const UPSTREAM: &str = "upstreams: {a: {url: 'http://a'}}\n";

fn feed(more: &str) -> String {
    format!("{UPSTREAM}feeds: [{{path: /f, upstream: a{more}}}]")
}

#[test]
fn what_is_only_written_in_another_way_is_no_difference() {
    let plain = feed("");
    for same in [
        feed(", poll: {interval: 2s}"),
        feed(", request: {path: /f}, json: pass"),
        format!("server: {{drain: 5s}}\n{plain}"),
        format!("# a comment\n{plain}\nproxy: [{{path: /, upstream: a}}]"),
    ] {
        let changes = between(&plain, &same);
        assert!(changes.is_empty(), "{same}\n{changes:?}");
    }
}

#[test]
fn each_difference_is_told_where_it_is_with_both_values() {
    let old = format!(
        "{}\nserver: {{drain: 5s, threads: 2}}\nproxy: [{{path: /, upstream: a}}, {{path: /x, upstream: a}}]",
        feed(", poll: {interval: 2s}")
    );
    let new = "upstreams: {a: {url: 'http://a', max_in_flight: 3}, b: {url: 'http://b'}}\n\
               server: {drain: 6s, threads: 3}\n\
               feeds: [{path: /f, upstream: a, poll: {interval: 3s}}, {path: /g, upstream: b}]\n\
               proxy: [{path: /, upstream: b}]";
    let told = serde_json::to_value(between(&old, new)).unwrap();
    let change = |key, old, new| json!({"key": key, "old": old, "new": new});
    assert_eq!(
        told,
        json!({
            "feeds": {"added": ["/g"], "removed": [], "changed": [
                {"name": "/f", "keys": [change("poll.interval", json!("2s"), json!("3s"))]}
            ]},
            "routes": {"added": [], "removed": ["/x"], "changed": [
                {"name": "/", "keys": [change("upstream", json!("a"), json!("b"))]}
            ]},
            "upstreams": {"added": ["b"], "removed": [], "changed": [
                {"name": "a", "keys": [change("max_in_flight", json!(64), json!(3))]}
            ]},
            "settings": [
                change("server.threads", json!(2), json!(3)),
                change("server.drain", json!("5s"), json!("6s")),
            ],
            "restart": ["server.threads"],
        })
    );
}

#[test]
fn a_secret_that_changed_is_a_difference_and_stays_one() {
    let text = "upstreams: {a: {url: 'http://a', headers: {authorization: '${file:t}', x: 'b${V}'}}}\n\
                feeds: [{path: /f, upstream: a, request: {method: POST, body: {k: '${V}'}}}]";
    let (old, new) = (
        parsed(text, &Holding("hush1")),
        parsed(text, &Holding("hush2")),
    );
    let changes = Changes::between(&old, &new);
    let told = format!(
        "{changes:?} {} {old:?}",
        serde_json::to_string(&changes).unwrap()
    );
    assert!(!told.contains("hush"), "{told}");
    let keys = |entries: &Entries, name| {
        let keys = entries.of(name).iter();
        keys.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        keys(&changes.upstreams, "a"),
        [
            "headers.authorization: another value, which is not shown",
            "headers.x: another value, which is not shown"
        ]
    );
    assert_eq!(
        keys(&changes.feeds, "/f"),
        ["request.body: another value, which is not shown"]
    );
    assert!(Changes::between(&old, &parsed(text, &Holding("hush1"))).is_empty());
}

#[test]
fn a_document_stays_the_same_however_it_is_asked_for_and_told() {
    let plain = feed("");
    for same in [
        feed(", poll: {interval: 9s, idle: keep}"),
        feed(", events: {modes: [snapshot], history: {events: 2}}"),
        feed(", deliver: {retry: 9s, cors: {origins: ['http://x']}}, json: latest"),
        feed(", document: {max_bytes: 1MiB}"),
        plain.replace(
            "'http://a'",
            "'http://a', headers: {x: y}, max_in_flight: 1",
        ),
        plain
            .replace("a:", "b:")
            .replace("upstream: a", "upstream: b"),
    ] {
        assert!(is_same_document(&plain, &same), "{same}");
    }
    for other in [
        feed(", request: {path: /g}"),
        feed(", request: {query: {a: b}}"),
        feed(", document: {select: /data}"),
        feed(", events: {names: {patch: p}}"),
        plain.replace("'http://a'", "'http://b'"),
        plain.replace("'http://a'", "'http://a', host: b"),
        plain.replace("/f", "/g"),
    ] {
        assert!(!is_same_document(&plain, &other), "{other}");
    }
}
