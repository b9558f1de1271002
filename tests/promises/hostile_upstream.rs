//! An upstream that answers wrongly, too much or for ever harms the one who asked it, and nobody gets
//! an answer that was not made for them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::support::PATIENCE;
use crate::support::client::get;
use crate::support::proxy::Proxy;

/// What the upstream answers to targets that begin with `/attack`; keeps its connections open.
type Attack = Arc<Mutex<Vec<u8>>>;

/// An upstream that repeats what it is asked for, but for attacks, and a proxy in front of it.
fn stage() -> (Attack, Proxy) {
    let attack = Attack::default();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let current = Arc::clone(&attack);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let current = Arc::clone(&current);
            std::thread::spawn(move || converse(stream, &current));
        }
    });
    let proxy = Proxy::start(&format!(
        "upstreams: {{ legacy: {{ url: \"http://{address}\" }} }}\n\
         proxy: [{{ path: /, upstream: legacy }}]\n"
    ));
    (attack, proxy)
}

fn converse(stream: TcpStream, attack: &Mutex<Vec<u8>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut writer = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
        }
        let answer = match target.starts_with("/attack") {
            true => attack.lock().unwrap().clone(),
            false => format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{target}",
                target.len()
            )
            .into_bytes(),
        };
        if writer.write_all(&answer).is_err() {
            return;
        }
    }
}

/// What a client gets that asks for the attack and has another request on the same connection.
fn attacked(proxy: &Proxy, attack: &Attack, answer: &[u8]) -> String {
    *attack.lock().unwrap() = answer.to_vec();
    let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let request = b"GET /attack HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(request).expect("a request");
    let mut got = Vec::new();
    let _ = stream.read_to_end(&mut got);
    String::from_utf8_lossy(&got).into_owned()
}

#[track_caller]
fn others_are_served(proxy: &Proxy, what: &str) {
    for n in 0..3 {
        let target = format!("/innocent/{n}");
        assert_eq!(get(proxy.address(), &target, &[]).text(), target, "{what}");
    }
}

const PRIZE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nprize";

#[test]
fn what_follows_an_answer_is_nobodys_answer() {
    let (attack, proxy) = stage();
    for whole in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\nx: y\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst",
    ] {
        for behind in [PRIZE, "x", "\r\n", "first"] {
            let answer = attacked(&proxy, &attack, format!("{whole}{behind}").as_bytes());
            assert!(!answer.contains("prize"), "{whole:?} {behind:?}: {answer}");
            assert!(answer.matches(" 200 OK").count() <= 1, "{answer}");
            others_are_served(&proxy, whole);
        }
    }
}

#[test]
fn an_answer_of_doubtful_length_is_a_502_or_ends_with_its_connection() {
    let (attack, proxy) = stage();
    for fields in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: 5, 6\r\n",
        "content-length: -5\r\n",
        "content-length: 99999999999999999999999\r\n",
        "content-length: 5\r\nx: y\r\ncontent-length: +5\r\n",
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{fields}\r\nfirst{PRIZE}");
        let answer = attacked(&proxy, &attack, bytes.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 502 "), "{fields:?}: {answer}");
        assert!(!answer.contains("prize"), "{fields:?}: {answer}");
        others_are_served(&proxy, fields);
    }
    // Both: the chunks count (RFC 9112 section 6.3), and the length is not passed on.
    for fields in [
        "content-length: 80\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 2\r\n",
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{fields}\r\n5\r\nfirst\r\n0\r\n\r\n{PRIZE}");
        let answer = attacked(&proxy, &attack, bytes.as_bytes());
        assert!(!answer.contains("prize"), "{fields:?}: {answer}");
        let head = answer.to_ascii_lowercase();
        assert!(!head.contains("content-length: 80") && !head.contains("content-length: 2\r"));
        others_are_served(&proxy, fields);
    }
    for chunks in [
        "fffffffffffffffff\r\nfirst",
        "-5\r\nfirst\r\n0\r\n\r\n",
        "0x5\r\nfirst\r\n0\r\n\r\n",
        "5\nfirst\r\n0\r\n\r\n",
        "5\r\nfirstX0\r\n\r\n",
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
        let answer = attacked(&proxy, &attack, bytes.as_bytes());
        assert!(
            !answer.ends_with("\r\n0\r\n\r\n"),
            "it looks whole: {answer}"
        );
        others_are_served(&proxy, chunks);
    }
}

#[test]
fn a_head_that_is_none_never_becomes_a_head_of_ours() {
    let (attack, proxy) = stage();
    let ending = "content-length: 5\r\n\r\nfirst";
    for head in [
        "HTTP/1.1 200 OK\r\nx: a\0b\r\n",
        "HTTP/1.1 200 OK\r\nx y: z\r\n",
        "HTTP/1.1 200 OK\r\nx\0: z\r\n",
        "HTTP/1.1 999999 OK\r\n",
        "HTTP/1.1 099 OK\r\n",
        "HTTP/3.0 200 OK\r\n",
        "ICY 200 OK\r\n",
        "\0\r\n",
    ] {
        let answer = attacked(&proxy, &attack, format!("{head}{ending}").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 502 "), "{head:?}: {answer}");
        others_are_served(&proxy, head);
    }
    // A carriage return alone ends no line for us, so it must for nobody behind us.
    let split = "HTTP/1.1 200 OK\r\nx: a\rset-cookie: evil=1\r\n";
    let answer = attacked(&proxy, &attack, format!("{split}{ending}").as_bytes());
    assert!(!answer.contains("a\rset-cookie"), "{answer}");
    others_are_served(&proxy, split);
}

#[test]
fn heads_without_end_are_bounded() {
    let (attack, proxy) = stage();
    let before = proxy.resident();
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(8 << 20));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(1 << 20));
    for head in [long, many] {
        let answer = attacked(&proxy, &attack, head.as_bytes());
        assert!(
            answer.starts_with("HTTP/1.1 502 "),
            "{:?}",
            &answer[..60.min(answer.len())]
        );
        others_are_served(&proxy, "a head without end");
    }
    let grown = proxy.resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more are resident");
}

/// Sends the head, reads how the answer begins if `is_early`, then sends the body and reads the rest.
fn posted(proxy: &Proxy, head: &str, body: &[u8], is_early: bool) -> String {
    let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut answer = vec![0; if is_early { 15 } else { 0 }];
    if is_early {
        stream.write_all(head.as_bytes()).expect("a head");
        stream.read_exact(&mut answer).expect("an early answer");
        let _ = stream.write_all(body);
    } else {
        let whole = [head.as_bytes(), body].concat();
        stream.write_all(&whole).expect("a request");
    }
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The upstream reads no bodies (RFC 9112 section 9.3 wants it to close, then): to it, what is sent as
/// one is the next request.
#[test]
fn no_body_becomes_a_request_whose_answer_somebody_else_gets() {
    let (attack, proxy) = stage();
    *attack.lock().unwrap() = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly".to_vec();
    let smuggled = "GET /prize HTTP/1.1\r\nhost: a\r\n\r\n";
    let chunk = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
    let length = format!("content-length: {}", smuggled.len());
    for (framing, body) in [
        (&*length, smuggled),
        ("transfer-encoding: chunked", &*chunk),
        (&*format!("upgrade: websocket\r\n{length}"), smuggled),
    ] {
        for (method, is_early) in [
            ("POST", true),
            ("POST", false),
            ("GET", true),
            ("GET", false),
        ] {
            let connection = match framing.contains("upgrade") {
                true => "close, upgrade",
                false => "close",
            };
            let head = format!(
                "{method} /attack HTTP/1.1\r\nhost: a\r\nconnection: {connection}\r\n{framing}\r\n\r\n"
            );
            let answer = posted(&proxy, &head, body.as_bytes(), is_early);
            let what = format!("{method} {framing:?}, early: {is_early}: {answer}");
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{what}");
            assert!(!answer.contains("prize"), "{what}");
            others_are_served(&proxy, &what);
        }
    }
}

#[test]
fn another_protocol_that_was_not_asked_for_is_not_entered() {
    let (attack, proxy) = stage();
    for head in [
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ] {
        let answer = attacked(&proxy, &attack, format!("{head}{PRIZE}").as_bytes());
        assert!(!answer.starts_with("HTTP/1.1 101"), "{answer}");
        others_are_served(&proxy, head);
    }
}
