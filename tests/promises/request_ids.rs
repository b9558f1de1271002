//! Each request has an id and belongs to a trace, which are well-formed wherever they stand.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::support::access_log::{TRACE, is_made, line, lines, proxy, seen};
use crate::support::client::{Block, get, subscribe};
use crate::support::eventually;
use crate::support::stage::Stage;
use crate::support::upstream::Reply;

#[test]
fn ids_that_could_write_a_line_of_their_own_are_replaced() {
    let stage = Stage::serving("{}");
    for format in ["json", "text"] {
        let proxy = proxy(&stage.url(), format, "");
        let long = "x".repeat(10_000);
        let hostile: [&[u8]; 7] = [
            b"a\x1b[31mred",
            b"a\tb",
            b"a\"},{\"b\":\"",
            b"a b",
            b"\xff\xfe",
            b"a\x0bb",
            long.as_bytes(),
        ];
        let mut answered = 0;
        for id in hostile {
            let head = [
                b"GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-request-id: ",
                id,
                b"\r\nx-other: \xff\t\"\r\n\r\n",
            ]
            .concat();
            let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
            stream.write_all(&head).expect("a request");
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
            // What is no header at all is refused before it is a request.
            if !answer.starts_with("http/1.1 200") {
                continue;
            }
            answered += 1;
            let told = answer.split("x-request-id: ").nth(1).expect("an id");
            let told = told.lines().next().expect("a line");
            assert!(is_made(told), "{told:?}");
            let request = seen(&stage.upstream, "/x");
            assert_eq!(request.header("x-request-id"), Some(told));
            eventually("its line", || proxy.log().contains(told));
        }
        assert!(answered >= 3, "{answered}");
        let log = proxy.log();
        assert!(!log.contains('\u{1b}') && !log.contains("xxxxx"), "{log}");
        if format == "json" {
            assert_eq!(lines(&proxy, "forwarded").len(), answered);
        }
    }
}

#[test]
fn no_client_keeps_the_request_id_from_the_upstream() {
    let stage = Stage::serving("{}");
    let proxy = proxy(&stage.url(), "json", "");
    let headers = [("connection", "x-request-id"), ("x-request-id", "mine")];
    get(proxy.address(), "/x", &headers);
    let request = seen(&stage.upstream, "/x");
    assert_eq!(request.header("x-request-id"), Some("mine"));
}

#[test]
fn an_upstreams_own_request_id_reaches_the_client() {
    let stage = Stage::new(|_| Reply::Answer {
        status: 200,
        headers: vec![("x-request-id", "theirs".to_owned())],
        body: Vec::new(),
    });
    let proxy = proxy(&stage.url(), "json", "");
    let answer = get(proxy.address(), "/x", &[("x-request-id", "mine")]);
    assert_eq!(answer.header_list("x-request-id"), "theirs");
    assert_eq!(line(&proxy, "forwarded")["request_id"], "mine");
}

#[test]
fn a_valid_trace_context_passes_untouched_and_any_other_not_at_all() {
    let stage = Stage::serving("{}");
    let proxy = proxy(&stage.url(), "json", "");
    let valid = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let later = format!("cc-{TRACE}-00f067aa0ba902b7-01-what-comes");
    for parent in [&valid, &later] {
        let headers = [("traceparent", parent.as_str()), ("tracestate", "a=1, b=2")];
        get(proxy.address(), "/valid", &headers);
        let request = seen(&stage.upstream, "/valid");
        assert_eq!(request.header("traceparent"), Some(&**parent));
        assert_eq!(request.header("tracestate"), Some("a=1, b=2"));
    }
    for headers in [
        &[("tracestate", "a=1")][..],
        &[("traceparent", "00-1-2-3"), ("tracestate", "a=1")],
        &[("traceparent", &valid), ("traceparent", &valid)],
        &[(
            "traceparent",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        )],
    ] {
        get(proxy.address(), "/invalid", headers);
        let request = seen(&stage.upstream, "/invalid");
        assert_eq!(request.header("traceparent"), None, "{headers:?}");
        assert_eq!(request.header("tracestate"), None, "{headers:?}");
    }
    eventually("six lines", || lines(&proxy, "forwarded").len() == 6);
    for line in lines(&proxy, "forwarded") {
        let trace = (line["path"] == "/valid").then_some(TRACE);
        assert_eq!(line.get("trace_id").and_then(Value::as_str), trace);
    }
}

#[test]
fn an_event_streams_id_is_readable_where_its_blocks_are() {
    let stage = Stage::serving("{}");
    let proxy = proxy(&stage.url(), "json", "");
    let mut stream = subscribe(proxy.address(), "/feed");
    assert!(stream.header("x-request-id").is_some_and(is_made));
    assert!(matches!(stream.block(), Some(Block::Retry(_))));
}
