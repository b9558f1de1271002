//! Clients that stop, drip, vanish or come in crowds: they harm nobody but themselves, and hold
//! nothing but true states.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::{Block, Event, Response, over, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::replica::Replica;
use crate::support::socket::{Socket, unplug};
use crate::support::stage::Stage;
use crate::support::upstream::Reply;

const ASK: &[u8] = b"GET /feed HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n";

/// A document with this number, in which nothing can be wrong without being seen.
fn document(n: u64, bytes: usize) -> Value {
    let unit = format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    json!({"n": n, "text": unit.repeat(bytes / unit.len())})
}

/// The document's number, if it is whole.
#[track_caller]
fn number(document: &Value) -> u64 {
    let n = document["n"].as_u64().expect("a number");
    let bytes = document["text"].as_str().expect("a text").len();
    assert_eq!(
        *document,
        self::document(n, bytes),
        "a state that never was"
    );
    n
}

/// An upstream whose document is another one with each poll, and the number of the newest; it
/// stands still while that is above the limit.
fn flood(bytes: usize) -> (Stage, Arc<AtomicU64>, Arc<AtomicU64>) {
    let newest = Arc::new(AtomicU64::new(0));
    let limit = Arc::new(AtomicU64::new(u64::MAX));
    let (served, last) = (Arc::clone(&newest), Arc::clone(&limit));
    let stage = Stage::new(move |_| {
        let n = served.load(Ordering::SeqCst);
        let n = (n + 1).min(last.load(Ordering::SeqCst)).max(n);
        served.store(n, Ordering::SeqCst);
        Reply::json(document(n, bytes).to_string())
    });
    (stage, newest, limit)
}

fn feed(write_timeout: &str, events: usize) -> String {
    format!(
        ", poll: {{ interval: 20ms }}, \
         events: {{ mode: snapshot, modes: [snapshot], history: {{ events: {events} }} }}, \
         deliver: {{ write_timeout: {write_timeout} }}"
    )
}

/// Subscribes and never reads a byte.
fn frozen(proxy: &Proxy) -> TcpStream {
    let mut stream = Socket::narrow().connect(proxy.address());
    stream.write_all(ASK).expect("a request");
    stream
}

/// Reads this many documents, each newer than the one before.
fn read(stream: &mut Response, documents: usize) -> u64 {
    let mut last = 0;
    for _ in 0..documents {
        let n = number(&stream.expect("snapshot").value);
        assert!(n > last, "{n} after {last}");
        last = n;
    }
    last
}

fn closed(proxy: &Proxy, reason: &str) -> f64 {
    let label = format!("reason=\"{reason}\"");
    proxy.metric("pollcast_connections_closed_total", &[&label])
}

#[test]
fn a_hundred_clients_that_read_nothing_cost_nothing_and_are_cut_off() {
    const FROZEN: usize = 100;
    const BYTES: usize = 64 << 10;
    let (stage, _newest, _limit) = flood(BYTES);
    let proxy = Proxy::with_feed(&stage.url(), &feed("5s", 50));
    let mut other = subscribe(proxy.address(), "/feed");
    read(&mut other, 20);
    let before = proxy.resident();
    let frozen: Vec<_> = (0..FROZEN).map(|_| frozen(&proxy)).collect();
    let mut most = 0;
    eventually("they are cut off", || {
        read(&mut other, 10);
        most = most.max(proxy.resident());
        closed(&proxy, "write_timeout") > FROZEN as f64 - 0.5
    });
    let grown = most.saturating_sub(before);
    // Each of them might have pinned a frame of its own, and a queue of them as well.
    assert!(grown < FROZEN * BYTES * 2, "{grown} bytes more");
    // What they skipped nobody else did.
    let lagged = proxy.metric("pollcast_subscribers_lagged_total", &[]);
    assert!(lagged < 0.5, "{lagged}: nobody was given another document");
    assert!((proxy.metric("pollcast_connections", &[]) - 1.0).abs() < 0.1);
    drop(frozen);
}

#[test]
fn a_client_whose_machine_lost_power_is_cut_off() {
    let (stage, _newest, _limit) = flood(64 << 10);
    let proxy = Proxy::with_feed(&stage.url(), &feed("1s", 50));
    let mut other = subscribe(proxy.address(), "/feed");
    let mut gone: Vec<_> = (0..5)
        .map(|_| subscribe(proxy.address(), "/feed"))
        .collect();
    for stream in &mut gone {
        read(stream, 3);
    }
    gone.iter().for_each(|stream| unplug(stream.stream()));
    eventually("they are cut off", || {
        read(&mut other, 5);
        closed(&proxy, "write_timeout") > 4.5
    });
    assert!((proxy.metric("pollcast_connections", &[]) - 1.0).abs() < 0.1);
}

#[test]
fn a_reader_that_takes_a_byte_now_and_then_is_cut_off_within_a_frame() {
    let (stage, _newest, _limit) = flood(64 << 10);
    let proxy = Proxy::with_feed(&stage.url(), &feed("1s", 50));
    let mut drip = over(Socket::narrow().connect(proxy.address()), ASK);
    // It always takes something, but at this pace a frame would take days.
    let pace = Duration::from_millis(100);
    eventually("it is cut off", || {
        std::thread::sleep(pace);
        drip.byte();
        closed(&proxy, "write_timeout") > 0.5
    });
}

#[test]
fn a_slow_reader_holds_only_true_states_and_is_told_what_it_missed() {
    let (stage, newest, limit) = flood(64 << 10);
    let proxy = Proxy::with_feed(&stage.url(), &feed("10m", 8));
    let socket = Socket {
        receive_buffer: Some(16 << 10),
        ..Socket::default()
    };
    let mut slow = over(socket.connect(proxy.address()), ASK);
    let (mut last, mut last_id, mut skipped, mut resets) = (0, 0, 0, 0);
    loop {
        // Slower than documents come, and never in step with them.
        if newest.load(Ordering::SeqCst) < limit.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(100));
        }
        let event = slow.event().expect("an event");
        if event.name == "reset" {
            assert_eq!(event.value, json!({"reason": "lagged"}));
            resets += 1;
            let next = slow.expect("snapshot");
            assert!(next.id.is_some());
            take(&next, &mut last, &mut last_id, &mut skipped);
        } else {
            assert_eq!(event.name, "snapshot");
            take(&event, &mut last, &mut last_id, &mut skipped);
        }
        if resets == 3 && limit.load(Ordering::SeqCst) == u64::MAX {
            let enough = newest.load(Ordering::SeqCst) + 20;
            limit.store(enough, Ordering::SeqCst);
        }
        if last == limit.load(Ordering::SeqCst) {
            break;
        }
    }
    // Exactly what it did not get is counted: it was alone.
    let counted = proxy.metric("pollcast_events_skipped_total", &[]);
    assert!(
        (counted - skipped as f64).abs() < 0.1,
        "{counted} {skipped}"
    );
    let lagged = proxy.metric("pollcast_subscribers_lagged_total", &[]);
    assert!(
        (lagged - f64::from(resets)).abs() < 0.1,
        "{lagged} {resets}"
    );
}

/// One document of a slow reader: newer than the last, and numbered as what lies between says.
fn take(event: &Event, last: &mut u64, last_id: &mut u64, skipped: &mut u64) {
    let n = number(&event.value);
    assert!(n > *last, "{n} after {last}");
    *last = n;
    let id = event.id.as_deref().expect("an id");
    let (_, sequence) = id.rsplit_once('-').expect("an id");
    let sequence: u64 = sequence.parse().expect("a sequence");
    // What was before the first is not missed.
    if *last_id > 0 {
        *skipped += sequence - *last_id - 1;
    }
    *last_id = sequence;
}

#[test]
fn a_crowd_that_resumes_at_once_gets_exactly_what_it_missed() {
    const CROWD: usize = 500;
    const CHANGES: u64 = 120;
    // A long text that stays and a number that changes: patches are small.
    let state = |n: u64| json!({"n": n, "text": "unchanged ".repeat(400)});
    let stage = Stage::serving(state(0).to_string());
    let proxy = Proxy::with_feed(
        &stage.url(),
        ", poll: { interval: 10ms }, events: { history: { events: 100 } }",
    );
    let mut first = subscribe(proxy.address(), "/feed");
    let mut replica = Replica::default();
    replica.take(&first.expect("snapshot"));
    // What was true at each id.
    let mut past = vec![(replica.last_id.clone(), replica.document.clone())];
    for n in 1..=CHANGES {
        stage.serves(state(n).to_string());
        replica.take(&first.expect("patch"));
        assert_eq!(replica.document, Some(state(n)));
        past.push((replica.last_id.clone(), replica.document.clone()));
    }
    let before = proxy.resident();
    let crowd: Vec<_> = (0..CROWD)
        .map(|one| {
            let (id, document) = past[one % past.len()].clone();
            let id = id.expect("an id");
            let mut stream = TcpStream::connect(proxy.address()).expect("the proxy accepts");
            let ask = format!(
                "GET /feed HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\nlast-event-id: \
                 {id}\r\n\r\n"
            );
            stream.write_all(ask.as_bytes()).expect("a request");
            let replica = Replica {
                document,
                last_id: Some(id),
            };
            (stream, replica, one % past.len())
        })
        .collect();
    let (last_id, last) = past.last().expect("the newest");
    for (stream, mut replica, position) in crowd {
        let mut stream = over(stream, b"");
        let mut events = 0;
        while replica.last_id != *last_id {
            let event = stream.event().expect("an event");
            if event.name == "reset" {
                assert_eq!(event.value["reason"], "expired");
                assert!(position <= 20, "{position} is still known");
            }
            events += 1;
            replica.take(&event);
        }
        assert_eq!(replica.document, *last);
        let missed = past.len() - 1 - position;
        let expired = missed > 100;
        // The snapshot, where that is shorter than so many patches; never one patch too many.
        assert!(
            events <= missed || (expired && events == 2),
            "{position}: {events}"
        );
    }
    let grown = proxy.resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
}

#[test]
fn frozen_clients_hold_a_process_that_leaves_no_longer_than_allowed_and_live_ones_end_properly() {
    // Patches are small, and the first snapshot is more than a frozen client's connection takes.
    let state = |n: u64| json!({"n": n, "text": "x".repeat(512 << 10)}).to_string();
    let counter = AtomicU64::new(0);
    let stage = Stage::new(move |_| Reply::json(state(counter.fetch_add(1, Ordering::SeqCst))));
    let mut proxy = Proxy::start(&format!(
        "server: {{ listen: \"127.0.0.1:0\", drain: 2s }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 50ms }}, \
         deliver: {{ write_timeout: 10m }} }}]\n",
        stage.url()
    ));
    let frozen: Vec<_> = (0..100).map(|_| frozen(&proxy)).collect();
    let mut live: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = subscribe(proxy.address(), "/feed");
            stream.expect("snapshot");
            stream
        })
        .collect();
    eventually("all are served", || {
        proxy.metric("pollcast_connections", &[]) > 199.5
    });
    for stream in &mut live {
        stream.expect("patch");
    }
    proxy.signal("TERM");
    for mut stream in live {
        let mut last = None;
        while let Some(block) = stream.block() {
            last = Some(block);
        }
        assert!(matches!(last, Some(Block::Retry(_))), "{last:?}");
    }
    assert_eq!(proxy.exit_status().code(), Some(0), "{}", proxy.log());
    drop(frozen);
}
