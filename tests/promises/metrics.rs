//! What pollcast counts is what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::support::client::{Response, get, over, request, resume, subscribe};
use crate::support::dashboards;
use crate::support::eventually;
use crate::support::everything::Everything;
use crate::support::proxy::Proxy;
use crate::support::socket::Socket;
use crate::support::stage::{Stage, numbered};
use crate::support::upstream::{Reply, Upstream};

/// Polled once, then only if poked.
const RESTING: &str = ", json: latest, poll: { interval: 1h, linger: 1h }";
const FEED: &str = r#"feed="/feed""#;

/// The sum of a family's samples that have these labels, a whole number.
fn count(proxy: &Proxy, name: &str, labels: &[&str]) -> u64 {
    let value = proxy.metric(&format!("pollcast_{name}"), labels);
    // The sum of nothing is a negative zero.
    (value + 0.0).to_string().parse().expect("a count")
}

/// Polls once more, and waits until that is done.
fn poll(proxy: &Proxy) {
    let before = count(proxy, "polls_total", &[FEED]);
    let admin = proxy.admin_url("");
    let admin = admin.trim_start_matches("http://").parse().expect("it");
    let poked = request(admin, "POST", "/api/poll?path=/feed", &[], b"");
    assert_eq!(poked.status, 202);
    eventually("a poll is made", || {
        count(proxy, "polls_total", &[FEED]) == before + 1
    });
}

fn gzipped(proxy: &Proxy) -> Response {
    let headers = [("accept", "text/event-stream"), ("accept-encoding", "gzip")];
    let stream = get(proxy.address(), "/feed", &headers);
    assert_eq!(stream.header("content-encoding"), Some("gzip"));
    stream
}

#[test]
fn what_has_not_happened_yet_is_there_as_zero() {
    let upstream = Upstream::start(|_| Reply::json("[1]"));
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let (_, page) = proxy.admin("/metrics");
    for series in [
        r#"subscriptions_total{feed="/feed",opening="fresh"}"#,
        r#"subscriptions_refused_total{feed="/feed",reason="limit_total"}"#,
        r#"connections_closed_total{feed="/feed",reason="client_left"}"#,
        r#"connection_duration_seconds_count{feed="/feed"}"#,
        r#"forwarded_requests_total{route="/",status="5xx",upstream="legacy"}"#,
        r#"forwarded_duration_seconds_count{route="/",upstream="legacy"}"#,
    ] {
        let line = format!("pollcast_{series} 0");
        assert!(page.lines().any(|told| told == line), "{line}\n{page}");
    }
}

#[test]
fn the_table_of_metrics_says_what_there_is() {
    let mut everything = Everything::start();
    everything.use_all();
    let (_, page) = everything.proxy.admin("/metrics");
    let (mut there, told) = (families(&page), dashboards::table());
    let exported = there.remove("row_changes");
    assert!(exported.is_some() && there.len() > 50, "{there:?}");
    for (name, (kind, labels)) in &there {
        let row = told.get(name);
        let row = row.unwrap_or_else(|| panic!("dashboards/README.md lacks {name}"));
        assert_eq!((&row.kind, &row.labels), (kind, labels), "{name}");
    }
    let missing: Vec<_> = told
        .keys()
        .filter(|name| !there.contains_key(*name))
        .collect();
    assert!(missing.is_empty(), "nothing counts these: {missing:?}");
}

/// The type and the names of the labels of each family that a page of metrics tells of.
fn families(page: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let types = types.filter_map(|line| line.split_once(' '));
    let mut families: BTreeMap<_, _> = types
        .map(|(name, kind)| (name.to_owned(), (kind.to_owned(), BTreeSet::new())))
        .collect();
    for sample in dashboards::samples(page) {
        let (_, labels) = families.get_mut(&sample.family).expect("a type");
        labels.extend(sample.labels.into_iter().map(|(name, _)| name));
    }
    families
}

#[test]
fn a_request_is_spared_for_each_subscriber_but_the_one_for_whom_the_poll_is_made() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::with_feed(&stage.url(), RESTING);
    let bytes = numbered(1).len() as u64;
    let spared = || {
        let requests = count(&proxy, "spared_requests_total", &[FEED]);
        let bytes = count(&proxy, "spared_bytes_total", &[FEED]);
        (requests, bytes)
    };
    let mut streams: Vec<_> = (0..3)
        .map(|_| subscribe(proxy.address(), "/feed"))
        .collect();
    for stream in &mut streams {
        stream.expect("snapshot");
    }
    assert_eq!(spared(), (0, 0));
    poll(&proxy);
    eventually("two are spared", || spared() == (2, 2 * bytes));

    // Those who ask plainly are spared theirs, with what they would have been answered with.
    let mut tag = String::new();
    for _ in 0..4 {
        let answer = get(proxy.address(), "/feed", &[]);
        tag = answer.header("etag").expect("a tag").to_owned();
        answer.text();
    }
    assert_eq!(spared(), (6, 6 * bytes));
    let known = [("if-none-match", tag.as_str())];
    assert_eq!(get(proxy.address(), "/feed", &known).status, 304);
    request(proxy.address(), "HEAD", "/feed", &[], b"");
    assert_eq!(spared(), (8, 6 * bytes));
    // Whoever waited for a poll listened to it.
    let waiting = [known[0], ("prefer", "wait=1")];
    assert_eq!(get(proxy.address(), "/feed", &waiting).status, 304);
    assert_eq!(spared(), (8, 6 * bytes));

    // A poll that fails spares nothing, nor does one for nobody, nor one that serves one.
    stage.becomes(|_| Reply::status(500, ""));
    poll(&proxy);
    assert_eq!(spared(), (8, 6 * bytes));
    stage.serves(numbered(1));
    drop(streams);
    eventually("nobody listens", || count(&proxy, "connections", &[]) == 0);
    poll(&proxy);
    get(proxy.address(), "/feed", &[]).text();
    assert_eq!(spared(), (8, 6 * bytes));
    get(proxy.address(), "/feed", &[]).text();
    assert_eq!(spared(), (9, 7 * bytes));
}

#[test]
fn whoever_would_have_been_told_that_nothing_changed_is_spared_no_bytes() {
    let stage = Stage::new(|request| match request.header("if-none-match") {
        Some(_) => Reply::empty(304),
        None => Reply::Answer {
            status: 200,
            headers: vec![("etag", "\"1\"".into())],
            body: numbered(1).into_bytes(),
        },
    });
    let proxy = Proxy::with_feed(&stage.url(), RESTING);
    let mut streams = [(); 2].map(|()| subscribe(proxy.address(), "/feed"));
    for stream in &mut streams {
        stream.expect("snapshot");
    }
    poll(&proxy);
    assert_eq!(count(&proxy, "polls_total", &["not_modified"]), 1);
    eventually("one is spared", || {
        count(&proxy, "spared_requests_total", &[FEED]) == 1
    });
    assert_eq!(count(&proxy, "spared_bytes_total", &[FEED]), 0);
}

#[test]
fn what_was_cold_is_polled_for_whoever_asks_first() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::with_feed(&stage.url(), RESTING);
    get(proxy.address(), "/feed", &[]).text();
    assert_eq!(count(&proxy, "spared_requests_total", &[FEED]), 0);
    get(proxy.address(), "/feed", &[]).text();
    assert_eq!(count(&proxy, "spared_requests_total", &[FEED]), 1);
}

#[test]
fn the_time_from_poll_to_write_is_that_of_news() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::with_feed(&stage.url(), "");
    let written = || count(&proxy, "delivery_latency_seconds_count", &[FEED]);
    let mut streams = vec![
        subscribe(proxy.address(), "/feed"),
        subscribe(proxy.address(), "/feed"),
    ];
    let first = streams[0].expect("snapshot").id.expect("an id");
    streams[1].expect("snapshot");
    stage.serves(numbered(2));
    streams.iter_mut().for_each(|stream| {
        stream.expect("patch");
    });
    eventually("two got the news", || written() == 2);

    // What happened before somebody came is none to him.
    let mut late = resume(proxy.address(), "/feed", &first);
    late.expect("patch");
    streams.push(late);
    stage.serves(numbered(3));
    streams.iter_mut().for_each(|stream| {
        stream.expect("patch");
    });
    eventually("three got the news", || written() == 5);
}

#[test]
fn a_subscriber_whose_connection_takes_nothing_is_told_and_so_is_how_late_it_gets_its_news() {
    let stage = Stage::serving("[]");
    let more = ", events: { mode: snapshot, modes: [snapshot] }";
    let proxy = Proxy::with_feed(&stage.url(), more);
    let blocked = || count(&proxy, "subscribers_blocked", &[FEED]);
    let socket = Socket::narrow().connect(proxy.address());
    let head = b"GET /feed HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n";
    let mut slow = over(socket, head);
    slow.expect("snapshot");
    assert_eq!(blocked(), 0);
    stage.serves(format!("\"{}\"", "x".repeat(8 << 20)));
    eventually("it is blocked", || blocked() == 1);
    std::thread::sleep(Duration::from_millis(300));
    slow.expect("snapshot");
    eventually("it is not any more", || blocked() == 0);
    let late = proxy.metric("pollcast_delivery_latency_seconds_sum", &[FEED]);
    assert!(late >= 0.3, "{late}");

    // Whoever leaves is not blocked either.
    stage.serves(format!("\"{}\"", "y".repeat(8 << 20)));
    eventually("it is blocked again", || blocked() == 1);
    drop(slow);
    eventually("it is gone", || blocked() == 0);
}

#[test]
fn what_many_get_is_made_once_for_each_encoding() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::with_feed(&stage.url(), "");
    let frames = |what: &str, form: &str| {
        let form = format!("form=\"{form}\"");
        count(&proxy, &format!("frames_{what}_total"), &[FEED, &form])
    };
    let mut plain: Vec<_> = (0..3)
        .map(|_| subscribe(proxy.address(), "/feed"))
        .collect();
    for stream in &mut plain {
        stream.expect("snapshot");
    }
    let _compressed = [gzipped(&proxy), gzipped(&proxy)];
    eventually("all have the first", || {
        (frames("sent", "identity"), frames("sent", "gzip")) == (3, 2)
    });
    assert_eq!(
        (frames("encoded", "identity"), frames("encoded", "gzip")),
        (1, 1)
    );
    for (changes, n) in [(1, 2), (2, 3), (3, 4)] {
        stage.serves(numbered(n));
        eventually("all have the change", || {
            (frames("sent", "identity"), frames("sent", "gzip"))
                == (3 * (changes + 1), 2 * (changes + 1))
        });
    }
    assert_eq!(
        (frames("encoded", "identity"), frames("encoded", "gzip")),
        (4, 4)
    );
    let encoding = |name: &str| {
        let name = format!("encoding=\"{name}\"");
        let open = count(&proxy, "connections", &[FEED, &name]);
        (open, count(&proxy, "connections_opened_total", &[&name]))
    };
    assert_eq!((encoding("identity"), encoding("gzip")), ((3, 3), (2, 2)));
}

#[test]
fn a_change_that_a_form_cannot_tell_in_less_is_counted_as_a_snapshot() {
    let stage = Stage::serving("[0]");
    let more = ", events: { modes: [patch, merge, snapshot] }";
    let proxy = Proxy::with_feed(&stage.url(), more);
    let fell = |form: &str| {
        let form = format!("form=\"{form}\"");
        count(&proxy, "snapshot_fallbacks_total", &[FEED, &form])
    };
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    assert_eq!(fell("patch"), 0, "the first document is no fallback");
    stage.serves("[1]");
    stream.expect("snapshot");
    eventually("it is counted", || fell("patch") == 1);
    assert_eq!(fell("merge"), 0, "nobody wants it");
    stage.serves(numbered(1));
    stream.expect("snapshot");
    stage.serves(numbered(2));
    stream.expect("patch");
    assert_eq!(fell("patch"), 2);
}

#[test]
fn how_long_a_subscription_lasted_is_told_when_it_ends() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::with_feed(&stage.url(), "");
    let ended = || count(&proxy, "connection_duration_seconds_count", &[FEED]);
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(ended(), 0);
    drop(stream);
    eventually("it has ended", || ended() == 1);
    let lasted = proxy.metric("pollcast_connection_duration_seconds_sum", &[FEED]);
    assert!(lasted >= 0.3, "{lasted}");
}

#[test]
fn what_passes_through_is_told_by_route_with_its_time() {
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/api/events" => Reply::Raw(
            b"HTTP/1.1 200 OK\r\ncontent-type: Text/Event-Stream ; x=1\r\n\r\ndata: 1\n\n".to_vec(),
        ),
        "/api/slow" => {
            let head = b"HTTP/1.1 201 Created\r\ncontent-length: 1\r\n\r\n".to_vec();
            Reply::Drip(vec![head, b"1".to_vec()], Duration::from_millis(300))
        }
        "/api/socket" => Reply::Custom(Box::new(|mut stream| {
            use std::io::Write as _;
            std::thread::sleep(Duration::from_millis(200));
            let _ = stream.write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
            );
        })),
        _ => Reply::json("[1]"),
    });
    let url = upstream.url();
    let proxy = Proxy::start(&format!(
        "upstreams: {{ a: {{ url: \"{url}\" }}, b: {{ url: \"{url}\" }} }}\n\
         feeds:\n  - {{ path: /feed, upstream: b }}\n\
         proxy:\n  - {{ path: /api, upstream: a }}\n"
    ));
    let api = [r#"route="/api""#, r#"upstream="a""#];
    let timed = |labels: &[&str]| count(&proxy, "forwarded_duration_seconds_count", labels);
    get(proxy.address(), "/api/slow", &[]).text();
    eventually("it is counted by its route", || timed(&api) == 1);
    let counted = |status: &str, labels: &[&str; 2]| {
        let status = format!("status=\"{status}\"");
        let labels = [labels[0], labels[1], &status];
        count(&proxy, "forwarded_requests_total", &labels)
    };
    assert_eq!(counted("2xx", &api), 1);
    let took = proxy.metric("pollcast_forwarded_duration_seconds_sum", &api);
    assert!(took >= 0.3, "{took}");
    // A feed's own path without a route is one.
    let feed = [r#"route="/feed""#, r#"upstream="b""#];
    get(proxy.address(), "/feed", &[]).text();
    eventually("it is counted by the feed", || timed(&feed) == 1);
    assert_eq!(counted("2xx", &feed), 1);

    // What lasts as long as somebody likes says nothing about time.
    get(proxy.address(), "/api/events", &[]).text();
    let upgrade = [("upgrade", "websocket"), ("connection", "upgrade")];
    let switched = get(proxy.address(), "/api/socket", &upgrade);
    assert_eq!(switched.status, 101);
    drop(switched);
    eventually("both are counted", || {
        counted("2xx", &api) == 2 && counted("1xx", &api) == 1
    });
    assert_eq!(timed(&api), 1);
    // An upgrade that is declined is a request like others.
    get(proxy.address(), "/api/x", &upgrade).text();
    eventually("it is counted", || timed(&api) == 2);
}
