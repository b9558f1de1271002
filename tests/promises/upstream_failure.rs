//! The last good document survives every failure of the upstream, and clients are told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::support::client::{Response, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::replica::Replica;
use crate::support::stage::{Stage, numbered};
use crate::support::upstream::{Reply, Upstream};

const FEED: &str = ", poll: { interval: 20ms, timeout: 300ms }, \
                    document: { max_bytes: 4KiB, select: /data }";

fn document(n: u64) -> String {
    format!(r#"{{"data":{}}}"#, numbered(n))
}

/// The upstream does this for a while: nobody loses anything, everybody is told.
fn survives(name: &str, failure: impl Fn() -> Reply + Send + Sync + 'static) {
    let stage = Stage::serving(document(1));
    let proxy = Proxy::with_feed(&stage.url(), FEED);
    let mut before = subscribe(proxy.address(), "/feed");
    let held = before.expect("snapshot");
    assert_eq!(held.value["n"], json!(1));

    stage.becomes(move |_| failure());
    let status = before.expect("status").value;
    assert_eq!(status["state"], "stale", "{name}: {status}");
    assert!(status["reason"].is_string(), "{name}: {status}");
    assert!(status["last_success"].is_string(), "{name}: {status}");
    let mut meanwhile = subscribe(proxy.address(), "/feed");
    let snapshot = meanwhile.expect("snapshot");
    assert_eq!((snapshot.id, snapshot.data), (held.id, held.data), "{name}");
    assert_eq!(meanwhile.expect("status").value, status, "{name}");

    let polls = stage.upstream.count("/feed");
    eventually(name, || stage.upstream.count("/feed") > polls + 2);
    let told = proxy.log().matches("poll failed").count();
    assert_eq!(told, 1, "{name} is logged once:\n{}", proxy.log());

    stage.serves(document(2));
    for stream in [&mut before, &mut meanwhile] {
        assert_eq!(stream.expect("status").value["state"], "live", "{name}");
        let patch = stream.expect("patch");
        assert_eq!(patch.value[0]["value"], json!(2), "{name}");
    }
}

fn status(code: u16) -> impl Fn() -> Reply + Send + Sync + 'static {
    move || Reply::status(code, r#"{"data":{"n":666}}"#)
}

fn raw(answer: impl Into<Vec<u8>>) -> impl Fn() -> Reply + Send + Sync + 'static {
    let answer = answer.into();
    move || Reply::Raw(answer.clone())
}

fn body(body: impl Into<String>) -> impl Fn() -> Reply + Send + Sync + 'static {
    let body = body.into();
    move || Reply::json(body.clone())
}

#[test]
fn statuses_that_are_no_answer() {
    for code in [204, 206, 400, 404, 418, 429, 500, 502, 503] {
        survives(&format!("status {code}"), status(code));
    }
}

#[test]
fn bodies_that_are_no_document() {
    survives("html", body("<!doctype html><title>Sign in</title>"));
    survives("truncated", body(r#"{"data":{"n":666,"te"#));
    survives("empty", body(""));
    survives("white space", body(" \n"));
    survives(
        "too large",
        body(json!({"data": "x".repeat(5000)}).to_string()),
    );
    survives("not utf-8", || Reply::Answer {
        status: 200,
        headers: Vec::new(),
        body: b"{\"data\":\"\xff\"}".to_vec(),
    });
    let deep = format!(r#"{{"data":{}{}}}"#, "[".repeat(1000), "]".repeat(1000));
    survives("too deep", body(deep));
    survives("select finds nothing", body(r#"{"error":"quota"}"#));
    survives("two documents", body(r#"{"data":1}{"data":2}"#));
    survives(
        "a magic key",
        body(r#"{"$serde_json::private::RawValue":"1"}"#),
    );
}

#[test]
fn connections_that_break() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    survives("no answer at all", raw(""));
    survives("not http", raw("SSH-2.0-OpenSSH_9.2\r\n"));
    survives(
        "shorter than its length",
        raw(format!("{head}content-length: 500\r\n\r\n{{\"data\":1}}")),
    );
    survives(
        "chunks cut off",
        raw(format!(
            "{head}transfer-encoding: chunked\r\n\r\na\r\n{{\"data\":1}}\r\n"
        )),
    );
    survives(
        "invalid gzip",
        raw(format!(
            "{head}content-encoding: gzip\r\n\r\n{{\"data\":1}}"
        )),
    );
    let zstd = zstd::encode_all(document(666).as_bytes(), 3).unwrap();
    let head = format!("{head}content-encoding: zstd\r\n\r\n");
    survives(
        "encoding cut off",
        raw([head.as_bytes(), &zstd[..zstd.len() - 9]].concat()),
    );
}

#[test]
fn answers_that_take_too_long() {
    survives("hangs", || Reply::Hang);
    survives("drips", || {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n".to_vec();
        let mut pieces = vec![b" ".to_vec(); 50];
        pieces.insert(0, head);
        Reply::Drip(pieces, Duration::from_millis(20))
    });
    survives("a head that drips", || {
        Reply::Drip(
            vec![b"HTTP/1.1 200 OK\r\nx: ".to_vec(); 50],
            Duration::from_millis(20),
        )
    });
    survives("an endless body", || {
        let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        let pieces = std::iter::once(head).chain(std::iter::repeat_n(vec![b' '; 512], 100));
        Reply::Drip(pieces.collect(), Duration::from_millis(1))
    });
}

#[test]
fn one_failure_is_a_blip_that_nobody_hears_of() {
    let stage = Stage::serving(document(1));
    let proxy = Proxy::with_feed(&stage.url(), FEED);
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    for n in 2..5 {
        let polls = AtomicUsize::new(0);
        stage.becomes(move |_| match polls.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::status(503, "blip"),
            _ => Reply::json(document(n)),
        });
        assert_eq!(stream.expect("patch").value[0]["value"], json!(n));
    }
    let failed = proxy.metric("pollcast_polls_total", &["status_5xx"]);
    assert!((failed - 3.0).abs() < 0.5, "{failed}");
    assert_eq!(proxy.log().matches("poll failed").count(), 0, "no news");
}

#[test]
fn an_upstream_may_die_and_come_back() {
    let document = std::sync::Arc::new(AtomicUsize::new(1));
    let serve = std::sync::Arc::clone(&document);
    let mut upstream = Upstream::start(move |_| {
        Reply::json(format!(
            r#"{{"data":{}}}"#,
            numbered(serve.load(Ordering::SeqCst) as u64)
        ))
    });
    let proxy = Proxy::with_feed(&upstream.url(), FEED);
    let mut streams: Vec<(Response, Replica)> = (0..5)
        .map(|_| (subscribe(proxy.address(), "/feed"), Replica::default()))
        .collect();
    for round in 1..4 {
        for (stream, replica) in &mut streams {
            replica.take(&stream.event().expect("the document"));
            let held = replica.document.as_ref().expect("a document");
            assert_eq!(held["n"], json!(round));
        }
        upstream.kill();
        for (stream, _) in &mut streams {
            assert_eq!(stream.expect("status").value["state"], "stale");
        }
        // A new subscriber gets what there is.
        let mut meanwhile = subscribe(proxy.address(), "/feed");
        assert_eq!(meanwhile.expect("snapshot").value["n"], json!(round));
        assert_eq!(meanwhile.expect("status").value["state"], "stale");
        document.fetch_add(1, Ordering::SeqCst);
        upstream.restart();
        for (stream, _) in &mut streams {
            assert_eq!(stream.expect("status").value["state"], "live");
        }
    }
    assert!(proxy.metric("pollcast_polls_total", &["connect"]) > 2.5);
    let opened = proxy.metric("pollcast_subscriptions_total", &["fresh"]);
    assert!(
        (opened - 8.0).abs() < 0.5,
        "nobody was disconnected: {opened}"
    );
    assert_eq!(proxy.log().matches("poll failed").count(), 3);
}

#[test]
fn an_upstream_cannot_smuggle_fields_into_events() {
    for forgery in [
        "HTTP/1.1 503 bad\revent: forged\rdata: {}\r\r\r\n\r\n",
        "HTTP/1.1 503 bad\nevent: forged\ndata: {}\n\r\n",
        "HTTP/1.1 503 bad\r\nx: a\revent: forged\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\netag: \"a\revent: forged\"\r\n\r\n<html>",
        "HTTP/1.1 302 Found\r\nlocation: http://x/\revent: forged\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n{\"data\": tr\rdata: forged\n\n}",
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\nevent: forged\n\n",
    ] {
        let stage = Stage::serving(r#"{"data":"a\r\n\nevent: forged"}"#);
        let proxy = Proxy::with_feed(&stage.url(), FEED);
        let mut stream = subscribe(proxy.address(), "/feed");
        let snapshot = stream.expect("snapshot");
        assert_eq!(snapshot.value, json!("a\r\n\nevent: forged"));
        stage.becomes(move |_| Reply::Raw(forgery.into()));
        let status = stream.expect("status");
        assert_eq!(status.value["state"], "stale");
        for data in [snapshot.data, status.data] {
            assert!(!data.contains('\r'), "{forgery:?}: {data:?}");
        }
        let reason = status.value["reason"].to_string();
        assert!(!reason.contains("forged"), "{forgery:?}: {reason}");
        stage.serves(document(2));
        assert_eq!(stream.expect("status").value["state"], "live");
        stream.expect("snapshot");
    }
}
