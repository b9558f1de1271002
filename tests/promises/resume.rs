//! A client that comes back goes on where it was, or is told that it cannot.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::client::{Response, get, raw, resume, subscribe};
use crate::support::proxy::Proxy;
use crate::support::replica::Replica;
use crate::support::stage::{Stage, numbered};
use crate::support::{Dice, PATIENCE};

const QUICK: &str = ", poll: { interval: 20ms }";

/// Publishes documents up to `last` one by one, seen by a first subscriber. Returns every id, the
/// first document's first.
fn history(stage: &Stage, proxy: &Proxy, last: u64) -> Vec<String> {
    let mut stream = subscribe(proxy.address(), "/feed");
    let mut ids = vec![stream.expect("snapshot").id.expect("an id")];
    for n in 2..=last {
        stage.serves(numbered(n));
        ids.push(stream.expect("patch").id.expect("an id"));
    }
    ids
}

fn expect_patches(stream: &mut Response, ids: &[String], from: u64) {
    for (n, id) in (from..).zip(ids) {
        let patch = stream.expect("patch");
        assert_eq!(patch.id.as_ref(), Some(id));
        assert_eq!(patch.value[0]["value"], json!(n));
    }
}

/// What follows is live: no repeat, no gap.
fn goes_on(stage: &Stage, stream: &mut Response, n: u64) {
    stage.serves(numbered(n));
    assert_eq!(stream.expect("patch").value[0]["value"], json!(n));
}

#[test]
fn exactly_the_missed_events_by_header_or_query_and_the_header_wins() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::with_feed(&stage.url(), QUICK);
    let ids = history(&stage, &proxy, 6);
    for (known, missed) in ids.iter().zip(1..) {
        let query = format!("/feed?last_event_id={known}");
        for mut stream in [
            resume(proxy.address(), "/feed", known),
            subscribe(proxy.address(), &query),
            resume(proxy.address(), "/feed?last_event_id=garbage", known),
            resume(
                proxy.address(),
                &format!("/feed?last_event_id={}", ids[5]),
                known,
            ),
        ] {
            assert_eq!(stream.status, 200);
            expect_patches(&mut stream, &ids[missed..], missed as u64 + 1);
        }
    }
    let mut newest = resume(proxy.address(), "/feed", &ids[5]);
    newest.block();
    assert!(newest.silence(Duration::from_millis(100)), "nothing missed");
    goes_on(&stage, &mut newest, 7);
}

#[test]
fn missed_events_that_are_larger_than_the_snapshot_become_one() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::with_feed(&stage.url(), QUICK);
    // Each patch has about 45 bytes, the document 420.
    let ids = history(&stage, &proxy, 14);
    let mut few = resume(proxy.address(), "/feed", &ids[10]);
    expect_patches(&mut few, &ids[11..], 12);
    let mut many = resume(proxy.address(), "/feed", &ids[0]);
    let snapshot = many.expect("snapshot");
    assert_eq!(snapshot.value["n"], json!(14));
    assert_eq!(snapshot.id.as_ref(), ids.last());
    goes_on(&stage, &mut many, 15);
}

#[test]
fn mode_snapshot_gets_the_newest_only() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::with_feed(&stage.url(), QUICK);
    let ids = history(&stage, &proxy, 4);
    let mut stream = resume(proxy.address(), "/feed?mode=snapshot", &ids[0]);
    let snapshot = stream.expect("snapshot");
    assert_eq!(snapshot.value["n"], json!(4));
    assert_eq!(snapshot.id.as_ref(), ids.last());
    let mut newest = resume(proxy.address(), "/feed?mode=snapshot", &ids[3]);
    newest.block();
    assert!(newest.silence(Duration::from_millis(100)));
    stage.serves(numbered(5));
    assert_eq!(newest.expect("snapshot").value["n"], json!(5));
    // Ids do not depend on the mode.
    let mut patches = resume(proxy.address(), "/feed", &ids[3]);
    assert_eq!(patches.expect("patch").value[0]["value"], json!(5));
}

fn expect_reset(stream: &mut Response, reason: &str, n: u64) {
    assert_eq!(stream.status, 200);
    let reset = stream.expect("reset");
    assert_eq!(reset.data, format!(r#"{{"reason":"{reason}"}}"#));
    assert_eq!(reset.id, None);
    assert_eq!(stream.expect("snapshot").value["n"], json!(n));
}

#[test]
fn a_trimmed_position_is_expired() {
    let stage = Stage::serving(numbered(1));
    let feed = format!("{QUICK}, events: {{ history: {{ events: 3 }} }}");
    let proxy = Proxy::with_feed(&stage.url(), &feed);
    let ids = history(&stage, &proxy, 8);
    for known in &ids[..4] {
        expect_reset(&mut resume(proxy.address(), "/feed", known), "expired", 8);
    }
    let mut oldest = resume(proxy.address(), "/feed", &ids[4]);
    expect_patches(&mut oldest, &ids[5..], 6);
    goes_on(&stage, &mut oldest, 9);
}

#[test]
fn an_unknown_position_is_reset_whatever_it_is() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::start(&format!(
        "upstreams: {{ legacy: {{ url: \"{}\" }} }}\nfeeds:\n\
         \x20 - {{ path: /feed, upstream: legacy, poll: {{ interval: 20ms }} }}\n\
         \x20 - {{ path: /other, upstream: legacy, poll: {{ interval: 20ms }} }}\n",
        stage.url()
    ));
    let ids = history(&stage, &proxy, 2);
    let other = subscribe(proxy.address(), "/other").expect("snapshot").id;
    let epoch = ids[0].strip_suffix('1').unwrap();
    let mut strange = vec![
        "garbage".to_owned(),
        "1".to_owned(),
        "-".to_owned(),
        other.expect("an id"),
        "x".repeat(10 << 10),
        format!("{epoch}{}", "9".repeat(10 << 10)),
        format!("{}-1", "0".repeat(16)),
    ];
    for sequence in [
        "0",
        "3",
        "-1",
        "+1",
        "01",
        "1.0",
        "18446744073709551615",
        "18446744073709551616",
    ] {
        strange.push(format!("{epoch}{sequence}"));
    }
    for id in &strange {
        expect_reset(&mut resume(proxy.address(), "/feed", id), "unknown_id", 2);
    }
    let one = &ids[0];
    for query in [
        "%00".to_owned(),
        format!("{one}%00"),
        format!("{one}%0a"),
        format!("%20{one}"),
        "%ff%fe".to_owned(),
        "%".to_owned(),
        "%0d%0aevent:%20forged".to_owned(),
        "a".repeat(10 << 10),
    ] {
        let target = format!("/feed?last_event_id={query}");
        expect_reset(&mut subscribe(proxy.address(), &target), "unknown_id", 2);
    }
    // Bytes that are no text in the header, too.
    let mut request = format!(
        "GET /feed HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\nlast-event-id: {epoch}"
    )
    .into_bytes();
    request.extend_from_slice(b"\xff\xfe\r\n\r\n");
    expect_reset(&mut raw(proxy.address(), &request), "unknown_id", 2);
    let resets = proxy.metric("pollcast_subscriptions_total", &["unknown_id"]);
    assert!(resets > strange.len() as f64, "{resets}");
    assert_eq!(proxy.admin("/healthz").0, 200);
}

#[test]
fn an_empty_position_is_none() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::with_feed(&stage.url(), QUICK);
    let mut stream = subscribe(proxy.address(), "/feed?last_event_id=");
    assert_eq!(stream.expect("snapshot").value["n"], json!(1));
    let headers = [("accept", "text/event-stream"), ("last-event-id", "")];
    let mut stream = get(proxy.address(), "/feed", &headers);
    assert_eq!(stream.expect("snapshot").value["n"], json!(1));
}

#[test]
fn a_restarted_proxy_knows_no_position_of_its_former_life() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::with_feed(&stage.url(), QUICK);
    let ids = history(&stage, &proxy, 3);
    drop(proxy);
    let proxy = Proxy::with_feed(&stage.url(), QUICK);
    for id in &ids {
        expect_reset(&mut resume(proxy.address(), "/feed", id), "unknown_id", 3);
    }
}

/// The documents of a long run: rows come, change, move and go.
fn documents(count: usize) -> Vec<Value> {
    let mut dice = Dice(7);
    let mut rows: Vec<Value> = Vec::new();
    (0..count)
        .map(|step| {
            match dice.below(4) {
                0 => rows.insert(
                    dice.below(rows.len() as u64 + 1) as usize,
                    json!({"id": step, "name": format!("row {step}"), "n": 1.5}),
                ),
                1 if rows.len() > 8 => drop(rows.remove(dice.below(8) as usize)),
                2 if rows.len() > 2 => rows.rotate_left(1),
                _ => {
                    let at = dice.below(rows.len().max(1) as u64) as usize;
                    if let Some(row) = rows.get_mut(at) {
                        row["n"] = json!(dice.below(1000));
                    }
                }
            }
            json!({"step": step, "rows": rows})
        })
        .collect()
}

#[test]
fn whoever_is_cut_off_at_random_holds_only_what_was_served_in_order() {
    const STEPS: usize = 300;
    let served = documents(STEPS);
    let stage = Stage::serving(served[0].to_string());
    let feed = ", poll: { interval: 10ms }, document: { key: id }, \
                events: { history: { events: 12 } }";
    let proxy = Proxy::with_feed(&stage.url(), feed);
    let mut watcher = subscribe(proxy.address(), "/feed");
    watcher.expect("snapshot");
    let address = proxy.address();
    let readers: Vec<_> = (0..4)
        .map(|seed| {
            let served = served.clone();
            let mode = if seed == 3 { "snapshot" } else { "patch" };
            std::thread::spawn(move || {
                read_with_disconnects(address, &format!("/feed?mode={mode}"), &served, seed);
            })
        })
        .collect();
    for document in &served[1..] {
        stage.serves(document.to_string());
        watcher.event().expect("the change");
    }
    for reader in readers {
        reader.join().expect("a reader is satisfied");
    }
}

fn read_with_disconnects(address: std::net::SocketAddr, target: &str, served: &[Value], seed: u64) {
    let (mut dice, mut replica) = (Dice(seed), Replica::default());
    let mut at = None;
    let deadline = Instant::now() + 4 * PATIENCE;
    while at != Some(served.len() as u64 - 1) {
        assert!(Instant::now() < deadline, "stuck at {at:?}");
        let mut stream = match &replica.last_id {
            Some(id) => resume(address, target, id),
            None => subscribe(address, target),
        };
        for _ in 0..dice.below(40) {
            let Some(event) = stream.event() else { break };
            replica.take(&event);
            let held = replica.document.as_ref();
            let Some(step) = held.and_then(|held| held["step"].as_u64()) else {
                continue;
            };
            assert_eq!(held, served.get(step as usize), "a document never served");
            assert!(at.is_none_or(|at| at <= step), "back from {at:?} to {step}");
            at = Some(step);
            if step == served.len() as u64 - 1 {
                break;
            }
        }
        drop(stream);
        std::thread::sleep(Duration::from_millis(dice.below(60)));
    }
}
