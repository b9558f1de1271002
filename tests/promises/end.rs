//! A feed that is over ends its streams, keeps clients from coming back, and comes back itself.

use crate::support::client::{resume, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::stage::{Stage, numbered};
use crate::support::upstream::Reply;

const QUICK: &str = ", poll: { interval: 20ms, linger: 0s }";

fn comes_back(stage: &Stage, proxy: &Proxy, id: &str) {
    stage.serves(numbered(2));
    eventually("the feed comes back", || {
        subscribe(proxy.address(), "/feed").status == 200
    });
    let mut stream = resume(proxy.address(), "/feed", id);
    assert_eq!(stream.status, 200);
    assert_eq!(stream.expect("patch").value[0]["value"], 2);
}

#[test]
fn gone_ends_every_stream_at_once_and_properly() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::with_feed(&stage.url(), QUICK);
    let mut streams: Vec<_> = (0..3)
        .map(|_| subscribe(proxy.address(), "/feed"))
        .collect();
    let ids: Vec<_> = streams
        .iter_mut()
        .map(|stream| stream.expect("snapshot").id.expect("an id"))
        .collect();
    stage.becomes(|_| Reply::status(410, "gone"));
    for stream in &mut streams {
        let end = stream.expect("end");
        assert_eq!((end.data.as_str(), end.id), (r#"{"reason":"gone"}"#, None));
        // The client panics where a last chunk is missing.
        assert!(stream.block().is_none());
    }
    eventually("they are counted as ended", || {
        proxy.metric("pollcast_connections", &[]) < 0.5
    });
    assert_eq!(resume(proxy.address(), "/feed", &ids[0]).status, 204);
    let query = format!("/feed?last_event_id={}", ids[0]);
    assert_eq!(subscribe(proxy.address(), &query).status, 204);
    assert_eq!(subscribe(proxy.address(), "/feed").status, 410);
    let lines = proxy.log().matches("gone").count();
    assert!((1..=2).contains(&lines), "{lines}");
    comes_back(&stage, &proxy, &ids[0]);
}

#[test]
fn other_refusals_are_failures_until_they_have_lasted() {
    for (status, reason) in [
        (404, "not_found"),
        (401, "unauthorized"),
        (403, "forbidden"),
    ] {
        let stage = Stage::serving(numbered(1));
        let feed = format!("{QUICK}, deliver: {{ end_after: 500ms }}");
        let proxy = Proxy::with_feed(&stage.url(), &feed);
        let mut stream = subscribe(proxy.address(), "/feed");
        let id = stream.expect("snapshot").id.expect("an id");
        stage.becomes(move |_| Reply::status(status, "no"));
        assert_eq!(stream.expect("status").value["state"], "stale");
        assert_eq!(stream.expect("end").value["reason"], reason);
        assert!(stream.block().is_none());
        assert_eq!(resume(proxy.address(), "/feed", &id).status, 204);
        assert_eq!(subscribe(proxy.address(), "/feed").status, status);
        comes_back(&stage, &proxy, &id);
    }
}

#[test]
fn a_refusal_that_passes_ends_nothing() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::with_feed(&stage.url(), QUICK);
    let mut stream = subscribe(proxy.address(), "/feed");
    let id = stream.expect("snapshot").id.expect("an id");
    for status in [404, 401, 403] {
        stage.becomes(move |_| Reply::status(status, "no"));
        assert_eq!(stream.expect("status").value["state"], "stale");
        let mut other = resume(proxy.address(), "/feed", &id);
        assert_eq!(other.status, 200);
        assert_eq!(other.expect("status").value["state"], "stale");
        stage.serves(numbered(1));
        assert_eq!(stream.expect("status").value["state"], "live");
    }
}

#[test]
fn a_kept_feed_comes_back_by_itself() {
    let stage = Stage::serving(numbered(1));
    let feed = ", poll: { interval: 20ms, idle: keep }";
    let proxy = Proxy::with_feed(&stage.url(), feed);
    let mut stream = subscribe(proxy.address(), "/feed");
    let id = stream.expect("snapshot").id.expect("an id");
    stage.becomes(|_| Reply::empty(410));
    stream.expect("end");
    assert_eq!(resume(proxy.address(), "/feed", &id).status, 204);
    stage.serves(numbered(2));
    eventually("the feed is back", || {
        resume(proxy.address(), "/feed", &id).status == 200
    });
    let mut stream = resume(proxy.address(), "/feed", &id);
    assert_eq!(stream.expect("patch").value[0]["value"], 2);
}
