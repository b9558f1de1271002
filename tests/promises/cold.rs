//! A feed that nobody listened to answers nothing old as if it were live.

use std::time::Duration;

use serde_json::json;

use crate::support::client::{Response, resume, subscribe};
use crate::support::proxy::Proxy;
use crate::support::stage::{Stage, numbered, paused};
use crate::support::upstream::Reply;

const QUICK: &str = ", poll: { interval: 20ms, linger: 0s, timeout: 300ms }";

fn recovers(stream: &mut Response, n: u64) {
    assert_eq!(stream.expect("status").value["state"], "live");
    let event = stream.event().expect("the change");
    match event.name.as_str() {
        "snapshot" => assert_eq!(event.value["n"], json!(n)),
        _ => assert_eq!(event.value[0]["value"], json!(n), "{}", event.name),
    }
}

/// A feed that was polled once, and sleeps since.
fn sleeping(more: &str) -> (Stage, Proxy, String) {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::with_feed(&stage.url(), &format!("{QUICK}{more}"));
    let id = subscribe(proxy.address(), "/feed").expect("snapshot").id;
    paused(&proxy);
    (stage, proxy, id.expect("an id"))
}

#[test]
fn a_subscriber_waits_for_the_first_poll() {
    let stage = Stage::new(|_| {
        std::thread::sleep(Duration::from_millis(300));
        Reply::json("[1]")
    });
    let proxy = Proxy::with_feed(&stage.url(), "");
    // No status: nothing was said before the document was there.
    assert_eq!(
        subscribe(proxy.address(), "/feed").expect("snapshot").data,
        "[1]"
    );
}

#[test]
fn the_wait_for_the_first_poll_ends_with_its_time_out() {
    let stage = Stage::new(|_| Reply::Hang);
    let proxy = Proxy::with_feed(&stage.url(), QUICK);
    let mut stream = subscribe(proxy.address(), "/feed");
    assert_eq!(stream.status, 200);
    let status = stream.expect("status");
    assert_eq!(status.id, None);
    assert_eq!(status.value["state"], "down");
    assert_eq!(status.value["last_success"], json!(null));
    assert_eq!(status.value["since"].as_str().map(str::len), Some(24));
    stage.serves(numbered(1));
    recovers(&mut stream, 1);
}

#[test]
fn refusals_reach_the_client_as_they_are() {
    for status in [401, 403, 404, 410] {
        let stage = Stage::new(move |_| Reply::status(status, "no"));
        let proxy = Proxy::with_feed(&stage.url(), QUICK);
        let answer = subscribe(proxy.address(), "/feed");
        assert_eq!(answer.status, status);
        assert_ne!(answer.header("content-type"), Some("text/event-stream"));
        stage.serves("[1]");
        crate::support::eventually("the feed comes", || {
            subscribe(proxy.address(), "/feed").status == 200
        });
    }
}

#[test]
fn other_failures_are_a_stream_that_says_so() {
    for status in [400, 429, 500, 503] {
        let stage = Stage::new(move |_| Reply::status(status, "no"));
        let proxy = Proxy::with_feed(&stage.url(), QUICK);
        let mut stream = resume(proxy.address(), "/feed", "0123456789abcdef-3");
        assert_eq!(stream.status, 200);
        let told = stream.expect("status").value;
        assert_eq!(told["state"], "down");
        assert!(
            told["reason"]
                .as_str()
                .unwrap()
                .contains(&status.to_string())
        );
        stage.serves("[1]");
        assert_eq!(stream.expect("status").value["state"], "live");
        assert_eq!(stream.expect("reset").value["reason"], "unknown_id");
        assert_eq!(stream.expect("snapshot").data, "[1]");
    }
}

#[test]
fn what_changed_during_a_pause_joins_the_same_log() {
    let (stage, proxy, id) = sleeping("");
    stage.serves(numbered(2));
    let mut stream = resume(proxy.address(), "/feed", &id);
    let patch = stream.expect("patch");
    let epoch = id.strip_suffix("1").unwrap();
    assert_eq!(patch.id, Some(format!("{epoch}2")));
    assert_eq!(patch.value[0]["value"], json!(2));
    drop(stream);
    paused(&proxy);
    // Nothing changed meanwhile: nothing to say.
    let mut stream = resume(proxy.address(), "/feed", &format!("{epoch}2"));
    assert!(matches!(
        stream.block(),
        Some(crate::support::client::Block::Retry(_))
    ));
    assert!(stream.silence(Duration::from_millis(150)));
    stage.serves(numbered(3));
    assert_eq!(stream.expect("patch").id, Some(format!("{epoch}3")));
}

#[test]
fn a_paused_feed_whose_upstream_fails_is_not_passed_off_as_live() {
    let failures: [fn() -> Reply; 3] = [
        || Reply::status(503, "no"),
        || Reply::Hang,
        || Reply::json("<html>"),
    ];
    for failure in failures {
        let (stage, proxy, id) = sleeping("");
        stage.becomes(move |_| failure());
        let mut fresh = subscribe(proxy.address(), "/feed");
        assert_eq!(fresh.status, 200);
        assert_eq!(fresh.expect("snapshot").id, Some(id.clone()));
        assert_eq!(fresh.expect("status").value["state"], "stale");
        let mut resumed = resume(proxy.address(), "/feed", &id);
        assert_eq!(resumed.expect("status").value["state"], "stale");
        stage.serves(numbered(2));
        recovers(&mut fresh, 2);
        recovers(&mut resumed, 2);
    }
}

#[test]
fn a_paused_feed_that_is_refused_says_so() {
    let (stage, proxy, id) = sleeping("");
    stage.becomes(|_| Reply::status(403, "no"));
    assert_eq!(resume(proxy.address(), "/feed", &id).status, 403);
    stage.serves(numbered(2));
    crate::support::eventually("the feed comes back", || {
        let mut stream = resume(proxy.address(), "/feed", &id);
        stream.status == 200 && stream.expect("patch").value[0]["value"] == json!(2)
    });
}

#[test]
fn a_refusal_before_a_pause_and_one_after_it_are_not_one_that_lasted() {
    let stage = Stage::serving(numbered(1));
    let feed = format!("{QUICK}, deliver: {{ end_after: 1s }}");
    let proxy = Proxy::with_feed(&stage.url(), &feed);
    let mut stream = subscribe(proxy.address(), "/feed");
    let id = stream.expect("snapshot").id.expect("an id");
    stage.becomes(|_| Reply::status(404, "a deploy's blip"));
    assert_eq!(stream.expect("status").value["state"], "stale");
    drop(stream);
    paused(&proxy);
    std::thread::sleep(Duration::from_millis(1100));
    assert_eq!(resume(proxy.address(), "/feed", &id).status, 404);
    // 204 would say that the feed is over, though nobody saw it refused for long.
    assert_eq!(resume(proxy.address(), "/feed", &id).status, 404);
}
