//! One poller for each topic, however many subscribers, and only while somebody listens.

use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::support::client::{Response, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::stage::{numbered, paused};
use crate::support::upstream::{Reply, Request, Upstream};

const CROWD: usize = 1000;

#[test]
fn a_thousand_subscribers_cost_the_polls_of_one() {
    // Each subscriber is a descriptor here and one in the proxy, which inherits the limit.
    let limit = Command::new("prlimit")
        .args(["--pid", &std::process::id().to_string(), "--nofile=8192:"])
        .status();
    assert!(limit.expect("prlimit runs").success());
    let (polling, overlaps) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let version = Arc::new(AtomicUsize::new(1));
    let upstream = Upstream::start({
        let (overlaps, version) = (Arc::clone(&overlaps), Arc::clone(&version));
        move |request: &Request| {
            let crowded = request.target == "/many";
            if crowded && polling.fetch_add(1, Ordering::SeqCst) > 0 {
                overlaps.fetch_add(1, Ordering::SeqCst);
            }
            std::thread::sleep(Duration::from_millis(10));
            if crowded {
                polling.fetch_sub(1, Ordering::SeqCst);
            }
            Reply::json(numbered(version.load(Ordering::SeqCst) as u64))
        }
    });
    let poll = "poll: { interval: 100ms, linger: 0s }";
    let proxy = Proxy::start(&format!(
        "upstreams: {{ legacy: {{ url: \"{}\" }} }}\nfeeds:\n\
         \x20 - {{ path: /many, upstream: legacy, {poll} }}\n\
         \x20 - {{ path: /one, upstream: legacy, {poll} }}\n",
        upstream.url()
    ));
    let mut one = subscribe(proxy.address(), "/one");
    let mut many: Vec<Response> = (0..CROWD)
        .map(|_| subscribe(proxy.address(), "/many"))
        .collect();
    one.expect("snapshot");
    many.iter_mut()
        .for_each(|each| drop(each.expect("snapshot")));
    let connections = proxy.metric("pollcast_connections", &["/many"]);
    assert!(connections > CROWD as f64 - 0.5, "{connections}");

    let before = (upstream.count("/many"), upstream.count("/one"));
    for n in 2..8 {
        version.store(n, Ordering::SeqCst);
        one.expect("patch");
        for each in &mut many {
            assert_eq!(each.expect("patch").value[0]["value"], json!(n));
        }
    }
    let cost = (
        upstream.count("/many") - before.0,
        upstream.count("/one") - before.1,
    );
    assert!(
        cost.0 <= 2 * cost.1 + 2,
        "polls for many and for one: {cost:?}"
    );
    assert_eq!(overlaps.load(Ordering::SeqCst), 0, "polls overlap");

    drop((one, many));
    eventually("both feeds pause", || {
        proxy.metric("pollcast_feed_state", &["paused"]) > 1.5
    });
    let told = proxy.metric("pollcast_polls_total", &["/many"]);
    assert!(
        (told - upstream.count("/many") as f64).abs() < 0.5,
        "{told}"
    );
}

#[test]
fn the_first_poll_comes_with_the_first_subscriber() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), ", poll: { interval: 1h }");
    assert_eq!(upstream.count("/feed"), 0);
    assert_eq!(
        subscribe(proxy.address(), "/feed").expect("snapshot").data,
        "[1]"
    );
    assert_eq!(upstream.count("/feed"), 1);
}

#[test]
fn polling_pauses_after_the_last_subscriber_and_goes_on_with_the_next() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let poll = ", poll: { interval: 20ms, linger: 100ms }";
    let proxy = Proxy::with_feed(&upstream.url(), poll);
    let (mut first, second) = (
        subscribe(proxy.address(), "/feed"),
        subscribe(proxy.address(), "/feed"),
    );
    first.expect("snapshot");
    drop(first);
    let polls = upstream.count("/feed");
    eventually("polls for the one who stays", || {
        upstream.count("/feed") > polls + 10
    });
    drop(second);
    paused(&proxy);
    let polls = upstream.count("/feed");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(upstream.count("/feed"), polls, "polled for nobody");
    let mut third = subscribe(proxy.address(), "/feed");
    assert_eq!(third.expect("snapshot").data, "[1]");
    eventually("polls", || upstream.count("/feed") > polls + 3);
}

#[test]
fn polling_lingers_for_whoever_comes_back() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let poll = ", poll: { interval: 20ms, linger: 10m }";
    let proxy = Proxy::with_feed(&upstream.url(), poll);
    subscribe(proxy.address(), "/feed").expect("snapshot");
    eventually("it left", || {
        proxy.metric("pollcast_connections", &[]) < 0.5
    });
    let polls = upstream.count("/feed");
    eventually("polls", || upstream.count("/feed") > polls + 3);
}

#[test]
fn a_kept_feed_is_polled_without_anybody() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let poll = ", poll: { interval: 20ms, idle: keep, linger: 0s }";
    let _proxy = Proxy::with_feed(&upstream.url(), poll);
    eventually("polls", || upstream.count("/feed") > 5);
}

#[test]
fn large_documents_work_with_a_single_thread() {
    let numbers: Vec<u32> = (0..40_000).collect();
    let (upstream, document) = Upstream::with_document(&json!(numbers).to_string());
    let proxy = Proxy::start(&format!(
        "server: {{ listen: \"127.0.0.1:0\", threads: 1 }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 50ms }} }}]\n",
        upstream.url()
    ));
    let mut stream = subscribe(proxy.address(), "/feed");
    assert_eq!(stream.expect("snapshot").value, json!(numbers));
    *document.lock().unwrap() = json!(numbers[1..]).to_string();
    stream.expect("patch");
    assert!(TcpStream::connect(proxy.address()).is_ok());
}
