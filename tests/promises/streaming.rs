//! A polled document becomes a live event stream.

use serde_json::json;

use crate::support::client::{Block, get, raw, subscribe};
use crate::support::proxy::Proxy;
use crate::support::replica::Replica;
use crate::support::upstream::Upstream;

#[test]
fn a_subscriber_gets_a_retry_time_a_snapshot_and_then_patches() {
    let (upstream, document) = Upstream::with_document(r#"[{"n": 1.10}]"#);
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let mut stream = subscribe(proxy.address(), "/feed");

    assert_eq!(stream.status, 200);
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!(
        stream.header("cache-control"),
        Some("no-cache, no-transform")
    );
    assert_eq!(stream.header("x-accel-buffering"), Some("no"));
    assert_eq!(stream.header("vary"), Some("accept"));
    assert_eq!(stream.header("transfer-encoding"), Some("chunked"));

    let Some(Block::Retry(retry)) = stream.block() else {
        panic!("a retry line comes first");
    };
    assert!((1500..=4500).contains(&retry), "{retry}");
    let snapshot = stream.expect("snapshot");
    assert_eq!(snapshot.data, r#"[{"n":1.10}]"#);
    let id = snapshot.id.expect("an id");
    assert!(id.ends_with("-1"), "{id}");

    *document.lock().unwrap() = r#"[{"n": 1.10, "more": "than a little text"}, 2]"#.into();
    let change = stream.event().expect("an event");
    assert!(change.id.expect("an id").ends_with("-2"));
}

#[test]
fn an_unchanged_document_is_silence() {
    let (upstream, document) =
        Upstream::with_document(r#"{"a": 1, "b": [1, 2], "long": "text that makes a patch pay"}"#);
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    // Other bytes, the same document: reordered keys, an equal number, white space.
    *document.lock().unwrap() =
        r#"{"b":[1.0,2], "long": "text that makes a patch pay","a":1}"#.into();
    let polls = upstream.count("/feed");
    crate::support::eventually("more polls", || upstream.count("/feed") > polls + 3);
    *document.lock().unwrap() =
        r#"{"b":[1.0,2], "long": "text that makes a patch pay","a":2}"#.into();
    let change = stream.expect("patch");
    assert_eq!(
        change.value,
        json!([{"op": "replace", "path": "/a", "value": 2}])
    );
    assert!(change.id.expect("an id").ends_with("-2"));
}

#[test]
fn mode_snapshot_sends_whole_documents() {
    let (upstream, document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let mut stream = subscribe(proxy.address(), "/feed?mode=snapshot");
    assert_eq!(stream.expect("snapshot").data, "[1]");
    let long: Vec<_> = (1..100).collect();
    *document.lock().unwrap() = json!(long).to_string();
    assert_eq!(stream.expect("snapshot").value, json!(long));
}

#[test]
fn http_1_0_clients_get_a_body_that_ends_with_the_connection() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let request = b"GET /feed HTTP/1.0\r\naccept: text/event-stream\r\n\r\n";
    let mut stream = raw(proxy.address(), request);
    assert_eq!(stream.status, 200);
    assert_eq!(stream.header("transfer-encoding"), None);
    assert_eq!(stream.expect("snapshot").data, "[1]");
    assert!(proxy.metric("pollcast_connections", &["http/1.0"]) > 0.5);
}

#[test]
fn every_client_holds_what_the_upstream_served() {
    let (upstream, document) = Upstream::with_document("[]");
    let proxy = Proxy::with_feed(&upstream.url(), ", document: { key: id }");
    let mut stream = subscribe(proxy.address(), "/feed");
    let mut replica = Replica::default();
    replica.take(&stream.expect("snapshot"));
    let mut rows: Vec<serde_json::Value> = Vec::new();
    for step in 0..30 {
        rows.insert(
            0,
            json!({"id": step, "name": format!("row {step}"), "n": 0}),
        );
        if step % 3 == 0 {
            rows.rotate_left(1);
        }
        if let Some(row) = rows.get_mut(step / 2) {
            row["n"] = json!(step);
        }
        *document.lock().unwrap() = json!(rows).to_string();
        while replica.document != Some(json!(rows)) {
            let event = stream.event().expect("an event");
            replica.take(&event);
        }
    }
}

#[test]
fn whoever_does_not_name_events_gets_the_upstreams_answer() {
    let (upstream, _document) = Upstream::with_document(r#"{"plain": true}"#);
    let proxy = Proxy::with_feed(&upstream.url(), "");
    for accept in ["*/*", "application/json, text/plain, */*", "text/*"] {
        let answer = get(proxy.address(), "/feed", &[("accept", accept)]);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("vary"), Some("accept"));
        assert_eq!(answer.text(), r#"{"plain": true}"#);
    }
}
