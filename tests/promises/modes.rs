//! Four forms of the same change, under the same ids.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::{Block, Event, Response, resume, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::replica::{Replica, Shelf};
use crate::support::stage::Stage;

const EVERY_MODE: &str = ", poll: { interval: 20ms }, document: { key: id, items: /rows }, \
                          events: { modes: [patch, merge, items, snapshot] }";

/// A document whose text is long enough to make every other form the smaller one.
fn document(total: Value, rows: Value) -> String {
    json!({"total": total, "rows": rows, "text": "unchanged ".repeat(60)}).to_string()
}

fn row(id: u64, n: u64) -> Value {
    json!({"id": id, "name": format!("row {id}"), "n": n})
}

fn watch(proxy: &Proxy, mode: &str) -> (Response, String) {
    let mut stream = subscribe(proxy.address(), &format!("/feed?mode={mode}"));
    let id = stream.expect("snapshot").id.expect("an id");
    (stream, id)
}

fn come_back(proxy: &Proxy, mode: &str, id: &str) -> Response {
    resume(proxy.address(), &format!("/feed?mode={mode}"), id)
}

/// The events of one change: up to the one that carries an id, which ends in this sequence.
fn change(stream: &mut Response, sequence: u64) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        let event = stream.event().expect("an event");
        let id = event.id.clone();
        events.push(event);
        if let Some(id) = id {
            assert!(id.ends_with(&format!("-{sequence}")), "{id}: {events:?}");
            return events;
        }
    }
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

#[test]
fn mode_merge_sends_rfc_7396_objects() {
    let stage = Stage::serving(document(json!(1), json!([row(1, 1)])));
    let proxy = Proxy::with_feed(&stage.url(), EVERY_MODE);
    let (mut stream, id) = watch(&proxy, "merge");
    stage.serves(document(json!(2.50), json!([row(1, 1)])));
    let merge = stream.expect("merge");
    assert_eq!(merge.data, r#"{"total":2.5}"#);
    assert_eq!(merge.id, Some(id.replace("-1", "-2")));
    stage.serves(r#"{"text":"all is short now"}"#);
    assert_eq!(
        stream.expect("snapshot").data,
        r#"{"text":"all is short now"}"#,
        "the smaller one"
    );
    eventually("it is counted", || {
        proxy.metric("pollcast_events_delivered_total", &["merge"]) > 0.5
    });
}

#[test]
fn what_merge_cannot_say_is_a_snapshot() {
    let rows = json!([row(1, 1)]);
    let stage = Stage::serving(document(json!(1), rows.clone()));
    let proxy = Proxy::with_feed(&stage.url(), EVERY_MODE);
    let (mut stream, _) = watch(&proxy, "merge");
    let mut replica = Replica::default();
    for (total, name) in [
        (json!(null), "snapshot"),
        (json!(2), "merge"),
        (json!({"a": {"b": null}}), "snapshot"),
        (json!({"a": {"c": 1}}), "merge"),
        (json!([null, {"b": null}]), "merge"),
    ] {
        stage.serves(document(total.clone(), rows.clone()));
        replica.take(&stream.expect(name));
        assert_eq!(replica.document.as_ref().unwrap()["total"], total);
    }
    let array = format!("[{}]", document(json!(1), rows));
    for n in 1..3 {
        stage.serves(array.replace("\"total\":1", &format!("\"total\":{n}")));
        stream.expect("snapshot");
    }
}

#[test]
fn mode_items_tells_what_became_of_each_row_with_one_id_on_the_last() {
    let stage = Stage::serving(document(json!(1), json!([row(1, 1), row(2, 2), row(3, 3)])));
    let proxy = Proxy::with_feed(&stage.url(), EVERY_MODE);
    let (mut stream, _) = watch(&proxy, "items");
    stage.serves(document(json!(1), json!([row(4, 4), row(1, 1), row(3, 7)])));
    let events = change(&mut stream, 2);
    let mut told: Vec<_> = events.iter().map(|e| (&*e.name, e.value.clone())).collect();
    told.sort_by_key(|(name, _)| name.to_owned());
    assert_eq!(
        told,
        [
            ("added", json!({"key": 4, "item": row(4, 4)})),
            (
                "changed",
                json!({"key": 3, "item": row(3, 7),
                       "patch": [{"op": "replace", "path": "/n", "value": 7}]})
            ),
            ("removed", json!({"key": 2, "item": row(2, 2)})),
        ]
    );
    for kind in ["added", "changed", "removed"] {
        eventually("it is counted by its type", || {
            (proxy.metric("pollcast_events_delivered_total", &[kind]) - 1.0).abs() < 0.1
        });
    }
}

#[test]
fn mode_items_takes_the_members_of_an_object_by_name() {
    let rest = "unchanged ".repeat(60);
    let stage = Stage::serving(json!({"a": rest, "b": {"n": 1}}).to_string());
    let feed = ", poll: { interval: 20ms }, events: { mode: items, modes: [items] }";
    let proxy = Proxy::with_feed(&stage.url(), feed);
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    stage.serves(json!({"a": rest, "b": {"n": 2}, "c": null}).to_string());
    let events = change(&mut stream, 2);
    let mut shelf = Shelf::new("", "").holding(&json!({"a": rest, "b": {"n": 1}}));
    events.iter().for_each(|event| shelf.take(event));
    assert_eq!(
        shelf.items,
        Shelf::new("", "")
            .holding(&json!({"a": rest, "b": {"n": 2}, "c": null}))
            .items
    );
    assert_eq!(events[0].value["key"], "b");
}

#[test]
fn what_items_cannot_say_is_a_snapshot() {
    let good = json!([row(1, 1), row(2, 2)]);
    let stage = Stage::serving(document(json!(1), good.clone()));
    let proxy = Proxy::with_feed(&stage.url(), EVERY_MODE);
    let (mut stream, _) = watch(&proxy, "items");
    let wrong = [
        document(json!(1), json!([row(1, 1), row(1, 2)])),
        document(json!(1), json!([row(1, 1), {"name": "no key"}])),
        document(json!(1), json!([row(1, 1), {"id": null}])),
        document(json!(1), json!([row(1, 1), 7])),
        document(json!(1), json!({"a": 1})),
        document(json!(2), good.clone()),
    ];
    for (document, sequence) in wrong.iter().zip((2..).step_by(2)) {
        stage.serves(document.clone());
        assert_eq!(names(&change(&mut stream, sequence)), ["snapshot"]);
        // There and back: what was wrong before cannot be told either.
        stage.serves(self::document(json!(1), good.clone()));
        assert_eq!(names(&change(&mut stream, sequence + 1)), ["snapshot"]);
    }
    let last = 2 + 2 * wrong.len() as u64;
    stage.serves(document(json!(1), json!([row(1, 1)])));
    assert_eq!(names(&change(&mut stream, last)), ["removed"]);
}

#[test]
fn rows_in_another_order_are_no_event_and_a_new_id() {
    let stage = Stage::serving(document(json!(1), json!([row(1, 1), row(2, 2)])));
    let proxy = Proxy::with_feed(&stage.url(), EVERY_MODE);
    let (mut stream, _) = watch(&proxy, "items");
    let (mut patches, _) = watch(&proxy, "patch");
    stage.serves(document(json!(1), json!([row(2, 2), row(1, 1)])));
    let Some(Block::Id(id)) = stream.block() else {
        panic!("an id alone");
    };
    assert_eq!(patches.expect("patch").id.as_ref(), Some(&id));
    let mut back = come_back(&proxy, "items", &id);
    assert!(matches!(back.block(), Some(Block::Retry(_))));
    assert!(back.silence(Duration::from_millis(100)), "nothing missed");
    stage.serves(document(json!(1), json!([row(2, 2)])));
    for stream in [&mut stream, &mut back] {
        assert_eq!(names(&change(stream, 3)), ["removed"]);
    }
}

#[test]
fn a_client_that_was_cut_off_within_a_change_gets_all_of_it_again() {
    let stage = Stage::serving(document(json!(1), json!([row(1, 1), row(2, 2)])));
    let proxy = Proxy::with_feed(&stage.url(), EVERY_MODE);
    let (mut stream, id) = watch(&proxy, "items");
    let mut shelf = Shelf::new("/rows", "id");
    shelf = shelf.holding(&json!({"rows": [row(1, 1), row(2, 2)]}));
    let rows = json!([row(2, 5), row(3, 3), row(4, 4)]);
    stage.serves(document(json!(1), rows.clone()));
    for _ in 0..2 {
        let event = stream.event().expect("an event");
        assert_eq!(event.id, None, "not the last");
        shelf.take(&event);
    }
    drop(stream);
    let mut stream = come_back(&proxy, "items", &id);
    let events = change(&mut stream, 2);
    assert_eq!(events.len(), 4);
    events.iter().for_each(|event| shelf.take(event));
    let whole = Shelf::new("/rows", "id").holding(&json!({"rows": rows}));
    assert_eq!(shelf.items, whole.items);
}

#[test]
fn a_position_is_good_in_every_mode() {
    let stage = Stage::serving(document(json!(1), json!([row(1, 0)])));
    let proxy = Proxy::with_feed(&stage.url(), EVERY_MODE);
    let modes = ["patch", "merge", "items"];
    let mut watchers: Vec<_> = modes.iter().map(|mode| watch(&proxy, mode)).collect();
    let id = watchers[0].1.clone();
    for n in 1..4 {
        stage.serves(document(json!(1), json!([row(1, n)])));
        for (stream, _) in &mut watchers {
            change(stream, n + 1);
        }
    }
    for (mode, name) in modes.iter().zip(["patch", "merge", "changed"]) {
        let mut stream = come_back(&proxy, mode, &id);
        for n in 2..5 {
            assert_eq!(names(&change(&mut stream, n)), [name]);
        }
    }
    let mut stream = come_back(&proxy, "snapshot", &id);
    assert_eq!(names(&change(&mut stream, 4)), ["snapshot"]);
}

#[test]
fn a_missed_change_that_was_not_encoded_is_one_snapshot_without_reset() {
    let stage = Stage::serving(document(json!(0), json!([])));
    let proxy = Proxy::with_feed(&stage.url(), EVERY_MODE);
    let (mut patches, id) = watch(&proxy, "patch");
    for n in 1..4 {
        stage.serves(document(json!(n), json!([])));
        patches.expect("patch");
    }
    let mut stream = come_back(&proxy, "merge", &id);
    assert_eq!(names(&change(&mut stream, 4)), ["snapshot"]);
    stage.serves(document(json!(4), json!([])));
    assert_eq!(names(&change(&mut stream, 5)), ["merge"]);
    assert!(proxy.metric("pollcast_subscriptions_total", &["condensed"]) > 0.5);
}

#[test]
fn what_nobody_listens_for_is_not_encoded() {
    let stage = Stage::serving(document(json!(0), json!([])));
    let proxy = Proxy::with_feed(&stage.url(), EVERY_MODE);
    let encoded = |form: &str| proxy.metric("pollcast_encoded_bytes_total", &[form]) > 0.5;
    let (mut snapshots, _) = watch(&proxy, "snapshot");
    stage.serves(document(json!(1), json!([])));
    change(&mut snapshots, 2);
    assert!(!encoded("patch") && !encoded("merge") && !encoded("items"));
    let (mut merges, _) = watch(&proxy, "merge");
    stage.serves(document(json!(2), json!([])));
    assert_eq!(names(&change(&mut merges, 3)), ["merge"]);
    assert!(encoded("merge") && !encoded("patch") && !encoded("items"));
    let published = |form: &str| proxy.metric("pollcast_events_published_total", &[form]);
    assert!((published("snapshot") - 2.0).abs() < 0.1);
    assert!((published("merge") - 1.0).abs() < 0.1);
}

/// The proxy as [`EVERY_MODE`], with more about polling. A client of mode `merge` leaves, then the
/// document changes; what it gets when it comes back.
fn told_after_leaving(polling: &str, more: &str) -> String {
    let stage = Stage::serving(document(json!(0), json!([])));
    let feed = EVERY_MODE.replace("20ms", &format!("20ms, {polling}"));
    let proxy = Proxy::with_feed(
        &stage.url(),
        &feed.replace("modes:", &format!("{more}modes:")),
    );
    let (mut snapshots, _) = watch(&proxy, "snapshot");
    let (merges, id) = watch(&proxy, "merge");
    drop(merges);
    eventually("it is gone", || {
        proxy.metric("pollcast_connections", &[]) < 1.5
    });
    stage.serves(document(json!(1), json!([])));
    change(&mut snapshots, 2);
    let mut stream = come_back(&proxy, "merge", &id);
    change(&mut stream, 2).remove(0).name
}

#[test]
fn a_form_is_still_made_for_a_while_after_its_last_client_left() {
    assert_eq!(told_after_leaving("linger: 1h", ""), "merge");
    assert_eq!(told_after_leaving("linger: 0s", ""), "snapshot");
}

#[test]
fn a_feed_that_is_always_polled_keeps_its_own_form_ready() {
    let always = "linger: 0s, idle: keep";
    assert_eq!(told_after_leaving(always, "mode: merge, "), "merge");
    assert_eq!(told_after_leaving(always, ""), "snapshot");
}

#[test]
fn modes_that_a_feed_does_not_have_are_refused_with_the_list() {
    let stage = Stage::serving("{}");
    let proxy = Proxy::with_feed(&stage.url(), "");
    for mode in ["merge", "items", "added"] {
        let answer = subscribe(proxy.address(), &format!("/feed?mode={mode}"));
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("one of: patch, snapshot"));
    }
    let proxy = Proxy::with_feed(&stage.url(), EVERY_MODE);
    let answer = subscribe(proxy.address(), "/feed?mode=best");
    let list = "one of: patch, merge, items, snapshot";
    assert!(answer.text().contains(list));
}

#[test]
fn every_event_can_have_another_name() {
    let stage = Stage::serving(document(json!(1), json!([row(1, 1), row(2, 2)])));
    let names = "names: { merge: m, added: \"\", changed: c, removed: r }, ";
    let feed = EVERY_MODE.replace("modes:", &format!("{names}modes:"));
    let proxy = Proxy::with_feed(&stage.url(), &feed);
    let (mut merges, _) = watch(&proxy, "merge");
    let (mut items, _) = watch(&proxy, "items");
    stage.serves(document(json!(1), json!([row(1, 2), row(3, 3)])));
    merges.expect("m");
    let events = change(&mut items, 2);
    let mut told = self::names(&events);
    told.sort_unstable();
    assert_eq!(told, ["", "c", "r"]);
}
