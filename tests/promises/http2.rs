//! HTTP/2: the same answers, many streams on one connection, and no way to flood it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::support::client::{get, raw};
use crate::support::http2::{Client, frame, in_time, text};
use crate::support::proxy::Proxy;
use crate::support::stage::{Stage, numbered};
use crate::support::upstream::Reply;
use crate::support::{PATIENCE, eventually};

fn proxy(upstream: &str) -> Proxy {
    Proxy::start(&format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\", http2: true }}], drain: 10s }}\n\
         upstreams: {{ legacy: {{ url: \"{upstream}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 50ms }} }}]\n\
         proxy: [{{ path: /x, upstream: legacy }}]\n"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_port_speaks_both_and_knows_which_from_the_first_bytes() {
    let stage = Stage::serving("[1]");
    let proxy = proxy(&stage.url());
    assert_eq!(get(proxy.address(), "/x", &[]).status, 200);
    // Shorter than the preface of HTTP/2.
    assert_eq!(
        raw(proxy.address(), b"GET /x HTTP/1.0\r\n\r\n").text(),
        "[1]"
    );
    let mut client = Client::plain(proxy.address()).await;
    let answer = client.get("/x", &[]).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(text(answer.into_body()).await, "[1]");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_pass_through_both_ways_and_problems_are_told() {
    let stage = Stage::new(|request| Reply::status(200, request.body.len().to_string()));
    let proxy = proxy(&stage.url());
    let mut client = Client::plain(proxy.address()).await;
    let (answer, mut upload) = client.send("POST", "/x", &[], true).await;
    let size = 3 << 20;
    let mut left = size;
    while left > 0 {
        upload.reserve_capacity(left);
        let room = in_time(std::future::poll_fn(|context| {
            upload.poll_capacity(context)
        }))
        .await;
        let length = left.min(room.expect("open").expect("open"));
        left -= length;
        upload
            .send_data(Bytes::from(vec![b'a'; length]), left == 0)
            .expect("open");
    }
    let answer = in_time(answer).await.expect("an answer");
    assert_eq!(text(answer.into_body()).await, size.to_string());

    let large = "b".repeat(3 << 20);
    let body = large.clone();
    stage.becomes(move |_| Reply::json(body.clone()));
    let answer = client.get("/x", &[]).await;
    assert_eq!(text(answer.into_body()).await.len(), large.len());

    let answer = client.get("/nowhere", &[]).await;
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    assert!(
        text(answer.into_body())
            .await
            .contains("no feed and no proxy entry")
    );
    let (answer, _) = client
        .send("HEAD", "/feed", &[("accept", "text/event-stream")], false)
        .await;
    assert_eq!(in_time(answer).await.expect("an answer").status(), 200);
    // The upstream is gone: still an answer, still the same connection.
    drop(stage);
    let answer = client.get("/x", &[]).await;
    assert_eq!(answer.status(), 502);
    assert!(text(answer.into_body()).await.contains("legacy"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_is_told_who_asked_for_what_and_how() {
    let stage = Stage::new(|request| {
        let names = [
            "host",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-for",
        ];
        let header = |name| request.header(name).unwrap_or("-").to_owned();
        Reply::status(200, names.map(header).join(" "))
    });
    let proxy = proxy(&stage.url());
    let mut client = Client::plain(proxy.address()).await;
    let answer = client.get("/x", &[]).await;
    let upstream = stage.url();
    let host = upstream.trim_start_matches("http://");
    let told = format!("{host} {} http 127.0.0.1", proxy.address());
    assert_eq!(text(answer.into_body()).await, told);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_streams_share_a_connection_and_each_gets_every_change() {
    let stage = Stage::serving(numbered(1));
    let proxy = proxy(&stage.url());
    let mut client = Client::plain(proxy.address()).await;
    let mut streams = Vec::new();
    for _ in 0..100 {
        let mut stream = client.subscribe("/feed").await;
        stream.until("event: snapshot").await;
        streams.push(stream);
    }
    assert!((proxy.metric("pollcast_connections", &["http/2"]) - 100.0).abs() < 0.5);
    let public = proxy.address().to_string();
    let accepted = proxy.metric("pollcast_accepted_connections_total", &[&public]);
    assert!((accepted - 1.0).abs() < 0.5);
    for n in 2..5 {
        stage.serves(numbered(n));
        for stream in &mut streams {
            stream.until("event: patch").await;
        }
    }
    streams.truncate(1);
    eventually("the others are gone", || {
        proxy.metric("pollcast_connections", &["http/2"]) < 1.5
    });
    stage.serves(numbered(9));
    streams[0].until("event: patch").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_ends_every_stream_and_says_goodbye() {
    let stage = Stage::serving(numbered(1));
    let mut proxy = proxy(&stage.url());
    let mut client = Client::plain(proxy.address()).await;
    let mut streams = Vec::new();
    for _ in 0..10 {
        let mut stream = client.subscribe("/feed").await;
        stream.until("event: snapshot").await;
        streams.push(stream);
    }
    proxy.signal("TERM");
    for stream in streams {
        let rest = stream.rest().await;
        assert!(rest.contains("retry: "), "{rest:?}");
    }
    in_time(client.end)
        .await
        .expect("no panic")
        .expect("GOAWAY without an error");
    assert!(proxy.exit_status().success());
    assert!(
        !proxy.log().contains("drain time is over"),
        "{}",
        proxy.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_on_which_nothing_is_asked_does_not_delay_leaving() {
    let stage = Stage::serving("[1]");
    let mut proxy = proxy(&stage.url());
    let mut client = Client::plain(proxy.address()).await;
    assert_eq!(client.get("/x", &[]).await.status(), 200);
    // And one that never answers to anything.
    let mut dead = TcpStream::connect(proxy.address()).expect("a connection");
    dead.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .expect("written");
    dead.write_all(&frame(4, 0, 0, &[])).expect("written");
    dead.read_exact(&mut [0; 9]).expect("settings");
    proxy.signal("TERM");
    assert!(proxy.exit_status().success());
    assert!(
        !proxy.log().contains("drain time is over"),
        "{}",
        proxy.log()
    );
}

/// Opens streams and resets each at once (CVE-2023-44487).
#[test]
fn a_flood_of_resets_ends_its_connection_and_costs_the_others_nothing() {
    let stage = Stage::serving(numbered(1));
    let proxy = proxy(&stage.url());
    assert_eq!(get(proxy.address(), "/x", &[]).status, 200);
    let before = proxy.resident();
    // :method GET, :scheme http, :path /x, :authority a (RFC 7541 section 6.2.2).
    let head = b"\x82\x86\x04\x02/x\x01\x01a";
    for _ in 0..5 {
        let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .expect("written");
        stream.write_all(&frame(4, 0, 0, &[])).expect("written");
        let mut sent = 0;
        for number in 0..50_000u32 {
            let id = number * 2 + 1;
            let pair = [frame(1, 5, id, head), frame(3, 0, id, &8u32.to_be_bytes())].concat();
            if stream.write_all(&pair).is_err() {
                break;
            }
            sent += 1;
        }
        assert!(sent < 50_000, "the flood was taken to its end");
    }
    assert_eq!(get(proxy.address(), "/x", &[]).status, 200);
    let grown = proxy.resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more are resident");
    assert!(!proxy.log().contains("ERROR"), "{}", proxy.log());
}

/// Asks for a feed on a hundred streams, and reads nothing. `window` is what each stream may take.
fn stalled(proxy: &Proxy, window: u32) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 section 6.5.2), and as much for the connection.
    let setting = [&[0, 4], &window.to_be_bytes()[..]].concat();
    bytes.extend(frame(4, 0, 0, &setting));
    bytes.extend(frame(8, 0, 0, &0x7fff_0000_u32.to_be_bytes()));
    // :method GET, :scheme http, :path /feed, :authority a, accept (RFC 7541 section 6.2).
    let head = b"\x82\x86\x04\x05/feed\x01\x01a\x0f\x04\x11text/event-stream";
    for number in 0..100_u32 {
        bytes.extend(frame(1, 5, number * 2 + 1, head));
    }
    stream.write_all(&bytes).expect("written");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_streams_that_take_nothing_hold_little_and_are_cut_off() {
    let served = AtomicU64::new(0);
    let stage = Stage::new(move |_| {
        let n = served.fetch_add(1, Ordering::SeqCst);
        let unit = format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Reply::json(format!("\"{}\"", unit.repeat(12_800)))
    });
    let proxy = Proxy::start(&format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\", http2: true }}] }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 100ms }}, \
         deliver: {{ write_timeout: 3s }} }}]\n",
        stage.url()
    ));
    let mut client = Client::plain(proxy.address()).await;
    let mut live = client.subscribe("/feed").await;
    live.until("event: snapshot").await;
    let before = proxy.resident();
    let dead: Vec<_> = (0..10)
        .map(|number| stalled(&proxy, if number % 2 == 0 { 0 } else { 0x7fff_ffff }))
        .collect();
    let open = || proxy.metric("pollcast_connections", &["http/2"]);
    let cut_off = || proxy.metric("pollcast_connections_closed_total", &["write_timeout"]);
    let (mut most, mut resident) = (0.0_f64, before);
    while cut_off() < 999.5 {
        live.until("event: snapshot").await;
        most = most.max(open());
        resident = resident.max(proxy.resident());
    }
    assert!(most > 500.0, "they were served: {most}");
    let held = resident - before;
    assert!(held < 50 << 20, "{held} bytes");
    eventually("the live one is left", || open() < 1.5);
    live.until("event: snapshot").await;
    drop(dead);
}
