//! Whatever is no subscription reaches an upstream as if pollcast were not there.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;

use crate::support::client::{get, raw, request};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::upstream::{Reply, Request, Upstream};

/// Everything to one upstream, no feed.
fn plain(upstream: &str) -> Proxy {
    Proxy::start(&format!(
        "upstreams: {{ legacy: {{ url: \"{upstream}\", headers: {{ authorization: poller }} }} }}\n\
         proxy: [{{ path: /, upstream: legacy, headers: {{ x-added: \"yes\" }} }}]\n"
    ))
}

fn echo() -> Upstream {
    Upstream::start(|request| Reply::Answer {
        status: 200,
        headers: vec![("x-method", request.method.clone())],
        body: request.body.clone(),
    })
}

/// The newest request that the upstream saw.
fn last(upstream: &Upstream) -> Request {
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
fn an_answer_that_breaks_off_does_not_look_whole() {
    for head in [
        "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "content-length: 9\r\n\r\nabc",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{head}");
        let upstream = Upstream::start(move |_| Reply::Raw(answer.clone().into_bytes()));
        let proxy = plain(&upstream.url());
        let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .expect("a request");
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("abc"), "{text}");
        assert!(!text.contains("\r\n0\r\n"), "{text}");
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

#[test]
fn a_client_that_leaves_ends_its_request_at_the_upstream() {
    let (left, told) = channel();
    let upstream = Upstream::start(move |request| {
        let left = left.clone();
        match request.target.as_str() {
            "/alive" => Reply::json("1"),
            _ => Reply::Custom(Box::new(move |mut stream| {
                let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: hi\n\n";
                let _ = stream.write_all(head);
                let _ = left.send(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
            })),
        }
    });
    let proxy = plain(&upstream.url());
    let mut answer = get(
        proxy.address(),
        "/events",
        &[("accept", "text/event-stream")],
    );
    answer.block().expect("a comment");
    drop(answer);
    let left = told.recv_timeout(crate::support::PATIENCE);
    assert_eq!(left, Ok(true), "the upstream is told");

    // Gone in the middle of a request's body, and in the middle of a head.
    for text in [
        "POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc",
        "GET /alive HT",
    ] {
        let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
        stream.write_all(text.as_bytes()).expect("a part");
    }
    assert_eq!(get(proxy.address(), "/alive", &[]).text(), "1");
    // A client's whims fill no log, and certainly do not panic.
    let own = |line: &&str| !line.contains(" INFO ") && !line.contains("pollcast::cli");
    assert_eq!(
        proxy.log().lines().filter(own).collect::<Vec<_>>(),
        Vec::<&str>::new()
    );
}

#[test]
fn a_broken_upstream_is_a_502_that_says_what_is_wrong() {
    let broken: [(&str, Reply); 3] = [
        ("nothing", Reply::Raw(Vec::new())),
        ("garbage", Reply::Raw(b"\x00\x01 garbage\r\n\r\n".to_vec())),
        (
            "half a head",
            Reply::Raw(b"HTTP/1.1 200 OK\r\nx-cut: ".to_vec()),
        ),
    ];
    for (name, reply) in broken {
        let reply = std::sync::Mutex::new(Some(reply));
        let upstream = Upstream::start(move |_| {
            let reply = reply.lock().unwrap().take();
            reply.unwrap_or(Reply::Raw(Vec::new()))
        });
        explained(&plain(&upstream.url()), name, "usable answer");
    }
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", free.local_addr().expect("an address"));
    drop(free);
    explained(&plain(&url), "refused", "refused the connection");
    explained(
        &plain("http://nowhere.invalid"),
        "no such name",
        "cannot be reached",
    );
}

fn explained(proxy: &Proxy, name: &str, detail: &str) {
    let answer = get(proxy.address(), "/", &[]);
    assert_eq!(answer.status, 502, "{name}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    let problem: serde_json::Value = serde_json::from_str(&answer.text()).expect("JSON");
    assert_eq!(problem["status"], 502);
    let text = problem["detail"].as_str().expect("a text");
    assert!(
        text.contains(detail) && text.contains("legacy"),
        "{name}: {text}"
    );
    eventually("it is counted", || {
        proxy.metric("pollcast_forwarded_requests_total", &["legacy", "5xx"]) > 0.5
    });
}

#[test]
fn a_request_that_may_have_had_its_effect_is_not_sent_again() {
    let upstream = Upstream::start(|request| match request.method.as_str() {
        "POST" => Reply::Raw(Vec::new()),
        _ => Reply::json("1"),
    });
    let proxy = plain(&upstream.url());
    // Leaves a connection to the upstream behind, on which the POST goes out.
    assert_eq!(get(proxy.address(), "/", &[]).text(), "1");
    assert_eq!(
        request(proxy.address(), "POST", "/order", &[], b"x").status,
        502
    );
    assert_eq!(upstream.count("/order"), 1);
}

#[test]
fn a_name_with_an_address_that_refuses_is_tried_at_the_next() {
    let upstream = echo();
    // Usually ::1 as well as 127.0.0.1, and the upstream listens on one of them only.
    let proxy = plain(&upstream.url().replace("127.0.0.1", "localhost"));
    for _ in 0..3 {
        let answer = request(proxy.address(), "POST", "/", &[], b"body");
        assert_eq!((answer.status, answer.text().as_str()), (200, "body"));
    }
}

#[test]
fn a_request_has_one_reading() {
    let upstream = echo();
    let proxy = plain(&upstream.url());
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    // Both framings: the chunks count, the rest is no second request on a kept connection.
    let both = format!(
        "POST /both HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}",
        smuggled.len() + 5
    );
    let answer = raw(proxy.address(), both.as_bytes());
    assert!(answer.status == 400 || answer.text().is_empty());
    for refused in [
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n folded: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n",
    ] {
        assert_eq!(
            raw(proxy.address(), refused.as_bytes()).status,
            400,
            "{refused:?}"
        );
    }
    // A bare line feed ends a line; what is behind it is a header of its own, for everybody.
    raw(
        proxy.address(),
        b"GET /lf HTTP/1.1\r\nhost: a\r\nx-one: 1\nx-two: 2\r\n\r\n",
    );
    eventually("it arrives", || upstream.count("/lf") == 1);
    assert_eq!(last(&upstream).header("x-one"), Some("1"));
    assert_eq!(last(&upstream).header("x-two"), Some("2"));
    assert_eq!(upstream.count("/smuggled"), 0);
}

#[test]
fn a_target_in_absolute_form_is_routed_by_its_path_to_the_upstreams_own_name() {
    let upstream = echo();
    let authority = upstream.url().replace("http://", "");
    for base in ["", "/base"] {
        let proxy = plain(&format!("{}{base}", upstream.url()));
        let text = b"GET http://other.example/a?b HTTP/1.1\r\nhost: other.example\r\n\r\n";
        assert_eq!(raw(proxy.address(), text).status, 200);
        let seen = last(&upstream);
        assert_eq!(seen.target, format!("{base}/a?b"));
        assert_eq!(seen.header("host"), Some(authority.as_str()));
        assert_eq!(seen.header("x-forwarded-host"), Some("other.example"));
    }
}
