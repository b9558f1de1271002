//! Several servers behind one upstream: shared by polls and passed-through requests, left out while
//! they are unwell, found again when they come back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::support::client::{get, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::upstream::{Reply, Upstream};

/// A server that answers everything with its name.
fn named(name: &'static str) -> Upstream {
    Upstream::start(move |_| Reply::json(format!("\"{name}\"")))
}

/// A proxy for a feed and the rest, whose upstream has these servers and keys.
fn proxy(servers: &[&Upstream], more: &str) -> Proxy {
    let urls: Vec<_> = servers.iter().map(|server| server.url()).collect();
    with_servers(&format!("[{}]", urls.join(", ")), more)
}

fn with_servers(servers: &str, more: &str) -> Proxy {
    Proxy::start(&format!(
        "upstreams: {{ legacy: {{ servers: {servers}{more} }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 20ms, idle: keep }} }}]\n\
         proxy: [{{ path: /, upstream: legacy }}]\n"
    ))
}

/// Who answers so many passed-through requests, in order.
fn answers(proxy: &Proxy, number: usize) -> Vec<String> {
    let ask = |_| {
        let answer = get(proxy.address(), "/who", &[]);
        assert_eq!(answer.status, 200);
        answer.text()
    };
    (0..number).map(ask).collect()
}

fn count(answers: &[String], name: &str) -> usize {
    let wanted = format!("\"{name}\"");
    answers.iter().filter(|answer| **answer == wanted).count()
}

/// What the admin listener tells of the server at this URL.
fn told(proxy: &Proxy, server: &Upstream) -> Value {
    let (status, body) = proxy.admin("/api/upstreams");
    assert_eq!(status, 200);
    let upstreams: Value = serde_json::from_str(&body).unwrap();
    let servers = upstreams[0]["servers"].as_array().unwrap();
    let found = servers.iter().find(|it| it["server"] == server.url());
    found.expect("the server is told of").clone()
}

#[test]
fn servers_share_polls_and_passed_through_requests_in_turn() {
    let (a, b) = (named("a"), named("b"));
    let proxy = proxy(&[&a, &b], "");
    eventually("both are polled", || {
        a.count("/feed") > 2 && b.count("/feed") > 2
    });
    drop(proxy);
    let routed = with_servers(&format!("[{}, {}]", a.url(), b.url()), "");
    let answers = answers(&routed, 40);
    // Polls take turns in between.
    assert!(count(&answers, "a") > 5, "{answers:?}");
    assert!(count(&answers, "b") > 5, "{answers:?}");
}

#[test]
fn a_heavier_server_gets_a_larger_share() {
    let (a, b) = (named("a"), named("b"));
    let servers = format!("[{}, {{ url: \"{}\", weight: 9 }}]", a.url(), b.url());
    let proxy = with_servers(&servers, "");
    let answers = answers(&proxy, 60);
    assert!(
        count(&answers, "b") > 2 * count(&answers, "a"),
        "{answers:?}"
    );
    assert_eq!(told(&proxy, &b)["weight"], 9);
}

#[test]
fn a_consistent_balance_sends_a_client_and_a_feed_to_the_same_server_each_time() {
    let (a, b, c) = (named("a"), named("b"), named("c"));
    let proxy = proxy(&[&a, &b, &c], ", balance: consistent");
    let answers = answers(&proxy, 20);
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    let polled = || [&a, &b, &c].map(|server| server.count("/feed"));
    eventually("it is polled", || polled().iter().sum::<usize>() > 10);
    let busy = polled().iter().filter(|count| **count > 0).count();
    assert_eq!(busy, 1, "{:?}", polled());
}

#[test]
fn a_server_that_dies_costs_no_request_and_no_poll() {
    let (a, mut b) = (named("a"), named("b"));
    let proxy = proxy(&[&a, &b], "");
    eventually("b is in use", || b.count("/feed") > 0);
    b.kill();
    let answers = answers(&proxy, 20);
    assert_eq!(count(&answers, "a"), 20);
    let snapshot = subscribe(proxy.address(), "/feed").expect("snapshot");
    assert_eq!(snapshot.data, "\"a\"");
    let polls = a.count("/feed");
    eventually("polling goes on", || a.count("/feed") > polls + 5);
    assert!(proxy.metric("pollcast_polls_total", &["outcome=\"connect\""]) < 0.5);
}

#[test]
fn a_server_that_says_nothing_is_polled_after_the_others() {
    let (a, b) = (Upstream::start(|_| Reply::Hang), named("b"));
    let proxy = Proxy::start(&format!(
        "upstreams: {{ legacy: {{ servers: [{}, {}] }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, \
         poll: {{ interval: 20ms, timeout: 200ms, idle: keep }} }}]\n",
        a.url(),
        b.url()
    ));
    eventually("a is asked", || a.count("/feed") > 0);
    eventually("b is polled", || b.count("/feed") > 20);
    assert!(a.count("/feed") * 4 < b.count("/feed"));
    assert_eq!(told(&proxy, &a)["last_error"], "no answer in time");
}

#[test]
fn a_server_that_fails_its_health_check_is_left_out_until_it_is_well_again() {
    let well = Arc::new(AtomicBool::new(true));
    let a = named("a");
    let b = Upstream::start({
        let well = Arc::clone(&well);
        move |request| match (request.target.as_str(), well.load(Ordering::SeqCst)) {
            ("/health", true) => Reply::empty(204),
            ("/health", false) => Reply::empty(503),
            _ => Reply::json("\"b\""),
        }
    });
    // Only b knows of the path; a answers 200, which is not what is wanted.
    let check =
        ", health_check: { path: /health, interval: 20ms, unhealthy_after: 2, status: 204 }";
    let proxy = proxy(&[&a, &b], check);
    let healthy = |server: &Upstream| {
        let label = format!("server=\"{}\"", server.url());
        proxy.metric("pollcast_upstream_server_healthy", &[&label]) > 0.5
    };
    eventually("a is left out", || {
        proxy.log().contains("a server is unhealthy")
    });
    eventually("that is told", || !healthy(&a) && healthy(&b));
    assert_eq!(count(&answers(&proxy, 10), "b"), 10);
    let a_told = told(&proxy, &a);
    assert_eq!(a_told["healthy"], false);
    assert_eq!(a_told["last_error"], "the health check was answered 200");
    let asked = b.requests();
    let check = asked.iter().find(|it| it.target == "/health").unwrap();
    assert_eq!(check.header("host"), b.url().strip_prefix("http://"));

    // If all are unwell, all are asked.
    well.store(false, Ordering::SeqCst);
    eventually("b is unwell", || !healthy(&b));
    let answers_of_all = answers(&proxy, 20);
    assert!(count(&answers_of_all, "a") > 0 && count(&answers_of_all, "b") > 0);

    well.store(true, Ordering::SeqCst);
    eventually("b is well again", || healthy(&b));
    assert_eq!(count(&answers(&proxy, 10), "b"), 10);
    assert_eq!(told(&proxy, &b)["healthy"], true);
    let back = proxy.metric(
        "pollcast_upstream_health_changes_total",
        &["to=\"healthy\""],
    );
    assert!(back > 0.5);
}

#[test]
fn a_connection_is_enough_for_a_health_check_without_a_path() {
    let (mut a, b) = (named("a"), named("b"));
    let proxy = proxy(&[&a, &b], ", health_check: { interval: 20ms }");
    let healthy = |proxy: &Proxy, server: &Upstream| told(proxy, server)["healthy"] == true;
    eventually("both are known", || {
        healthy(&proxy, &a) && healthy(&proxy, &b)
    });
    a.kill();
    eventually("a is left out", || !healthy(&proxy, &a));
    assert_eq!(count(&answers(&proxy, 10), "b"), 10);
    a.restart();
    eventually("a is back", || {
        healthy(&proxy, &a) && count(&answers(&proxy, 4), "a") > 0
    });
}

#[test]
fn a_name_that_nobody_knows_stops_neither_the_process_nor_the_other_upstreams() {
    let a = named("a");
    let proxy = Proxy::start(&format!(
        "upstreams:\n  gone: {{ url: \"http://nowhere.invalid:9\" }}\n  \
         here: {{ url: \"{}\" }}\n\
         feeds: [{{ path: /feed, upstream: gone, poll: {{ interval: 50ms }} }}]\n\
         proxy: [{{ path: /gone, upstream: gone }}, {{ path: /, upstream: here }}]\n",
        a.url()
    ));
    assert_eq!(get(proxy.address(), "/who", &[]).text(), "\"a\"");
    let answer = get(proxy.address(), "/gone", &[]);
    assert_eq!(answer.status, 502);
    let text = answer.text();
    assert!(text.contains("unresolved name"), "{text}");
    let status = subscribe(proxy.address(), "/feed").expect("status");
    let reason = status.value["reason"].as_str().unwrap();
    assert!(reason.contains("the name of upstream \"gone\""), "{reason}");
    assert!(
        proxy.metric(
            "pollcast_upstream_lookups_failed_total",
            &["upstream=\"gone\""]
        ) > 0.5
    );
}

#[test]
fn host_is_what_polls_and_passed_through_requests_call_every_server() {
    let (a, b) = (named("a"), named("b"));
    let proxy = proxy(
        &[&a, &b],
        ", host: shop.internal, health_check: { path: /health }",
    );
    answers(&proxy, 4);
    for server in [&a, &b] {
        eventually("it is asked in every way", || {
            ["/feed", "/who", "/health"]
                .iter()
                .all(|path| server.count(path) > 0)
        });
        let port = server.url().rsplit(':').next().unwrap().to_owned();
        let host = format!("shop.internal:{port}");
        for request in server.requests() {
            assert_eq!(
                request.header("host"),
                Some(host.as_str()),
                "{}",
                request.target
            );
        }
    }
}
