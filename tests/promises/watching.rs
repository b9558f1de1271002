//! Live documents of the private listener: pollcast's own kind of stream, about pollcast itself.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::status::{asked, feed};
use crate::support::client::{Block, Response, raw, resume, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::replica::Replica;
use crate::support::socket::Socket;
use crate::support::stage::{Stage, numbered};
use crate::support::upstream::Reply;

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

/// Where the only topic of `/feed` is watched.
fn target(proxy: &Proxy) -> String {
    let id = feed(proxy, "/feed")["topic_id"].clone();
    format!("/api/topic?id={}", id.as_str().expect("an id"))
}

#[test]
fn whoever_comes_back_soon_misses_nothing_and_foreign_positions_are_reset() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::with_feed(&stage.url(), "");
    let _stream = subscribe(proxy.address(), "/feed");
    let target = target(&proxy);
    let admin = proxy.admin_address();
    let mut replica = Replica::default();
    let mut watcher = subscribe(admin, &target);
    follow(&mut watcher, &mut replica, |topic| {
        topic["document"]["n"] == 1
    });
    drop(watcher);
    stage.serves(numbered(2));
    eventually("it changes", || {
        asked(&proxy, &target)["document"]["n"] == 2
    });

    let id = replica.last_id.clone().expect("an id");
    let mut watcher = resume(admin, &target, &id);
    // What was missed comes as patches that fit what is held: nothing is reset.
    loop {
        let event = watcher.event().expect("it goes on");
        assert_ne!(event.name, "reset");
        replica.take(&event);
        if replica.document.as_ref().expect("a document")["document"]["n"] == 2 {
            break;
        }
    }
    let by_query = format!("{target}&last_event_id={}", replica.last_id.expect("an id"));
    let first = subscribe(admin, &by_query).event().expect("it goes on");
    assert_ne!(first.name, "reset");

    let mut foreign = resume(admin, &target, "0123456789abcdef-7");
    assert_eq!(
        foreign.expect("reset").value,
        json!({ "reason": "unknown_id" })
    );
    foreign.expect("snapshot");
}

#[test]
fn a_topic_that_is_dropped_ends_its_watchers() {
    let stage = Stage::serving("[1]");
    let proxy = Proxy::start(&format!(
        "upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: '/of/{{id}}', upstream: legacy, poll: {{ interval: 1m, linger: 1ms }} }}]\n",
        stage.url()
    ));
    let mut stream = subscribe(proxy.address(), "/of/1");
    stream.expect("snapshot");
    let list = asked(&proxy, "/api/topics?feed=/of/%7Bid%7D");
    let target = format!(
        "/api/topic?id={}",
        list["topics"][0]["id"].as_str().expect("an id")
    );
    let mut watcher = subscribe(proxy.admin_address(), &target);
    let id = watcher.expect("snapshot").id.expect("an id");
    drop(stream);
    loop {
        let event = watcher.event().expect("it is told first");
        if event.name == "end" {
            assert_eq!(event.value, json!({ "reason": "not_found" }));
            break;
        }
    }
    assert_eq!(watcher.block(), None);
    assert_eq!(resume(proxy.admin_address(), &target, &id).status, 204);
}

#[test]
fn watchers_are_bounded_and_give_their_place_back() {
    let stage = Stage::serving("[1]");
    let proxy = Proxy::with_feed(&stage.url(), "");
    let admin = proxy.admin_address();
    let mut watchers: Vec<_> = (0..64).map(|_| subscribe(admin, "/api/status")).collect();
    watchers
        .iter_mut()
        .for_each(|watcher| drop(watcher.expect("snapshot")));
    let refused = subscribe(admin, "/api/status");
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    // Whoever asks for JSON, and Prometheus, are served.
    asked(&proxy, "/api/status");
    assert_eq!(proxy.admin("/metrics").0, 200);
    drop(watchers);
    eventually("there is room", || {
        subscribe(admin, "/api/status").status == 200
    });
    let head = b"HEAD /api/status HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n";
    let head = raw(admin, head);
    assert_eq!(
        (head.status, head.header("content-type")),
        (200, Some("text/event-stream"))
    );
    let old = b"GET /api/status HTTP/1.0\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n";
    let mut old = raw(admin, old);
    assert_eq!(old.header("transfer-encoding"), None);
    old.expect("snapshot");
}

#[test]
fn what_was_watched_once_gives_its_memory_back_when_others_are() {
    const TOPICS: usize = 240;
    let unit: Vec<_> = (0..12_000).map(|n| format!("{n:08}")).collect();
    let stage = Stage::serving(json!(unit).to_string());
    let proxy = Proxy::start(&format!(
        "upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: '/of/{{id}}', upstream: legacy, poll: {{ interval: 1h, linger: 1h }} }}]\n",
        stage.url()
    ));
    for n in 0..TOPICS {
        subscribe(proxy.address(), &format!("/of/{n}")).expect("snapshot");
    }
    let mut ids: Vec<String> = Vec::new();
    while ids.len() < TOPICS {
        let after = ids.last().map(|id| format!("&after={id}"));
        let after = after.unwrap_or_default();
        let page = asked(&proxy, &format!("/api/topics?feed=/of/%7Bid%7D{after}"));
        let page = page["topics"].as_array().expect("topics").iter();
        ids.extend(page.map(|topic| topic["id"].as_str().expect("an id").to_owned()));
    }
    let watch = |ids: &[String]| {
        for id in ids {
            let target = format!("/api/topic?id={id}");
            subscribe(proxy.admin_address(), &target).expect("snapshot");
        }
        proxy.resident()
    };
    // As many as may be watched at once, and then thrice as many.
    let before = watch(&ids[..TOPICS / 4]);
    let grown = watch(&ids[TOPICS / 4..]).saturating_sub(before);
    assert!(grown < 40 << 20, "{grown}");
}

#[test]
fn leaving_ends_watchers_properly() {
    let stage = Stage::serving("[1]");
    let mut proxy = Proxy::start(&format!(
        "server: {{ listen: \"127.0.0.1:0\", drain: 10m }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy }}]\n",
        stage.url()
    ));
    let mut watcher = subscribe(proxy.admin_address(), "/api/status");
    assert!(matches!(watcher.block(), Some(Block::Retry(1500..=4500))));
    watcher.expect("snapshot");
    proxy.signal("TERM");
    let mut last = None;
    while let Some(block) = watcher.block() {
        last = Some(block);
    }
    assert!(matches!(last, Some(Block::Retry(1500..=4500))), "{last:?}");
    assert!(proxy.exit_status().success());
}

#[test]
fn a_watcher_that_reads_nothing_holds_up_nobody() {
    let stage = Stage::new(|_| {
        let n = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let unit = format!(
            "{:032x}",
            n.unwrap().as_nanos().wrapping_mul(0x9e37_79b9_7f4a_7c15)
        );
        Reply::json(json!([unit.repeat(6000)]).to_string())
    });
    let mut proxy = Proxy::with_feed(&stage.url(), "");
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    let target = target(&proxy);
    let head =
        format!("GET {target} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n");
    let stalled: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stalled = Socket::narrow().connect(proxy.admin_address());
            stalled.write_all(head.as_bytes()).expect("a request");
            stalled
        })
        .collect();
    let mut watcher = subscribe(proxy.admin_address(), &target);
    let mut replica = Replica::default();
    let mut seen: Vec<Value> = Vec::new();
    for _ in 0..5 {
        let last = seen.last().cloned().unwrap_or_default();
        follow(&mut watcher, &mut replica, |topic| {
            topic["document"] != last
        });
        seen.push(replica.document.as_ref().expect("a document")["document"].clone());
        assert_eq!(proxy.admin("/healthz").0, 200);
    }
    drop((stream, watcher));
    proxy.signal("TERM");
    assert!(proxy.exit_status().success());
    let mut rest = Vec::new();
    for mut stalled in stalled {
        let _ = stalled.set_read_timeout(Some(Duration::from_secs(5)));
        let _ = stalled.read_to_end(&mut rest);
    }
    assert!(!rest.is_empty());
}
