//! No client's bytes become a request that it did not send: what is ambiguous by RFC 9112 is refused
//! and its connection closed, and the upstream reads the same requests as pollcast did.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::PATIENCE;
use crate::support::client::get;
use crate::support::proxy::Proxy;
use crate::support::recorder::Recorder;

/// What the smuggled request would be.
const PRIZE: &str = "GET /prize HTTP/1.1\r\nhost: a\r\n\r\n";

/// Everything to one recorder that shares its connections among all clients.
fn stage() -> (Recorder, Proxy) {
    let recorder = Recorder::start();
    let proxy = Proxy::start(&format!(
        "upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         proxy: [{{ path: /, upstream: legacy, preserve_host: true }}]\n",
        recorder.url()
    ));
    (recorder, proxy)
}

/// Sends these bytes and reads to the end of the connection: what came back.
fn exchange(proxy: &Proxy, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // The other end may refuse before all of it was written.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => {
            panic!("{}: still open after {answer:?}", bytes.escape_ascii())
        }
        _ => String::from_utf8_lossy(&answer).into_owned(),
    }
}

/// Whoever comes next gets the answer to what was asked, over whichever connection is left.
#[track_caller]
fn others_are_served(proxy: &Proxy, what: &str) {
    for n in 0..3 {
        let target = format!("/innocent/{n}");
        let answer = get(proxy.address(), &target, &[]).text();
        assert_eq!(answer, format!("GET {target} "), "after {what}");
    }
}

/// The client is told that this is no request, the connection is closed, and nothing of it reached the
/// upstream.
#[track_caller]
fn refused(recorder: &Recorder, proxy: &Proxy, status: u16, bytes: &[u8]) {
    let what = bytes.escape_ascii().to_string();
    recorder.take();
    let answer = exchange(proxy, bytes);
    let line = format!("HTTP/1.1 {status} ");
    assert!(answer.starts_with(&line), "{what}\nis answered {answer:?}");
    assert_eq!(answer.matches("HTTP/1.").count(), 1, "{what}: {answer}");
    let seen = recorder.take();
    assert!(
        seen.requests.is_empty() && seen.faults.is_empty(),
        "{what}: {seen:?}"
    );
    others_are_served(proxy, &what);
}

fn post(fields: &str, body: &str) -> Vec<u8> {
    format!("POST /first HTTP/1.1\r\nhost: a\r\n{fields}\r\n{body}").into_bytes()
}

#[test]
fn two_ways_to_say_where_a_body_ends_are_refused() {
    let (recorder, proxy) = stage();
    let length = PRIZE.len() + 5;
    for fields in [
        format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
        format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"),
        format!("Transfer-Encoding: chunked\r\nCONTENT-LENGTH: {length}\r\n"),
        "content-length: 4\r\ntransfer-encoding: chunked\r\n".to_owned(),
        "content-length: 0\r\ntransfer-encoding: chunked\r\n".to_owned(),
    ] {
        let bytes = post(&fields, &format!("0\r\n\r\n{PRIZE}"));
        refused(&recorder, &proxy, 400, &bytes);
    }
}

#[test]
fn a_transfer_coding_that_is_not_chunked_alone_is_refused() {
    let (recorder, proxy) = stage();
    for (status, field) in [
        (400, "transfer-encoding: xchunked"),
        (400, "transfer-encoding: chunked, identity"),
        (501, "transfer-encoding: identity, chunked"),
        (501, "transfer-encoding: gzip, chunked"),
        (501, "transfer-encoding: chunked, chunked"),
        (
            501,
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
        ),
        (
            400,
            "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        ),
        (
            501,
            "transfer-encoding: identity\r\ntransfer-encoding: chunked",
        ),
        (501, "transfer-encoding:\r\ntransfer-encoding: chunked"),
        (400, "transfer-encoding: chunked\r\ntransfer-encoding:"),
        (400, "transfer-encoding: chunked;q=1"),
        (400, "transfer-encoding: \"chunked\""),
        (400, "transfer-encoding: 'chunked'"),
        (400, "transfer-encoding: chunked,"),
        (501, "transfer-encoding: ,chunked"),
        (400, "transfer-encoding: chu nked"),
        (400, "transfer-encoding:"),
        (400, "transfer-encoding : chunked"),
        (400, "transfer-encoding\t: chunked"),
        (400, " transfer-encoding: chunked"),
        (400, "x: y\r\n transfer-encoding: chunked"),
        (400, "transfer-encoding:\r\n chunked"),
        (400, "transfer-encoding: chunked\r\n\tx"),
        (400, "x: y\ntransfer-encoding: chunked"),
        (400, "x: y\rtransfer-encoding: chunked"),
        (400, "transfer-encoding: chunked\0"),
        (400, "transfer-encoding: \0chunked"),
        (400, "transfer-encoding: \x0bchunked"),
        (400, "transfer-encoding: chunked\x0b"),
        (400, "transfer-encoding: \x0cchunked"),
        (400, "transfer-encoding: chunked\x7f"),
        (400, "transfer-encoding\0: chunked"),
        (400, "transfer-encoding\x0b: chunked"),
        (400, "transfer encoding: chunked"),
        (400, "transfer-encoding chunked"),
        (400, ": chunked"),
    ] {
        let bytes = post(&format!("{field}\r\n"), &format!("0\r\n\r\n{PRIZE}"));
        refused(&recorder, &proxy, status, &bytes);
    }
    let old = "POST /first HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    refused(&recorder, &proxy, 400, format!("{old}{PRIZE}").as_bytes());
}

#[test]
fn a_length_that_is_not_one_number_is_refused() {
    let (recorder, proxy) = stage();
    for length in [
        "",
        "+5",
        "-1",
        "-0",
        "0x5",
        "5h",
        "5 5",
        "5,5",
        "5, 6",
        "5,",
        ",5",
        "5.0",
        "5e0",
        "\"5\"",
        "0,5",
        "18446744073709551616",
        "99999999999999999999999999",
        "5\r\ncontent-length: 5",
        "5\r\ncontent-length: 6",
        "0\r\nContent-Length: 5",
        "5\r\ncontent-length:",
        "5\x0b",
        "5\0",
        "5\r\n 6",
        "5;",
        "\u{666}",
    ] {
        let bytes = post(&format!("content-length: {length}\r\n"), PRIZE);
        refused(&recorder, &proxy, 400, &bytes);
    }
    for field in [
        "content-length : 5",
        "content-length\t: 5",
        " content-length: 5",
    ] {
        refused(
            &recorder,
            &proxy,
            400,
            &post(&format!("{field}\r\n"), PRIZE),
        );
    }
}

#[test]
fn hosts_that_are_none_or_several_are_refused() {
    let (recorder, proxy) = stage();
    for head in [
        "GET /first HTTP/1.1\r\n",
        "GET /first HTTP/1.1\r\nhost:\r\n",
        "GET /first HTTP/1.1\r\nhost: a\r\nhost: a\r\n",
        "GET /first HTTP/1.1\r\nhost: a\r\nHost: b\r\n",
        "GET /first HTTP/1.1\r\nhost: a, b\r\n",
        "GET /first HTTP/1.1\r\nhost: user@a\r\n",
        "GET /first HTTP/1.1\r\nhost: user:secret@a\r\n",
        "GET /first HTTP/1.1\r\nhost: a/x\r\n",
        "GET /first HTTP/1.1\r\nhost: a?x\r\n",
        "GET /first HTTP/1.1\r\nhost: a b\r\n",
        "GET /first HTTP/1.1\r\nhost: a:x\r\n",
        "GET /first HTTP/1.1\r\nhost: http://a\r\n",
        "GET /first HTTP/1.1\r\nhost: a\"\r\n",
        "GET /first HTTP/1.1\r\nhost: \u{e9}\r\n",
        "GET http://b/first HTTP/1.1\r\nhost: a\r\n",
        "GET http://a@b/first HTTP/1.1\r\nhost: b\r\n",
        "GET http:///first HTTP/1.1\r\nhost: a\r\n",
        "GET http:a/first HTTP/1.1\r\nhost: a\r\n",
        "GET //b/first HTTP/1.1\r\nhost : a\r\n",
    ] {
        refused(
            &recorder,
            &proxy,
            400,
            format!("{head}\r\n{PRIZE}").as_bytes(),
        );
    }
}

#[test]
fn what_is_no_request_line_is_refused() {
    let (recorder, proxy) = stage();
    for line in [
        "GET /first",
        "GET  /first HTTP/1.1",
        "GET\t/first\tHTTP/1.1",
        "GET /first HTTP/1.1 ",
        "GET /first HTTP/1.1 HTTP/1.1",
        "GET /first HTTP/0.9",
        "GET /first HTTP/1.2",
        "GET /first HTTP/2.0",
        "GET /first http/1.1",
        "GET /first HTTP/1.10",
        "GET /first HTTP/01.1",
        "GET /first XTTP/1.1",
        "G(T /first HTTP/1.1",
        "G\0T /first HTTP/1.1",
        " GET /first HTTP/1.1",
        "GET /fir\nst HTTP/1.1",
        "GET /first HTTP/1.1\r",
        "/first HTTP/1.1",
        "GET HTTP/1.1",
        "GET first HTTP/1.1",
        "GET * HTTP/1.1",
        "GET ftp://a/first HTTP/1.1",
        "GET a:80 HTTP/1.1",
        "PRI * HTTP/2.0",
    ] {
        let bytes = format!("{line}\r\nhost: a\r\n\r\n{PRIZE}");
        refused(&recorder, &proxy, 400, bytes.as_bytes());
    }
    for line in ["CONNECT a:80 HTTP/1.1", "CONNECT /first HTTP/1.1"] {
        let bytes = format!("{line}\r\nhost: a:80\r\n\r\n{PRIZE}");
        refused(&recorder, &proxy, 405, bytes.as_bytes());
    }
}

#[test]
fn what_is_no_field_is_refused() {
    let (recorder, proxy) = stage();
    for field in [
        "x",
        "x y: z",
        "x\0: z",
        "x\x7f: z",
        "x\u{e9}: z",
        "x(: z",
        "x;: z",
        "x\": z",
        "x: a\0b",
        "x: a\x01b",
        "x: a\x08b",
        "x: a\x7fb",
        "x: a\rb: c",
        "x: a\nb: c",
        "x: a\r\n b: c",
        "x: a\r\r\nb: c",
        "\0",
        ":",
        ": y",
        "connection: x-private, host",
        "connection: x-forwarded-for",
        "connection: :authority",
        "connection: \"x-forwarded-for\"",
        "connection: a,b,c,d,e,f,g,h,i,j,k",
    ] {
        let bytes = format!("GET /first HTTP/1.1\r\nhost: a\r\n{field}\r\n\r\n{PRIZE}");
        refused(&recorder, &proxy, 400, bytes.as_bytes());
    }
    let bytes = format!("GET /first HTTP/1.1\nhost: a\n\n{PRIZE}");
    refused(&recorder, &proxy, 400, bytes.as_bytes());
    let many = "x: y\r\n".repeat(300);
    let bytes = format!("GET /first HTTP/1.1\r\nhost: a\r\n{many}\r\n{PRIZE}");
    refused(&recorder, &proxy, 400, bytes.as_bytes());
    let long = "a".repeat(70_000);
    for head in [
        format!("GET /{long} HTTP/1.1\r\nhost: a\r\n"),
        format!("GET /first HTTP/1.1\r\nhost: a\r\nx: {long}\r\n"),
        format!("GET /first HTTP/1.1\r\nhost: a\r\n{long}: x\r\n"),
    ] {
        let bytes = format!("{head}\r\n{PRIZE}");
        recorder.take();
        let answer = exchange(&proxy, bytes.as_bytes());
        let status = answer.get(9..12).unwrap_or_default();
        assert!(["400", "414", "431"].contains(&status), "{answer}");
        assert!(recorder.take().requests.is_empty());
    }
}

#[test]
fn what_cannot_stand_in_a_target_is_encoded_and_stays_one_request() {
    let (recorder, proxy) = stage();
    for (target, encoded) in [
        ("/a b", "/a%20b"),
        ("/a\tb", "/a%09b"),
        ("/a\rb", "/a%0Db"),
        ("/a\0b", "/a%00b"),
        ("/%0d%0ax:%20y", "/%0d%0ax:%20y"),
    ] {
        let bytes = format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n");
        let answer = exchange_one(&proxy, bytes.as_bytes());
        assert_eq!(answer, format!("GET {encoded} "));
        let seen = recorder.take();
        assert_eq!(
            seen.requests,
            [format!("GET {encoded} ")],
            "{:?}",
            seen.faults
        );
    }
}

/// The body of the one answer to these bytes.
fn exchange_one(proxy: &Proxy, bytes: &[u8]) -> String {
    crate::support::client::raw(proxy.address(), bytes).text()
}

/// What was sent, and what the upstream must see of it.
fn passed(recorder: &Recorder, proxy: &Proxy, bytes: &[u8], requests: &[&str]) {
    let what = bytes.escape_ascii().to_string();
    recorder.take();
    let answer = exchange_one(proxy, bytes);
    assert_eq!(answer, requests[0], "{what}");
    let seen = recorder.take();
    assert!(seen.faults.is_empty(), "{what}: {seen:?}");
    assert_eq!(seen.requests, requests, "{what}");
    others_are_served(proxy, &what);
}

#[test]
fn chunks_arrive_as_their_content_and_nothing_beside() {
    let (recorder, proxy) = stage();
    let chunked = "transfer-encoding: chunked\r\n";
    for body in [
        "5\r\nhello\r\n0\r\n\r\n",
        "0005\r\nhello\r\n000\r\n\r\n",
        "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        "5;ext=1;more=\"x\"\r\nhello\r\n0;last\r\n\r\n",
        "5\r\nhello\r\n0\r\nx-trailer: y\r\n\r\n",
        "5\r\nhello\r\n0\r\nhost: evil\r\ncontent-length: 9\r\ntransfer-encoding: gzip\r\n\r\n",
        "5\r\nhello\r\n0\r\nx-forwarded-for: 1.2.3.4\r\nauthorization: evil\r\n\r\n",
    ] {
        let first = "POST /first hello";
        passed(&recorder, &proxy, &post(chunked, body), &[first]);
        passed(
            &recorder,
            &proxy,
            &post("Transfer-Encoding: CHUNKED\r\n", body),
            &[first],
        );
    }
    // A body may look like a request, and a GET may have a body.
    let length = format!("content-length: {}\r\n", PRIZE.len());
    passed(
        &recorder,
        &proxy,
        &post(&length, PRIZE),
        &[&format!("POST /first {PRIZE}")],
    );
    let bytes = format!("GET /first HTTP/1.1\r\nhost: a\r\n{length}\r\n{PRIZE}");
    passed(
        &recorder,
        &proxy,
        bytes.as_bytes(),
        &[&format!("GET /first {PRIZE}")],
    );
    let size = format!("{:x}", PRIZE.len());
    let bytes = post(chunked, &format!("{size}\r\n{PRIZE}\r\n0\r\n\r\n"));
    passed(
        &recorder,
        &proxy,
        &bytes,
        &[&format!("POST /first {PRIZE}")],
    );
    for method in ["DELETE", "OPTIONS", "PATCH", "PROPFIND", "TRACE", "X"] {
        let bytes = format!("{method} /first HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab");
        passed(
            &recorder,
            &proxy,
            bytes.as_bytes(),
            &[&format!("{method} /first ab")],
        );
    }
}

#[test]
fn chunks_that_are_none_end_the_request_at_both_ends() {
    let (recorder, proxy) = stage();
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(200_000));
    let trailers = format!("5\r\nhello\r\n0\r\n{}\r\n", "x: y\r\n".repeat(20_000));
    for body in [
        "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "100000000000000000000000000000005\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5_\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\rhello\r\n0\r\n\r\n",
        "5;x\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloo\r\n0\r\n\r\n",
        "5\r\nhell\r\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\nx: y\n\r\n",
        "5\r\nhello\r\n0\r\nx: y\rz\r\n\r\n",
        &long,
        &trailers,
    ] {
        let seen = behind(&recorder, &proxy, body);
        assert_eq!(seen, [""; 0], "{}", &body[..body.len().min(300)]);
    }
    // Pingora takes a size without digits for a last chunk. What follows is dropped with the
    // trailers, and is no request either.
    for body in ["\r\nhello\r\n0\r\n\r\n", ";x\r\nhello\r\n0\r\n\r\n"] {
        let seen = behind(&recorder, &proxy, body);
        assert!(seen.iter().all(|it| it == "POST /first "), "{seen:?}");
    }
    // Such a client's whole request would have been seen.
    let whole = "5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(behind(&recorder, &proxy, whole), ["POST /first hello"]);
}

/// What the upstream sees of a client that sends these chunks and a request behind them, besides the
/// requests of others.
fn behind(recorder: &Recorder, proxy: &Proxy, chunks: &str) -> Vec<String> {
    let bytes = post(
        "transfer-encoding: chunked\r\n",
        &format!("{chunks}{PRIZE}"),
    );
    let what = bytes[..bytes.len().min(300)].escape_ascii().to_string();
    recorder.take();
    exchange(proxy, &bytes);
    others_are_served(proxy, &what);
    let mut seen = recorder.take();
    assert!(seen.faults.is_empty(), "{what}: {seen:?}");
    seen.requests
        .retain(|request| !request.starts_with("GET /innocent/"));
    seen.requests
}

#[test]
fn a_body_that_is_longer_or_shorter_than_said_is_nobody_elses() {
    let (recorder, proxy) = stage();
    // What follows the body is a request of its own, or nothing; here a pipelined one.
    for (head, first) in [
        ("content-length: 5\r\n\r\nhello", "POST /first hello"),
        ("content-length: 0\r\n\r\n", "POST /first "),
        ("\r\n", "POST /first "),
        (
            "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "POST /first hello",
        ),
    ] {
        recorder.take();
        let bytes = format!("POST /first HTTP/1.1\r\nhost: a\r\n{head}{PRIZE}");
        let answer = exchange(&proxy, bytes.as_bytes());
        assert!(answer.contains(first), "{answer}");
        others_are_served(&proxy, head);
        let seen = recorder.take();
        assert_eq!(seen.requests[0], first);
        // The client itself may have sent another request, in its own name.
        assert!(
            seen.requests
                .iter()
                .filter(|it| it.contains("/first"))
                .count()
                == 1
        );
        assert!(seen.faults.is_empty(), "{seen:?}");
    }
    // A body that breaks off never looks whole.
    for body in [
        "content-length: 50\r\n\r\nhello",
        "transfer-encoding: chunked\r\n\r\n5\r\nhel",
        "transfer-encoding: chunked\r\n\r\n7fffffffffffffff\r\nhello\r\n0\r\n\r\n",
    ] {
        recorder.take();
        let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
        let bytes = format!("POST /first HTTP/1.1\r\nhost: a\r\n{body}");
        stream.write_all(bytes.as_bytes()).expect("a part");
        drop(stream);
        others_are_served(&proxy, body);
        let seen = recorder.take();
        assert!(
            seen.requests
                .iter()
                .all(|it| it.starts_with("GET /innocent/")),
            "{seen:?}"
        );
    }
}

#[test]
fn nothing_follows_a_request_that_was_refused() {
    let (recorder, proxy) = stage();
    for first in [
        "GET /first HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "POST /first HTTP/1.1\r\nhost: a\r\ncontent-length: 1,1\r\n\r\n",
        "POST /first HTTP/1.1\r\nhost: a\r\nexpect: 200-ok\r\ncontent-length: 0\r\n\r\n",
        "POST /first HTTP/1.1\r\nhost: a\r\nexpect: y 100-continue\r\ncontent-length: 37\r\n\r\n",
    ] {
        recorder.take();
        let answer = exchange(&proxy, format!("{first}{PRIZE}").as_bytes());
        assert_eq!(answer.matches("HTTP/1.1 4").count(), 1, "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        assert!(recorder.take().requests.is_empty());
    }
}

#[test]
fn another_protocol_is_not_spoken_behind_our_back() {
    let (recorder, proxy) = stage();
    let settings = "http2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n";
    for upgrade in [
        format!("connection: upgrade, http2-settings\r\nupgrade: h2c\r\n{settings}"),
        format!("connection: upgrade\r\nupgrade: h2c\r\n{settings}"),
        format!("upgrade: h2c\r\n{settings}"),
        "connection: upgrade\r\nupgrade: TLS/1.0\r\n".to_owned(),
        "connection: upgrade\r\nupgrade: websocket, h2c\r\n".to_owned(),
        "connection: upgrade\r\nupgrade: websocket\r\n".to_owned(),
    ] {
        recorder.take();
        // The upstream says 200: it stays with HTTP, and what follows is a request by itself.
        let bytes = format!("GET /first HTTP/1.1\r\nhost: a\r\n{upgrade}\r\n{PRIZE}");
        let answer = exchange(&proxy, bytes.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200"), "{upgrade}: {answer}");
        others_are_served(&proxy, &upgrade);
        let seen = recorder.take();
        assert_eq!(seen.requests[0], "GET /first ", "{upgrade}");
        let head = seen.heads[0].to_ascii_lowercase();
        assert!(
            !head.contains("h2c") && !head.contains("http2-settings"),
            "{head}"
        );
        assert!(!head.contains("tls/1.0"), "{head}");
        assert!(
            seen.requests.iter().all(|it| !it.contains("prize")),
            "{seen:?}"
        );
        assert!(seen.faults.is_empty(), "{seen:?}");
    }
}
