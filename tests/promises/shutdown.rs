//! Leaving: nobody is cut off in the middle, and nobody holds the process up.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::support::client::{Block, Response, get, raw, subscribe};
use crate::support::proxy::Proxy;
use crate::support::upstream::{Reply, Upstream};
use crate::support::{PATIENCE, eventually};

/// A time to drain that no test can sit out by chance.
const LONG: &str = "10m";

fn with_drain(upstream: &str, drain: &str) -> Proxy {
    Proxy::start(&format!(
        "server: {{ listen: \"127.0.0.1:0\", drain: {drain} }}\n\
         upstreams: {{ legacy: {{ url: \"{upstream}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 50ms, timeout: 1m }} }}]\n"
    ))
}

/// An upstream whose `/slow` is answered when the sender says so; the receiver tells of arrivals.
fn slow() -> (Upstream, Sender<()>, Receiver<()>) {
    let (finish, told) = channel();
    let told = std::sync::Mutex::new(Some(told));
    let (arrived, arrivals) = channel();
    let upstream = Upstream::start(move |request| match request.target.as_str() {
        "/slow" => {
            arrived.send(()).expect("the test listens");
            let told: Receiver<()> = told.lock().unwrap().take().expect("one request");
            Reply::Custom(Box::new(move |mut stream| {
                let _ = told.recv();
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone");
            }))
        }
        _ => Reply::json("[1]"),
    });
    (upstream, finish, arrivals)
}

/// A request to `/slow` that the upstream has got.
fn in_flight(proxy: &Proxy, arrivals: &Receiver<()>) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let text = b"GET /slow HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(text).expect("a request");
    arrivals.recv_timeout(PATIENCE).expect("it arrives");
    stream
}

/// A retry line, then the body's proper end.
#[track_caller]
fn ends_with_a_retry(stream: &mut Response) {
    let blocks: Vec<_> = std::iter::from_fn(|| stream.block()).collect();
    assert!(matches!(blocks.last(), Some(Block::Retry(_))), "{blocks:?}");
}

fn draining(proxy: &Proxy) {
    eventually("draining", || proxy.admin("/readyz").0 == 503);
}

#[test]
fn either_signal_ends_every_stream_properly() {
    for signal in ["TERM", "INT"] {
        let (upstream, _document) = Upstream::with_document("[1]");
        let mut proxy = with_drain(&upstream.url(), LONG);
        let mut streams: Vec<_> = (0..20)
            .map(|_| subscribe(proxy.address(), "/feed"))
            .collect();
        let old = b"GET /feed HTTP/1.0\r\naccept: text/event-stream\r\n\r\n";
        streams.push(raw(proxy.address(), old));
        for stream in &mut streams {
            stream.expect("snapshot");
        }
        proxy.signal(signal);
        let mut times = Vec::new();
        for stream in &mut streams {
            let Some(Block::Retry(time)) = stream.block() else {
                panic!("a retry line comes last");
            };
            times.push(time);
            assert_eq!(stream.block(), None);
        }
        assert!(
            times.iter().all(|time| (1500..=4500).contains(time)),
            "{times:?}"
        );
        assert!(
            times.iter().any(|time| *time != times[0]),
            "spread: {times:?}"
        );
        assert_eq!(
            proxy.exit_status().code(),
            Some(0),
            "{signal}: {}",
            proxy.log()
        );
    }
}

#[test]
fn an_idle_process_leaves_at_once_even_if_told_so_at_once() {
    let (upstream, _document) = Upstream::with_document("[1]");
    for round in 0..10 {
        let mut proxy = with_drain(&upstream.url(), LONG);
        proxy.signal(if round % 2 == 0 { "TERM" } else { "INT" });
        assert_eq!(proxy.exit_status().code(), Some(0), "{}", proxy.log());
    }
}

#[test]
fn connections_without_a_request_hold_nothing() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let mut proxy = with_drain(&upstream.url(), LONG);
    let mut kept = get(proxy.address(), "/x", &[]);
    while kept.byte().is_some() {}
    let _silent = TcpStream::connect(proxy.address()).expect("a connection");
    let mut begun = TcpStream::connect(proxy.address()).expect("a connection");
    begun.write_all(b"GET /feed HTT").expect("a part");
    proxy.signal("TERM");
    assert_eq!(proxy.exit_status().code(), Some(0));
}

#[test]
fn a_request_in_flight_is_finished_while_newcomers_are_told_to_come_back() {
    let (upstream, finish, arrivals) = slow();
    let mut proxy = with_drain(&upstream.url(), LONG);
    let mut request = in_flight(&proxy, &arrivals);
    assert_eq!(proxy.admin("/readyz").0, 200);
    proxy.signal("TERM");
    draining(&proxy);
    assert_eq!(proxy.admin("/healthz").0, 200);
    for target in ["/feed", "/feed?mode=snapshot&last_event_id=x-1"] {
        let mut newcomer = subscribe(proxy.address(), target);
        assert_eq!(newcomer.status, 200);
        assert_eq!(newcomer.header("content-type"), Some("text/event-stream"));
        assert!(matches!(newcomer.block(), Some(Block::Retry(_))));
        assert_eq!(newcomer.block(), None);
    }
    let old = b"GET /feed HTTP/1.0\r\naccept: text/event-stream\r\n\r\n";
    ends_with_a_retry(&mut raw(proxy.address(), old));
    assert_eq!(upstream.count("/feed"), 0, "nothing is polled for them");

    finish.send(()).expect("the upstream waits");
    let mut answer = String::new();
    request.read_to_string(&mut answer).expect("the answer");
    assert!(answer.ends_with("\r\n\r\ndone"), "{answer}");
    assert_eq!(proxy.exit_status().code(), Some(0));
}

#[test]
fn a_request_that_takes_longer_than_that_is_cut() {
    let (upstream, finish, arrivals) = slow();
    let mut proxy = with_drain(&upstream.url(), "1s");
    let mut request = in_flight(&proxy, &arrivals);
    let asked = Instant::now();
    proxy.signal("TERM");
    assert_eq!(proxy.exit_status().code(), Some(0));
    assert!(
        asked.elapsed() >= Duration::from_secs(1),
        "it was given its time"
    );
    let mut answer = Vec::new();
    let _ = request.read_to_end(&mut answer);
    assert!(answer.is_empty());
    drop(finish);
}

#[test]
fn a_second_signal_does_not_wait() {
    let (upstream, finish, arrivals) = slow();
    let mut proxy = with_drain(&upstream.url(), LONG);
    let _request = in_flight(&proxy, &arrivals);
    proxy.signal("INT");
    draining(&proxy);
    proxy.signal("INT");
    assert_eq!(proxy.exit_status().code(), Some(0));
    drop(finish);
}

#[test]
fn a_subscriber_that_takes_nothing_holds_it_no_longer_than_allowed() {
    let document = format!("[\"{}\"]", "x".repeat(8 * 1024 * 1024));
    let upstream = Upstream::start(move |_| Reply::json(document.clone()));
    let mut proxy = with_drain(&upstream.url(), "1s");
    // Reads the head, and never again: the socket's buffers cannot hold the snapshot.
    let _frozen = subscribe(proxy.address(), "/feed");
    proxy.signal("TERM");
    assert_eq!(proxy.exit_status().code(), Some(0));
}

#[test]
fn a_subscriber_that_waits_for_the_first_poll_is_answered() {
    let upstream = Upstream::start(|_| Reply::Hang);
    let mut proxy = with_drain(&upstream.url(), LONG);
    let address = proxy.address();
    let waiting = std::thread::spawn(move || {
        let mut stream = subscribe(address, "/feed");
        assert_eq!(stream.status, 200);
        ends_with_a_retry(&mut stream);
    });
    eventually("it is polled for", || upstream.count("/feed") > 0);
    proxy.signal("TERM");
    waiting.join().expect("it is told when to come back");
    assert_eq!(proxy.exit_status().code(), Some(0));
}

#[test]
fn no_stream_that_was_begun_is_left_without_an_end() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let mut proxy = with_drain(&upstream.url(), LONG);
    let address = proxy.address();
    let (opened, told) = channel();
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let opened = opened.clone();
            std::thread::spawn(move || {
                let mut streams = Vec::new();
                // Until the process is gone: connecting or reading a head fails then.
                while let Some(stream) = begin(address) {
                    streams.push(stream);
                    let _ = opened.send(());
                }
                streams
            })
        })
        .collect();
    for _ in 0..50 {
        told.recv_timeout(PATIENCE).expect("streams open");
    }
    proxy.signal("TERM");
    assert_eq!(proxy.exit_status().code(), Some(0));
    for worker in workers {
        for mut stream in worker.join().expect("no panic") {
            let mut body = String::new();
            stream.read_to_string(&mut body).expect("all of it");
            assert!(body.ends_with("\r\n0\r\n\r\n"), "{body:?}");
            assert!(body.contains("retry: "), "{body:?}");
        }
    }
}

/// A stream of which the first byte has come; `None` once nobody answers any more.
fn begin(address: std::net::SocketAddr) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let text = b"GET /feed HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n";
    stream.write_all(text).ok()?;
    let read = stream.read(&mut [0]).ok()?;
    (read == 1).then_some(stream)
}
