//! A stream that is served, quiet, left or abused.

use std::io::Write;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::client::{Block, raw, resume, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::upstream::Upstream;

const BEAT: &str = ", deliver: { heartbeat: 1s }";

fn open(proxy: &Proxy) -> f64 {
    proxy.metric("pollcast_connections", &[])
}

#[track_caller]
fn nobody_panicked(proxy: &Proxy) {
    assert!(!proxy.log().contains("panicked"), "{}", proxy.log());
}

#[test]
fn a_quiet_stream_shows_that_it_lives() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), BEAT);
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    for _ in 0..3 {
        assert_eq!(stream.block(), Some(Block::Comment));
    }
}

#[test]
fn heartbeats_take_the_place_of_no_event() {
    let (upstream, document) = Upstream::with_document("[0]");
    let proxy = Proxy::with_feed(&upstream.url(), BEAT);
    let mut stream = subscribe(proxy.address(), "/feed?mode=snapshot");
    stream.expect("snapshot");
    let mut beats = 0;
    for number in 1..4 {
        assert_eq!(stream.block(), Some(Block::Comment));
        beats += 1;
        *document.lock().unwrap() = format!("[{number}]");
        loop {
            match stream.block().expect("a block") {
                Block::Comment => beats += 1,
                Block::Event { data, id, .. } => {
                    assert_eq!(data, format!("[{number}]"));
                    assert!(id.expect("an id").ends_with(&format!("-{}", number + 1)));
                    break;
                }
                other => panic!("nothing else: {other:?}"),
            }
        }
    }
    assert!(beats >= 3);
}

#[test]
fn who_left_is_noticed_without_any_event() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), ", deliver: { heartbeat: 1h }");
    let mut streams: Vec<_> = (0..5)
        .map(|_| subscribe(proxy.address(), "/feed"))
        .collect();
    let old = b"GET /feed HTTP/1.0\r\naccept: text/event-stream\r\n\r\n";
    let mut last = raw(proxy.address(), old);
    for stream in &mut streams {
        stream.expect("snapshot");
    }
    last.expect("snapshot");
    assert!((proxy.metric("pollcast_connections", &["http/1.1"]) - 5.0).abs() < 0.1);
    assert!((proxy.metric("pollcast_connections", &["http/1.0"]) - 1.0).abs() < 0.1);
    streams.truncate(2);
    eventually("three are gone", || (open(&proxy) - 3.0).abs() < 0.1);
    last.stream()
        .shutdown(Shutdown::Both)
        .expect("open until now");
    drop(streams);
    eventually("all are gone", || open(&proxy) < 0.1);
    let left = proxy.metric("pollcast_connections_closed_total", &["client_left"]);
    let broken = proxy.metric("pollcast_connections_closed_total", &["connection_broken"]);
    assert!((left + broken - 6.0).abs() < 0.1, "{left} {broken}");
    nobody_panicked(&proxy);
}

#[test]
fn a_client_that_has_closed_its_own_end_reads_on() {
    let (upstream, document) = Upstream::with_document("[0]");
    let proxy = Proxy::with_feed(&upstream.url(), ", deliver: { heartbeat: 2s }");
    let mut stream = subscribe(proxy.address(), "/feed?mode=snapshot");
    stream.stream().shutdown(Shutdown::Write).expect("open");
    stream.expect("snapshot");
    for number in 1..4 {
        // It is written to, to see whether it is still there.
        assert_eq!(stream.block(), Some(Block::Comment));
        *document.lock().unwrap() = format!("[{number}]");
        assert_eq!(
            stream.event().expect("an event").data,
            format!("[{number}]")
        );
    }
    assert!((open(&proxy) - 1.0).abs() < 0.1);
    drop(stream);
    eventually("it is gone", || open(&proxy) < 0.1);
}

#[test]
fn a_stream_that_has_lasted_long_enough_ends_properly_and_is_resumed_without_a_loss() {
    let (upstream, document) = Upstream::with_document("[0]");
    let proxy = Proxy::with_feed(&upstream.url(), ", deliver: { max_lifetime: 1s }");
    let mut last = subscribe(proxy.address(), "/feed?mode=snapshot")
        .expect("snapshot")
        .id;
    for number in 1..4 {
        let mut stream = resume(
            proxy.address(),
            "/feed?mode=snapshot",
            &last.expect("an id"),
        );
        assert!(matches!(stream.block(), Some(Block::Retry(_))));
        *document.lock().unwrap() = format!("[{number}]");
        let event = stream.event().expect("an event");
        assert_eq!(event.data, format!("[{number}]"));
        last = event.id;
        assert!(matches!(stream.block(), Some(Block::Retry(_))));
        assert_eq!(stream.block(), None, "the body ends as it should");
    }
    let ended = || proxy.metric("pollcast_connections_closed_total", &["max_lifetime"]);
    eventually("they are counted", || ended() >= 3.0);
}

#[test]
fn what_a_client_sends_after_its_request_is_not_looked_at() {
    let (upstream, document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let head = "GET /feed HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n";
    let pipelined = "GET /pipelined HTTP/1.1\r\nhost: a\r\n\r\n".repeat(100);
    for request in [
        format!("{head}\r\n{pipelined}"),
        format!("{head}content-length: 5\r\n\r\nabcde"),
        format!("{head}content-length: 500\r\n\r\nabcde"),
        format!("{head}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    ] {
        let mut stream = raw(proxy.address(), request.as_bytes());
        stream.expect("snapshot");
        let mut socket = stream.stream();
        socket.write_all(pipelined.as_bytes()).expect("it is read");
        let long: String = format!("[\"{}\"]", "x".repeat(upstream.count("/feed") + 100));
        document.lock().unwrap().clone_from(&long);
        assert_eq!(stream.event().expect("an event").name, "snapshot");
    }
    assert_eq!(upstream.count("/pipelined"), 0);
    nobody_panicked(&proxy);
}

#[test]
fn a_client_that_never_stops_sending_is_cut_off() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    let mut socket = stream.stream();
    eventually("it is cut off", || {
        socket.write_all(&[b'x'; 16 * 1024]).is_err()
    });
    eventually("and counted", || {
        proxy.metric("pollcast_connections_closed_total", &["client_chatter"]) > 0.5
    });
    assert!(open(&proxy) < 0.1);
}

#[test]
fn the_gauge_is_exact_after_much_coming_and_going() {
    let (upstream, document) = Upstream::with_document("[0]");
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let mut kept = subscribe(proxy.address(), "/feed");
    kept.expect("snapshot");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let churn = (0..4).map(|worker| {
            let address = proxy.address();
            scope.spawn(move || {
                for round in 0..50 {
                    let mut stream = subscribe(address, "/feed");
                    // Some read, some leave at once.
                    if (round + worker) % 2 == 0 {
                        stream.event().expect("an event");
                    }
                }
            })
        });
        let churn: Vec<_> = churn.collect();
        scope.spawn(|| {
            let mut number = 0;
            while !done.load(Ordering::SeqCst) {
                number += 1;
                *document.lock().unwrap() = format!("[{number}]");
                std::thread::yield_now();
            }
        });
        for worker in churn {
            worker.join().expect("no panic");
        }
        done.store(true, Ordering::SeqCst);
    });
    eventually("only one is left", || (open(&proxy) - 1.0).abs() < 0.1);
    let opened = proxy.metric("pollcast_connections_opened_total", &[]);
    let closed = proxy.metric("pollcast_connections_closed_total", &[]);
    assert!((opened - closed - 1.0).abs() < 0.1, "{opened} {closed}");
    drop(kept);
    eventually("nobody is left", || open(&proxy) < 0.1);
    nobody_panicked(&proxy);
}
