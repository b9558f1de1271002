//! Captures of the path and forwarded query parameters reach the upstream, safely encoded, and never
//! anything outside the configured path.

use serde_json::json;

use crate::support::client::{Response, get, raw, request, subscribe};
use crate::support::proxy::Proxy;
use crate::support::upstream::{Reply, Upstream};

/// An upstream that answers with what it was asked.
fn mirror() -> Upstream {
    Upstream::start(|request| Reply::json(json!({ "asked": request.target }).to_string()))
}

fn proxy(upstream: &Upstream, feeds: &str) -> Proxy {
    Proxy::start(&format!(
        "upstreams: {{ legacy: {{ url: \"{}\" }} }}\nfeeds:\n{feeds}",
        upstream.url()
    ))
}

const ORDERS: &str = "  - { path: '/orders/{id}', upstream: legacy, request: { path: '/api/o/{id}', \
                      forward_query: [status, page] }, poll: { interval: 50ms } }\n";

fn asked(mut stream: Response) -> String {
    let snapshot = stream.expect("snapshot");
    snapshot.value["asked"].as_str().expect("text").to_owned()
}

#[test]
fn a_capture_reaches_the_upstream_in_one_spelling() {
    let upstream = mirror();
    let proxy = proxy(&upstream, ORDERS);
    for (public, polled) in [
        ("/orders/17", "/api/o/17"),
        ("/orders/a%62", "/api/o/ab"),
        ("/orders/%E4%BD%A0", "/api/o/%E4%BD%A0"),
        ("/orders/%e4%bd%a0", "/api/o/%E4%BD%A0"),
        ("/orders/a+b", "/api/o/a%2Bb"),
        ("/orders/a%20b", "/api/o/a%20b"),
        ("/orders/a;v=1", "/api/o/a%3Bv%3D1"),
        ("/orders/a%3b%3f%23%26", "/api/o/a%3B%3F%23%26"),
        ("/orders/%252e%252e", "/api/o/%252e%252e"),
        (
            "/orders/%252e%252e%252fadmin",
            "/api/o/%252e%252e%252fadmin",
        ),
        ("/orders/...", "/api/o/..."),
        ("/orders/~a-b_c.d", "/api/o/~a-b_c.d"),
        ("/orders/http:x", "/api/o/http%3Ax"),
    ] {
        assert_eq!(
            asked(subscribe(proxy.address(), public)),
            polled,
            "{public}"
        );
    }
}

#[test]
fn two_spellings_of_one_capture_are_one_topic() {
    let upstream = mirror();
    let proxy = proxy(&upstream, ORDERS);
    let spellings = ["/orders/ab", "/orders/a%62", "/orders/%61b"];
    let streams = spellings.map(|path| subscribe(proxy.address(), path));
    let ids = streams.map(|mut stream| stream.expect("snapshot").id.expect("an id"));
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

/// What a client may try, and none of it is an id.
const ESCAPES: [&str; 22] = [
    "/orders/..",
    "/orders/.",
    "/orders/%2e%2e",
    "/orders/%2E.",
    "/orders/.%2e",
    "/orders/%2e",
    "/orders/%2f",
    "/orders/..%2f..%2fadmin",
    "/orders/%2e%2e%2fadmin",
    "/orders/..%5cadmin",
    "/orders/a%5cb",
    "/orders/a%2Fb",
    "/orders/a%0d%0ax-evil:%201",
    "/orders/a%0a",
    "/orders/%00",
    "/orders/a%00b",
    "/orders/a%7f",
    "/orders/%c2%85",
    "/orders/%c0%ae%c0%ae",
    "/orders/%c0%af",
    "/orders/%ff",
    "/orders/%e0%80%af",
];

#[test]
fn a_capture_that_tries_to_escape_is_refused_and_asks_nothing() {
    let upstream = mirror();
    let proxy = proxy(&upstream, ORDERS);
    for path in ESCAPES {
        let answer = subscribe(proxy.address(), path);
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.text().contains("id"), "{path}");
    }
    let long = format!("/orders/{}", "x".repeat(257));
    assert_eq!(subscribe(proxy.address(), &long).status, 400);
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn what_has_another_shape_than_the_path_is_no_feed() {
    let upstream = mirror();
    let feeds = format!("{ORDERS}proxy: []\n");
    let proxy = proxy(&upstream, &feeds);
    for path in [
        "/orders",
        "/orders/",
        "/orders//",
        "//orders/1",
        "/orders//1",
        "/orders/1/",
        "/orders/1/2",
        "/orders/../admin",
        "/orders/1/../../admin",
        "/Orders/1",
        "/%6frders/1",
    ] {
        assert_eq!(subscribe(proxy.address(), path).status, 404, "{path}");
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn raw_requests_of_every_kind_never_leave_the_configured_path() {
    let upstream = mirror();
    let feeds = format!("{ORDERS}proxy: []\n");
    let proxy = proxy(&upstream, &feeds);
    let accept = "accept: text/event-stream\r\nhost: x\r\n";
    let targets: [&[u8]; 9] = [
        b"http://evil.example/admin",
        b"http://evil.example/orders/../admin",
        b"/orders/a\\..\\admin",
        b"/orders/\xc0\xae\xc0\xae",
        b"/orders/\x01",
        b"/orders/a\tb",
        b"/orders/%",
        b"/orders/%zz",
        b"/orders/#x",
    ];
    for target in targets {
        let request = [
            b"GET ",
            target,
            b" HTTP/1.1\r\n",
            accept.as_bytes(),
            b"\r\n",
        ]
        .concat();
        let shown = String::from_utf8_lossy(target).into_owned();
        let answer = raw(proxy.address(), &request);
        assert!(
            (200..500).contains(&answer.status),
            "{shown}: {}",
            answer.status
        );
    }
    for request in upstream.requests() {
        assert!(request.target.starts_with("/api/o/"), "{}", request.target);
        let rest = &request.target["/api/o/".len()..];
        assert!(!rest.contains(['/', '\\', '?', '#', ';']), "{rest}");
        assert!(request.header("x-evil").is_none());
    }
}

#[test]
fn only_listed_query_parameters_reach_the_upstream_in_order() {
    let upstream = mirror();
    let proxy = proxy(&upstream, ORDERS);
    for (query, polled) in [
        ("?status=open", "?status=open"),
        ("?page=2&status=open", "?status=open&page=2"),
        ("?status=b&status=a", "?status=b&status=a"),
        ("?status=a%26admin%3D1", "?status=a%26admin%3D1"),
        ("?status=%0d%0ax:1", "?status=%0D%0Ax%3A1"),
        ("?status=", "?status="),
        ("?mode=snapshot&token=x&Status=open", ""),
    ] {
        let public = format!("/orders/1{query}");
        let polled = format!("/api/o/1{polled}");
        assert_eq!(
            asked(subscribe(proxy.address(), &public)),
            polled,
            "{public}"
        );
    }
    let long = format!("/orders/1?status={}", "x".repeat(3000));
    assert_eq!(subscribe(proxy.address(), &long).status, 400);
}

#[test]
fn a_capture_may_stand_in_the_query_inside_a_longer_text() {
    let upstream = mirror();
    let feeds = "  - { path: '/orders/{id}/{part}', upstream: legacy, request: { path: /search, \
                 query: { filter: \"id eq {id}\", q: 'up{job=\"x\"} {{id}}', part: '{part}' } } }\n";
    let proxy = proxy(&upstream, feeds);
    let polled = asked(subscribe(proxy.address(), "/orders/a%26b/lines"));
    assert_eq!(
        polled,
        "/search?filter=id+eq+a%26b&q=up%7Bjob%3D%22x%22%7D+%7Bid%7D&part=lines"
    );
}

#[test]
fn a_literal_path_goes_before_a_capture() {
    let upstream = mirror();
    let feeds = format!("{ORDERS}  - {{ path: /orders/summary, upstream: legacy }}\n");
    let proxy = proxy(&upstream, &feeds);
    let at = |path| asked(subscribe(proxy.address(), path));
    assert_eq!(at("/orders/summary"), "/orders/summary");
    assert_eq!(at("/orders/summaries"), "/api/o/summaries");
}

#[test]
fn whoever_asks_for_the_head_alone_starts_nothing() {
    let upstream = mirror();
    let proxy = proxy(&upstream, ORDERS);
    let headers = [("accept", "text/event-stream")];
    let head = |path| request(proxy.address(), "HEAD", path, &headers, b"").status;
    assert_eq!((head("/orders/1"), head("/orders/%2f")), (200, 400));
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn what_is_no_subscription_passes_through_as_ever() {
    let upstream = mirror();
    let proxy = proxy(&upstream, ORDERS);
    let answer = get(proxy.address(), "/orders/a%2fb?x=1", &[("accept", "*/*")]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header_list("vary"), "accept");
    assert!(answer.text().contains("/orders/a%2fb?x=1"));
    assert_eq!(proxy.metric("pollcast_topics", &[]), 0.0);
}
