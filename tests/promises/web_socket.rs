//! A WebSocket passes: the handshake, then bytes both ways for as long as both want.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::PATIENCE;
use crate::support::proxy::Proxy;
use crate::support::upstream::{Reply, Upstream};

/// Of RFC 6455 section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Unmasks a small text frame and returns it unmasked.
fn answer(mut stream: TcpStream) {
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-accept: {ACCEPT}\r\n\r\n"
    );
    // Pingora 0.9.1 ends the connection if the switch is answered before its own task has seen
    // that the request has no body, which happens when the machine is busy.
    std::thread::sleep(Duration::from_millis(200));
    stream.write_all(head.as_bytes()).expect("a head");
    // The upstream speaks first.
    stream.write_all(b"\x81\x05hello").expect("a frame");
    let mut frame = [0; 6];
    while stream.read_exact(&mut frame).is_ok() {
        let mut text = vec![0; usize::from(frame[1] & 0x7f)];
        stream.read_exact(&mut text).expect("a payload");
        for (at, byte) in text.iter_mut().enumerate() {
            *byte ^= frame[2 + at % 4];
        }
        let mut reply = vec![frame[0], frame[1] & 0x7f];
        reply.extend(text);
        stream.write_all(&reply).expect("a frame");
    }
}

fn masked(text: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let length = u8::try_from(text.len()).expect("a small frame");
    let mut frame = vec![0x81, 0x80 | length];
    frame.extend(mask);
    frame.extend(
        text.iter()
            .enumerate()
            .map(|(at, byte)| byte ^ mask[at % 4]),
    );
    frame
}

#[test]
fn frames_pass_both_ways_on_a_feeds_path_too() {
    let upstream = Upstream::start(|request| match request.header("upgrade") {
        Some("websocket") => Reply::Custom(Box::new(answer)),
        _ => Reply::json("1"),
    });
    let proxy = Proxy::with_feed(&upstream.url(), "");
    for path in ["/socket", "/feed"] {
        let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("a request");
        let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).expect("a line") > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains(ACCEPT), "{head}");
        let mut frame = [0; 7];
        reader.read_exact(&mut frame).expect("the first frame");
        assert_eq!(&frame, b"\x81\x05hello");
        for text in ["one", "two", "three"] {
            stream.write_all(&masked(text.as_bytes())).expect("a frame");
            let mut frame = vec![0; text.len() + 2];
            reader.read_exact(&mut frame).expect("a frame");
            assert_eq!(&frame[2..], text.as_bytes());
        }
    }
    assert!(!proxy.log().contains("panicked"), "{}", proxy.log());
}

#[test]
fn a_socket_opens_behind_a_guard_for_whoever_has_the_key() {
    let upstream = Upstream::start(|request| match request.header("upgrade") {
        Some("websocket") if request.header("x-api-key").is_none() => {
            Reply::Custom(Box::new(answer))
        }
        _ => Reply::status(500, "no"),
    });
    // SHA-256 of `key`.
    let hash = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683";
    let access = "access: [{ keys: [mine] }]";
    let proxy = Proxy::start(&format!(
        "auth: {{ keys: {{ mine: {{ sha256: {hash} }} }} }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, {access} }}]\n\
         proxy: [{{ path: /, upstream: legacy, {access} }}]\n",
        upstream.url()
    ));
    for path in ["/socket", "/feed"] {
        for (key, status) in [
            ("", 401),
            ("x-api-key: wrong\r\n", 401),
            ("x-api-key: key\r\n", 101),
        ] {
            let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            let request = format!(
                "GET {path} HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
                 sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n{key}\r\n"
            );
            stream.write_all(request.as_bytes()).expect("a request");
            let mut line = String::new();
            let mut reader = BufReader::new(stream);
            reader.read_line(&mut line).expect("a line");
            assert!(
                line.starts_with(&format!("HTTP/1.1 {status} ")),
                "{path} {key}: {line}"
            );
        }
    }
    let asked = upstream.requests();
    assert!(
        asked
            .iter()
            .all(|request| request.header("sec-websocket-key").is_some())
    );
    assert_eq!(asked.len(), 2);
}
