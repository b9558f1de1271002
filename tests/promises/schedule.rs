//! When an upstream is asked, and what it may say about that.
//!
//! No test here measures time. A feed of another upstream, polled every 20 ms, is the clock: while
//! it is polled so and so often, another one is polled more rarely, or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::client::subscribe;
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::stage::{Stage, numbered};
use crate::support::upstream::{Reply, Request};

const KEEP: &str = "idle: keep";

/// Feeds of the upstream `shop` beside the clock, all polled without anybody.
fn polled(stage: &Stage, limits: &str, feeds: &[(&str, &str)]) -> Proxy {
    let url = stage.url();
    let feed = |(path, poll): &(&str, &str)| {
        format!("  - {{ path: {path}, upstream: shop, poll: {{ {KEEP}, {poll} }} }}\n")
    };
    let feeds: String = feeds.iter().map(feed).collect();
    Proxy::start(&format!(
        "upstreams:\n  shop: {{ url: \"{url}\"{limits} }}\n  other: {{ url: \"{url}\" }}\n\
         feeds:\n  - {{ path: /clock, upstream: other, poll: {{ {KEEP}, interval: 20ms }} }}\n{feeds}"
    ))
}

/// Waits for so many polls of the clock.
fn tick(stage: &Stage, polls: usize) {
    let before = stage.upstream.count("/clock");
    eventually("the clock ticks", || {
        stage.upstream.count("/clock") >= before + polls
    });
}

/// What the status API says of a feed.
fn feed(proxy: &Proxy, path: &str) -> Value {
    let (status, text) = proxy.admin("/api/feeds");
    assert_eq!(status, 200);
    let feeds: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let found = feeds.into_iter().find(|feed| feed["path"] == path);
    found.expect("the feed")
}

fn why(proxy: &Proxy, path: &str) -> String {
    feed(proxy, path)["why"].as_str().unwrap_or("").to_owned()
}

/// What it says of an upstream.
fn upstream(proxy: &Proxy, name: &str) -> Value {
    let (status, text) = proxy.admin("/api/upstreams");
    assert_eq!(status, 200);
    let upstreams: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let found = upstreams.into_iter().find(|each| each["name"] == name);
    found.expect("the upstream")
}

fn with(status: u16, headers: &[(&'static str, &str)]) -> Reply {
    Reply::Answer {
        status,
        headers: headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect(),
        body: b"[1]".to_vec(),
    }
}

/// The clock and `/free` are answered plainly, everything else as `act` says.
fn except_clock(act: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Stage {
    Stage::new(move |request| match request.target.as_str() {
        "/clock" => Reply::json("[1]"),
        _ => act(request),
    })
}

#[test]
fn a_feed_that_changes_is_polled_faster_and_one_that_rests_slower() {
    let version = AtomicUsize::new(0);
    let stage = Stage::new(move |request| match request.target.as_str() {
        "/busy" => Reply::json(numbered(version.fetch_add(1, Ordering::SeqCst) as u64)),
        _ => Reply::json("[1]"),
    });
    let poll = "interval: 100ms, min_interval: 20ms, max_interval: 1m";
    let proxy = polled(&stage, "", &[("/busy", poll), ("/calm", poll)]);
    eventually("many polls of the one that changes", || {
        stage.upstream.count("/busy") > 100
    });
    let (busy, calm) = (feed(&proxy, "/busy"), feed(&proxy, "/calm"));
    assert_eq!(
        (&busy["why"], &busy["interval_ms"]),
        (&json!("changing"), &json!(20))
    );
    assert_eq!(calm["why"], "resting");
    assert!(calm["interval_ms"].as_u64() > Some(150), "{calm}");
    assert!(
        calm["next_poll"].is_string() && calm["why_text"].is_string(),
        "{calm}"
    );
    let calm = stage.upstream.count("/calm");
    assert!(calm < 25, "{calm}");
}

#[test]
fn an_answer_that_stays_fresh_is_not_asked_for_again_unless_the_feed_says_so() {
    let stage = except_clock(|_| with(200, &[("cache-control", "max-age=3600"), ("age", "60")]));
    let feeds = [
        ("/heeds", "interval: 20ms"),
        ("/bounded", "interval: 20ms, max_interval: 40ms"),
        ("/heedless", "interval: 20ms, respect: [retry_after]"),
    ];
    let proxy = polled(&stage, "", &feeds);
    tick(&stage, 50);
    assert_eq!(stage.upstream.count("/heeds"), 1);
    let found = feed(&proxy, "/heeds");
    assert_eq!(found["why"], "max_age");
    let text = found["why_text"].as_str().expect("a sentence");
    assert!(text.contains("poll.respect"), "the way out: {text}");
    eventually("polls of those who know better", || {
        stage.upstream.count("/heedless") > 20 && stage.upstream.count("/bounded") > 10
    });
}

#[test]
fn the_interval_that_an_upstream_asks_for_is_kept() {
    let stage = except_clock(|_| with(200, &[("x-poll-interval", "3600")]));
    let feeds = [
        ("/heeds", "interval: 20ms"),
        ("/heedless", "interval: 20ms, respect: [max_age]"),
    ];
    let proxy = polled(&stage, "", &feeds);
    tick(&stage, 50);
    assert_eq!(stage.upstream.count("/heeds"), 1);
    assert_eq!(why(&proxy, "/heeds"), "poll_interval");
    eventually("polls", || stage.upstream.count("/heedless") > 20);
}

#[test]
fn a_pause_that_an_overloaded_upstream_asks_for_holds_for_all_its_feeds() {
    for status in [429, 503] {
        let overloaded = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&overloaded);
        let stage = except_clock(move |_| match seen.load(Ordering::SeqCst) {
            0 => Reply::json("[1]"),
            _ => with(status, &[("retry-after", "3600")]),
        });
        let interval = "interval: 20ms";
        let proxy = polled(&stage, "", &[("/a", interval), ("/b", interval)]);
        let mut stream = subscribe(proxy.address(), "/b");
        stream.expect("snapshot");
        overloaded.store(1, Ordering::SeqCst);
        eventually("the upstream is left alone", || {
            upstream(&proxy, "shop")["paused_until"].is_string()
        });
        // Polls that were under way may still arrive.
        tick(&stage, 5);
        let before = stage.upstream.count("/a") + stage.upstream.count("/b");
        tick(&stage, 50);
        let after = stage.upstream.count("/a") + stage.upstream.count("/b");
        assert_eq!(before, after, "{status}");
        let told = stream.expect("status").value;
        assert_eq!(told["state"], "stale", "{told}");
        eventually("both say why", || {
            ["/a", "/b"]
                .iter()
                .all(|path| why(&proxy, path) == "retry_after")
        });
        assert!(proxy.metric("pollcast_polls_held_back_total", &["shop", "retry_after"]) > 0.5);
    }
}

#[test]
fn a_redirect_that_asks_for_a_pause_pauses_its_own_feed() {
    let stage = except_clock(|request| match request.target.as_str() {
        "/moved" => with(
            302,
            &[
                ("location", "http://elsewhere.invalid/"),
                ("retry-after", "3600"),
            ],
        ),
        _ => Reply::json("[1]"),
    });
    let interval = "interval: 20ms";
    let proxy = polled(&stage, "", &[("/moved", interval), ("/b", interval)]);
    eventually("polls of the other feed", || {
        stage.upstream.count("/b") > 50
    });
    assert_eq!(stage.upstream.count("/moved"), 1);
    assert_eq!(why(&proxy, "/moved"), "retry_after");
}

#[test]
fn what_cannot_be_a_time_slows_nothing() {
    let odd = [
        ("cache-control", "max-age=-5, s-maxage=x"),
        ("age", "99999999999999999999"),
        ("x-poll-interval", "-1"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "Tue, 14 Nov 1994"),
        ("ratelimit", "((;;"),
        ("retry-after", "3600"),
    ];
    let stage = except_clock(move |_| with(200, &odd));
    let proxy = polled(&stage, "", &[("/a", "interval: 20ms")]);
    eventually("polls", || stage.upstream.count("/a") > 20);
    assert_eq!(why(&proxy, "/a"), "interval");
}

#[test]
fn when_no_request_is_left_nobody_asks_and_when_few_are_they_are_spread() {
    for (head, most) in [
        (vec![("ratelimit", "\"default\";r=0;t=3600")], 2),
        (
            vec![
                ("ratelimit", "\"default\";r=1"),
                ("ratelimit-policy", "\"default\";q=9;w=7200"),
            ],
            3,
        ),
        (
            vec![
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "4000000000"),
            ],
            2,
        ),
        (
            vec![("ratelimit-remaining", "2"), ("ratelimit-reset", "3600")],
            4,
        ),
    ] {
        let answer = head.clone();
        let stage = except_clock(move |_| with(200, &answer));
        let feeds = [("/a", "interval: 20ms"), ("/b", "interval: 20ms")];
        let proxy = polled(&stage, "", &feeds);
        tick(&stage, 50);
        let asked = stage.upstream.count("/a") + stage.upstream.count("/b");
        assert!(asked <= most, "{head:?}: {asked}");
        assert!(
            upstream(&proxy, "shop")["quota"]["until"].is_string(),
            "{head:?}"
        );
        assert!(proxy.metric("pollcast_polls_held_back_total", &["shop", "rate_limit"]) > 0.5);
    }
}

#[test]
fn validators_that_lie_are_found_out() {
    let document = Arc::new(AtomicUsize::new(1));
    let serve = Arc::clone(&document);
    let stage = except_clock(move |request| {
        if request.header("if-none-match").is_some() {
            return Reply::empty(304);
        }
        Reply::Answer {
            status: 200,
            headers: vec![("etag", "\"always the same\"".into())],
            body: numbered(serve.load(Ordering::SeqCst) as u64).into_bytes(),
        }
    });
    let feeds = [
        ("/checked", "interval: 20ms, revalidate: 200ms"),
        ("/always", "interval: 20ms, revalidate: 0s"),
    ];
    let proxy = polled(&stage, "", &feeds);
    let mut checked = subscribe(proxy.address(), "/checked");
    checked.expect("snapshot");
    let conditional = |path: &str| {
        let requests = stage.upstream.requests();
        let sent = |request: &&Request| request.header("if-none-match").is_some();
        let asked = requests.iter().filter(|request| request.target == path);
        asked.filter(sent).count()
    };
    eventually("conditional polls", || conditional("/checked") > 3);
    document.store(2, Ordering::SeqCst);
    assert_eq!(checked.expect("patch").value[0]["value"], json!(2));
    eventually("polls", || stage.upstream.count("/always") > 10);
    assert_eq!(conditional("/always"), 0);
}

#[test]
fn a_budget_is_a_ceiling_and_says_so() {
    let stage = Stage::serving("[1]");
    let feeds = [("/a", "freshness: 20ms"), ("/b", "interval: 20ms")];
    let proxy = polled(&stage, ", budget: 3/d", &feeds);
    tick(&stage, 50);
    assert_eq!(stage.upstream.count("/a") + stage.upstream.count("/b"), 1);
    let held = ["/a", "/b"].map(|path| why(&proxy, path));
    assert!(held.iter().any(|why| why == "budget_spent"), "{held:?}");
    let budget = &upstream(&proxy, "shop")["budget"];
    assert_eq!(
        budget,
        &json!({"polls": 3, "period_ms": 86_400_000, "left": 0})
    );
}

#[test]
fn a_budget_is_shared_by_subscribers() {
    let stage = Stage::serving("[1]");
    let feeds = [("/many", "freshness: 20ms"), ("/few", "freshness: 20ms")];
    let proxy = polled(&stage, ", budget: 1200/m", &feeds);
    let _few = subscribe(proxy.address(), "/few");
    let _many: Vec<_> = (0..19)
        .map(|_| subscribe(proxy.address(), "/many"))
        .collect();
    let interval = |path| feed(&proxy, path)["interval_ms"].as_u64().unwrap_or(0);
    // A tenth of twenty polls a second in equal parts; 19 of 20 of the rest for the many.
    eventually("shares by subscribers", || {
        (52..=57).contains(&interval("/many")) && (500..=530).contains(&interval("/few"))
    });
    assert_eq!(why(&proxy, "/few"), "budget");
    let before = (stage.upstream.count("/many"), stage.upstream.count("/few"));
    eventually("polls", || stage.upstream.count("/many") > before.0 + 40);
    let few = stage.upstream.count("/few") - before.1;
    assert!((1..=12).contains(&few), "{few}");
}

#[test]
fn freshness_without_a_budget_is_an_interval() {
    let stage = Stage::serving("[1]");
    let proxy = polled(&stage, "", &[("/a", "freshness: 20ms")]);
    eventually("polls", || stage.upstream.count("/a") > 20);
    let found = feed(&proxy, "/a");
    assert_eq!(
        (&found["why"], &found["interval_ms"]),
        (&json!("interval"), &json!(20))
    );
}

#[test]
fn after_an_outage_the_status_marks_the_gap() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::with_feed(&stage.url(), "");
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    stage.becomes(|_| Reply::status(500, "{}"));
    let stale = stream.expect("status").value;
    assert_eq!(
        (&stale["state"], &stale["gap"]),
        (&json!("stale"), &Value::Null)
    );
    stage.serves(numbered(2));
    let live = stream.expect("status").value;
    assert_eq!(live["state"], "live");
    assert_eq!(live["gap"]["from"], stale["last_success"], "{live}");
    assert_eq!(live["gap"]["to"], live["last_success"], "{live}");
    // It comes before the change that bridges the gap.
    assert_eq!(stream.expect("patch").value[0]["value"], json!(2));
}
