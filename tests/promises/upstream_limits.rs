//! What an upstream bears: polls at one time, polls in a second, and being left alone when it fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::client::subscribe;
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::stage::{Stage, numbered};
use crate::support::upstream::{Reply, Upstream};

/// So many feeds of one upstream, `/0` and so on, polled without anybody.
fn many(url: &str, limits: &str, count: usize, poll: &str) -> Proxy {
    let feed =
        |n| format!("  - {{ path: /{n}, upstream: shop, poll: {{ idle: keep, {poll} }} }}\n");
    let feeds: String = (0..count).map(feed).collect();
    Proxy::start(&format!(
        "upstreams: {{ shop: {{ url: \"{url}\"{limits} }} }}\nfeeds:\n{feeds}"
    ))
}

fn state(proxy: &Proxy) -> Value {
    let (status, text) = proxy.admin("/api/upstreams");
    assert_eq!(status, 200);
    serde_json::from_str::<Value>(&text).expect("JSON")[0].clone()
}

#[test]
fn no_more_polls_are_under_way_than_allowed_and_every_feed_has_its_turn() {
    const FEEDS: usize = 9;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (under_way, seen) = (Arc::clone(&now), Arc::clone(&most));
    let upstream = Upstream::start(move |_| {
        seen.fetch_max(
            under_way.fetch_add(1, Ordering::SeqCst) + 1,
            Ordering::SeqCst,
        );
        std::thread::sleep(Duration::from_millis(10));
        under_way.fetch_sub(1, Ordering::SeqCst);
        Reply::json("[1]")
    });
    let proxy = many(
        &upstream.url(),
        ", max_in_flight: 2",
        FEEDS,
        "interval: 10ms",
    );
    let counts = || (0..FEEDS).map(|n| upstream.count(&format!("/{n}")));
    eventually("polls", || counts().all(|polls| polls >= 20));
    let counts: Vec<usize> = counts().collect();
    let (least, greatest) = (counts.iter().min(), counts.iter().max());
    assert!(
        greatest <= least.map(|polls| polls * 2).as_ref(),
        "{counts:?}"
    );
    assert_eq!(most.load(Ordering::SeqCst), 2);
    assert!(proxy.metric("pollcast_polls_held_back_total", &["shop", "max_in_flight"]) > 10.0);
    assert!(proxy.metric("pollcast_polls_in_flight", &["shop"]) < 2.5);
    assert_eq!(state(&proxy)["max_in_flight"], 2);
}

#[test]
fn no_more_polls_start_in_a_second_than_allowed() {
    const RATE: usize = 40;
    let stage = Stage::serving("[1]");
    let started = Instant::now();
    let limits = format!(", max_requests_per_second: {RATE}");
    let proxy = many(&stage.url(), &limits, 30, "interval: 20ms");
    let polls = || stage.upstream.requests().len();
    eventually("polls", || polls() > 2 * RATE);
    // Counted before the time is taken: a slow test allows more, never less.
    let counted = polls();
    let allowed = started.elapsed().as_secs_f64() * RATE as f64 + 1.0;
    assert!(counted as f64 <= allowed, "{counted} of {allowed}");
    let held = ["shop", "max_requests_per_second"];
    assert!(proxy.metric("pollcast_polls_held_back_total", &held) > 10.0);
}

#[test]
fn whoever_waits_for_a_first_answer_goes_before_the_others() {
    let stage = Stage::serving("[1]");
    let url = stage.url();
    let feed = |n| {
        format!("  - {{ path: /{n}, upstream: shop, poll: {{ idle: keep, interval: 100ms }} }}\n")
    };
    let feeds: String = (0..60).map(feed).collect();
    let proxy = Proxy::start(&format!(
        "upstreams: {{ shop: {{ url: \"{url}\", max_requests_per_second: 20 }} }}\n\
         feeds:\n  - {{ path: /cold, upstream: shop }}\n{feeds}"
    ));
    eventually("a queue", || state(&proxy)["waiting"].as_u64() > Some(30));
    let mut stream = subscribe(proxy.address(), "/cold");
    assert_eq!(stream.expect("snapshot").data, "[1]");
    let requests = stage.upstream.requests();
    let at = requests
        .iter()
        .position(|request| request.target == "/cold");
    // Sixty others would have taken their turns before.
    let waiting = requests.len() - at.expect("it was polled");
    assert!(
        waiting < 30 && at < Some(60),
        "{at:?} of {}",
        requests.len()
    );
}

#[test]
fn an_upstream_that_fails_too_often_is_left_alone() {
    let stage = Stage::serving(numbered(1));
    let limits = ", circuit_breaker: { failures: 6, open: 1h }";
    let proxy = many(&stage.url(), limits, 4, "interval: 20ms");
    let mut streams: Vec<_> = (0..4)
        .map(|n| subscribe(proxy.address(), &format!("/{n}")))
        .collect();
    for stream in &mut streams {
        stream.expect("snapshot");
    }
    stage.becomes(|_| Reply::status(502, "{}"));
    eventually("the circuit breaker opens", || {
        state(&proxy)["circuit_breaker"] == "open"
    });
    // Nobody is told that it is live.
    for stream in &mut streams {
        assert_eq!(stream.expect("status").value["state"], "stale");
    }
    let asked = stage.upstream.requests().len();
    let held = || {
        proxy.metric(
            "pollcast_polls_held_back_total",
            &["shop", "circuit_breaker"],
        )
    };
    let before = held();
    eventually("more polls are due", || held() > before + 5.5);
    assert_eq!(stage.upstream.requests().len(), asked, "left alone");
    let opened = ["shop", "state=\"open\""];
    assert!(proxy.metric("pollcast_circuit_breaker_state", &opened) > 0.5);
    let (_, feeds) = proxy.admin("/api/feeds");
    assert!(feeds.contains("not asked: upstream shop failed"), "{feeds}");
    assert_eq!(proxy.log().matches("circuit breaker opens").count(), 1);
}

#[test]
fn one_poll_tries_and_when_it_is_answered_all_come_back() {
    let mut upstream = Upstream::start(|_| Reply::json("[1]"));
    let limits = ", circuit_breaker: { failures: 5, open: 200ms }";
    let proxy = many(&upstream.url(), limits, 6, "interval: 50ms");
    let live = || proxy.metric("pollcast_feed_state", &["state=\"live\""]);
    for _ in 0..2 {
        eventually("all are live", || live() > 5.5);
        upstream.kill();
        eventually("it opens", || state(&proxy)["circuit_breaker"] == "open");
        eventually("none is live", || live() < 0.5);
        upstream.restart();
        eventually("it closes", || state(&proxy)["circuit_breaker"] == "closed");
    }
    eventually("all are live", || live() > 5.5);
    assert_eq!(proxy.log().matches("circuit breaker closes").count(), 2);
}

#[test]
fn refusals_and_unreadable_answers_leave_the_circuit_breaker_closed() {
    let stage = Stage::new(|request| match request.target.as_str() {
        "/0" => Reply::status(404, "{}"),
        "/1" => Reply::json("<html>"),
        _ => Reply::status(429, "{}"),
    });
    let limits = ", circuit_breaker: { failures: 3, open: 1h }";
    let proxy = many(&stage.url(), limits, 3, "interval: 10ms");
    eventually("polls", || {
        (0..3).all(|n| stage.upstream.count(&format!("/{n}")) > 5)
    });
    assert_eq!(state(&proxy)["circuit_breaker"], "closed");
}

#[test]
fn clients_cannot_open_the_circuit_breaker_by_what_they_ask_for() {
    let stage = Stage::new(|request| match request.target.starts_with("/items/bad") {
        true => Reply::status(500, "{}"),
        false => Reply::json("[1]"),
    });
    let url = stage.url();
    let proxy = Proxy::start(&format!(
        "upstreams: {{ shop: {{ url: \"{url}\", circuit_breaker: {{ failures: 3, open: 1h }} }} }}\n\
         feeds:\n  - {{ path: \"/items/{{id}}\", upstream: shop, poll: {{ interval: 20ms }} }}\n"
    ));
    let _streams: Vec<_> = (0..8)
        .map(|n| subscribe(proxy.address(), &format!("/items/bad{n}")))
        .collect();
    eventually("polls", || {
        (0..8).all(|n| stage.upstream.count(&format!("/items/bad{n}")) > 2)
    });
    assert_eq!(state(&proxy)["circuit_breaker"], "closed");
    let mut good = subscribe(proxy.address(), "/items/good");
    assert_eq!(good.expect("snapshot").data, "[1]");
}

#[test]
fn an_upstream_that_comes_back_is_not_overrun() {
    const RATE: usize = 20;
    const FEEDS: usize = 60;
    let mut upstream = Upstream::start(|_| Reply::json("[1]"));
    let limits = format!(
        ", max_requests_per_second: {RATE}, circuit_breaker: {{ failures: 5, open: 100ms }}"
    );
    let proxy = many(&upstream.url(), &limits, FEEDS, "interval: 50ms");
    let live = || proxy.metric("pollcast_feed_state", &["state=\"live\""]);
    eventually("all are live", || live() > FEEDS as f64 - 0.5);
    upstream.kill();
    eventually("none is live", || live() < 0.5);
    let before = upstream.requests().len();
    let started = Instant::now();
    upstream.restart();
    eventually("all are live again", || live() > FEEDS as f64 - 0.5);
    let asked = upstream.requests().len() - before;
    let allowed = started.elapsed().as_secs_f64() * RATE as f64 + 1.0;
    assert!(asked as f64 <= allowed, "{asked} of {allowed}");
}

#[test]
fn a_poll_for_whose_pages_there_is_no_room_says_so_and_speaks_not_against_the_upstream() {
    let stage = Stage::serving("[1]");
    let limits = ", max_requests_per_second: 1, circuit_breaker: { failures: 2 }";
    let poll = "interval: 10ms, timeout: 500ms }, request: { pages: { page: { parameter: page } }";
    let proxy = many(&stage.url(), limits, 1, poll);
    eventually("polls without room", || {
        proxy.metric("pollcast_polls_total", &["held"]) > 2.5
    });
    assert_eq!(state(&proxy)["circuit_breaker"], "closed");
    let told = proxy.admin("/api/feeds").1;
    assert!(told.contains("leave no room for all requests"), "{told}");
    let asked = stage.upstream.requests();
    assert!(
        asked
            .iter()
            .all(|request| request.target.ends_with("page=1"))
    );
}
