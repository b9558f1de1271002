//! The private listener: metrics that a Prometheus can read, health that says what it means.

use std::collections::HashMap;
use std::io::Read as _;

use crate::support::client::{get, raw, request, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::upstream::Upstream;

/// Every series with its value, read by the grammar of the text format 0.0.4.
fn series(text: &str) -> HashMap<String, f64> {
    let mut kinds = HashMap::new();
    let mut series = HashMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let words: Vec<_> = rest.splitn(3, ' ').collect();
            assert_eq!(words.len(), 3, "{line}");
            if words[0] == "TYPE" {
                let twice = kinds.insert(words[1].to_owned(), words[2].to_owned());
                assert!(twice.is_none(), "{line}");
            } else {
                assert_eq!(words[0], "HELP", "{line}");
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let (family, labels) = name.split_once('{').unwrap_or((name, "}"));
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(family.chars().all(plain), "{line}");
        assert!(labels.ends_with('}'), "{line}");
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| family.strip_suffix(end));
        let histogram =
            base.is_some_and(|base| kinds.get(base).is_some_and(|kind| kind == "histogram"));
        let kind = kinds.get(family);
        assert!(histogram || kind.is_some(), "a type comes before {line}");
        assert_eq!(
            kind.is_some_and(|kind| kind == "counter"),
            family.ends_with("_total"),
            "{line}"
        );
        let twice = series.insert(name.to_owned(), value.parse().expect("a number"));
        assert!(twice.is_none(), "{line}");
    }
    series
}

fn scrape(proxy: &Proxy) -> HashMap<String, f64> {
    let (status, text) = proxy.admin("/metrics");
    assert_eq!(status, 200);
    series(&text)
}

#[test]
fn what_happens_is_counted() {
    let (upstream, document) = Upstream::with_document(r#"{"text": "so long that a patch pays"}"#);
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let at = |name: &str, labels: &[&str]| proxy.metric(&format!("pollcast_{name}"), labels);
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    *document.lock().unwrap() = r#"{"text": "so long that a patch pays", "n": 1}"#.into();
    let patch = stream.expect("patch");

    let feed = r#"feed="/feed""#;
    assert!((at("connections", &[feed, r#"protocol="http/1.1""#]) - 1.0).abs() < 0.1);
    assert!((at("connections_opened_total", &[feed]) - 1.0).abs() < 0.1);
    assert!((at("subscriptions_total", &[feed, "fresh"]) - 1.0).abs() < 0.1);
    assert!((at("events_published_total", &[feed, "patch"]) - 1.0).abs() < 0.1);
    assert!((at("events_published_total", &[feed, "snapshot"]) - 1.0).abs() < 0.1);
    assert!((at("encoded_bytes_total", &[feed, "patch"]) - patch.data.len() as f64).abs() < 0.1);
    eventually("the write is counted", || {
        at("events_delivered_total", &[feed, "patch"]) > 0.5
    });
    assert!((at("events_delivered_total", &[feed, "snapshot"]) - 1.0).abs() < 0.1);
    assert!(at("sent_bytes_total", &[feed]) > patch.data.len() as f64);
    eventually("the poll is counted", || {
        at("polls_total", &[feed, "changed"]) > 1.5
    });
    eventually("quiet polls", || {
        at("polls_total", &[feed, "unchanged"]) > 2.5
    });
    assert!(at("poll_body_bytes_total", &[feed]) > at("document_bytes_total", &[feed]));
    assert!(at("poll_duration_seconds_count", &[feed]) > 4.5);
    assert!((at("feed_state", &[feed, "live"]) - 1.0).abs() < 0.1);
    assert!(at("last_success_timestamp_seconds", &[feed]) > 1.6e9);
    assert!((at("history_events", &[feed]) - 2.0).abs() < 0.1);
    assert!(at("history_bytes", &[feed]) > 1.0);

    get(proxy.address(), "/feed", &[]).text();
    eventually("it is counted", || {
        at("forwarded_requests_total", &["legacy", "2xx"]) > 0.5
    });
    subscribe(proxy.address(), "/feed?mode=x");
    assert!((at("subscriptions_refused_total", &[feed, "unknown_mode"]) - 1.0).abs() < 0.1);
    drop(stream);
    eventually("nobody is connected", || at("connections", &[feed]) < 0.1);
    assert!(at("connections_closed_total", &[feed]) > 0.5);
}

#[test]
fn the_metrics_are_compressed_for_those_who_take_it() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let ask = |method: &str, accepted: &[(&str, &str)]| {
        let admin = proxy.admin_url("").replace("http://", "");
        let admin = admin.parse().expect("an address");
        request(admin, method, "/metrics", accepted, b"")
    };
    for refused in [&[][..], &[("accept-encoding", "br, gzip;q=0")]] {
        let plain = ask("GET", refused);
        assert_eq!(plain.header("content-encoding"), None);
        assert_eq!(plain.header("vary"), Some("accept-encoding"));
        assert!(series(&plain.text()).len() > 50);
    }
    let gzip = &[("accept-encoding", "gzip;q=0.9, identity;q=0.1")];
    let mut zipped = ask("GET", gzip);
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    assert_eq!(zipped.header("vary"), Some("accept-encoding"));
    let bytes: Vec<u8> = std::iter::from_fn(|| zipped.byte()).collect();
    assert_eq!(
        zipped.header("content-length"),
        Some(&*bytes.len().to_string())
    );
    let mut text = String::new();
    let mut decoder = flate2::read::GzDecoder::new(&bytes[..]);
    decoder.read_to_string(&mut text).expect("a whole file");
    assert!(bytes.len() * 3 < text.len());
    assert!(series(&text).len() > 50);
    assert_eq!(ask("HEAD", gzip).header("content-encoding"), Some("gzip"));
    // OpenMetrics is not spoken.
    let open = [("accept", "application/openmetrics-text;version=1.0.0")];
    let plain = ask("GET", &open);
    let media_type = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(plain.header("content-type"), Some(media_type));
}

#[test]
fn a_dead_upstream_does_not_make_pollcast_unready() {
    let proxy = Proxy::with_feed("http://127.0.0.1:9", "");
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("status");
    eventually("polls fail", || {
        proxy.metric("pollcast_polls_total", &["/feed"]) > 2.5
    });
    assert_eq!(proxy.admin("/readyz"), (200, "ready\n".into()));
    assert_eq!(proxy.admin("/healthz"), (200, "ok\n".into()));
    assert!(scrape(&proxy)[r#"pollcast_feed_state{feed="/feed",state="down"}"#] > 0.5);
}

#[test]
fn what_is_not_there_is_said_so() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), "");
    for path in ["/metric", "/metrics/", "/feed", "/healthz/x"] {
        assert_eq!(proxy.admin(path).0, 404, "{path}");
    }
    // The query is no part of the path.
    assert_eq!(proxy.admin("/healthz?x").0, 200);
    let admin = proxy
        .admin_url("")
        .replace("http://", "")
        .parse()
        .expect("an address");
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = request(admin, method, "/metrics", &[], b"body");
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{method}");
    }
    let answer = raw(admin, b"HEAD /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(answer.status, 200);
    let answer = answer.again(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let (healthz, post) = ("ok\n", b"POST /x HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(answer.header("content-length"), Some("3"));
    assert_eq!(answer.again(post).status, 405);
    assert_eq!(get(admin, "/healthz", &[]).text(), healthz);
    // The private paths are not on the public listener.
    assert_eq!(get(proxy.address(), "/metrics", &[]).text(), "[1]");
}
