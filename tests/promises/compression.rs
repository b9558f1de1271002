//! `Accept-Encoding: gzip`: the same events, each compressed once for everybody.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use flate2::{Decompress, FlushDecompress};
use memchr::memmem;
use serde_json::json;

use crate::support::client::{Response, get, raw, request, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::upstream::Upstream;

/// A client that decodes what it has, and waits for no more than that.
struct Compressed {
    response: Response,
    inflater: Decompress,
    body: Vec<u8>,
    /// What was decoded and not yet asked for.
    text: Vec<u8>,
    /// Where decoded bytes come out.
    piece: Vec<u8>,
}

impl Compressed {
    fn subscribe(proxy: &Proxy, headers: &[(&str, &str)]) -> Self {
        let own = [("accept", "text/event-stream"), ("accept-encoding", "gzip")];
        Self::of(get(proxy.address(), "/feed", &[&own, headers].concat()))
    }

    fn of(response: Response) -> Self {
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-encoding"), Some("gzip"));
        Self {
            response,
            inflater: Decompress::new(false),
            body: Vec::new(),
            text: Vec::new(),
            piece: Vec::with_capacity(1 << 12),
        }
    }

    /// Takes one byte more of the body; false at its proper end.
    fn pull(&mut self) -> bool {
        let Some(byte) = self.response.byte() else {
            return false;
        };
        self.body.push(byte);
        if self.body.len() > 10 {
            self.piece.clear();
            self.inflater
                .decompress_vec(&[byte], &mut self.piece, FlushDecompress::Sync)
                .expect("deflate");
            self.text.extend_from_slice(&self.piece);
        }
        true
    }

    /// Waits for this text, and returns everything up to and with it; what was read is gone.
    fn until(&mut self, wanted: &str) -> String {
        let mut seen = 0;
        loop {
            if let Some(at) = memmem::find(&self.text[seen..], wanted.as_bytes()) {
                let rest = self.text.split_off(seen + at + wanted.len());
                let text = std::mem::replace(&mut self.text, rest);
                return String::from_utf8(text).expect("text");
            }
            seen = self.text.len().saturating_sub(wanted.len());
            assert!(self.pull(), "it ended before {wanted:?}: {:?}", self.text);
        }
    }

    /// The whole stream, once it has ended.
    fn end(mut self) -> Vec<u8> {
        while self.pull() {}
        self.body
    }
}

/// A document whose patches pay.
fn document(n: usize) -> String {
    json!({ "n": n, "text": "one and the same sentence, again and again ".repeat(8) }).to_string()
}

/// The stream by the strict decoder of the command `gzip`.
fn gunzip(body: &[u8]) -> String {
    let mut gzip = Command::new("gzip")
        .args(["--decompress", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip");
    let mut input = gzip.stdin.take().expect("piped");
    input.write_all(body).expect("a pipe");
    drop(input);
    let output = gzip.wait_with_output().expect("an end");
    assert!(output.status.success(), "gzip is not content");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn each_event_is_there_before_the_next_is_made() {
    let (upstream, current) = Upstream::with_document(&document(0));
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let mut client = Compressed::subscribe(&proxy, &[]);
    let mut plain = subscribe(proxy.address(), "/feed");
    assert_eq!(plain.header("content-encoding"), None);
    assert!(client.until("\n\n").starts_with("retry: "));
    let same = |client: &mut Compressed, plain: &mut Response| {
        let event = plain.event().expect("an event");
        let (id, data) = (event.id.expect("an id"), event.data);
        let expected = format!("id: {id}\nevent: {}\ndata: {data}\n\n", event.name);
        assert_eq!(client.until("\n\n"), expected);
    };
    same(&mut client, &mut plain);
    for n in 1..80 {
        *current.lock().unwrap() = document(n);
        same(&mut client, &mut plain);
    }
}

#[test]
fn a_stream_ends_as_gzip_wants_it() {
    for version in ["1.1", "1.0"] {
        let (upstream, current) = Upstream::with_document(&document(0));
        let mut proxy = Proxy::with_feed(
            &upstream.url(),
            ", deliver: { heartbeat: { every: 1s, event: ping } }",
        );
        let request = format!(
            "GET /feed HTTP/{version}\r\nhost: a\r\naccept: text/event-stream\r\n\
             accept-encoding: gzip\r\n\r\n"
        );
        let mut client = Compressed::of(raw(proxy.address(), request.as_bytes()));
        let chunked = client.response.header("transfer-encoding").is_some();
        assert_eq!(chunked, version == "1.1");
        client.until("event: snapshot");
        for n in 1..5 {
            *current.lock().unwrap() = document(n);
            client.until(&format!("\"value\":{n}}}]\n\n"));
            if n % 2 == 0 {
                client.until("event: ping\ndata: {}\n\n");
            }
        }
        proxy.signal("TERM");
        let body = client.end();
        assert_eq!(proxy.exit_status().code(), Some(0), "{}", proxy.log());
        let text = gunzip(&body);
        let pieces: Vec<_> = text.split_terminator("\n\n").collect();
        assert!(pieces[0].starts_with("retry: "), "{text}");
        assert!(pieces[pieces.len() - 1].starts_with("retry: "), "{text}");
        let patches = pieces.iter().filter(|piece| piece.contains("event: patch"));
        assert_eq!(patches.count(), 4, "{text}");
    }
}

#[test]
fn the_end_of_a_feed_ends_the_stream_as_well() {
    let gone = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = std::sync::Arc::clone(&gone);
    let upstream = Upstream::start(move |_| {
        use crate::support::upstream::Reply;
        match told.load(std::sync::atomic::Ordering::Relaxed) {
            true => Reply::empty(410),
            false => Reply::json("[1]"),
        }
    });
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let mut client = Compressed::subscribe(&proxy, &[]);
    client.until("data: [1]\n\n");
    gone.store(true, std::sync::atomic::Ordering::Relaxed);
    let text = gunzip(&client.end());
    assert!(text.contains("event: end\n"), "{text}");
}

#[test]
fn who_comes_back_gets_what_it_missed_or_a_reset() {
    let (upstream, current) = Upstream::with_document(&document(0));
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let mut witness = subscribe(proxy.address(), "/feed");
    let mut ids = vec![witness.expect("snapshot").id.expect("an id")];
    for n in 1..4 {
        *current.lock().unwrap() = document(n);
        ids.push(witness.expect("patch").id.expect("an id"));
    }
    let mut client = Compressed::subscribe(&proxy, &[("last-event-id", &ids[1])]);
    let missed = client.until("\"value\":3}]\n\n");
    assert!(!missed.contains("snapshot"), "{missed}");
    assert_eq!(missed.matches("event: patch").count(), 2, "{missed}");
    // Then it goes on with everybody else.
    for n in 4..44 {
        *current.lock().unwrap() = document(n);
        let event = client.until(&format!("\"value\":{n}}}]\n\n"));
        assert_eq!(event.matches("event: ").count(), 1, "{event}");
    }
    let mut stranger = Compressed::subscribe(&proxy, &[("last-event-id", "no-1")]);
    let told = stranger.until("\"}\n\n");
    assert!(told.contains("event: reset"), "{told}");
    stranger.until("event: snapshot\n");
}

#[test]
fn an_event_is_compressed_once_for_fifty_subscribers() {
    const EVENTS: usize = 40;
    let (upstream, current) = Upstream::with_document(&document(0));
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let mut clients: Vec<_> = (0..50)
        .map(|_| Compressed::subscribe(&proxy, &[]))
        .collect();
    for client in &mut clients {
        client.until("event: snapshot");
        client.until("\n\n");
    }
    for n in 1..=EVENTS {
        *current.lock().unwrap() = document(n);
        for client in &mut clients {
            client.until(&format!("\"value\":{n}}}]\n\n"));
        }
    }
    let made = |form: &str| {
        let label = format!("form=\"{form}\"");
        proxy.metric("pollcast_gzip_blocks_total", &[&label])
    };
    // The counters follow the bytes.
    eventually("everything is counted", || {
        proxy.metric("pollcast_events_delivered_total", &["event=\"patch\""])
            > (50 * EVENTS) as f64 - 0.5
    });
    let (independent, chained) = (made("independent"), made("chained"));
    assert!(chained > EVENTS as f64 / 2.0, "{chained}");
    assert!(independent + chained <= 2.0 * EVENTS as f64 + 1.0);
    // What is counted as sent is what left, the ends of blocks included, which hold no text.
    for client in &mut clients {
        while !client.body.ends_with(&[0, 0, 0xff, 0xff]) {
            assert!(client.pull());
        }
    }
    let bodies: usize = clients.iter().map(|client| client.body.len()).sum();
    let sent = proxy.metric("pollcast_sent_bytes_total", &[]);
    assert!((sent - bodies as f64).abs() < 0.5, "{sent}, not {bodies}");
}

#[test]
fn only_who_asks_for_it_gets_it() {
    let (upstream, _current) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), "");
    for (accepted, coded) in [
        ("gzip", true),
        ("gzip, deflate, br, zstd", true),
        ("*", true),
        ("identity;q=0, gzip;q=0.1", true),
        ("br, zstd", false),
        ("gzip;q=0", false),
        ("identity, gzip;q=0.5", false),
    ] {
        let headers = [
            ("accept", "text/event-stream"),
            ("accept-encoding", accepted),
        ];
        for method in ["GET", "HEAD"] {
            let answer = request(proxy.address(), method, "/feed", &headers, b"");
            let coding = coded.then_some("gzip");
            assert_eq!(answer.header("content-encoding"), coding, "{accepted}");
            assert_eq!(answer.header_list("vary"), "accept, accept-encoding");
            let transform = answer.header("cache-control");
            assert_eq!(transform, Some("no-cache, no-transform"));
        }
    }
}

#[test]
fn nobody_gets_it_where_it_is_off() {
    let (upstream, _current) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), ", deliver: { compression: off }");
    let headers = [("accept", "text/event-stream"), ("accept-encoding", "gzip")];
    let mut stream = get(proxy.address(), "/feed", &headers);
    assert_eq!(stream.header("content-encoding"), None);
    assert_eq!(stream.header_list("vary"), "accept");
    assert_eq!(stream.expect("snapshot").data, "[1]");
}

#[test]
fn a_large_snapshot_arrives_whole_and_is_compressed_once() {
    let rows: Vec<_> = (0..40_000)
        .map(|n| json!({ "id": n, "half": n / 2 }))
        .collect();
    let (upstream, _current) = Upstream::with_document(&json!(rows).to_string());
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let mut clients: Vec<_> = (0..10)
        .map(|_| Compressed::subscribe(&proxy, &[]))
        .collect();
    for client in &mut clients {
        let event = client.until("]\n\n");
        let data = event.rsplit("data: ").next().expect("data").trim_end();
        let told: serde_json::Value = serde_json::from_str(data).expect("JSON");
        assert!(told == json!(rows), "another document");
    }
    let made = proxy.metric("pollcast_gzip_blocks_total", &["form=\"independent\""]);
    assert!((made - 1.0).abs() < 0.5, "{made}");
}

#[test]
fn curl_shows_the_same_with_and_without_it() {
    let (upstream, _current) = Upstream::with_document(&document(0));
    let mut proxy = Proxy::with_feed(&upstream.url(), "");
    let curl = |more: &[&str]| {
        Command::new("curl")
            .args(["-sSN", "-H", "accept: text/event-stream"])
            .args(more)
            .arg(proxy.url("/feed"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("curl")
    };
    let mut both = [curl(&[]), curl(&["--compressed"])];
    // Both see the snapshot while the stream is open.
    let mut texts: Vec<String> = Vec::new();
    for client in &mut both {
        let output = client.stdout.as_mut().expect("piped");
        let mut text = Vec::new();
        while !text.ends_with(b"}\n\n") {
            let mut byte = [0];
            output.read_exact(&mut byte).expect("a byte");
            text.extend(byte);
        }
        texts.push(String::from_utf8(text).expect("text"));
    }
    let events = |text: &str| text.split_once("\n\n").expect("a retry line").1.to_owned();
    assert_eq!(events(&texts[0]), events(&texts[1]));
    proxy.signal("TERM");
    for client in both {
        let output = client.wait_with_output().expect("an end");
        assert!(output.status.success(), "curl is not content");
        assert!(output.stdout.starts_with(b"retry: "));
    }
    assert_eq!(proxy.exit_status().code(), Some(0));
}

#[test]
fn a_quiet_stream_stays_readable() {
    let (upstream, current) = Upstream::with_document(&document(0));
    let proxy = Proxy::with_feed(&upstream.url(), ", deliver: { heartbeat: 1s }");
    let mut client = Compressed::subscribe(&proxy, &[]);
    client.until("event: snapshot");
    client.until("\n\n");
    assert_eq!(client.until("\n\n"), ":\n\n");
    *current.lock().unwrap() = document(1);
    client.until("\"value\":1}]\n\n");
    // A named heartbeat is tested where a stream ends.
    assert_eq!(client.until("\n\n"), ":\n\n");
}
