//! What HTTP/2 lets a client write that HTTP/1.1 would read otherwise, and floods of what it has to be
//! answered to.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::PATIENCE;
use crate::support::client::get;
use crate::support::http2::frame;
use crate::support::proxy::Proxy;
use crate::support::recorder::Recorder;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn stage() -> (Recorder, Proxy) {
    let recorder = Recorder::start();
    let proxy = Proxy::start(&format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\", http2: true }}] }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         proxy: [{{ path: /, upstream: legacy, preserve_host: true }}]\n",
        recorder.url()
    ));
    (recorder, proxy)
}

/// A connection on which both sides have said hello.
fn connect(proxy: &Proxy) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .expect("written");
    stream
        .write_all(&frame(SETTINGS, 0, 0, &[]))
        .expect("written");
    stream
}

/// Fields that are neither indexed nor compressed (RFC 7541 section 6.2.2).
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(
                u8::try_from(text.len())
                    .ok()
                    .filter(|length| *length < 127)
                    .expect("short"),
            );
            block.extend(text.bytes());
        }
    }
    block
}

/// How the first stream ends: the first byte of its answer's head, or nothing where it was reset or
/// the connection closed.
fn answer(mut stream: TcpStream) -> Option<u8> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).ok()?;
        match head[3] {
            HEADERS => return payload.first().copied(),
            RST_STREAM | GOAWAY => return None,
            _ => {}
        }
    }
}

/// 200 (RFC 7541 appendix A).
const OK: Option<u8> = Some(0x88);

const FINE: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/first"),
    (":authority", "a"),
];

#[track_caller]
fn others_are_served(proxy: &Proxy, what: &str) {
    for n in 0..3 {
        let target = format!("/innocent/{n}");
        let answer = get(proxy.address(), &target, &[]).text();
        assert_eq!(answer, format!("GET {target} "), "after {what}");
    }
}

#[test]
fn what_would_be_several_lines_in_http_1_is_none() {
    let (recorder, proxy) = stage();
    let mut stream = connect(&proxy);
    let head = frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields(&FINE));
    stream.write_all(&head).expect("written");
    assert_eq!(answer(stream), OK);
    assert_eq!(recorder.take().requests, ["GET /first "]);

    let [method, scheme, path, authority] = FINE;
    let prize = "GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /prize";
    for odd in [
        vec![(":method", prize), scheme, path, authority],
        vec![(":method", "GET /prize"), scheme, path, authority],
        vec![(":method", ""), scheme, path, authority],
        vec![method, (":scheme", "http://x/\r\n"), path, authority],
        vec![
            method,
            scheme,
            (":path", "/ HTTP/1.1\r\nx: y\r\n\r\n"),
            authority,
        ],
        vec![method, scheme, (":path", "/a b"), authority],
        vec![method, scheme, (":path", "/a\0"), authority],
        vec![method, scheme, (":path", "prize"), authority],
        vec![method, scheme, (":path", ""), authority],
        vec![method, scheme, (":path", "http://b/prize"), authority],
        vec![method, scheme, path, (":authority", "a\r\nx: y")],
        vec![method, scheme, path, (":authority", "u@a")],
        vec![method, scheme, path, (":authority", "a/prize")],
        vec![method, scheme, path, (":authority", "a b")],
        vec![method, scheme, path, authority, ("host", "b")],
        vec![method, scheme, path, ("host", "a"), ("host", "b")],
        vec![method, scheme, path],
        vec![method, scheme, authority],
        vec![method, method, scheme, path, authority],
        vec![method, scheme, path, path, authority],
        vec![method, scheme, path, authority, (":prize", "x")],
        vec![("x", "y"), method, scheme, path, authority],
        vec![method, scheme, path, authority, ("x", "a\r\ny: b")],
        vec![method, scheme, path, authority, ("x", "a\nb")],
        vec![method, scheme, path, authority, ("x", "a\0b")],
        vec![method, scheme, path, authority, ("x\r\ny", "z")],
        vec![method, scheme, path, authority, ("x: y", "z")],
        vec![method, scheme, path, authority, ("x y", "z")],
        vec![method, scheme, path, authority, ("X", "z")],
        vec![method, scheme, path, authority, ("", "z")],
        vec![
            method,
            scheme,
            path,
            authority,
            ("transfer-encoding", "chunked"),
        ],
        vec![method, scheme, path, authority, ("connection", "close")],
        vec![method, scheme, path, authority, ("keep-alive", "1")],
        vec![method, scheme, path, authority, ("proxy-connection", "x")],
        vec![method, scheme, path, authority, ("upgrade", "h2c")],
        vec![method, scheme, path, authority, ("te", "gzip")],
        vec![method, scheme, path, authority, ("content-length", "5")],
        vec![
            method,
            scheme,
            path,
            authority,
            ("content-length", "0"),
            ("content-length", "5"),
        ],
        vec![method, scheme, path, authority, ("content-length", "0, 0")],
        vec![method, scheme, path, authority, ("content-length", "+0")],
        vec![method, scheme, path, authority, ("expect", "x")],
    ] {
        recorder.take();
        let mut stream = connect(&proxy);
        let head = frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields(&odd));
        stream.write_all(&head).expect("written");
        assert_ne!(answer(stream), OK, "{odd:?}");
        let seen = recorder.take();
        assert!(
            seen.requests.is_empty() && seen.faults.is_empty(),
            "{odd:?}: {seen:?}"
        );
        others_are_served(&proxy, &format!("{odd:?}"));
    }
}

#[test]
fn a_body_that_is_not_as_long_as_said_never_becomes_whole() {
    let (recorder, proxy) = stage();
    for length in ["3", "50", "0"] {
        let mut head = FINE.to_vec();
        head[0].1 = "POST";
        head.push(("content-length", length));
        let mut stream = connect(&proxy);
        let head = frame(HEADERS, END_HEADERS, 1, &fields(&head));
        let data = frame(0, END_STREAM, 1, b"hello");
        stream.write_all(&[head, data].concat()).expect("written");
        assert_ne!(answer(stream), OK, "{length}");
        others_are_served(&proxy, length);
        let mut seen = recorder.take();
        seen.requests
            .retain(|request| !request.starts_with("GET /innocent/"));
        // A request without a body is whole before the body comes that it should not have.
        seen.requests
            .retain(|request| length != "0" || request != "POST /first ");
        assert!(
            seen.requests.is_empty() && seen.faults.is_empty(),
            "{length}: {seen:?}"
        );
    }
}

/// Sends a beginning and then the same again and again, and reads nothing; how often until the other
/// end had enough.
fn flood(proxy: &Proxy, begin: &[u8], again: &[u8], most: usize) -> usize {
    let mut stream = connect(proxy);
    stream
        .set_write_timeout(Some(Duration::from_secs(5)))
        .expect("a timeout");
    let _ = stream.write_all(begin);
    (0..most)
        .take_while(|_| stream.write_all(again).is_ok())
        .count()
}

#[test]
fn floods_end_their_connection_and_hold_little() {
    let (recorder, proxy) = stage();
    others_are_served(&proxy, "nothing");
    let before = proxy.resident();
    let open = fields(&FINE);
    let filler = fields(&[("x", &"y".repeat(100))]).repeat(100);
    // A head without end (CVE-2024-27316 and its like).
    let begin = frame(HEADERS, END_STREAM, 1, &open);
    let sent = flood(&proxy, &begin, &frame(CONTINUATION, 0, 1, &filler), 10_000);
    assert!(sent < 10_000, "a head of {sent} frames");
    let empty = frame(CONTINUATION, 0, 1, &[]).repeat(1000);
    let sent = flood(&proxy, &begin, &empty, 10_000);
    assert!(sent < 10_000, "a head of {sent} thousand frames");
    // What must be answered (CVE-2019-9512, 9515): whoever does not read the answers is not read either.
    for asked in [frame(SETTINGS, 0, 0, &[]), frame(PING, 0, 0, &[0; 8])] {
        let sent = flood(&proxy, &[], &asked.repeat(1000), 100_000);
        assert!(sent < 100_000, "{sent} thousand answers");
    }
    // Fields that are named once and repeated by a byte each (RFC 7541 section 7.3).
    let large = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'y'; 4000]].concat();
    let block = [open.clone(), large, vec![0xbe; 8000]].concat();
    let mut stream = connect(&proxy);
    let head = frame(HEADERS, END_STREAM | END_HEADERS, 1, &block);
    stream.write_all(&head).expect("written");
    assert_ne!(answer(stream), OK);
    others_are_served(&proxy, "floods");
    let seen = recorder.take();
    assert!(
        seen.requests
            .iter()
            .all(|it| it.starts_with("GET /innocent/")),
        "{seen:?}"
    );
    let grown = proxy.resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more are resident");
}
