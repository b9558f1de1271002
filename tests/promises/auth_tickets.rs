//! Tickets: an EventSource, which can send no header, is let in by its URL.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::{Response, get, request, resume, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::stage::Stage;

const KEY: &str = "k3y-of-the-dashboards-0123456789abcdef";

/// A feed for whoever has the key, and tickets as `rules` say.
fn start(stage: &Stage, rules: &str) -> Proxy {
    start_with(stage, rules, "")
}

fn config(stage: &Stage, rules: &str, more: &str) -> String {
    let hash = openssl::sha::sha256(KEY.as_bytes());
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "auth:\n  keys: {{ dashboards: {{ sha256: \"{hash}\" }} }}\n  tickets: {{ path: /tickets{rules} }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds:\n\
         - {{ path: \"/orders/{{id}}\", upstream: legacy, poll: {{ interval: 50ms }}, access: [{{ keys: [dashboards] }}],\n\
             request: {{ forward_query: [page] }}, json: latest,\n\
             deliver: {{ cors: {{ origins: [\"https://app.example\"], credentials: true }} }} }}\n\
         - {{ path: /other, upstream: legacy, access: [{{ keys: [dashboards] }}] }}\n\
         - {{ path: /open, upstream: legacy, poll: {{ interval: 50ms }} }}\n{more}",
        stage.url()
    )
}

fn start_with(stage: &Stage, rules: &str, more: &str) -> Proxy {
    Proxy::start_with(&config(stage, rules, more), &[("RUST_LOG", "trace")])
}

fn ask(proxy: &Proxy, feed: &str, headers: &[(&str, &str)]) -> Response {
    let body = json!({ "feed": feed }).to_string();
    let json = ("content-type", "application/json");
    let headers = [&[json], headers].concat();
    request(
        proxy.address(),
        "POST",
        "/tickets",
        &headers,
        body.as_bytes(),
    )
}

/// A ticket's URL.
fn url(proxy: &Proxy, feed: &str) -> String {
    let bearer = format!("Bearer {KEY}");
    let answer = ask(proxy, feed, &[("authorization", &bearer)]);
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let told: Value = serde_json::from_str(&answer.text()).expect("JSON");
    let ticket = told["ticket"].as_str().expect("a ticket");
    let url = told["url"].as_str().expect("a URL").to_owned();
    assert!(url.ends_with(&format!("ticket={ticket}")), "{url}");
    url
}

#[test]
fn a_ticket_opens_the_stream_that_it_was_asked_for_once() {
    let stage = Stage::serving("[1]");
    let proxy = start(&stage, "");
    assert_eq!(subscribe(proxy.address(), "/orders/7").status, 401);
    for feed in [
        "/orders/7",
        "/orders/7?mode=snapshot",
        "/orders/7?page=2&mode=patch",
    ] {
        let url = url(&proxy, feed);
        let mut stream = subscribe(proxy.address(), &url);
        assert_eq!(stream.status, 200, "{url}");
        stream.expect("snapshot");
        // EventSource stops, and its page asks for another one.
        assert_eq!(subscribe(proxy.address(), &url).status, 401);
        stage.serves(format!("[\"{feed}\"]"));
        stream.event().expect("the stream goes on");
        stage.serves("[1]");
    }
    // The upstream sees no ticket, and polls are shared with whoever comes otherwise.
    for request in stage.upstream.requests() {
        assert!(!request.target.contains("ticket"), "{}", request.target);
    }
}

#[test]
fn a_stream_is_resumed_with_another_ticket() {
    let stage = Stage::serving("[1]");
    let proxy = start(&stage, "");
    let mut first = subscribe(proxy.address(), &url(&proxy, "/orders/7"));
    let id = first.expect("snapshot").id.expect("an id");
    drop(first);
    stage.serves("[1, 2]");
    // By the header, or where no header can be sent, by the URL.
    let mut second = resume(proxy.address(), &url(&proxy, "/orders/7"), &id);
    second.event().expect("what was missed");
    let by_url = format!("{}&last_event_id={id}", url(&proxy, "/orders/7"));
    let mut third = subscribe(proxy.address(), &by_url);
    assert_ne!(third.event().expect("what was missed").name, "reset");
}

#[test]
fn a_ticket_is_for_one_target_one_client_and_a_short_time() {
    let stage = Stage::serving("[1]");
    let trusted = "server: { listen: \"127.0.0.1:0\", trusted_proxies: [127.0.0.1] }\n";
    let proxy = start_with(&stage, ", ttl: 2s, use: many", trusted);
    let from = |address: &str, url: &str| {
        let headers = [
            ("accept", "text/event-stream"),
            ("x-forwarded-for", address),
        ];
        get(proxy.address(), url, &headers).status
    };
    let bearer = format!("Bearer {KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("x-forwarded-for", "192.0.2.1"),
    ];
    let told: Value =
        serde_json::from_str(&ask(&proxy, "/orders/7?page=1", &headers).text()).expect("JSON");
    assert_eq!(told["expires_in"], json!(2));
    let ticket = told["ticket"].as_str().expect("a ticket");
    let at = |target: &str| format!("{target}ticket={ticket}");
    for (target, address, status) in [
        ("/orders/7?page=1&", "192.0.2.1", 200),
        ("/orders/7?page=1&mode=snapshot&", "192.0.2.1", 200),
        ("/orders/7?page=1&", "192.0.2.2", 401),
        ("/orders/7?page=1&", "127.0.0.1", 401),
        ("/orders/7?page=2&", "192.0.2.1", 401),
        ("/orders/7?", "192.0.2.1", 401),
        ("/orders/7?page=1&page=1&", "192.0.2.1", 401),
        ("/orders/8?page=1&", "192.0.2.1", 401),
        ("/orders/%37?page=1&", "192.0.2.1", 401),
        ("/other?page=1&", "192.0.2.1", 401),
        ("/orders/7?page=1&ticket=x&", "192.0.2.1", 401),
    ] {
        assert_eq!(from(address, &at(target)), status, "{target} {address}");
    }
    eventually("its time is over", || {
        from("192.0.2.1", &at("/orders/7?page=1&")) == 401
    });
}

#[test]
fn a_ticket_opens_event_streams_alone() {
    let stage = Stage::serving("[1]");
    let proxy = start(&stage, ", use: many");
    let url = url(&proxy, "/orders/7");
    assert_eq!(get(proxy.address(), &url, &[]).status, 401);
    assert_eq!(request(proxy.address(), "POST", &url, &[], b"").status, 401);
    assert_eq!(
        request(proxy.address(), "DELETE", &url, &[], b"").status,
        401
    );
    assert_eq!(subscribe(proxy.address(), &url).status, 200);
    assert_eq!(stage.upstream.count("/orders/7"), 1);
}

#[test]
fn no_changed_ticket_lets_in() {
    let stage = Stage::serving("[1]");
    let proxy = start(&stage, ", use: many");
    let url = url(&proxy, "/orders/7");
    let from = url.find("ticket=").expect("a ticket") + "ticket=".len();
    for place in (from..url.len()).step_by(3) {
        let other = if url.as_bytes()[place] == b'A' {
            "B"
        } else {
            "A"
        };
        let mut changed = url.clone();
        changed.replace_range(place..=place, other);
        assert_eq!(subscribe(proxy.address(), &changed).status, 401, "{place}");
    }
    for odd in ["", "A", "null", "%00", "....", &"A".repeat(10_000)] {
        let target = format!("/orders/7?ticket={odd}");
        assert_eq!(
            subscribe(proxy.address(), &target).status,
            401,
            "{}",
            odd.len()
        );
    }
    assert_eq!(subscribe(proxy.address(), &url).status, 200);
    // Nor does one of another process, which has another secret.
    let other = start(&stage, ", use: many");
    assert_eq!(subscribe(other.address(), &url).status, 401);
}

#[test]
fn processes_with_one_secret_take_each_others_tickets() {
    let stage = Stage::serving("[1]");
    let rules = ", secret: \"0123456789abcdef0123456789abcdef\"";
    let (one, other) = (start(&stage, rules), start(&stage, rules));
    let url = url(&one, "/orders/7");
    assert_eq!(subscribe(other.address(), &url).status, 200);
    assert_eq!(subscribe(other.address(), &url).status, 401);
    for proxy in [&one, &other] {
        assert!(
            !proxy
                .admin("/api/config")
                .1
                .contains("0123456789abcdef0123")
        );
    }
}

#[test]
fn whoever_may_not_subscribe_gets_no_ticket() {
    let stage = Stage::serving("[1]");
    let proxy = start(&stage, "");
    let bearer = format!("Bearer {KEY}");
    let key = ("authorization", bearer.as_str());
    for (feed, headers, status) in [
        ("/orders/7", &[][..], 401),
        ("/orders/7", &[("authorization", "Bearer wrong")], 401),
        ("/nowhere", &[key], 404),
        ("/open", &[key], 400),
        ("/orders/%ff", &[key], 400),
        ("orders/7", &[key], 400),
        ("http://evil.example/orders/7", &[key], 400),
        ("//evil.example/orders/7", &[key], 400),
        ("/orders/7#x", &[key], 400),
        ("/orders/7\r\nx: y", &[key], 400),
        ("", &[key], 400),
        ("*", &[key], 400),
    ] {
        let answer = ask(&proxy, feed, headers);
        let expected = if feed.starts_with("//") {
            answer.status == 400 || answer.status == 404
        } else {
            answer.status == status
        };
        assert!(expected, "{feed:?}: {}", answer.status);
        assert!(!answer.text().contains("evil"));
    }
    let send = |method: &str, media_type: &str, body: &[u8]| {
        let headers = [key, ("content-type", media_type)];
        request(proxy.address(), method, "/tickets", &headers, body).status
    };
    assert_eq!(
        send("POST", "text/plain", b"{\"feed\": \"/orders/7\"}"),
        415
    );
    for body in [
        &b"{}"[..],
        b"[]",
        b"{\"feed\": 1}",
        b"{\"feed\": \"/orders/7\", \"x\": 1}",
        b"\xff",
    ] {
        assert_eq!(send("POST", "application/json", body), 400);
    }
    assert_eq!(send("POST", "application/json", &vec![b' '; 9 << 10]), 413);
    assert_eq!(send("GET", "application/json", b""), 405);
    assert_eq!(stage.upstream.requests().len(), 0);
}

#[test]
fn pages_get_tickets_whose_origin_may_read_the_feed() {
    let stage = Stage::serving("[1]");
    let proxy = start(&stage, "");
    let bearer = format!("Bearer {KEY}");
    let from = |feed: &str, origin: &str| {
        ask(
            &proxy,
            feed,
            &[("authorization", &bearer), ("origin", origin)],
        )
    };
    let answer = from("/orders/7", "https://app.example");
    assert_eq!(answer.status, 201);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    for (feed, origin) in [
        ("/orders/7", "https://evil.example"),
        ("/orders/7", "null"),
        ("/other", "https://app.example"),
    ] {
        let answer = from(feed, origin);
        assert_eq!(answer.status, 403, "{feed} {origin}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let preflight = |origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            (
                "access-control-request-headers",
                "authorization, content-type",
            ),
        ];
        request(proxy.address(), "OPTIONS", "/tickets", &headers, b"")
    };
    let answer = preflight("https://app.example");
    assert_eq!(answer.status, 204);
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example"),
        ("access-control-allow-methods", "POST"),
        (
            "access-control-allow-headers",
            "authorization, content-type",
        ),
        ("access-control-allow-credentials", "true"),
        ("vary", "origin"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    let answer = preflight("https://evil.example");
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

#[test]
fn one_client_cannot_take_all_tickets() {
    let stage = Stage::serving("[1]");
    let trusted = "server: { listen: \"127.0.0.1:0\", trusted_proxies: [127.0.0.1] }\n";
    let config = config(&stage, ", ttl: 10m", trusted);
    let proxy = Proxy::start(&config);
    let bearer = format!("Bearer {KEY}");
    let from = |address: &str| {
        ask(
            &proxy,
            "/orders/7",
            &[("authorization", &bearer), ("x-forwarded-for", address)],
        )
    };
    let refused = (0..1000)
        .map(|_| from("192.0.2.1"))
        .find(|answer| answer.status != 201);
    let refused = refused.expect("there is a limit");
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(from("192.0.2.2").status, 201);
    let full = proxy.metric("pollcast_auth_tickets_total", &["full"]);
    assert!((full - 1.0).abs() < 0.1);
}

#[test]
fn a_ticket_can_be_read_nowhere() {
    let stage = Stage::serving("[1]");
    let proxy = start_with(&stage, "", "logs: { access: on }\n");
    let url = url(&proxy, "/orders/7");
    let ticket = url.split("ticket=").nth(1).expect("a ticket");
    let mut stream = subscribe(proxy.address(), &url);
    let mut shown = stream.expect("snapshot").data;
    let again = subscribe(proxy.address(), &url);
    shown += &again.text();
    drop(stream);
    std::thread::sleep(Duration::from_millis(200));
    for path in ["/metrics", "/api/feeds", "/api/config", "/api/topics"] {
        shown += &proxy.admin(path).1;
    }
    shown += &proxy.log();
    assert!(shown.contains("/orders/7"));
    for secret in [ticket, KEY, &ticket[20..60]] {
        assert!(!shown.contains(secret));
    }
}
