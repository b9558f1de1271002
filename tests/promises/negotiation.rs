//! Who is subscribed, in which form, and from which origin.

use serde_json::{Value, json};

use crate::support::client::{Block, get, raw, request, resume, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::upstream::Upstream;

const CORS: &str = ", deliver: { cors: { origins: [\"https://a.example\"], credentials: true } }";

#[test]
fn only_who_names_the_type_and_prefers_it_is_subscribed() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), "");
    for (accept, events) in [
        ("text/event-stream", true),
        ("TEXT/Event-Stream;q=0.3, */*;q=0.9", true),
        ("application/json, text/event-stream", true),
        ("application/json;q=0.9, text/event-stream;q=0.8", false),
        ("text/event-stream;q=0, text/event-stream-x", false),
        ("text/event-stream;q=0.000", false),
        ("*/*", false),
        ("", false),
    ] {
        let answer = get(proxy.address(), "/feed", &[("accept", accept)]);
        assert_eq!(answer.status, 200, "{accept}");
        let (kind, vary) = match events {
            true => ("text/event-stream", "accept, accept-encoding"),
            false => ("application/json", "accept"),
        };
        assert_eq!(answer.header("content-type"), Some(kind), "{accept}");
        assert_eq!(answer.header_list("vary"), vary, "{accept}");
    }
    // Without any Accept, and with one that is no text.
    assert_eq!(get(proxy.address(), "/feed", &[]).text(), "[1]");
    let odd = b"GET /feed HTTP/1.1\r\nhost: a\r\naccept: \xff\xfe\r\nconnection: close\r\n\r\n";
    assert_eq!(raw(proxy.address(), odd).text(), "[1]");
}

#[test]
fn other_methods_and_other_paths_are_the_upstreams() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let accept = [("accept", "text/event-stream")];
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let answer = request(proxy.address(), method, "/feed", &accept, b"body");
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "[1]"),
            "{method}"
        );
    }
    for path in ["/feed/", "/Feed", "/feed/x", "//feed"] {
        let answer = get(proxy.address(), path, &accept);
        assert_eq!(
            answer.header("content-type"),
            Some("application/json"),
            "{path}"
        );
    }
}

#[test]
fn a_head_request_subscribes_nobody_and_polls_nothing() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let text = b"HEAD /feed HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n";
    let mut answer = raw(proxy.address(), text);
    for _ in 0..3 {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        assert_eq!(answer.header("vary"), Some("accept"));
        answer = answer.again(text);
    }
    let unknown = b"HEAD /feed?mode=x HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n";
    let answer = answer.again(unknown);
    assert_eq!(answer.status, 400);
    // The connection still works, and passes through.
    let answer = answer.again(b"GET /feed HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(answer.text(), "[1]");
    assert_eq!(upstream.requests().len(), 1, "the one that passed through");
    assert!(proxy.metric("pollcast_connections", &[]) < 0.5);
    assert!(proxy.metric("pollcast_polls_total", &[]) < 0.5);
}

#[test]
fn preflights_are_answered_for_allowed_origins_only() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), CORS);
    let ask = |origin, method| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", method),
            ("access-control-request-headers", "last-event-id"),
        ];
        request(proxy.address(), "OPTIONS", "/feed", &headers, b"")
    };
    let ours = ask("https://a.example", "GET");
    assert_eq!(ours.status, 204);
    assert_eq!(
        ours.header("access-control-allow-origin"),
        Some("https://a.example")
    );
    assert_eq!(
        ours.header("access-control-allow-credentials"),
        Some("true")
    );
    assert_eq!(
        ours.header("access-control-allow-headers"),
        Some("last-event-id")
    );
    assert_eq!(ours.header_list("vary"), "accept, origin");
    for (origin, method) in [
        ("https://b.example", "GET"),
        ("https://a.example.evil", "GET"),
        ("HTTPS://a.example", "GET"),
        ("null", "GET"),
        ("https://a.example", "POST"),
    ] {
        let answer = ask(origin, method);
        assert_eq!(
            answer.status, 200,
            "{origin} {method}: the upstream's answer"
        );
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(answer.text(), "[1]");
    }

    let proxy = Proxy::with_feed(&upstream.url(), "");
    let headers = [
        ("origin", "https://a.example"),
        ("access-control-request-method", "GET"),
    ];
    let answer = request(proxy.address(), "OPTIONS", "/feed", &headers, b"");
    assert_eq!((answer.status, answer.text().as_str()), (200, "[1]"));
}

#[test]
fn every_answer_to_a_subscriber_says_which_origin_may_read_it() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), CORS);
    let ask = |target, origin| {
        let headers = [("accept", "text/event-stream"), ("origin", origin)];
        get(proxy.address(), target, &headers)
    };
    for (target, vary) in [
        ("/feed", "accept, origin, accept-encoding"),
        ("/feed?mode=nonsense", "accept, origin"),
    ] {
        let allowed = ask(target, "https://a.example");
        assert_eq!(
            allowed.header("access-control-allow-origin"),
            Some("https://a.example")
        );
        assert_eq!(
            allowed.header("access-control-allow-credentials"),
            Some("true")
        );
        assert_eq!(allowed.header_list("vary"), vary, "{target}");
        let other = ask(target, "https://b.example");
        assert_eq!(other.header("access-control-allow-origin"), None);
        assert_eq!(other.header("access-control-allow-credentials"), None);
        assert_eq!(other.header_list("vary"), vary, "{target}");
    }
    assert_eq!(
        subscribe(proxy.address(), "/feed").header_list("vary"),
        "accept, origin, accept-encoding"
    );
}

#[test]
fn a_mode_that_is_unknown_or_not_allowed_is_refused_with_the_list() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), ", events: { modes: [patch] }");
    for mode in ["snapshot", "merge", "", "Patch", "patch%20", "%00", "%ff"] {
        let answer = subscribe(proxy.address(), &format!("/feed?mode={mode}"));
        assert_eq!(answer.status, 400, "{mode}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(answer.header("vary"), Some("accept"));
        let problem: Value = serde_json::from_str(&answer.text()).expect("JSON");
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|text| text.ends_with("one of: patch"))
        );
    }
    // Who gets the upstream's answer may have a `mode` of its own.
    assert_eq!(get(proxy.address(), "/feed?mode=x", &[]).status, 200);
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn the_query_is_read_as_a_form_and_the_first_of_two_counts() {
    let (upstream, document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), ", events: { mode: patch }");
    let mut stream = subscribe(
        proxy.address(),
        "/feed?x=%zz&m%6fde=sn%61pshot&mode=nonsense&&=",
    );
    assert_eq!(stream.status, 200);
    let id = stream.expect("snapshot").id.expect("an id");
    *document.lock().unwrap() = "[2]".into();
    let newer = stream.expect("snapshot").id.expect("an id");

    let encoded = id.replace('-', "%2d");
    let mut stream = subscribe(
        proxy.address(),
        &format!("/feed?mode=snapshot&last_event_id={encoded}&last_event_id=x-1"),
    );
    assert_eq!(
        stream.expect("snapshot").id.as_ref(),
        Some(&newer),
        "no reset"
    );
    // The header wins, and an empty one is none.
    let mut stream = resume(proxy.address(), "/feed?last_event_id=x-1", &id);
    assert_ne!(stream.event().expect("an event").name, "reset");
    let mut stream = resume(proxy.address(), "/feed", "");
    stream.expect("snapshot");
}

#[test]
fn positions_that_cannot_be_are_reset_and_never_refused() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let mut stream = subscribe(proxy.address(), "/feed");
    let id = stream.expect("snapshot").id.expect("an id");
    let epoch = id.strip_suffix("-1").expect("the first");
    let long = "x".repeat(10_000);
    let foreign = format!("{}-1", "A".repeat(epoch.len()));
    for text in [
        long.as_str(),
        "-",
        "1",
        "\u{fc}",
        &foreign,
        &format!("{epoch}-99"),
    ] {
        let mut stream = resume(proxy.address(), "/feed", text);
        assert_eq!(stream.status, 200);
        assert_eq!(
            stream.expect("reset").value,
            json!({"reason": "unknown_id"})
        );
        assert_eq!(stream.expect("snapshot").id.as_ref(), Some(&id));
    }
    for text in ["%00", "%ff%0a%0d%0aevent:x"] {
        let mut stream = subscribe(proxy.address(), &format!("/feed?last_event_id={text}"));
        stream.expect("reset");
        stream.expect("snapshot");
    }
}

#[test]
fn configured_names_are_on_the_wire() {
    let (upstream, document) = Upstream::with_document(r#"{"long": "text that makes it pay"}"#);
    let proxy = Proxy::with_feed(
        &upstream.url(),
        ", events: { names: { snapshot: \"\", patch: diff, reset: again } }\
         , deliver: { heartbeat: { every: 1s, event: ping } }",
    );
    let mut stream = resume(proxy.address(), "/feed", "x-1");
    stream.expect("again");
    // An event without a name fires `onmessage`.
    stream.expect("");
    *document.lock().unwrap() = r#"{"long": "text that makes it pay", "n": 1}"#.into();
    let diff = std::iter::from_fn(|| stream.event()).find(|event| event.name != "ping");
    assert_eq!(diff.expect("a patch").name, "diff");
    let ping = std::iter::from_fn(|| stream.block())
        .find(|block| matches!(block, Block::Event { name, id: None, .. } if name == "ping"));
    assert!(
        ping.is_some(),
        "a heartbeat that listeners see, without an id"
    );
    eventually("it is counted", || {
        proxy.metric("pollcast_events_delivered_total", &["heartbeat"]) > 0.5
    });
}
