//! Whoever knows that something changed says so, and the feed is polled now.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::{Response, request, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::stage::{Stage, numbered};
use crate::support::upstream::Reply;

/// Polled by itself so rarely that no test sees it.
const RARE: &str = ", poll: { interval: 1h, timeout: 20s, linger: 1h }";

fn send(proxy: &Proxy, method: &str, target: &str, headers: &[(&str, &str)]) -> Response {
    let admin = proxy.admin_url("");
    let admin = admin.strip_prefix("http://").expect("a URL");
    let admin = admin.parse().expect("an address");
    request(admin, method, target, headers, b"")
}

fn poke(proxy: &Proxy) -> Value {
    let answer = send(proxy, "POST", "/api/poll?path=/feed", &[]);
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    serde_json::from_str(&answer.text()).expect("JSON")
}

#[test]
fn a_poked_feed_is_polled_now() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::with_feed(&stage.url(), RARE);
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    for n in 2..5 {
        stage.serves(numbered(n));
        let told = poke(&proxy);
        assert_eq!(told, json!({"path": "/feed", "polled": true}));
        assert_eq!(stream.expect("patch").value[0]["value"], json!(n));
    }
    assert_eq!(stage.upstream.count("/feed"), 4);
    let pokes = proxy.metric("pollcast_pokes_total", &["feed=\"/feed\""]);
    assert!((pokes - 3.0).abs() < 0.1);
}

/// An upstream whose answer is the number of the poll, given only when the test lets it.
fn gated() -> (Stage, Arc<AtomicU64>) {
    let gate = Arc::new(AtomicU64::new(0));
    let (open, polls) = (Arc::clone(&gate), AtomicU64::new(0));
    let stage = Stage::new(move |_| {
        let poll = polls.fetch_add(1, Ordering::SeqCst) + 1;
        eventually("the gate opens", || open.load(Ordering::SeqCst) >= poll);
        Reply::json(numbered(poll))
    });
    (stage, gate)
}

#[test]
fn any_number_of_pokes_during_a_poll_are_one_more_poll_after_it() {
    let (stage, gate) = gated();
    let proxy = Proxy::with_feed(&stage.url(), RARE);
    let polls = || stage.upstream.count("/feed");
    gate.store(1, Ordering::SeqCst);
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    poke(&proxy);
    eventually("the poked poll begins", || polls() == 2);
    (0..50).for_each(|_| assert_eq!(poke(&proxy)["polled"], json!(true)));
    assert_eq!(polls(), 2);
    gate.store(u64::MAX, Ordering::SeqCst);
    // The poll that was under way did not satisfy those who poked meanwhile; the next one did.
    assert_eq!(stream.expect("patch").value[0]["value"], json!(2));
    assert_eq!(stream.expect("patch").value[0]["value"], json!(3));
    assert!(stream.silence(Duration::from_millis(300)));
    assert_eq!(polls(), 3);
}

#[test]
fn a_poke_wakes_nobody_for_whom_nobody_listens() {
    let stage = Stage::serving("[1]");
    let asleep = json!({"path": "/feed", "polled": false, "why": "nobody listens"});
    // The next poll of the one is due in an hour, and only then it would be noticed.
    for interval in ["1h", "50ms"] {
        let poll = format!(", poll: {{ interval: {interval}, linger: 0s }}");
        let proxy = Proxy::with_feed(&stage.url(), &poll);
        assert_eq!(poke(&proxy), asleep);
        subscribe(proxy.address(), "/feed").expect("snapshot");
        eventually("nobody listens", || poke(&proxy) == asleep);
        let polls = stage.upstream.count("/feed");
        (0..20).for_each(|_| assert_eq!(poke(&proxy), asleep));
        std::thread::sleep(Duration::from_millis(200));
        // One may have been under way.
        assert!(stage.upstream.count("/feed") <= polls + 1);
    }
}

#[test]
fn a_feed_that_is_kept_polled_is_poked_before_anybody_came() {
    let stage = Stage::serving("[1]");
    let poll = ", poll: { interval: 1h, idle: keep }";
    let proxy = Proxy::with_feed(&stage.url(), poll);
    assert_eq!(poke(&proxy)["polled"], json!(true));
    eventually("it is polled", || stage.upstream.count("/feed") == 1);
}

#[test]
fn pokes_do_not_storm_an_upstream_that_fails() {
    let stage = Stage::serving("[1]");
    let proxy = Proxy::with_feed(&stage.url(), RARE);
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    stage.becomes(|_| Reply::status(500, "no"));
    poke(&proxy);
    eventually("it fails", || stage.upstream.count("/feed") == 2);
    eventually("the failure is known", || {
        proxy.admin("/api/feeds").1.contains("answered 500")
    });
    let told = poke(&proxy);
    assert_eq!(told["polled"], json!(true));
    (0..20).for_each(|_| drop(poke(&proxy)));
    // Not at once, and not only in an hour: the upstream gets its time, the poke is not forgotten.
    assert!(stage.upstream.count("/feed") < 6);
    stage.serves(numbered(2));
    assert_eq!(stream.expect("snapshot").value["n"], json!(2));
}

#[test]
fn what_is_no_poke_is_told_so() {
    let stage = Stage::serving("[1]");
    let proxy = Proxy::with_feed(&stage.url(), RARE);
    let _stream = subscribe(proxy.address(), "/feed");
    for (target, status) in [
        ("/api/poll", 400),
        ("/api/poll?path=", 404),
        ("/api/poll?path=/other", 404),
        ("/api/poll?feed=/other", 404),
        ("/api/poll?path=/feed&feed=/feed", 400),
        ("/api/poll?path=%2Ffeed", 202),
        ("/api/poll?feed=/feed", 202),
    ] {
        assert_eq!(send(&proxy, "POST", target, &[]).status, status, "{target}");
    }
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let answer = send(&proxy, method, "/api/poll?path=/feed", &[]);
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("POST"), "{method}");
    }
}

#[test]
fn a_page_in_somebodys_browser_cannot_poke() {
    let stage = Stage::serving("[1]");
    let proxy = Proxy::with_feed(&stage.url(), RARE);
    let _stream = subscribe(proxy.address(), "/feed");
    let target = "/api/poll?path=/feed";
    for header in [
        ("origin", "https://elsewhere.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let answer = send(&proxy, "POST", target, &[header]);
        assert_eq!(answer.status, 403, "{header:?}");
    }
    let own = proxy.admin_url("");
    for header in [
        ("origin", own.as_str()),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
    ] {
        let answer = send(&proxy, "POST", target, &[header]);
        assert_eq!(answer.status, 202, "{header:?}");
    }
}
