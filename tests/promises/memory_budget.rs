//! All topics together hold no more than they may: history goes first, then nobody gets a topic that
//! does not exist yet, and those that exist go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::support::client::{Response, get, resume, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::replica::Replica;
use crate::support::stage::Stage;
use crate::support::upstream::Reply;

const MIB: usize = 1 << 20;

fn start(upstream: &str, memory: &str, more: &str) -> Proxy {
    Proxy::start(&format!(
        "server: {{ listen: \"127.0.0.1:0\", drain: 5s, limits: {{ memory: {memory} }} }}\n\
         upstreams: {{ legacy: {{ url: \"{upstream}\" }} }}\n\
         feeds: [{{ path: \"/items/{{id}}\", upstream: legacy, poll: {{ interval: 200ms, \
         linger: 1s }}{more} }}]\n"
    ))
}

fn held(proxy: &Proxy) -> f64 {
    proxy.metric("pollcast_memory_held_bytes", &[])
}

fn shed(proxy: &Proxy) -> f64 {
    proxy.metric(
        "pollcast_memory_shed_events_total",
        &["feed=\"/items/{id}\""],
    )
}

/// A document of 12 KiB, of which 4 KiB are others each time.
fn changing(n: u64) -> String {
    let part = |seed: u64| {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut text = String::new();
        while text.len() < 4000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text.push_str(&format!("{state:016x}"));
        }
        text
    };
    format!(
        r#"{{"n":{n},"new":"{}","same":"{}{}"}}"#,
        part(n),
        part(0),
        part(1)
    )
}

#[test]
fn a_hundred_growing_histories_stay_within_the_budget_and_every_stream_is_right() {
    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    let stage = Stage::new(move |_| Reply::json(changing(counter.fetch_add(1, Ordering::Relaxed))));
    let proxy = start(
        &stage.url(),
        "8MiB",
        ", events: { history: { events: 10000, bytes: 64MiB } }",
    );
    let path = |n: usize| format!("/items/{n}");
    let mut left = subscribe(proxy.address(), &path(0));
    let first = left.expect("snapshot").id;
    drop(left);
    let mut streams: Vec<_> = (0..100)
        .map(|n| (subscribe(proxy.address(), &path(n)), Replica::default()))
        .collect();
    let mut follow_until = |enough: f64| {
        eventually("so much is shed", || {
            for (stream, replica) in &mut streams {
                follow(stream, replica);
            }
            shed(&proxy) > enough
        });
    };
    follow_until(100.0);
    let resident = proxy.resident();
    follow_until(3000.0);
    assert!(
        held(&proxy) < (10 * MIB) as f64,
        "{} bytes are held",
        held(&proxy)
    );
    let grown = proxy.resident().saturating_sub(resident);
    assert!(grown < 24 * MIB, "it grew by {grown} bytes");
    let mut back = resume(proxy.address(), &path(0), first.as_deref().expect("an id"));
    let reset = back.expect("reset");
    assert_eq!(reset.data, r#"{"reason":"expired"}"#);
    let snapshot: Value = serde_json::from_str(&back.expect("snapshot").data).expect("JSON");
    assert_eq!(snapshot["same"].as_str().map(str::len), Some(8000));
    let (_, status) = proxy.admin("/api/status");
    let status: Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["memory"]["budget_bytes"], 8 * MIB);
}

/// Reads an event; afterwards the client holds a document that the upstream served.
fn follow(stream: &mut Response, replica: &mut Replica) {
    let event = stream.event().expect("an event");
    replica.take(&event);
    if event.name == "reset" {
        return;
    }
    let document = replica.document.as_ref().expect("a document");
    let n = document["n"].as_u64().expect("a number");
    let served: Value = serde_json::from_str(&changing(n)).expect("JSON");
    assert_eq!(*document, served);
}

#[test]
fn who_asks_for_one_more_document_is_refused_until_there_is_memory() {
    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(600_000));
    let stage = Stage::new(move |_| Reply::json(large.clone()));
    let proxy = start(&stage.url(), "4MiB", "");
    let mut streams = Vec::new();
    let refusal = loop {
        assert!(streams.len() < 10, "{} bytes are held", held(&proxy));
        let path = format!("/items/{}", streams.len());
        let mut stream = get(proxy.address(), &path, &[("accept", "text/event-stream")]);
        if stream.status != 200 {
            break stream;
        }
        stream.expect("snapshot");
        streams.push(stream);
    };
    assert_eq!(refusal.status, 503);
    assert!(refusal.header("retry-after").is_some());
    assert!(!streams.is_empty());
    let refused = || {
        proxy.metric(
            "pollcast_subscriptions_refused_total",
            &["reason=\"limit_memory\""],
        )
    };
    assert!(refused() > 0.5);
    // Whoever wants a document that is there already is served.
    subscribe(proxy.address(), "/items/0").expect("snapshot");
    // An EventSource is told when to come back.
    let browser = [
        ("accept", "text/event-stream"),
        ("cache-control", "no-cache"),
    ];
    assert_eq!(get(proxy.address(), "/items/new", &browser).status, 200);
    drop(streams);
    eventually("there is memory again", || {
        let mut stream = get(
            proxy.address(),
            "/items/new",
            &[("accept", "text/event-stream")],
        );
        stream.status == 200 && stream.event().is_some_and(|event| event.name == "snapshot")
    });
}

#[test]
fn what_is_counted_is_about_what_the_process_takes() {
    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    let stage = Stage::new(move |_| Reply::json(changing(counter.fetch_add(1, Ordering::Relaxed))));
    let proxy = start(&stage.url(), "1GiB", "");
    let mut streams: Vec<_> = (0..100)
        .map(|n| subscribe(proxy.address(), &format!("/items/{n}")))
        .collect();
    let mut follow_until = |bytes: f64| {
        eventually("so much is held", || {
            for stream in &mut streams {
                stream.event().expect("an event");
            }
            held(&proxy) > bytes
        });
    };
    follow_until((6 * MIB) as f64);
    let (held_before, resident_before) = (held(&proxy), proxy.resident());
    follow_until((22 * MIB) as f64);
    let counted = held(&proxy) - held_before;
    let resident = proxy.resident().saturating_sub(resident_before) as f64;
    let share = counted / resident;
    assert!(
        (0.5..2.0).contains(&share),
        "{counted} counted of {resident}"
    );
}
