//! The configuration changes without dropping anyone whom the change does not concern.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::{Block, Response, get, resume, subscribe};
use crate::support::contract::Contract;
use crate::support::proxy::Proxy;
use crate::support::stage::{Stage, numbered};
use crate::support::upstream::{Reply, Upstream};
use crate::support::{PATIENCE, eventually};

/// A configuration with these feeds, entries as in YAML's flow style.
fn config(upstream: &str, feeds: &[&str]) -> String {
    format!(
        "upstreams: {{ legacy: {{ url: \"{upstream}\" }} }}\nfeeds: [{}]\n",
        feeds.join(", ")
    )
}

const FEED: &str = "{ path: /feed, upstream: legacy, poll: { interval: 20ms } }";

/// Reloads, which must put another configuration in force; what changed.
#[track_caller]
fn reloaded(proxy: &Proxy) -> Value {
    let (status, answer) = proxy.reload();
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["outcome"], "reloaded", "{answer}");
    answer["changes"].clone()
}

/// Rewrites the file and reloads.
#[track_caller]
fn turns_to(proxy: &Proxy, config: &str) -> Value {
    proxy.rewrite(config);
    reloaded(proxy)
}

/// The rest of a stream that ends properly, with when to come back.
#[track_caller]
fn is_sent_away(stream: &mut Response) {
    let blocks: Vec<_> = std::iter::from_fn(|| stream.block()).collect();
    assert!(matches!(blocks.last(), Some(Block::Retry(_))), "{blocks:?}");
}

/// A metric, as a whole number.
fn number(proxy: &Proxy, name: &str, label: &str) -> String {
    format!("{:.0}", proxy.metric(name, &[label]))
}

fn series(proxy: &Proxy) -> usize {
    let (_, page) = proxy.admin("/metrics");
    page.lines().filter(|line| !line.starts_with('#')).count()
}

#[test]
fn whom_no_change_concerns_notices_none_of_a_hundred() {
    let stage = Stage::serving(numbered(1));
    let rare = "{ path: /rare, upstream: legacy, poll: { interval: 1h } }";
    let with = |other: &str| config(&stage.url(), &[FEED, rare, other]);
    let proxy = Proxy::start(&with("{ path: /other, upstream: legacy }"));
    let mut stream = subscribe(proxy.address(), "/feed");
    let first = stream.expect("snapshot").id.expect("an id");
    let mut quiet = subscribe(proxy.address(), "/rare");
    quiet.expect("snapshot");
    for n in 2..102 {
        let other = match n % 4 {
            0 => "{ path: /other, upstream: legacy, poll: { interval: 1s } }",
            1 => "{ path: /other, upstream: legacy, document: { select: /n } }",
            2 => "{ path: /another, upstream: legacy, deliver: { retry: 1s } }",
            _ => "{ path: \"/of/{id}\", upstream: legacy }",
        };
        proxy.rewrite(&with(other));
        stage.serves(numbered(n));
        if n % 2 == 0 {
            reloaded(&proxy);
        } else {
            let before = proxy.metric("pollcast_reloads_total", &["\"reloaded\""]);
            proxy.signal("HUP");
            eventually("a reload", || {
                proxy.metric("pollcast_reloads_total", &["\"reloaded\""]) > before
            });
        }
        let patch = stream.expect("patch");
        assert_eq!(patch.value[0]["value"], json!(n));
        let id = patch.id.expect("an id");
        assert_eq!(
            id.split_once('-').unwrap().0,
            first.split_once('-').unwrap().0
        );
    }
    assert_eq!(stage.upstream.count("/rare"), 1, "not even a poll more");
    assert!(quiet.silence(Duration::from_millis(50)));
}

#[test]
fn a_wrong_file_leaves_everything_and_says_all_that_is_wrong() {
    let stage = Stage::serving(numbered(1));
    let right = config(&stage.url(), &[FEED]);
    let proxy = Proxy::start(&right);
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    proxy.rewrite("upstreams: { legacy: { url: 7 } }\nfeeds: [{ path: /a, upstream: nobody }]\n");
    let (status, answer) = proxy.reload();
    assert_eq!((status, &answer["outcome"]), (422, &json!("refused")));
    Contract::of(&proxy).check("post", "/api/reload", 422, &answer);
    let problems = answer["problems"].as_array().expect("a list");
    assert!(problems.len() >= 2, "{answer}");
    let told = problems.iter().map(|it| it.as_str().unwrap());
    assert!(
        told.clone()
            .any(|it| it.contains("upstreams.legacy.url (line ")),
        "{answer}"
    );
    assert!(
        told.clone()
            .any(|it| it.contains("feeds[0].upstream (line ")),
        "{answer}"
    );
    let refused = || number(&proxy, "pollcast_reloads_total", "\"refused\"");
    let successful = || number(&proxy, "pollcast_config_last_reload_successful", "");
    assert_eq!((&*refused(), &*successful()), ("1", "0"));
    proxy.signal("HUP");
    eventually("a refusal", || refused() == "2");
    eventually("it is logged", || {
        proxy.log().matches("is refused").count() >= 4
    });
    stage.serves(numbered(2));
    assert_eq!(stream.expect("patch").value[0]["value"], json!(2));
    proxy.rewrite(&right);
    let (status, answer) = proxy.reload();
    Contract::of(&proxy).check("post", "/api/reload", 200, &answer);
    assert_eq!((status, answer), (200, json!({"outcome": "unchanged"})));
    assert_eq!(successful(), "1");
    proxy.rewrite(&config(&stage.url(), &["{ path: /b, upstream: legacy }"]));
    let (_, answer) = proxy.reload();
    Contract::of(&proxy).check("post", "/api/reload", 200, &answer);
}

#[test]
fn a_feed_that_is_asked_or_told_in_another_way_is_resumed() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::start(&config(&stage.url(), &[FEED]));
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    for (n, changed) in [
        (2, "poll: { interval: 30ms }"),
        (
            3,
            "poll: { interval: 30ms }, events: { history: { events: 5 } }",
        ),
        (4, "poll: { interval: 10ms }, deliver: { heartbeat: 9s }"),
    ] {
        stage.serves(numbered(n));
        let before = stream.expect("patch").id.expect("an id");
        let feed = format!("{{ path: /feed, upstream: legacy, {changed} }}");
        let changes = turns_to(&proxy, &config(&stage.url(), &[&feed]));
        assert_eq!(changes["feeds"]["changed"][0]["name"], "/feed");
        is_sent_away(&mut stream);
        // Somebody else gets it polled meanwhile: what the absent one missed is one event.
        let mut other = subscribe(proxy.address(), "/feed");
        assert_eq!(other.expect("snapshot").value["n"], json!(n));
        stage.serves(numbered(n + 100));
        other.expect("patch");
        stream = resume(proxy.address(), "/feed", &before);
        assert_eq!(stream.expect("patch").value[0]["value"], json!(n + 100));
    }
    let resets = proxy.metric("pollcast_subscriptions_total", &["unknown_id"]);
    assert!(resets < 0.5);
}

#[test]
fn topics_on_demand_are_taken_along_as_well() {
    let upstream = Upstream::start(|request| Reply::json(format!("[{:?}]", request.target)));
    let feed = |more: &str| format!("{{ path: \"/of/{{id}}\", upstream: legacy{more} }}");
    let proxy = Proxy::start(&config(&upstream.url(), &[&feed("")]));
    let mut streams: Vec<_> = (0..3)
        .map(|n| subscribe(proxy.address(), &format!("/of/{n}")))
        .collect();
    let ids: Vec<_> = streams
        .iter_mut()
        .map(|stream| stream.expect("snapshot").id.expect("an id"))
        .collect();
    turns_to(
        &proxy,
        &config(&upstream.url(), &[&feed(", deliver: { heartbeat: 1s }")]),
    );
    for ((n, stream), id) in streams.iter_mut().enumerate().zip(&ids) {
        is_sent_away(stream);
        let mut back = resume(proxy.address(), &format!("/of/{n}"), id);
        assert!(matches!(back.block(), Some(Block::Retry(_))));
        assert!(
            matches!(back.block(), Some(Block::Comment)),
            "nothing was missed"
        );
    }
}

#[test]
fn another_document_begins_anew() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::start(&config(&stage.url(), &[FEED]));
    let mut stream = subscribe(proxy.address(), "/feed");
    let id = stream.expect("snapshot").id.expect("an id");
    let selected = FEED.replace("poll:", "document: { select: /n }, poll:");
    turns_to(&proxy, &config(&stage.url(), &[&selected]));
    is_sent_away(&mut stream);
    let mut back = resume(proxy.address(), "/feed", &id);
    assert_eq!(back.expect("reset").value["reason"], "unknown_id");
    assert_eq!(back.expect("snapshot").value, json!(1));
    let elsewhere = Stage::serving(r#"{"n":"elsewhere"}"#);
    turns_to(&proxy, &config(&elsewhere.url(), &[&selected]));
    is_sent_away(&mut back);
    let mut back = subscribe(proxy.address(), "/feed");
    assert_eq!(back.expect("snapshot").value, json!("elsewhere"));
    let asked = stage.upstream.count("/feed");
    stage.serves(numbered(2));
    assert!(back.silence(Duration::from_millis(100)));
    assert!(
        stage.upstream.count("/feed") <= asked + 1,
        "nobody asks the old one"
    );
}

#[test]
fn a_feed_that_is_no_more_ends_and_its_path_follows_the_routes() {
    let stage = Stage::serving(numbered(1));
    let kept = "{ path: /kept, upstream: legacy }";
    let proxy = Proxy::start(&config(&stage.url(), &[FEED, kept]));
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    let changes = turns_to(&proxy, &config(&stage.url(), &[kept]));
    assert_eq!(changes["feeds"]["removed"], json!(["/feed"]));
    assert_eq!(stream.expect("end").value, json!({"reason": "removed"}));
    assert!(stream.block().is_none());
    let mut passed = get(proxy.address(), "/feed", &[("accept", "text/event-stream")]);
    assert_eq!(passed.header("content-type"), Some("application/json"));
    while passed.byte().is_some() {}
    eventually("its series are gone", || {
        !proxy.admin("/metrics").1.contains("feed=\"/feed\"")
    });
    assert!(!proxy.admin("/api/config").1.contains("\"/feed\""));
    assert!(!proxy.admin("/api/status").1.contains("\"/feed\""));
}

#[test]
fn routes_change_with_the_next_request_even_on_the_same_connection() {
    let (old, new) = (
        Upstream::start(|_| Reply::json("\"old\"")),
        Upstream::start(|_| Reply::json("\"new\"")),
    );
    let to = |name: &str| {
        format!(
            "upstreams: {{ old: {{ url: \"{}\" }}, new: {{ url: \"{}\" }} }}\n\
             feeds: []\nproxy: [{{ path: /, upstream: {name} }}]\n",
            old.url(),
            new.url()
        )
    };
    let proxy = Proxy::start(&to("old"));
    let ask = b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n";
    let first = crate::support::client::raw(proxy.address(), ask);
    let length = |answer: &Response| answer.header("content-length").map(str::to_owned);
    assert_eq!(length(&first).as_deref(), Some("5"));
    turns_to(&proxy, &to("new"));
    let mut second = first.again(ask);
    let body: Vec<_> = (0..5).filter_map(|_| second.byte()).collect();
    assert_eq!(String::from_utf8_lossy(&body), "\"new\"");
    let labels = ["route=\"/\"", "upstream=\"old\""];
    let (_, page) = proxy.admin("/metrics");
    let is_old = |line: &&str| labels.iter().all(|label| line.contains(label));
    assert_eq!(page.lines().find(is_old), None);
}

#[test]
fn secrets_that_were_rotated_are_used_and_not_shown() {
    let (upstream, _) = Upstream::with_document("[1]");
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "hush-1").expect("a file");
    let config = format!(
        "upstreams: {{ legacy: {{ url: \"{}\", headers: {{ x-token: \"${{file:token}}\" }} }} }}\n\
         feeds: [{FEED}]\n",
        upstream.url()
    );
    let proxy = Proxy::start_in(folder, &config);
    let mut stream = subscribe(proxy.address(), "/feed");
    let id = stream.expect("snapshot").id.expect("an id");
    std::fs::write(&token, "hush-2").expect("a file");
    let changes = reloaded(&proxy);
    let change = &changes["upstreams"]["changed"][0]["keys"][0];
    assert_eq!(change["key"], "headers.x-token");
    is_sent_away(&mut stream);
    let mut back = resume(proxy.address(), "/feed", &id);
    assert!(matches!(back.block(), Some(Block::Retry(_))));
    eventually("it is used", || {
        let requests = upstream.requests();
        let last = requests.last().expect("polls");
        last.header("x-token") == Some("hush-2")
    });
    for told in [
        changes.to_string(),
        proxy.log(),
        proxy.admin("/api/config").1,
    ] {
        assert!(!told.contains("hush"), "{told}");
    }
}

#[test]
fn listeners_come_and_go_and_connections_live_on() {
    let stage = Stage::serving(numbered(1));
    let (first, second) = (free(), free());
    let at = |listen: &str| {
        format!(
            "server: {{ listen: [{listen}] }}\n{}",
            config(&stage.url(), &[FEED])
        )
    };
    let proxy = Proxy::start(&at(&format!("\"{first}\"")));
    let mut stream = subscribe(first, "/feed");
    stream.expect("snapshot");
    turns_to(&proxy, &at(&format!("\"{first}\", \"{second}\"")));
    let mut other = subscribe(second, "/feed");
    other.expect("snapshot");
    turns_to(&proxy, &at(&format!("\"{second}\"")));
    eventually("nobody listens there any more", || {
        std::net::TcpStream::connect(first).is_err()
    });
    stage.serves(numbered(2));
    for stream in [&mut stream, &mut other] {
        assert_eq!(stream.expect("patch").value[0]["value"], json!(2));
    }
    eventually("its series are gone", || {
        !proxy.admin("/metrics").1.contains(&first.to_string())
    });
    // What cannot be had is refused, and nothing of the rest is put in force.
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = holder.local_addr().expect("an address");
    proxy.rewrite(&at(&format!("\"{second}\", \"{first}\", \"{taken}\"")));
    let (status, answer) = proxy.reload();
    assert_eq!(status, 422, "{answer}");
    assert!(
        answer["problems"][0]
            .as_str()
            .unwrap()
            .contains("cannot listen on")
    );
    assert!(std::net::TcpStream::connect(first).is_err());
    stage.serves(numbered(3));
    assert_eq!(other.expect("patch").value[0]["value"], json!(3));
}

/// An address at which nobody listens.
fn free() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}

#[test]
fn limits_hold_at_once_and_nobody_who_sits_is_sent_away() {
    let stage = Stage::serving(numbered(1));
    let with = |limits: &str| {
        format!(
            "server: {{ listen: \"127.0.0.1:0\", limits: {{ {limits} }} }}\n{}",
            config(&stage.url(), &[FEED])
        )
    };
    let proxy = Proxy::start(&with(""));
    let mut streams: Vec<_> = (0..3)
        .map(|_| subscribe(proxy.address(), "/feed"))
        .collect();
    streams.iter_mut().for_each(|stream| {
        stream.expect("snapshot");
    });
    turns_to(&proxy, &with("subscribers: 2"));
    let refused = get(proxy.address(), "/feed", &[("accept", "text/event-stream")]);
    assert_eq!(refused.status, 503);
    stage.serves(numbered(2));
    for stream in &mut streams {
        stream.expect("patch");
    }
    turns_to(&proxy, &with("subscribers: 4"));
    subscribe(proxy.address(), "/feed").expect("snapshot");
    turns_to(&proxy, &with("memory: 3MiB"));
    let budget = proxy.metric("pollcast_memory_budget_bytes", &[]);
    assert_eq!(budget, f64::from(3 << 20));
}

#[test]
fn what_only_a_restart_puts_in_force_is_named() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::start(&config(&stage.url(), &[FEED]));
    let changed = format!(
        "server: {{ listen: \"127.0.0.1:0\", threads: 3 }}\nlogs: {{ format: json }}\n\
         backplane: {{ file: {{ path: \"{}\" }} }}\n{}",
        proxy.folder().join("store").display(),
        config(&stage.url(), &[FEED])
    );
    let changes = turns_to(&proxy, &changed);
    let mut keys: Vec<String> = serde_json::from_value(changes["restart"].clone()).expect("keys");
    keys.sort();
    assert_eq!(keys, ["backplane", "logs.format", "server.threads"]);
    assert!(!proxy.folder().join("store").exists());
}

#[test]
fn reloads_at_the_same_time_happen_one_after_the_other() {
    let stage = Stage::serving(numbered(1));
    let with = |n: usize| {
        let feed = format!("{{ path: /of-{}, upstream: legacy }}", n % 7);
        config(&stage.url(), &[FEED, &feed])
    };
    let proxy = Proxy::start(&with(0));
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..10 {
                    // The file may be half written.
                    assert!([200, 422].contains(&proxy.reload().0));
                }
            });
        }
        (0..50).for_each(|n| proxy.rewrite(&with(n)));
    });
    proxy.rewrite(&with(3));
    proxy.reload();
    assert!(proxy.admin("/api/config").1.contains("/of-3"));
    assert_eq!(proxy.reload().1, json!({"outcome": "unchanged"}));
    stage.serves(numbered(2));
    assert_eq!(stream.expect("patch").value[0]["value"], json!(2));
}

#[test]
fn a_thousand_names_leave_no_series_and_no_memory_behind() {
    let stage = Stage::serving(numbered(1));
    let with = |n: usize| {
        format!(
            "upstreams: {{ u{m}: {{ url: \"{0}\" }}, legacy: {{ url: \"{0}\" }} }}\n\
             feeds: [{FEED}, {{ path: /of-{n}, upstream: u{m} }}]\n\
             proxy: [{{ path: /route-{n}, upstream: u{m} }}]\n",
            stage.url(),
            m = n / 20,
        )
    };
    let proxy = Proxy::start(&with(0));
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    let turn = |n: usize| {
        turns_to(&proxy, &with(n));
        if n.is_multiple_of(10) {
            let (feed, route) = (format!("/of-{n}"), format!("/route-{n}/x"));
            subscribe(proxy.address(), &feed).expect("snapshot");
            get(proxy.address(), &route, &[]).text();
        }
    };
    (1..100).for_each(turn);
    // Whoever was sent away may still have counted.
    let settled = || {
        let (_, page) = proxy.admin("/metrics");
        (0..99).all(|n| !page.contains(&format!("/of-{n}\"")))
    };
    eventually("old series are gone", settled);
    let (least, resident) = (series(&proxy), proxy.resident());
    (100..1000).for_each(turn);
    eventually("series are as many as before", || series(&proxy) == least);
    let now = proxy.resident();
    assert!(now < resident + (24 << 20), "{resident} bytes became {now}");
    stage.serves(numbered(2));
    stream.expect("patch");
}

#[test]
fn a_leaving_process_reads_nothing_anew() {
    let stage = Stage::serving(numbered(1));
    let drain = "server: { listen: \"127.0.0.1:0\", drain: 10m }\n";
    let config = format!("{drain}{}", config(&stage.url(), &[FEED]));
    let proxy = Proxy::start(&config);
    // A request without an answer keeps the process from being gone at once.
    stage.becomes(|_| Reply::Hang);
    let mut held = std::net::TcpStream::connect(proxy.address()).expect("a connection");
    let request = b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n";
    std::io::Write::write_all(&mut held, request).expect("a request");
    eventually("it is under way", || stage.upstream.count("/slow") == 1);
    proxy.signal("TERM");
    eventually("draining", || proxy.admin("/readyz").0 == 503);
    assert_eq!(proxy.reload().0, 503);
    proxy.signal("HUP");
    assert_eq!(proxy.admin("/readyz").0, 503, "it is still there");
}

#[test]
fn pages_of_others_cannot_ask_for_a_reload() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::start(&config(&stage.url(), &[FEED]));
    let (status, _) = proxy.post("/api/reload", &[("origin", "http://evil.example")]);
    assert_eq!(status, 403);
    assert_eq!(proxy.admin("/api/reload").0, 405);
}

#[test]
fn a_crowd_that_is_sent_away_goes_one_after_the_other() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::start(&config(&stage.url(), &[FEED]));
    let mut crowd: Vec<_> = (0..200)
        .map(|_| subscribe(proxy.address(), "/feed"))
        .collect();
    crowd.iter_mut().for_each(|stream| {
        stream.expect("snapshot");
    });
    let slower = FEED.replace("20ms", "40ms");
    turns_to(&proxy, &config(&stage.url(), &[&slower]));
    let open = || number(&proxy, "pollcast_connections", "/feed");
    crowd.iter_mut().for_each(is_sent_away);
    eventually("all are gone", || open() == "0");
    let (name, label) = ("pollcast_connections_closed_total", "\"feed_changed\"");
    assert_eq!(number(&proxy, name, label), "200");
}

#[test]
fn a_connection_has_as_long_for_its_first_request_as_the_new_file_says() {
    let stage = Stage::serving(numbered(1));
    let with = |time: &str| {
        format!(
            "server: {{ listen: \"127.0.0.1:0\", header_timeout: {time} }}\n{}",
            config(&stage.url(), &[FEED])
        )
    };
    let proxy = Proxy::start(&with("1h"));
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    turns_to(&proxy, &with("100ms"));
    let mut silent = std::net::TcpStream::connect(proxy.address()).expect("a connection");
    silent.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let read = std::io::Read::read(&mut silent, &mut [0]).expect("an end");
    assert_eq!(read, 0);
    stage.serves(numbered(2));
    stream.expect("patch");
}

#[test]
fn what_looked_after_old_servers_ends_with_them() {
    let stage = Stage::serving(numbered(1));
    let with = |more: &str| {
        format!(
            "upstreams: {{ legacy: {{ url: \"{}\"{more} }} }}\nfeeds: [{FEED}]\n",
            stage.url()
        )
    };
    let checked = ", health_check: { path: /well, interval: 1s }";
    let proxy = Proxy::start(&with(checked));
    eventually("it is checked", || stage.upstream.count("/well") > 0);
    for n in 1..10 {
        turns_to(&proxy, &with(&format!("{checked}, host: h{n}")));
    }
    turns_to(&proxy, &with(""));
    let checks = stage.upstream.count("/well");
    std::thread::sleep(Duration::from_millis(2500));
    assert!(
        stage.upstream.count("/well") <= checks + 1,
        "nobody checks any more"
    );
}

#[test]
fn what_an_upstream_bears_holds_at_once_and_touches_nobody() {
    let stage = Stage::serving(numbered(1));
    let with = |more: &str| {
        format!(
            "upstreams: {{ legacy: {{ url: \"{}\"{more} }} }}\nfeeds: [{FEED}]\n",
            stage.url()
        )
    };
    let proxy = Proxy::start(&with(""));
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    turns_to(&proxy, &with(", max_in_flight: 3"));
    let (_, upstreams) = proxy.admin("/api/upstreams");
    let upstreams: Value = serde_json::from_str(&upstreams).expect("JSON");
    assert_eq!(upstreams[0]["max_in_flight"], 3);
    stage.serves(numbered(2));
    stream.expect("patch");
}
