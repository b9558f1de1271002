//! When a feed is live, stale, down or over.

use super::*;

const INTERVAL: Duration = Duration::from_secs(2);
const END_AFTER: Duration = Duration::from_secs(30);

fn health() -> Health {
    Health::new(INTERVAL, END_AFTER, Timestamp(0))
}

fn at(seconds: u64) -> Timestamp {
    Timestamp(seconds * 1000)
}

fn fail(health: &mut Health, seconds: u64) -> State {
    health.failed("timeout".into(), None, at(seconds));
    health.state()
}

#[test]
fn one_failure_is_a_blip_and_two_are_stale() {
    let mut health = health();
    assert!(health.succeeded(at(1)));
    assert_eq!(fail(&mut health, 3), State::Live);
    assert_eq!(fail(&mut health, 5), State::Stale);
    assert!(health.succeeded(at(7)));
    assert_eq!(health.state(), State::Live);
}

#[test]
fn the_first_success_after_an_outage_marks_the_gap_and_a_pause_of_ours_is_none() {
    let json =
        |health: &Health| serde_json::from_str::<serde_json::Value>(&health.to_json()).unwrap();
    let mut health = health();
    health.succeeded(at(1));
    fail(&mut health, 3);
    health.succeeded(at(5));
    assert_eq!(health.gap(), None, "a blip");
    fail(&mut health, 7);
    fail(&mut health, 9);
    assert_eq!(json(&health)["gap"], serde_json::Value::Null);
    health.succeeded(at(100));
    health.succeeded(at(102));
    assert_eq!(health.gap(), Some((at(5), at(100))));
    assert_eq!(json(&health)["gap"]["from"], "1970-01-01T00:00:05.000Z");
    assert_eq!(json(&health)["gap"]["to"], "1970-01-01T00:01:40.000Z");
    health.paused(at(110));
    assert_eq!(health.gap(), None);
    health.resumed(at(200));
    health.succeeded(at(201));
    assert_eq!(health.gap(), None);
}

#[test]
fn without_a_document_a_feed_is_down() {
    let mut health = health();
    assert_eq!(health.state(), State::Down);
    assert_eq!(fail(&mut health, 1), State::Down);
    assert_eq!(health.down_at(), None);
}

#[test]
fn long_silence_is_down_and_a_pause_is_not() {
    let mut health = health();
    health.succeeded(at(0));
    fail(&mut health, 2);
    assert_eq!(health.down_at(), Some(at(60)));
    assert!(!health.passed(at(59)));
    assert!(health.passed(at(60)));
    assert_eq!(health.state(), State::Down);

    health.succeeded(at(100));
    health.resumed(at(10_000));
    assert_eq!(fail(&mut health, 10_001), State::Live);
    assert_eq!(health.last_success(), Some(at(100)));
}

#[test]
fn after_a_pause_nothing_is_live_before_a_poll_succeeds() {
    let mut health = health();
    health.succeeded(at(0));
    health.paused(at(30));
    assert_eq!(health.state(), State::Stale);
    health.resumed(at(100));
    assert_eq!(fail(&mut health, 101), State::Stale);
    assert!(health.succeeded(at(103)));
}

#[test]
fn a_refusal_ends_the_feed_only_when_it_lasts() {
    let denied = |status| Denial::from_status(status);
    let mut health = health();
    health.succeeded(at(0));
    health.failed("status 404".into(), denied(404), at(10));
    assert_eq!(health.ends_at(), Some(at(40)));
    health.failed("status 404".into(), denied(404), at(39));
    assert_eq!(health.ended(), None);
    health.failed("status 401".into(), denied(401), at(40));
    assert_eq!(health.ended().map(Denial::reason), Some("unauthorized"));
    health.succeeded(at(50));
    assert_eq!(health.ended(), None);
}

#[test]
fn a_refusal_of_a_clients_own_credentials_ends_the_feed_at_once() {
    for (status, ends) in [(401, true), (403, true), (404, false), (410, true)] {
        let mut health = health().of_one_client();
        health.succeeded(at(0));
        health.failed("refused".into(), Denial::from_status(status), at(1));
        assert_eq!(health.ended().is_some(), ends, "{status}");
    }
}

#[test]
fn a_pause_interrupts_a_refusal() {
    let denied = || Denial::from_status(404);
    let mut health = health();
    health.succeeded(at(0));
    health.failed("status 404".into(), denied(), at(10));
    health.paused(at(15));
    health.resumed(at(1000));
    health.failed("status 404".into(), denied(), at(1001));
    assert_eq!(health.ended(), None);
    assert!(health.failed("status 404".into(), denied(), at(1031)));
    assert_eq!(health.ended(), denied());
}

#[test]
fn an_interrupted_refusal_starts_over_and_gone_ends_at_once() {
    let mut health = health();
    health.succeeded(at(0));
    health.failed("status 404".into(), Denial::from_status(404), at(10));
    fail(&mut health, 20);
    health.failed("status 404".into(), Denial::from_status(404), at(45));
    assert_eq!(health.ended(), None);
    health.failed("status 410".into(), Denial::from_status(410), at(46));
    assert_eq!(health.ended().map(Denial::status), Some(410));
}

#[test]
fn a_reason_cannot_break_out_of_its_event() {
    let mut health = health();
    health.failed("a\"\r\nevent: forged".into(), None, at(1));
    let json = health.to_json();
    assert!(!json.contains(['\r', '\n']), "{json}");
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["state"], "down");
    assert_eq!(value["since"], "1970-01-01T00:00:00.000Z");
    assert_eq!(value["last_success"], serde_json::Value::Null);
}
