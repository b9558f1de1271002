//! What a poll says, and which answers it accepts.

use std::time::Duration;

use crate::support::client::{get, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::stage::Stage;
use crate::support::upstream::{Reply, Request, Upstream};

const DATE: &str = "Sat, 21 Nov 2026 00:00:00 GMT";

fn with_validators(document: &str, etag: &str) -> Reply {
    Reply::Answer {
        status: 200,
        headers: vec![("etag", etag.into()), ("last-modified", DATE.into())],
        body: document.into(),
    }
}

fn conditions(request: &Request) -> (Option<&str>, Option<&str>) {
    (
        request.header("if-none-match"),
        request.header("if-modified-since"),
    )
}

fn last_conditions(stage: &Stage) -> (Option<String>, Option<String>) {
    let requests = stage.upstream.requests();
    let (tag, date) = conditions(requests.last().expect("a poll"));
    (tag.map(str::to_owned), date.map(str::to_owned))
}

#[test]
fn validators_of_accepted_documents_come_back_and_304_keeps_a_feed_live() {
    let stage = Stage::new(|request| match conditions(request) {
        (Some("\"a\""), Some(DATE)) => Reply::empty(304),
        _ => with_validators("[1]", "\"a\""),
    });
    let proxy = Proxy::with_feed(&stage.url(), ", poll: { interval: 20ms }");
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    let unmodified = || proxy.metric("pollcast_polls_total", &["not_modified"]);
    eventually("304", || unmodified() > 4.5);
    assert!(proxy.metric("pollcast_polls_total", &[]) - unmodified() < 1.5);

    // A body that is refused: its validators are never sent, those of the held document are.
    stage.becomes(|_| with_validators("<html>", "\"b\""));
    assert_eq!(stream.expect("status").value["state"], "stale");
    let held = (Some("\"a\"".to_owned()), Some(DATE.to_owned()));
    assert_eq!(last_conditions(&stage), held);
    stage.becomes(|_| Reply::empty(304));
    assert_eq!(stream.expect("status").value["state"], "live");

    // An accepted document without validators leaves nothing to send.
    stage.serves("[1]");
    eventually("unconditional polls", || {
        last_conditions(&stage) == (None, None)
    });
    assert!(stream.silence(Duration::from_millis(100)), "no change");
}

#[test]
fn the_validators_of_a_first_document_that_is_refused_are_not_kept() {
    let stage = Stage::new(|_| with_validators("{\"cut\":", "\"b\""));
    let proxy = Proxy::with_feed(&stage.url(), ", poll: { interval: 20ms }");
    let mut stream = subscribe(proxy.address(), "/feed");
    assert_eq!(stream.expect("status").value["state"], "down");
    eventually("more polls", || stage.upstream.count("/feed") > 2);
    for request in stage.upstream.requests() {
        assert_eq!(conditions(&request), (None, None));
    }
}

const DECODED: &str = r#"["decoded by the poller, decoded by the poller"]"#;
const GZIP: &[u8] = &[
    31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 139, 86, 74, 73, 77, 206, 79, 73, 77, 81, 72, 170, 84, 40,
    201, 72, 85, 40, 200, 207, 201, 73, 45, 210, 81, 192, 42, 172, 20, 11, 0, 168, 226, 116, 203,
    48, 0, 0, 0,
];
const BROTLI: &[u8] = &[
    27, 47, 0, 248, 29, 9, 118, 12, 178, 142, 132, 8, 159, 184, 176, 122, 139, 76, 46, 79, 117,
    137, 53, 136, 8, 75, 153, 20, 69, 146, 113, 50, 3, 19, 88, 130, 142, 124, 94, 254, 69, 9,
];

fn encoded(coding: &str, body: Vec<u8>) -> Reply {
    Reply::Answer {
        status: 200,
        headers: vec![("content-encoding", coding.into())],
        body,
    }
}

#[test]
fn answers_are_decoded() {
    let zstd = zstd::encode_all(DECODED.as_bytes(), 3).unwrap();
    for (coding, body) in [
        ("gzip", GZIP.to_vec()),
        ("br", BROTLI.to_vec()),
        ("zstd", zstd),
    ] {
        let stage = Stage::new(move |_| encoded(coding, body.clone()));
        let proxy = Proxy::with_feed(&stage.url(), "");
        let mut stream = subscribe(proxy.address(), "/feed");
        assert_eq!(stream.expect("snapshot").data, DECODED, "{coding}");
        let asked = stage.upstream.requests()[0].clone();
        let offered = asked.header("accept-encoding").unwrap_or_default();
        assert!(offered.contains(coding), "{offered}");
    }
}

#[test]
fn a_decompression_bomb_is_refused_by_its_decoded_size() {
    let spaces = vec![b' '; 64 << 20];
    let bomb = zstd::encode_all(&[&spaces[..], b"[1]"].concat()[..], 3).unwrap();
    assert!(bomb.len() < 100_000);
    let stage = Stage::new(move |_| encoded("zstd", bomb.clone()));
    let feed = ", document: { max_bytes: 1MiB }, poll: { interval: 100ms }";
    let proxy = Proxy::with_feed(&stage.url(), feed);
    let mut stream = subscribe(proxy.address(), "/feed");
    let status = stream.expect("status").value;
    assert_eq!(status["state"], "down");
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains("1048576 bytes"), "{reason}");
    assert!(proxy.resident() < 60 << 20, "{}", proxy.resident());
}

#[test]
fn polls_carry_configured_headers_path_and_query_and_pass_through_does_not() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = Proxy::start(&format!(
        "upstreams: {{ legacy: {{ url: \"{}\", headers: {{ authorization: Bearer u }} }} }}\n\
         feeds:\n  - path: /feed\n    upstream: legacy\n    poll: {{ interval: 50ms }}\n\
         \x20   request: {{ path: /api/v1, query: {{ q: \"a b&c\" }}, headers: {{ x-own: f }} }}\n",
        upstream.url()
    ));
    subscribe(proxy.address(), "/feed?q=client&mode=patch").expect("snapshot");
    let poll = upstream.requests()[0].clone();
    assert_eq!(poll.method, "GET");
    assert_eq!(poll.target, "/api/v1?q=a+b%26c");
    assert_eq!(poll.header("authorization"), Some("Bearer u"));
    assert_eq!(poll.header("x-own"), Some("f"));
    assert!(poll.header("last-event-id").is_none());

    assert_eq!(get(proxy.address(), "/feed", &[]).status, 200);
    assert_eq!(get(proxy.address(), "/other", &[]).status, 200);
    let requests = upstream.requests();
    let passed: Vec<_> = requests
        .iter()
        .filter(|request| !request.target.starts_with("/api"))
        .collect();
    assert_eq!(passed.len(), 2);
    for request in passed {
        assert_eq!(request.header("authorization"), None);
        assert_eq!(request.header("x-own"), None);
    }
}

fn redirect(location: String) -> Reply {
    Reply::Answer {
        status: 302,
        headers: vec![("location", location)],
        body: Vec::new(),
    }
}

#[test]
fn redirects_are_followed_within_the_origin_only() {
    let stage = Stage::new(|request| match request.target.as_str() {
        "/feed" => redirect("/moved".into()),
        _ => Reply::json("[1]"),
    });
    let (elsewhere, _document) = Upstream::with_document("[\"stolen\"]");
    let proxy = Proxy::with_feed(&stage.url(), ", poll: { interval: 20ms }");
    let mut stream = subscribe(proxy.address(), "/feed");
    assert_eq!(stream.expect("snapshot").data, "[1]");

    let away = elsewhere.url();
    stage.becomes(move |_| redirect(format!("{away}/feed")));
    let status = stream.expect("status").value;
    assert_eq!(status["state"], "stale");
    assert!(status["reason"].as_str().unwrap().contains("redirects"));
    stage.becomes(|_| redirect("/feed".into()));
    let polls = proxy.metric("pollcast_polls_total", &["redirect"]);
    eventually("a loop is refused", || {
        proxy.metric("pollcast_polls_total", &["redirect"]) > polls + 1.5
    });
    assert_eq!(elsewhere.count("/feed"), 0);
}

#[test]
fn any_content_type_will_do_and_a_bom_is_skipped() {
    for kind in [
        "text/plain",
        "text/html; charset=utf-8",
        "application/x-legacy",
    ] {
        let stage = Stage::new(move |_| Reply::Answer {
            status: 200,
            headers: vec![("content-type", kind.into())],
            body: "\u{feff} [\"\u{e9}\"]\r\n".into(),
        });
        let proxy = Proxy::with_feed(&stage.url(), "");
        let mut stream = subscribe(proxy.address(), "/feed");
        assert_eq!(stream.expect("snapshot").data, "[\"\u{e9}\"]");
    }
}
