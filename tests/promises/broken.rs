//! Pass-through with broken upstreams and with clients that leave, err or mean harm.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;

use crate::pass_through::{echo, last, plain};
use crate::support::client::{get, raw, request};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::upstream::{Reply, Upstream};

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
