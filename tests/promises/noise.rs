//! What changes at every poll is told, with what to do about it, and never dropped unasked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::{get, request, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::stage::Stage;
use crate::support::upstream::{Reply, Upstream};

const POLL: &str = ", poll: { interval: 20ms }";

/// The words of a finding in the log.
const FINDING: &str = "changes at every poll";

/// Orders with a stamp, an age each, and a status, of which some order or other has `busy`.
fn orders(poll: u64, busy: u64) -> String {
    let status = |row: u64| if row == busy % 8 { busy } else { row };
    let order = |row: u64| json!({"id": row, "customer": format!("customer {row}"), "age": poll + row, "status": status(row)});
    let rows: Vec<Value> = (0..8).map(order).collect();
    json!({"generated_at": format!("2025-01-01T00:00:00.{poll:05}Z"), "rows": rows}).to_string()
}

/// An upstream that serves another document at each poll, and the number of the next.
fn counting(
    document: impl Fn(u64) -> String + Send + Sync + 'static,
) -> (Upstream, Arc<AtomicU64>) {
    let polls = Arc::new(AtomicU64::new(0));
    let next = Arc::clone(&polls);
    let upstream =
        Upstream::start(move |_| Reply::json(document(next.fetch_add(1, Ordering::SeqCst))));
    (upstream, polls)
}

fn feed(proxy: &Proxy) -> Value {
    let (status, text) = proxy.admin("/api/feeds");
    assert_eq!(status, 200);
    let feeds: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(feeds.as_array().map(Vec::len), Some(1), "{text}");
    feeds[0].clone()
}

fn places(proxy: &Proxy) -> Vec<String> {
    let feed = feed(proxy);
    let noise = feed["noise"].as_array().expect("an array").iter();
    noise
        .map(|noise| noise["place"].as_str().expect("text").to_owned())
        .collect()
}

fn lines(proxy: &Proxy) -> Vec<String> {
    let log = proxy.log();
    let lines = log.lines().filter(|line| line.contains(FINDING));
    lines.map(str::to_owned).collect()
}

#[test]
fn noise_is_told_once_in_the_log_and_shown_with_what_it_costs() {
    let (upstream, polls) = counting(|poll| orders(poll, poll));
    let proxy = Proxy::with_feed(&upstream.url(), POLL);
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    assert_eq!(feed(&proxy)["noise"], json!([]));
    let found = ["/generated_at", "/rows/*/age"];
    eventually("both are found", || places(&proxy) == found);

    // What is told can be pasted as it is.
    let ignore = "ignore: [/generated_at, /rows/*/age]";
    let shown = feed(&proxy);
    for noise in shown["noise"].as_array().expect("an array") {
        assert_eq!(noise["ignore"], ignore);
    }
    let metric = |name: &str| proxy.metric(&format!("pollcast_noise_{name}"), &[r#"feed="/feed""#]);
    assert!((metric("places") - 2.0).abs() < 0.1);
    eventually("it costs", || metric("bytes_total") > 3000.0);
    eventually("each has its share", || {
        let shown = feed(&proxy);
        (0..2).all(|i| shown["noise"][i]["bytes"].as_u64().expect("a number") > 500)
    });
    assert!(metric("bytes_total") < proxy.metric("pollcast_encoded_bytes_total", &["patch"]));

    // Nothing is dropped: the noise is in every event, before and after.
    let seen = polls.load(Ordering::SeqCst);
    eventually("more polls", || polls.load(Ordering::SeqCst) > seen + 60);
    for _ in 0..seen {
        let event = stream.event().expect("an event");
        assert!(
            event.data.contains("generated_at") && event.data.contains("age"),
            "{}",
            event.data
        );
    }
    let told = lines(&proxy);
    assert_eq!(told.len(), 2, "{told:?}");
    for (line, place) in told.iter().zip(found) {
        assert!(
            line.contains(" INFO ") && line.contains(r#"feed="/feed""#),
            "{line}"
        );
        assert!(line.contains(&format!("place=\"{place}\"")), "{line}");
        assert!(line.ends_with(&format!("remedy={ignore}")), "{line}");
    }
}

#[test]
fn with_the_line_that_is_told_nothing_is_left_of_it() {
    let (upstream, polls) = counting(|poll| orders(poll, 0));
    let watched = Proxy::with_feed(&upstream.url(), POLL);
    let mut stream = subscribe(watched.address(), "/feed");
    stream.expect("snapshot");
    eventually("both are found", || places(&watched).len() == 2);
    let told = feed(&watched)["noise"][0]["ignore"]
        .as_str()
        .expect("text")
        .to_owned();

    let proxy = Proxy::with_feed(&upstream.url(), &format!("{POLL}, document: {{ {told} }}"));
    let mut stream = subscribe(proxy.address(), "/feed");
    let document = stream.expect("snapshot").data;
    assert!(
        !document.contains("generated_at") && !document.contains("age"),
        "{document}"
    );
    let seen = polls.load(Ordering::SeqCst);
    eventually("more polls", || polls.load(Ordering::SeqCst) > seen + 60);
    assert!(
        stream.silence(Duration::from_millis(100)),
        "there is nothing to tell"
    );
    assert_eq!(places(&proxy), Vec::<String>::new());
    assert_eq!(lines(&proxy), Vec::<String>::new());
}

#[test]
fn what_is_ignored_already_is_part_of_the_line_and_places_are_seen_from_the_selected_part() {
    let (upstream, _) = counting(|poll| {
        format!(
            r#"{{"at":{poll},"data":{{"took, in ms":{poll},"{poll}":1,"known":{poll},"a":1,"b":2,"c":3,"d":4}}}}"#
        )
    });
    let more = format!("{POLL}, document: {{ select: /data, ignore: [/known] }}");
    let proxy = Proxy::with_feed(&upstream.url(), &more);
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    eventually("it is found", || places(&proxy) == ["/took, in ms"]);
    assert_eq!(
        feed(&proxy)["noise"][0]["ignore"],
        r#"ignore: [/known, "/took, in ms"]"#
    );
    let line = lines(&proxy).concat();
    assert!(
        line.ends_with(r#"remedy=ignore: [/known, "/took, in ms"]"#),
        "{line}"
    );
}

#[test]
fn what_rests_between_changes_is_no_noise() {
    // Each document is served twice: what changes is told, and then nothing happens.
    let (upstream, polls) = counting(|poll| format!(r#"{{"at":{},"a":1,"b":2,"c":3}}"#, poll / 2));
    let proxy = Proxy::with_feed(&upstream.url(), POLL);
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    eventually("many polls", || polls.load(Ordering::SeqCst) > 100);
    assert_eq!(places(&proxy), Vec::<String>::new());
    assert_eq!(lines(&proxy), Vec::<String>::new());
}

#[test]
fn noise_that_ends_is_shown_no_more() {
    let polls = AtomicU64::new(0);
    let stage = Stage::new(move |_| {
        let poll = polls.fetch_add(1, Ordering::SeqCst);
        Reply::json(format!(r#"{{"at":{poll},"a":1,"b":2}}"#))
    });
    let proxy = Proxy::with_feed(&stage.url(), POLL);
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    eventually("it is found", || places(&proxy) == ["/at"]);
    stage.serves(r#"{"at":0,"a":1,"b":2}"#);
    eventually("it is over", || places(&proxy).is_empty());
    assert!(proxy.metric("pollcast_noise_places", &[]) < 0.5);
    assert_eq!(lines(&proxy).len(), 1);
}

#[test]
fn the_api_shows_what_is_known_of_each_feed() {
    let stage = Stage::serving(r#"{"rows":[]}"#);
    let config = format!(
        "upstreams: {{ legacy: {{ url: \"{}/\", headers: {{ authorization: top-secret }} }} }}\n\
         feeds:\n\
         - {{ path: /z, upstream: legacy }}\n\
         - {{ path: /feed, upstream: legacy, poll: {{ interval: 20ms }}, \
             request: {{ query: {{ token: top-secret }} }}, events: {{ modes: [patch, merge, items, snapshot] }} }}\n",
        stage.url()
    );
    let proxy = Proxy::start(&config);
    let feeds = |proxy: &Proxy| -> Value {
        serde_json::from_str(&proxy.admin("/api/feeds").1).expect("JSON")
    };
    let cold = feeds(&proxy);
    assert_eq!(cold[0]["path"], "/feed", "in the order of their paths");
    assert!(cold[1]["since"].is_string());
    let mut expected = json!({
        "path": "/z", "upstream": "legacy", "state": "paused", "last_success": null, "age_ms": null,
        "reason": "no poll was answered yet",
        "subscribers": {"total": 0, "patch": 0, "merge": 0, "items": 0, "snapshot": 0},
        "last_event_id": null, "document_bytes": 0, "events": 0, "keys": [], "noise": [],
        "next_poll": null, "interval_ms": null, "why": null, "why_text": null,
    });
    expected["since"] = cold[1]["since"].clone();
    assert_eq!(cold[1], expected);

    let mut stream = subscribe(proxy.address(), "/feed");
    let merging = subscribe(proxy.address(), "/feed?mode=merge");
    stream.expect("snapshot");
    let row =
        |name: &str, n: u8| json!({"name": name, "n": n, "text": "words that stay as they are"});
    let document =
        |n: u8| json!({"rows": [row("a", n), row("b", 0), row("c", n), row("d", 0)]}).to_string();
    stage.serves(document(1));
    stream.event().expect("an event");
    stage.serves(document(2));
    let last = stream.event().expect("an event").id;
    let warm = feeds(&proxy)[0].clone();
    assert_eq!(warm["state"], "live");
    assert_eq!(warm["reason"], Value::Null);
    assert!(warm["last_success"].is_string());
    assert_eq!(warm["last_event_id"].as_str(), last.as_deref());
    assert_eq!(warm["events"], 3);
    assert_eq!(warm["document_bytes"], document(2).len());
    assert_eq!(warm["keys"], json!([{"place": "/rows", "key": ["name"]}]));
    assert_eq!(
        warm["subscribers"],
        json!({"total": 2, "patch": 1, "merge": 1, "items": 0, "snapshot": 0})
    );
    drop(merging);
    assert!(!feeds(&proxy).to_string().contains("top-secret"));

    let admin = proxy
        .admin_url("")
        .replace("http://", "")
        .parse()
        .expect("an address");
    let answer = get(admin, "/api/feeds", &[]);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let head = request(admin, "HEAD", "/api/feeds", &[], b"");
    assert_eq!(
        (head.status, head.header("cache-control")),
        (200, Some("no-store"))
    );
    let post = request(admin, "POST", "/api/feeds", &[], b"{}");
    assert_eq!(
        (post.status, post.header("allow")),
        (405, Some("GET, HEAD"))
    );
    assert_eq!(get(admin, "/api/feeds/", &[]).status, 404);
}
