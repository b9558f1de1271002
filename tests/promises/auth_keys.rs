//! Who may have a feed or take a route, by API keys.

use openssl::sha::sha256;

use crate::support::client::{Block, get, request, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::upstream::{Reply, Upstream};

/// A key as `pollcast hash-key` would make it.
const KEY: &str = "pk_k3QyJ0nqTzO6s1c8VbXw2RfUeYhLmAdG";
const OTHER: &str = "pk_Zz0pQ7aWsXeDcRfVtGbYhNuJmKiLoP12";

fn hash(key: &str) -> String {
    sha256(key.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn upstream() -> Upstream {
    Upstream::start(|_| Reply::json("[1]"))
}

/// A feed at `/feed` for the key `mine`, one for everybody, and everything else for the key `mine`.
fn proxy(upstream: &Upstream, keys: &str, more: &str) -> Proxy {
    Proxy::start(&format!(
        "auth: {{ keys: {{ {keys} }} }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds:\n\
         - {{ path: /feed, upstream: legacy, poll: {{ interval: 20ms }}, access: [{{ keys: [mine] }}]{more} }}\n\
         - {{ path: /open, upstream: legacy, poll: {{ interval: 20ms }} }}\n\
         proxy: [{{ path: /, upstream: legacy, access: [{{ keys: [mine] }}] }}]\n",
        upstream.url()
    ))
}

fn mine() -> String {
    format!("mine: {{ sha256: {} }}", hash(KEY))
}

const EVENTS: (&str, &str) = ("accept", "text/event-stream");

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

#[test]
fn without_the_key_there_is_no_stream_no_document_and_no_pass_through() {
    let upstream = upstream();
    let proxy = proxy(&upstream, &mine(), ", json: latest");
    let address = proxy.address();
    for (method, target, headers) in [
        ("GET", "/feed", &[EVENTS][..]),
        ("HEAD", "/feed", &[EVENTS]),
        ("GET", "/feed", &[EVENTS, ("last-event-id", "x-1")]),
        ("GET", "/feed", &[]),
        ("GET", "/feed?x=1", &[]),
        ("POST", "/feed", &[]),
        ("GET", "/elsewhere", &[]),
        ("OPTIONS", "/elsewhere", &[]),
        (
            "GET",
            "/elsewhere",
            &[("upgrade", "websocket"), ("connection", "upgrade")],
        ),
    ] {
        let before = upstream.requests().len();
        let answer = request(address, method, target, headers, b"");
        assert_eq!(answer.status, 401, "{method} {target} {headers:?}");
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer realm=\"pollcast\"")
        );
        for (name, value) in [
            ("x-api-key", OTHER.to_owned()),
            ("authorization", bearer(OTHER)),
            ("authorization", bearer(&hash(KEY))),
        ] {
            let headers = [headers, &[(name, &value)]].concat();
            let answer = request(address, method, target, &headers, b"");
            assert_eq!(answer.status, 401, "{method} {target} {name}");
            let challenge = answer.header("www-authenticate").unwrap();
            assert!(
                challenge.ends_with("error=\"invalid_token\""),
                "{challenge}"
            );
        }
        let passed = upstream.requests().len() - before;
        assert_eq!(passed, 0, "nothing of it reaches the upstream");
    }
    subscribe(address, "/open").expect("snapshot");
}

#[test]
fn a_key_lets_in_wherever_it_may_be() {
    let upstream = upstream();
    let keys = format!("mine: {{ sha256: {}, query: api_key }}", hash(KEY));
    let proxy = proxy(&upstream, &keys, ", json: latest");
    let address = proxy.address();
    let bearer = bearer(KEY);
    for (target, header) in [
        ("/feed", Some(("x-api-key", KEY))),
        ("/feed", Some(("X-API-Key", KEY))),
        ("/feed", Some(("authorization", bearer.as_str()))),
        (&format!("/feed?api_key={KEY}"), None),
        (&format!("/feed?mode=snapshot&api_key={KEY}"), None),
    ] {
        let header: Vec<_> = header.into_iter().collect();
        let mut stream = get(address, target, &[&header[..], &[EVENTS]].concat());
        stream.expect("snapshot");
        let caching = stream.header("cache-control");
        assert_eq!(caching, Some("private, no-cache, no-transform"));
        // From memory: the parameter does not make it another question.
        let document = get(address, target, &header);
        assert_eq!((document.status, document.text().as_str()), (200, "[1]"));
    }
    let elsewhere = get(address, "/elsewhere", &[("x-api-key", KEY)]);
    assert_eq!(elsewhere.status, 200);
}

#[test]
fn a_key_in_the_query_counts_only_where_the_configuration_says_so() {
    let upstream = upstream();
    let proxy = proxy(&upstream, &mine(), "");
    for name in ["api_key", "x-api-key", "access_token"] {
        let target = format!("/feed?{name}={KEY}");
        assert_eq!(subscribe(proxy.address(), &target).status, 401);
    }
}

#[test]
fn the_upstream_does_not_see_the_key_unless_the_route_says_so() {
    let upstream = upstream();
    let keys = format!("mine: {{ sha256: {}, query: api_key }}", hash(KEY));
    for (more, seen) in [("", None), (", forward_credentials: true", Some(KEY))] {
        let proxy = Proxy::start(&format!(
            "auth: {{ keys: {{ {keys} }} }}\n\
             upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
             proxy: [{{ path: /, upstream: legacy, access: [{{ keys: [mine] }}]{more} }}]\n",
            upstream.url()
        ));
        let header = ("x-api-key", KEY);
        assert_eq!(
            get(proxy.address(), "/a?b=1", &[header, ("cookie", "c=1")]).status,
            200
        );
        let asked = upstream.requests().pop().unwrap();
        assert_eq!(
            (asked.header("x-api-key"), asked.header("cookie")),
            (seen, Some("c=1"))
        );
        let target = format!("/a?b=1&api_key={KEY}&c=%20");
        assert_eq!(get(proxy.address(), &target, &[]).status, 200);
        assert_eq!(upstream.requests().pop().unwrap().target, "/a?b=1&c=%20");
    }
}

#[test]
fn a_feed_that_passes_through_wants_what_the_route_wants_as_well() {
    let upstream = upstream();
    let proxy = Proxy::start(&format!(
        "auth: {{ keys: {{ {}, other: {{ sha256: {} }} }} }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, access: [{{ keys: [mine, other] }}] }}]\n\
         proxy: [{{ path: /, upstream: legacy, access: [{{ keys: [mine] }}] }}]\n",
        mine(),
        hash(OTHER),
        upstream.url()
    ));
    let ask = |key, more: &[_]| {
        get(
            proxy.address(),
            "/feed",
            &[&[("x-api-key", key)], more].concat(),
        )
    };
    ask(OTHER, &[EVENTS]).expect("snapshot");
    assert_eq!(ask(OTHER, &[]).status, 401);
    assert_eq!(ask(KEY, &[]).status, 200);
    assert_eq!(upstream.requests().pop().unwrap().header("x-api-key"), None);
}

#[test]
fn several_keys_go_by_one_name_while_one_is_changed_for_another() {
    let upstream = upstream();
    let keys = format!("mine: {{ sha256: [{}, {}] }}", hash(KEY), hash(OTHER));
    let proxy = proxy(&upstream, &keys, "");
    for key in [KEY, OTHER] {
        let headers = [EVENTS, ("x-api-key", key)];
        get(proxy.address(), "/feed", &headers).expect("snapshot");
    }
}

/// A moment so many seconds from now.
fn moment(seconds: i64) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let then = i64::try_from(now.as_secs()).unwrap() + seconds;
    jiff::Timestamp::from_second(then).unwrap().to_string()
}

#[test]
fn a_stream_ends_with_its_key_and_nobody_comes_back_with_it() {
    let upstream = upstream();
    let keys = format!(
        "mine: {{ sha256: {}, expires: \"{}\" }}",
        hash(KEY),
        moment(6)
    );
    let proxy = proxy(&upstream, &keys, "");
    let headers = [EVENTS, ("x-api-key", KEY)];
    let mut stream = get(proxy.address(), "/feed", &headers);
    let snapshot = stream.expect("snapshot");
    let end = stream.expect("end");
    assert_eq!(
        (end.data.as_str(), end.id),
        (r#"{"reason":"unauthorized"}"#, None)
    );
    while let Some(block) = stream.block() {
        assert!(matches!(block, Block::Retry(_)), "{block:?}");
    }
    assert!(stream.closed(), "the response ends properly");
    let last_id = snapshot.id.unwrap();
    let again = get(
        proxy.address(),
        "/feed",
        &[&headers[..], &[("last-event-id", &last_id)]].concat(),
    );
    assert_eq!(again.status, 401);
    eventually("it is counted", || {
        proxy.metric("pollcast_connections_closed_total", &["unauthorized"]) == 1.0
    });
}

#[test]
fn a_page_of_another_origin_may_read_why_it_is_refused_and_ask_beforehand() {
    let upstream = upstream();
    let more = ", deliver: { cors: { origins: [\"https://app.example\"] } }";
    let proxy = proxy(&upstream, &mine(), more);
    let origin = ("origin", "https://app.example");
    let refused = get(proxy.address(), "/feed", &[EVENTS, origin]);
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    let asks = [
        origin,
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "authorization"),
    ];
    let preflight = request(proxy.address(), "OPTIONS", "/feed", &asks, b"");
    assert_eq!(preflight.status, 204);
    assert_eq!(
        preflight.header("access-control-allow-headers"),
        Some("authorization")
    );
}

#[test]
fn a_refusal_leaves_the_connection_for_another_request() {
    let upstream = upstream();
    let proxy = proxy(&upstream, &mine(), "");
    let refused = get(proxy.address(), "/feed", &[EVENTS]);
    assert_eq!(refused.status, 401);
    let asked = format!(
        "GET /feed HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\nx-api-key: {KEY}\r\n\r\n"
    );
    refused.again(asked.as_bytes()).expect("snapshot");
    // What is left of a body stands in the way of another request.
    let refused = request(proxy.address(), "POST", "/feed", &[], b"{}");
    assert_eq!(refused.status, 401);
    assert!(refused.closed());
}

#[test]
fn ten_thousand_wrong_keys_make_no_series_and_enter_no_log() {
    let upstream = upstream();
    let more = proxy(&upstream, &mine(), "");
    std::thread::scope(|scope| {
        for part in 0..8 {
            let address = more.address();
            scope.spawn(move || {
                for number in 0..1250 {
                    let key = format!("wr0ng-{part}-{number}");
                    let answer = get(address, "/feed", &[EVENTS, ("x-api-key", &key)]);
                    assert_eq!(answer.status, 401);
                }
            });
        }
    });
    let (_, metrics) = more.admin("/metrics");
    let series = metrics
        .lines()
        .filter(|line| line.starts_with("pollcast_auth_decisions_total{"));
    let series: Vec<_> = series.collect();
    assert_eq!(series.len(), 1, "{series:?}");
    let count = more.metric("pollcast_auth_decisions_total", &["invalid"]);
    assert_eq!(count, 10_000.0);
    assert!(!metrics.contains("wr0ng") && !more.log().contains("wr0ng"));
}

#[test]
fn the_access_log_says_who_it_was_and_nothing_of_the_key() {
    let upstream = upstream();
    let proxy = Proxy::start(&format!(
        "logs: {{ format: json, access: on }}\n\
         auth: {{ keys: {{ mine: {{ sha256: {}, query: api_key }} }} }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, access: [{{ keys: [mine] }}] }}]\n\
         proxy: [{{ path: /, upstream: legacy, access: [{{ keys: [mine] }}] }}]\n",
        hash(KEY),
        upstream.url()
    ));
    let target = format!("/feed?api_key={KEY}");
    subscribe(proxy.address(), &target).expect("snapshot");
    assert_eq!(
        get(proxy.address(), "/x", &[("x-api-key", KEY)]).status,
        200
    );
    assert_eq!(
        get(proxy.address(), "/x", &[("x-api-key", OTHER)]).status,
        401
    );
    let told = |message: &str| {
        let log = proxy.log();
        let lines = log
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines
            .into_iter()
            .any(|line| line["message"] == message && line["who"] == "key/mine")
    };
    for message in ["subscribed", "unsubscribed", "forwarded"] {
        eventually(message, || told(message));
    }
    for path in ["/api/feeds", "/api/topics", "/api/config", "/metrics"] {
        let (_, shown) = proxy.admin(path);
        assert!(
            !shown.contains(KEY) && !shown.contains(&hash(KEY)),
            "{path}"
        );
    }
    assert!(!proxy.log().contains(KEY) && !proxy.log().contains(OTHER));
}

#[test]
fn http_2_asks_for_the_key_as_well() {
    let upstream = upstream();
    let proxy = Proxy::start(&format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\", http2: true }}] }}\n\
         auth: {{ keys: {{ {} }} }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, access: [{{ keys: [mine] }}] }}]\n",
        mine(),
        upstream.url()
    ));
    let curl = |more: &[&str]| {
        let url = proxy.url("/feed");
        let output = std::process::Command::new("curl")
            .args([
                "-sS",
                "--http2-prior-knowledge",
                "-m",
                "20",
                "-o",
                "-",
                "-w",
                "\n%{http_code}",
            ])
            .args(["-H", "accept: text/event-stream"])
            .args(more)
            .arg(url)
            .output()
            .expect("curl");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(curl(&[]).ends_with("\n401"));
    let with_key = curl(&["-m", "2", "-H", &format!("x-api-key: {KEY}")]);
    assert!(with_key.contains("event: snapshot"), "{with_key}");
}
