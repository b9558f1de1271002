//! Topics on demand: each begins with its first client, is bounded in number, and ends after its
//! last. And clients that say with a body of their own what is polled.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::{Block, Response, get, raw, request, resume, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::stage::Stage;
use crate::support::upstream::{Reply, Request};

/// An upstream whose documents say what was asked and change with every poll.
fn counting() -> Stage {
    let polls = AtomicU64::new(0);
    Stage::new(move |request| {
        let n = polls.fetch_add(1, Ordering::SeqCst);
        let text = "unchanged ".repeat(40);
        Reply::json(json!({ "asked": request.target, "n": n, "text": text }).to_string())
    })
}

/// Feeds below `/a` and `/b` with these keys besides.
fn proxy(stage: &Stage, limits: &str, more: &str) -> Proxy {
    let feed = |name: &str| format!("  - {{ path: '/{name}/{{id}}', upstream: legacy{more} }}\n");
    Proxy::start(&format!(
        "server: {{ listen: \"127.0.0.1:0\", drain: 5s, limits: {{ {limits} }} }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\nfeeds:\n{}{}",
        stage.url(),
        feed("a"),
        feed("b"),
    ))
}

fn id(stream: &mut Response) -> String {
    stream.expect("snapshot").id.expect("an id")
}

fn topics(proxy: &Proxy) -> i64 {
    proxy.metric("pollcast_topics", &[]) as i64
}

const QUICK: &str = ", poll: { interval: 20ms, linger: 100ms }";

#[test]
fn clients_of_one_key_share_a_topic_and_others_have_their_own() {
    let stage = counting();
    let proxy = proxy(&stage, "", QUICK);
    let mut one = subscribe(proxy.address(), "/a/1");
    let epoch = |id: &str| id.split('-').next().expect("an epoch").to_owned();
    let first = epoch(&id(&mut one));
    assert_eq!(
        epoch(&id(&mut subscribe(proxy.address(), "/a/1?mode=snapshot"))),
        first
    );
    assert_ne!(epoch(&id(&mut subscribe(proxy.address(), "/a/2"))), first);
    assert_ne!(epoch(&id(&mut subscribe(proxy.address(), "/b/1"))), first);
    assert_eq!(one.expect("patch").value[0]["path"], "/n");
}

#[test]
fn beyond_the_bound_newcomers_are_refused_and_running_topics_go_on() {
    let stage = counting();
    let more = format!("{QUICK}, topics: 2");
    let proxy = proxy(&stage, "", &more);
    let mut running = ["/a/1", "/a/2"].map(|path| subscribe(proxy.address(), path));
    running.iter_mut().for_each(|stream| drop(id(stream)));

    let refused = subscribe(proxy.address(), "/a/3");
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    assert!(refused.text().contains("try again later"));
    let browser = [
        ("accept", "text/event-stream"),
        ("cache-control", "no-cache"),
    ];
    let refused = get(proxy.address(), "/a/3", &browser);
    assert_eq!(refused.status, 200);
    assert!(refused.text().starts_with("retry: "));
    let counted = proxy.metric(
        "pollcast_subscriptions_refused_total",
        &["feed=\"/a/{id}\"", "reason=\"limit_topics\""],
    );
    assert_eq!(counted as i64, 2);
    assert_eq!(stage.upstream.count("/a/3"), 0);

    // Another feed has room of its own, a known key needs none, and nobody was disturbed.
    id(&mut subscribe(proxy.address(), "/b/1"));
    id(&mut subscribe(proxy.address(), "/a/2"));
    for stream in &mut running {
        stream.expect("patch");
    }
    drop(running);
    eventually("there is room again", || {
        subscribe(proxy.address(), "/a/3").status == 200
    });
}

#[test]
fn all_feeds_together_have_a_bound_too() {
    let stage = counting();
    let proxy = proxy(&stage, "topics: 2", QUICK);
    let mut streams = ["/a/1", "/b/1"].map(|path| subscribe(proxy.address(), path));
    streams.iter_mut().for_each(|stream| drop(id(stream)));
    assert_eq!(subscribe(proxy.address(), "/a/2").status, 503);
    assert_eq!(subscribe(proxy.address(), "/b/2").status, 503);
    assert_eq!(topics(&proxy), 2);
}

#[test]
fn a_topic_that_nobody_listens_to_any_more_gives_way() {
    let stage = counting();
    let lasting = ", poll: { interval: 20ms, linger: 1h }, topics: 2";
    let proxy = proxy(&stage, "", lasting);
    let mut running = subscribe(proxy.address(), "/a/1");
    id(&mut running);
    drop(id(&mut subscribe(proxy.address(), "/a/2")));
    let mut newcomer = None;
    eventually("it gives way", || {
        newcomer = Some(subscribe(proxy.address(), "/a/3"));
        newcomer.as_ref().is_some_and(|stream| stream.status == 200)
    });
    let mut newcomer = newcomer.expect("a stream");
    id(&mut newcomer);
    // What gave way is not polled any more, as soon as a poll under way is over.
    newcomer.expect("patch");
    let asked = || stage.upstream.count("/a/2");
    eventually("it is left alone", || {
        let before = asked();
        (0..3).for_each(|_| drop(newcomer.expect("patch")));
        asked() == before
    });
    // Who runs goes on, and who comes back begins anew once there is room.
    running.expect("patch");
    assert_eq!(subscribe(proxy.address(), "/a/2").status, 503);
    drop(newcomer);
    eventually("there is room again", || {
        subscribe(proxy.address(), "/a/2").status == 200
    });
}

#[test]
fn a_topic_ends_after_its_last_client_and_begins_anew() {
    let stage = counting();
    let proxy = proxy(&stage, "", QUICK);
    let mut stream = subscribe(proxy.address(), "/a/1");
    let old = id(&mut stream);
    let bytes = || proxy.metric("pollcast_history_bytes", &[]);
    eventually("something is kept", || bytes() > 0.0);
    drop(stream);
    eventually("the topic is dropped", || topics(&proxy) == 0);
    assert_eq!(bytes() as i64, 0);
    for state in ["live", "stale", "down", "paused"] {
        let label = format!("state=\"{state}\"");
        assert_eq!(
            proxy.metric("pollcast_feed_state", &[&label]) as i64,
            0,
            "{state}"
        );
    }
    eventually("nobody asks for it any more", || {
        let polls = stage.upstream.count("/a/1");
        std::thread::sleep(Duration::from_millis(200));
        stage.upstream.count("/a/1") == polls
    });

    let mut back = resume(proxy.address(), "/a/1", &old);
    assert_eq!(back.expect("reset").value["reason"], "unknown_id");
    let new = id(&mut back);
    assert_ne!(new.split('-').next(), old.split('-').next());
}

#[test]
fn who_comes_back_while_it_lingers_misses_nothing() {
    let stage = counting();
    let proxy = proxy(&stage, "", ", poll: { interval: 20ms, linger: 20s }");
    let old = id(&mut subscribe(proxy.address(), "/a/1"));
    let mut back = resume(proxy.address(), "/a/1", &old);
    let next = back.expect("patch").id.expect("an id");
    let sequence = |id: &str| {
        id.split('-')
            .nth(1)
            .map(|n| n.parse::<u64>().expect("a number"))
    };
    assert_eq!(sequence(&next), sequence(&old).map(|n| n + 1));
}

#[test]
fn what_does_not_exist_is_asked_for_once_by_a_crowd_and_takes_no_room_for_long() {
    let stage = Stage::new(|request| match request.target.as_str() {
        "/a/1" => Reply::json("[1]"),
        _ => Reply::status(404, "{}"),
    });
    let proxy = proxy(
        &stage,
        "",
        ", poll: { interval: 10s, linger: 1h }, topics: 2",
    );
    for _ in 0..20 {
        assert_eq!(subscribe(proxy.address(), "/a/none").status, 404);
    }
    // More than once only where this test was stopped for a second in between.
    assert!(
        stage.upstream.count("/a/none") < 20,
        "the answer is remembered"
    );
    let _other = subscribe(proxy.address(), "/a/1");
    eventually("its place is free again", || topics(&proxy) == 1);
    assert_eq!(subscribe(proxy.address(), "/a/nothing").status, 404);
}

#[test]
fn a_crowd_that_comes_and_goes_leaves_nothing_behind() {
    let stage = counting();
    let proxy = proxy(
        &stage,
        "",
        ", poll: { interval: 20ms, linger: 0s }, topics: 50",
    );
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let proxy = &proxy;
            scope.spawn(move || {
                let mut dice = crate::support::Dice(thread);
                for _ in 0..100 {
                    let path = format!("/a/{}", dice.below(5));
                    let mut stream = subscribe(proxy.address(), &path);
                    let snapshot = stream.expect("snapshot");
                    assert_eq!(snapshot.value["asked"], json!(path));
                    if dice.below(3) == 0 {
                        stream.event();
                    }
                }
            });
        }
    });
    eventually("no topic is left", || topics(&proxy) == 0);
    assert_eq!(proxy.metric("pollcast_history_events", &[]) as i64, 0);
}

#[test]
fn topics_on_demand_end_with_the_process() {
    let stage = counting();
    let mut proxy = proxy(&stage, "", QUICK);
    let mut stream = subscribe(proxy.address(), "/a/1");
    id(&mut stream);
    proxy.signal("TERM");
    while stream.block().is_some() {}
    assert!(proxy.exit_status().success());
}

#[test]
fn the_status_page_lists_topics_by_what_they_are_asked_for() {
    let stage = counting();
    let more = format!("{QUICK}, request: {{ forward_query: [page] }}");
    let proxy = proxy(&stage, "", &more);
    let mut streams = ["/a/x%20y?page=2&secret=1", "/a/1"].map(|it| subscribe(proxy.address(), it));
    streams.iter_mut().for_each(|stream| drop(id(stream)));
    let (_, text) = proxy.admin("/api/feeds");
    let feeds: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(feeds[0]["path"], "/a/{id}");
    assert_eq!(feeds[0]["topics"], 2);
    assert_eq!(feeds[0]["subscribers"], 2);
    assert_eq!(feeds[1]["topics"], 0);
    let listed = feeds[0]["recent_topics"].as_array().expect("a list");
    let mut paths: Vec<_> = listed
        .iter()
        .map(|it| it["path"].as_str().expect("text"))
        .collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/a/1", "/a/x%20y?page=2"]);
    assert!(
        listed
            .iter()
            .all(|it| it["state"] == "live" && it["subscribers"] == 1)
    );
}

/// An upstream that answers with the body it got.
fn echo() -> Stage {
    Stage::new(|request: &Request| {
        let text = String::from_utf8_lossy(&request.body).into_owned();
        Reply::json(json!({ "method": request.method, "body": text }).to_string())
    })
}

fn graphql(stage: &Stage, more: &str) -> Proxy {
    let more = format!(", request: {{ client_body: {{ max_bytes: 100 }} }}{more}");
    Proxy::with_feed(&stage.url(), &more)
}

const ASKS: (&str, &str) = ("accept", "text/event-stream");
const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

#[test]
fn a_client_may_say_with_its_body_what_is_polled() {
    let stage = echo();
    let proxy = graphql(&stage, "");
    let ask = |body: &str, more: &[(&str, &str)]| {
        let headers = [&[ASKS, JSON], more].concat();
        request(proxy.address(), "POST", "/feed", &headers, body.as_bytes())
    };
    let (a, b) = (r#"{"query": "{a}"}"#, r#"{"query": "{b}"}"#);
    let mut streams = [a, b, a].map(|body| ask(body, &[]));
    let snapshots = streams.each_mut().map(|stream| stream.expect("snapshot"));
    for (snapshot, body) in snapshots.iter().zip([a, b, a]) {
        assert_eq!(snapshot.value["body"], body);
        assert_eq!(snapshot.value["method"], "POST");
    }
    assert_eq!(snapshots[0].id, snapshots[2].id);
    assert_eq!(topics(&proxy), 2);
    let polled = stage.upstream.requests();
    assert!(
        polled
            .iter()
            .all(|it| it.header("content-type") == Some("application/json"))
    );

    let last = snapshots[0].id.clone().expect("an id");
    let mut back = ask(a, &[("last-event-id", &last)]);
    assert_eq!(back.status, 200);
    assert!(matches!(back.block(), Some(Block::Retry(_))));
    assert!(
        back.silence(Duration::from_millis(100)),
        "nothing was missed"
    );
    let (_, page) = proxy.admin("/api/feeds");
    assert!(
        !page.contains("query"),
        "bodies are nobody's business: {page}"
    );
}

#[test]
fn a_body_that_cannot_be_polled_with_is_refused() {
    let stage = echo();
    let proxy = graphql(&stage, "");
    let status = |kind: (&str, &str), body: &[u8]| {
        let answer = request(proxy.address(), "POST", "/feed", &[ASKS, kind], body);
        assert!(answer.header("content-type") == Some("application/problem+json"));
        answer.status
    };
    let form = ("content-type", "application/x-www-form-urlencoded");
    assert_eq!(status(form, b"{}"), 415);
    assert_eq!(status(("x-none", "1"), b"{}"), 415);
    assert_eq!(status(JSON, &[b'1'; 101]), 413);
    for bad in [&b"{"[..], b"", b"{} {}", b"\"\xff\"", b"nul"] {
        assert_eq!(status(JSON, bad), 400, "{bad:?}");
    }
    assert_eq!(stage.upstream.requests().len(), 0);
    assert_eq!(topics(&proxy), 0);
}

#[test]
fn a_client_that_waits_for_leave_to_send_its_body_gets_it() {
    let stage = echo();
    let proxy = graphql(&stage, "");
    let head = b"POST /feed HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\
                 content-type: application/json\r\nexpect: 100-continue\r\n\
                 content-length: 3\r\n\r\n";
    let leave = raw(proxy.address(), head);
    assert_eq!(leave.status, 100);
    let mut stream = leave.again(b"[1]");
    assert_eq!(stream.expect("snapshot").value["body"], "[1]");
}

#[test]
fn a_body_that_never_ends_is_not_waited_for_beyond_its_bound() {
    let stage = echo();
    let proxy = graphql(&stage, "");
    let head = b"POST /feed HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\
                 content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let endless = [&head[..], &b"64\r\n"[..], &[b' '; 100], b"\r\n1\r\n1\r\n"].concat();
    assert_eq!(raw(proxy.address(), &endless).status, 413);
}

#[test]
fn what_asks_without_a_body_of_its_own_passes_through() {
    let stage = echo();
    let proxy = graphql(&stage, "");
    let answer = get(proxy.address(), "/feed", &[ASKS]);
    assert!(answer.text().contains("GET"));
    let answer = request(proxy.address(), "POST", "/feed", &[JSON], b"[1]");
    assert!(answer.text().contains("[1]"));
    assert_eq!(topics(&proxy), 0);
}

#[test]
fn pages_of_other_origins_may_ask_before_they_post() {
    let stage = echo();
    let proxy = graphql(
        &stage,
        ", deliver: { cors: { origins: ['https://app.example'] } }",
    );
    let headers = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "content-type,last-event-id",
        ),
    ];
    let answer = request(proxy.address(), "OPTIONS", "/feed", &headers, b"");
    assert_eq!(answer.status, 204);
    assert!(
        answer
            .header_list("access-control-allow-methods")
            .contains("POST")
    );
    assert!(
        answer
            .header_list("access-control-allow-headers")
            .contains("content-type")
    );
}
