//! Whatever is no subscription reaches an upstream as if pollcast were not there.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::channel;

use crate::support::client::{get, raw, request};
use crate::support::proxy::Proxy;
use crate::support::upstream::{Reply, Request, Upstream};

/// Everything to one upstream, no feed.
pub fn plain(upstream: &str) -> Proxy {
    Proxy::start(&format!(
        "upstreams: {{ legacy: {{ url: \"{upstream}\", headers: {{ authorization: poller }} }} }}\n\
         proxy: [{{ path: /, upstream: legacy, headers: {{ x-added: \"yes\" }} }}]\n"
    ))
}

pub fn echo() -> Upstream {
    Upstream::start(|request| Reply::Answer {
        status: 200,
        headers: vec![("x-method", request.method.clone())],
        body: request.body.clone(),
    })
}

/// The newest request that the upstream saw.
pub fn last(upstream: &Upstream) -> Request {
    upstream.requests().pop().expect("a request")
}

#[test]
fn large_bodies_pass_both_ways_in_either_framing() {
    let upstream = echo();
    let proxy = plain(&upstream.url());
    let body: String = (0..300_000).map(|n| format!("{n:x}")).collect();

    let answer = request(proxy.address(), "POST", "/x", &[], body.as_bytes());
    assert_eq!(answer.status, 200);
    assert!(answer.text() == body, "content-length");

    let mut chunked = b"PUT /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for piece in body.as_bytes().chunks(70_000) {
        chunked.extend(format!("{:x}\r\n", piece.len()).bytes());
        chunked.extend(piece);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    let answer = raw(proxy.address(), &chunked);
    assert_eq!(answer.header("x-method"), Some("PUT"));
    assert!(answer.text() == body, "chunked");
}

#[test]
fn http_1_0_clients_get_no_transfer_coding() {
    let upstream = Upstream::start(|_| {
        Reply::Raw(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec(),
        )
    });
    let proxy = plain(&upstream.url());
    let answer = raw(proxy.address(), b"GET /x HTTP/1.0\r\nhost: x\r\n\r\n");
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(answer.text(), "abc");
}

#[test]
fn answers_without_a_length_are_framed_anew() {
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/chunked" => Reply::Raw(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec(),
        ),
        _ => Reply::Raw(b"HTTP/1.0 200 OK\r\n\r\nabc".to_vec()),
    });
    let proxy = plain(&upstream.url());
    for target in ["/chunked", "/until-close"] {
        assert_eq!(get(proxy.address(), target, &[]).text(), "abc", "{target}");
    }
}

#[test]
fn head_has_no_body_and_leaves_the_connection_usable() {
    let upstream = Upstream::start(|_| Reply::json("[1, 2]"));
    let proxy = plain(&upstream.url());
    let answer = raw(proxy.address(), b"HEAD /x HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (200, Some("6"))
    );
    let answer = answer.again(b"GET /y HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(answer.text(), "[1, 2]");
    assert_eq!(last(&upstream).target, "/y");
}

#[test]
fn a_client_connection_serves_many_requests_whatever_their_answers() {
    let upstream = echo();
    let proxy = Proxy::start(&format!(
        "upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         proxy: [{{ path: /api, upstream: legacy }}]\n",
        upstream.url()
    ));
    let answer = raw(
        proxy.address(),
        b"POST /api HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\none",
    );
    let answer = answer.again(b"HEAD /nowhere HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(answer.status, 404);
    let answer = answer.again(b"POST /api HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nthree");
    assert_eq!(answer.status, 200);
    // A body that nobody wants is not waited for.
    let answer = answer.again(b"POST /nowhere HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\ntwo");
    assert_eq!(
        (answer.status, answer.header("connection")),
        (404, Some("close"))
    );
    assert!(answer.closed());
}

#[test]
fn a_client_that_expects_100_continue_gets_it_from_the_upstream() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let proxy = plain(&format!(
        "http://{}",
        listener.local_addr().expect("an address")
    ));
    let upstream = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            reader.read_line(&mut head).expect("a head");
        }
        assert!(
            head.to_ascii_lowercase().contains("expect: 100-continue"),
            "{head}"
        );
        stream
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            .expect("100");
        let mut body = [0; 4];
        reader.read_exact(&mut body).expect("the body after 100");
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n")
            .expect("200");
        stream.write_all(&body).expect("a body");
    });
    let head = b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    let answer = raw(proxy.address(), head);
    assert_eq!(answer.status, 100);
    assert_eq!(answer.again(b"body").text(), "body");
    upstream.join().expect("the upstream got what it asked for");
}

#[test]
fn path_and_query_stay_as_written_below_the_upstreams_own_path() {
    let upstream = echo();
    let target = "/a%2Fb//c;d?x=%20y&x=2&mode=patch&empty";
    let proxy = plain(&upstream.url());
    get(proxy.address(), target, &[]);
    assert_eq!(last(&upstream).target, target);
    let proxy = plain(&format!("{}/base/v1/", upstream.url()));
    get(proxy.address(), target, &[]);
    assert_eq!(last(&upstream).target, format!("/base/v1{target}"));
}

#[test]
fn the_longest_entry_wins_and_what_has_none_is_told_so() {
    let (root, api, feed) = (echo(), echo(), echo());
    let upstreams = format!(
        "upstreams:\n  root: {{ url: \"{}\" }}\n  api: {{ url: \"{}\" }}\n  feed: {{ url: \"{}\" }}\n",
        root.url(),
        api.url(),
        feed.url()
    );
    let feeds =
        "feeds:\n  - { path: /api/live, upstream: feed }\n  - { path: /live, upstream: feed }\n";
    let proxy = Proxy::start(&format!(
        "{upstreams}{feeds}proxy:\n  - {{ path: /api, upstream: api }}\n  - {{ path: /api/deep/er, upstream: root }}\n"
    ));
    for (target, upstream) in [
        ("/api", &api),
        ("/api/deep", &api),
        ("/api/deep/er/x", &root),
        ("/api/live?q", &api),
        ("/live?q", &feed),
    ] {
        let seen = upstream.requests().len();
        let answer = get(proxy.address(), target, &[]);
        let vary = target.contains("live").then_some("accept");
        assert_eq!(
            (answer.status, answer.header("vary")),
            (200, vary),
            "{target}"
        );
        assert_eq!(upstream.requests().len(), seen + 1, "{target}");
        assert_eq!(last(upstream).target, target);
    }
    for target in ["/apiary", "/", "/live/", "/nowhere"] {
        let answer = get(proxy.address(), target, &[]);
        assert_eq!(answer.status, 404, "{target}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        let problem: serde_json::Value = serde_json::from_str(&answer.text()).expect("JSON");
        assert_eq!(problem["status"], 404);
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|text| text.contains("proxy"))
        );
    }
}

#[test]
fn the_upstream_learns_its_own_name_and_where_the_request_came_from() {
    let upstream = echo();
    let authority = upstream.url().replace("http://", "");
    let proxy = plain(&upstream.url());
    let claims = [
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil"),
        ("forwarded", "for=10.0.0.1"),
    ];
    get(proxy.address(), "/", &claims);
    let seen = last(&upstream);
    let us = proxy.address().to_string();
    assert_eq!(seen.header("host"), Some(authority.as_str()));
    assert_eq!(seen.header("x-forwarded-for"), Some("10.0.0.1, 127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-host"), Some(us.as_str()));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    let forwarded = format!("for=10.0.0.1, for=127.0.0.1;host=\"{us}\";proto=http");
    assert_eq!(seen.header("forwarded"), Some(forwarded.as_str()));
    assert_eq!(seen.header("x-added"), Some("yes"));

    let proxy = Proxy::start(&format!(
        "upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         proxy: [{{ path: /, upstream: legacy, preserve_host: true }}]\n",
        upstream.url()
    ));
    raw(
        proxy.address(),
        b"GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n",
    );
    assert_eq!(last(&upstream).header("host"), Some("shop.example"));
}

#[test]
fn what_is_meant_for_the_next_hop_only_ends_here() {
    let upstream = echo();
    let proxy = plain(&upstream.url());
    let sent = [
        ("connection", "keep-alive, x-private"),
        ("x-private", "1"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic eDp5"),
        ("upgrade", "h2c"),
        ("x-kept", "1"),
        ("cookie", "a=b"),
        ("authorization", "client"),
    ];
    assert_eq!(get(proxy.address(), "/", &sent).status, 200);
    let seen = last(&upstream);
    for name in [
        "x-private",
        "keep-alive",
        "te",
        "proxy-connection",
        "proxy-authorization",
        "upgrade",
    ] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_eq!(seen.header("x-kept"), Some("1"));
    assert_eq!(seen.header("cookie"), Some("a=b"));
    assert_eq!(seen.header("authorization"), Some("client"));
    get(proxy.address(), "/", &[]);
    // The poller's credentials are the poller's.
    assert_eq!(last(&upstream).header("authorization"), None);
}

#[test]
fn events_of_the_upstream_pass_one_by_one() {
    let (next, told) = channel();
    let told = std::sync::Mutex::new(Some(told));
    let upstream = Upstream::start(move |_| {
        let told = told.lock().unwrap().take().expect("one request");
        Reply::Custom(Box::new(move |mut stream| {
            let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
            let _ = stream.write_all(head);
            // Each event is sent only after the client has seen the one before.
            for number in told {
                let _ = write!(stream, "data: {number}\n\n");
            }
        }))
    });
    let proxy = plain(&upstream.url());
    let accept = [("accept", "text/event-stream")];
    let mut answer = get(proxy.address(), "/events", &accept);
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    for number in 0..5 {
        next.send(number).expect("the upstream waits");
        assert_eq!(answer.event().expect("an event").data, number.to_string());
    }
    drop(next);
    assert!(answer.event().is_none());
}
