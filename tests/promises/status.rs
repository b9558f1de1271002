//! The API behind the status page: what is known of feeds and topics, live, and nothing secret.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::{Response, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::replica::Replica;
use crate::support::stage::{Stage, numbered};
use crate::support::upstream::Reply;

/// A JSON answer of the private listener.
fn asked(proxy: &Proxy, path: &str) -> Value {
    let (status, body) = proxy.admin(path);
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
}

/// What `/api/status` says of a feed.
fn feed(proxy: &Proxy, path: &str) -> Value {
    let status = asked(proxy, "/api/status");
    let feeds = status["feeds"].as_array().expect("feeds");
    let feed = feeds.iter().find(|feed| feed["path"] == path);
    feed.unwrap_or_else(|| panic!("no {path}: {status}"))
        .clone()
}

/// What `/api/topic` says of the only topic of a feed.
fn topic(proxy: &Proxy, path: &str) -> Value {
    let id = feed(proxy, path)["topic_id"].clone();
    asked(
        proxy,
        &format!("/api/topic?id={}", id.as_str().expect("an id")),
    )
}

/// Waits until the feed says so, and for this reason nothing is sent.
fn quiet(proxy: &Proxy, path: &str, reason: &str) -> Value {
    let mut last = Value::Null;
    eventually(&format!("{path} is quiet: {reason}"), || {
        last = feed(proxy, path);
        last["quiet"]["reason"] == reason
    });
    assert_eq!(topic(proxy, path)["quiet"]["reason"], reason);
    last
}

/// Reads a live document until it is as wanted.
fn follow(stream: &mut Response, replica: &mut Replica, wanted: impl Fn(&Value) -> bool) {
    loop {
        let event = stream.event().expect("it goes on");
        replica.take(&event);
        if replica.document.as_ref().is_some_and(&wanted) {
            return;
        }
    }
}

#[test]
fn the_status_says_what_each_feed_does() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::with_feed(&stage.url(), "");
    let idle = feed(&proxy, "/feed");
    assert_eq!(idle["state"], "paused");
    assert_eq!(idle["quiet"]["reason"], "paused");
    assert_eq!(idle["last_change"], Value::Null);

    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    stage.serves(numbered(2));
    let patch = stream.expect("patch");
    eventually("polls and bytes are counted", || {
        let feed = feed(&proxy, "/feed");
        feed["polls"].as_u64() > Some(2) && feed["sent_bytes"].as_u64() > Some(400)
    });
    let status = asked(&proxy, "/api/status");
    let feed = &status["feeds"][0];
    assert_eq!(feed["state"], "live");
    assert_eq!(feed["parameters"], false);
    assert_eq!(
        (&feed["topics"], &feed["max_topics"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(feed["subscribers"]["patch"], 1);
    assert_eq!(feed["last_event_id"], patch.id.expect("an id"));
    assert_eq!(feed["document_bytes"], numbered(2).len());
    assert_eq!(feed["events"], 2);
    assert_eq!(feed["interval_ms"], 50);
    assert_eq!(feed["why"], "interval");
    assert_eq!(status["totals"]["subscribers"], 1);
    assert_eq!(status["totals"]["topics"], 1);
    assert_eq!(status["ready"], true);
    assert_eq!(status["listeners"], json!([proxy.url("")]));
    assert_eq!(status["upstreams"][0]["name"], "legacy");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));

    let mut second = subscribe(proxy.address(), "/feed");
    second.expect("snapshot");
    eventually("what is spared is counted", || {
        let totals = asked(&proxy, "/api/status")["totals"].clone();
        totals["spared_requests"].as_u64() > Some(3)
    });
}

#[test]
fn a_topic_shows_its_document_its_patches_and_its_polls() {
    let stage = Stage::serving(r#"{"n": 1.10, "text": "long enough for a patch to pay"}"#);
    let proxy = Proxy::with_feed(&stage.url(), "");
    let mut stream = subscribe(proxy.address(), "/feed");
    let first = stream.expect("snapshot").id;
    stage.serves(r#"{"n": 2.50, "text": "long enough for a patch to pay"}"#);
    let second = stream.expect("patch").id;
    stage.becomes(|_| Reply::status(500, "{}"));
    quiet(&proxy, "/feed", "failing");

    let id = feed(&proxy, "/feed")["topic_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let (_, text) = proxy.admin(&format!("/api/topic?id={id}"));
    // As the upstream wrote it.
    let document = r#""document":{"n":2.50,"text":"long enough for a patch to pay"}"#;
    assert!(text.contains(document), "{text}");
    let data = r#"{"bytes":43,"data":[{"op":"replace","path":"/n","value":2.50}]}"#;
    assert!(
        text.contains(&format!(r#""forms":{{"patch":{data}}}"#)),
        "{text}"
    );
    let topic: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(topic["id"], id);
    assert_eq!(
        (&topic["feed"], &topic["path"]),
        (&json!("/feed"), &json!("/feed"))
    );
    assert_eq!(topic["private"], false);
    assert_eq!(topic["subscribers"], 1);
    assert_eq!(topic.get("document_omitted"), None);
    let events = topic["events"].as_array().expect("events");
    let ids: Vec<_> = events
        .iter()
        .map(|event| event["id"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(ids, [second.clone(), first.clone()]);
    assert_eq!(events[1]["forms"], json!({}));
    let polls = topic["polls"].as_array().expect("polls");
    assert_eq!(polls[0]["outcome"], "status_5xx");
    assert_eq!(
        polls[0]["reason"],
        "the upstream answered 500 Internal Server Error"
    );
    let of = |id: &Option<String>| {
        polls
            .iter()
            .find(|poll| poll["event_id"] == json!(id))
            .cloned()
    };
    let changed = of(&second)
        .or(of(&first))
        .or(Some(polls[0].clone()))
        .expect("a poll");
    assert!(changed["took_ms"].is_u64() && changed["body_bytes"].is_u64());
    assert!(polls.len() <= 20);
}

#[test]
fn watching_gives_what_asking_gives_and_costs_the_upstream_nothing() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::with_feed(&stage.url(), "");
    let mut watcher = subscribe(proxy.admin_address(), "/api/status");
    assert_eq!(watcher.status, 200);
    assert_eq!(watcher.header("content-type"), Some("text/event-stream"));
    assert_eq!(
        watcher.header("cache-control"),
        Some("no-cache, no-transform")
    );
    let mut replica = Replica::default();
    follow(&mut watcher, &mut replica, |status| {
        status["feeds"][0]["state"] == "paused"
    });
    // Nothing happens, so nothing is sent, and nobody is polled for.
    assert!(watcher.silence(Duration::from_millis(1500)));
    assert_eq!(stage.upstream.requests().len(), 0);
    assert!(proxy.metric("pollcast_connections", &[]) < 0.5);

    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    follow(&mut watcher, &mut replica, |status| {
        status["feeds"][0]["subscribers"]["total"] == 1 && status["feeds"][0]["events"] == 1
    });
    drop(stream);
    follow(&mut watcher, &mut replica, |status| {
        status["totals"]["subscribers"] == 0
    });
}

#[test]
fn a_change_of_a_feed_comes_to_who_watches_its_topic() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::with_feed(&stage.url(), "");
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    let id = feed(&proxy, "/feed")["topic_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let target = format!("/api/topic?id={id}");
    let mut watcher = subscribe(proxy.admin_address(), &target);
    let mut replica = Replica::default();
    replica.take(&watcher.expect("snapshot"));
    for n in 2..5 {
        stage.serves(numbered(n));
        follow(&mut watcher, &mut replica, |topic| {
            topic["document"]["n"] == n
        });
    }
    // Two things that stand still are the same however they are asked for.
    drop(stream);
    follow(&mut watcher, &mut replica, |topic| {
        topic["subscribers"] == 0
    });
    let held = replica.document.expect("a document");
    let asked = asked(&proxy, &target);
    for field in ["id", "document", "events", "path", "made", "private"] {
        assert_eq!(held[field], asked[field], "{field}");
    }
}
