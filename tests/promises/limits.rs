//! As many as may subscribe do, nobody who has is sent away for another, and the rest is told when
//! to come back in a way that it understands.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Barrier};

use serde_json::Value;

use crate::support::client::{Block, Response, get, over, raw, request, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::socket::Socket;
use crate::support::stage::{Stage, numbered};
use crate::support::upstream::{Reply, Upstream};

/// How Chromium's EventSource asks.
const BROWSER: &[(&str, &str)] = &[
    ("accept", "text/event-stream"),
    ("cache-control", "no-cache"),
    ("pragma", "no-cache"),
    ("origin", "https://a.example"),
];

fn start(upstream: &str, server: &str, feeds: &str) -> Proxy {
    Proxy::start(&format!(
        "server: {{ listen: \"127.0.0.1:0\", {server} }}\n\
         upstreams: {{ legacy: {{ url: \"{upstream}\" }} }}\n\
         feeds:\n{feeds}"
    ))
}

fn one_feed(upstream: &str, server: &str) -> Proxy {
    let feed = "  - { path: /feed, upstream: legacy, poll: { interval: 50ms } }\n";
    start(upstream, server, feed)
}

fn refused(proxy: &Proxy, reason: &str) -> f64 {
    let label = format!("reason=\"{reason}\"");
    proxy.metric("pollcast_subscriptions_refused_total", &[&label])
}

/// A stream that is served: its snapshot came.
fn seated(mut stream: Response) -> Response {
    assert_eq!(stream.status, 200);
    stream.expect("snapshot");
    stream
}

/// Asks as an EventSource does, until it is served. Whoever left is noticed a moment later.
fn seated_at_last(proxy: &Proxy) -> Response {
    let mut found = None;
    eventually("there is a seat", || {
        let mut stream = get(proxy.address(), "/feed", BROWSER);
        found = stream.event().is_some().then_some(stream);
        found.is_some()
    });
    found.expect("a stream")
}

/// Nothing but a long time to wait, then the stream's proper end. Returns the time.
#[track_caller]
fn told_to_come_back(mut stream: Response) -> u64 {
    assert_eq!(stream.status, 200);
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    let Some(Block::Retry(time)) = stream.block() else {
        panic!("a retry line");
    };
    assert!((30_000..=60_000).contains(&time), "{time}");
    assert_eq!(stream.block(), None);
    assert!(stream.closed());
    time
}

/// A status that programs know.
#[track_caller]
fn told_to_wait(answer: Response) {
    assert_eq!(answer.status, 503);
    let wait = answer.header("retry-after").expect("a time");
    assert!(
        (30..=60).contains(&wait.parse().expect("seconds")),
        "{wait}"
    );
    let problem = "application/problem+json";
    assert_eq!(answer.header("content-type"), Some(problem));
    assert_eq!(answer.header("vary"), Some("accept"));
    let problem: Value = serde_json::from_str(&answer.text()).expect("JSON");
    assert_eq!(problem["status"], 503);
    let detail = problem["detail"].as_str().expect("an explanation");
    assert!(detail.contains("try again later"), "{detail}");
}

#[test]
fn newcomers_are_turned_away_when_all_seats_are_taken_and_nobody_else_notices() {
    let stage = Stage::serving(numbered(1));
    let proxy = one_feed(&stage.url(), "limits: { subscribers: 3 }");
    let mut streams: Vec<_> = (0..3)
        .map(|_| seated(subscribe(proxy.address(), "/feed")))
        .collect();

    let times: Vec<_> = (0..8)
        .map(|_| told_to_come_back(get(proxy.address(), "/feed", BROWSER)))
        .collect();
    assert!(times.iter().any(|time| *time != times[0]), "{times:?}");
    // Who was here before is a newcomer, too, and comes back as an EventSource does.
    let resuming = [("accept", "text/event-stream"), ("last-event-id", "x-1")];
    told_to_come_back(get(proxy.address(), "/feed", &resuming));
    let old = b"GET /feed HTTP/1.0\r\naccept: text/event-stream\r\ncache-control: no-cache\r\n\r\n";
    told_to_come_back(raw(proxy.address(), old));
    told_to_wait(subscribe(proxy.address(), "/feed"));
    let old = b"GET /feed HTTP/1.0\r\naccept: text/event-stream\r\n\r\n";
    told_to_wait(raw(proxy.address(), old));
    assert!((refused(&proxy, "limit_total") - 12.0).abs() < 0.1);

    // Everything else is served as ever.
    assert_eq!(get(proxy.address(), "/feed", &[]).text(), numbered(1));
    let accept = [("accept", "text/event-stream")];
    assert_eq!(
        request(proxy.address(), "HEAD", "/feed", &accept, b"").status,
        200
    );
    stage.serves(numbered(2));
    for stream in &mut streams {
        stream.expect("patch");
    }
    assert!((proxy.metric("pollcast_connections", &[]) - 3.0).abs() < 0.1);
}

#[test]
fn a_seat_is_free_again_however_its_subscriber_left() {
    let stage = Stage::serving("[1]");
    let limit = "limits: { subscribers: 1 }";
    let proxy = one_feed(&stage.url(), limit);
    // Each of them is served only once the one before has left.
    let ended = seated_at_last(&proxy);
    drop(ended);
    seated_at_last(&proxy);
    let broken = Socket {
        breaks: true,
        ..Socket::default()
    };
    eventually("there is a seat", || {
        let ask = b"GET /feed HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n";
        let mut stream = over(broken.connect(proxy.address()), ask);
        stream.status == 200 && stream.event().is_some()
    });
    let mut last = seated_at_last(&proxy);
    // The feed ends, and its stream with it.
    stage.becomes(|_| Reply::empty(410));
    last.expect("end");
    assert_eq!(last.block(), None);
    stage.serves("[2]");
    // Refused for another reason than for want of a seat.
    eventually("the feed is back", || {
        let stream = get(proxy.address(), "/feed", BROWSER);
        stream.status == 200
    });
    eventually("all seats are free", || {
        proxy.metric("pollcast_connections", &[]) < 0.5
    });
    seated_at_last(&proxy);
}

#[test]
fn a_feed_that_is_full_leaves_the_others_alone() {
    let stage = Stage::serving("[1]");
    let feeds = "  - { path: /small, upstream: legacy, deliver: { max_subscribers: 2 } }\n  \
                   - { path: /large, upstream: legacy }\n";
    let proxy = start(&stage.url(), "limits: { subscribers: 5 }", feeds);
    let address = proxy.address();
    let small: Vec<_> = (0..2)
        .map(|_| seated(subscribe(address, "/small")))
        .collect();
    told_to_wait(subscribe(address, "/small"));
    told_to_come_back(get(address, "/small", BROWSER));
    assert!((refused(&proxy, "limit_feed") - 2.0).abs() < 0.1);
    let _large: Vec<_> = (0..3)
        .map(|_| seated(subscribe(address, "/large")))
        .collect();
    told_to_wait(subscribe(address, "/large"));
    assert!((refused(&proxy, "limit_total") - 1.0).abs() < 0.1);
    drop(small);
    eventually("there is a seat", || {
        subscribe(address, "/small").status == 200
    });
}

/// Subscribes from one of the loopback addresses, with this list of hops.
fn from(address: SocketAddr, client: [u8; 4], hops: &str) -> Response {
    let hops = match hops {
        "" => String::new(),
        hops => format!("x-forwarded-for: {hops}\r\n"),
    };
    let ask = format!("GET /feed HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n{hops}\r\n");
    over(Socket::from(client).connect(address), ask.as_bytes())
}

#[test]
fn a_client_that_has_its_share_leaves_the_others_alone() {
    let stage = Stage::serving("[1]");
    let proxy = one_feed(&stage.url(), "limits: { subscribers_per_client: 2 }");
    let mut streams = Vec::new();
    for client in 2..10 {
        let client = [127, 0, 0, client];
        for _ in 0..2 {
            streams.push(seated(from(proxy.address(), client, "")));
        }
        told_to_wait(from(proxy.address(), client, ""));
        // Nobody is believed, so that it cannot pass for another.
        told_to_wait(from(proxy.address(), client, "203.0.113.9"));
    }
    assert!((refused(&proxy, "limit_client") - 16.0).abs() < 0.1);
    streams.truncate(14);
    eventually("there is a seat", || {
        from(proxy.address(), [127, 0, 0, 9], "").status == 200
    });
    told_to_wait(from(proxy.address(), [127, 0, 0, 8], ""));
}

#[test]
fn clients_behind_a_trusted_proxy_are_told_apart_and_others_cannot_pretend() {
    let stage = Stage::serving("[1]");
    let proxy = one_feed(
        &stage.url(),
        "limits: { subscribers_per_client: 1 }, trusted_proxies: [127.0.0.2, 127.0.1.0/24]",
    );
    let mut streams = Vec::new();
    let trusted = [127, 0, 0, 2];
    for hops in [
        "203.0.113.1",
        "203.0.113.2:4711",
        // What the client wrote itself, the client, another trusted hop.
        "203.0.113.1, 203.0.113.3, 127.0.1.77",
        "2001:db8:0:1::1",
        "[2001:db8:0:2::1]:4711",
    ] {
        streams.push(seated(from(proxy.address(), trusted, hops)));
        told_to_wait(from(proxy.address(), trusted, hops));
    }
    // A neighbour in the same network of version 6, and the same address mapped into it.
    told_to_wait(from(proxy.address(), trusted, "2001:db8:0:1:ffff::2"));
    told_to_wait(from(proxy.address(), trusted, "::ffff:203.0.113.1"));
    // Several lines are one list.
    let lines = "203.0.113.4\r\nx-forwarded-for: 203.0.113.1";
    told_to_wait(from(proxy.address(), trusted, lines));
    // Garbage is the doing of the proxy that vouches for it.
    streams.push(seated(from(proxy.address(), trusted, "203.0.113.5, what")));
    told_to_wait(from(proxy.address(), trusted, "203.0.113.6, \u{fc}"));
    // Who is not trusted is who it is.
    streams.push(seated(from(proxy.address(), [127, 0, 0, 3], "203.0.113.7")));
    told_to_wait(from(proxy.address(), [127, 0, 0, 3], "203.0.113.8"));
}

#[test]
fn hops_that_nobody_vouches_for_are_not_passed_on() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = one_feed(&upstream.url(), "trusted_proxies: [127.0.0.2]");
    for (client, seen) in [
        ([127, 0, 0, 2], "203.0.113.9, 127.0.0.2"),
        ([127, 0, 0, 3], "127.0.0.3"),
    ] {
        let ask = b"GET /x HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 203.0.113.9\r\n\
                    forwarded: for=203.0.113.9\r\n\r\n";
        let answer = over(Socket::from(client).connect(proxy.address()), ask);
        assert_eq!(answer.status, 200);
        let requests = upstream.requests();
        let last = requests.last().expect("it was passed on");
        assert_eq!(last.header("x-forwarded-for"), Some(seen));
        let forwarded = last.header("forwarded").expect("the list of RFC 7239");
        let believed = forwarded.starts_with("for=203.0.113.9, for=127.0.0.2");
        assert_eq!(believed, client[3] == 2, "{forwarded}");
    }
}

#[test]
fn of_a_crowd_exactly_as_many_as_allowed_are_seated() {
    const CROWD: usize = 200;
    const SEATS: usize = 50;
    let stage = Stage::serving("[1]");
    let proxy = one_feed(
        &stage.url(),
        "limits: { subscribers: 50, subscribers_per_client: 50 }",
    );
    for round in 1..=3 {
        let start = Arc::new(Barrier::new(CROWD));
        let crowd: Vec<_> = (0..CROWD)
            .map(|_| {
                let (start, address) = (Arc::clone(&start), proxy.address());
                std::thread::spawn(move || {
                    start.wait();
                    let mut stream = get(address, "/feed", BROWSER);
                    assert_eq!(stream.status, 200);
                    (stream.event().is_some(), stream)
                })
            })
            .collect();
        let crowd: Vec<_> = crowd.into_iter().map(|one| one.join().unwrap()).collect();
        let seated = crowd.iter().filter(|(seated, _)| *seated).count();
        assert_eq!(seated, SEATS, "round {round}");
        let turned_away = (round * (CROWD - SEATS)) as f64;
        assert!((refused(&proxy, "limit_total") - turned_away).abs() < 0.1);
        drop(crowd);
        eventually("all have left", || {
            proxy.metric("pollcast_connections", &[]) < 0.5
        });
    }
}

#[test]
fn who_waits_for_the_first_poll_has_a_seat_and_who_has_none_is_not_polled_for() {
    let stage = Stage::new(|_| Reply::Hang);
    let feeds = "  - { path: /feed, upstream: legacy, poll: { timeout: 1m } }\n  \
                   - { path: /other, upstream: legacy, poll: { timeout: 1m } }\n";
    let proxy = start(&stage.url(), "limits: { subscribers: 1 }", feeds);
    let address = proxy.address();
    let waiting = std::thread::spawn(move || subscribe(address, "/feed").status);
    eventually("it is polled for", || stage.upstream.count("/feed") > 0);
    told_to_wait(subscribe(address, "/feed"));
    told_to_wait(subscribe(address, "/other"));
    assert_eq!(stage.upstream.count("/other"), 0);

    let refusing = Stage::new(|_| Reply::empty(404));
    let feeds = "  - { path: /feed, upstream: legacy }\n";
    let proxy = start(&refusing.url(), "limits: { subscribers: 1 }", feeds);
    for _ in 0..5 {
        // Each of them had the seat, and gave it back.
        assert_eq!(subscribe(proxy.address(), "/feed").status, 404);
    }
    drop(stage);
    waiting.join().expect("it is answered");
}

#[test]
fn a_limit_beyond_the_file_descriptors_is_warned_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pollcast.yaml");
    let config = "server: { limits: { subscribers: 900 } }\n\
                  upstreams: { a: { url: 'http://a' } }\nfeeds: [{ path: /f, upstream: a }]\n";
    std::fs::write(&file, config).expect("a file");
    let check = |files: u32| {
        let output = Command::new("bash")
            .arg("-c")
            .arg(format!("ulimit -n {files}; exec \"$0\" check -c \"$1\""))
            .arg(env!("CARGO_BIN_EXE_pollcast"))
            .arg(&file)
            .output()
            .expect("bash runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let told = check(512);
    let warning =
        "warning: server.limits.subscribers (line 1): over HTTP/1.1 each subscriber takes";
    assert!(told.contains(warning), "{told}");
    assert!(told.contains("512"), "{told}");
    assert!(!check(1024).contains("warning"));
}
