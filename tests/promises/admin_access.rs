//! Who may ask the private listener: by which name, from which page.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::client::{raw, request};
use crate::support::proxy::Proxy;
use crate::support::upstream::Upstream;

/// The status of a request with exactly these lines behind its first.
fn status(admin: SocketAddr, first: &str, lines: &[&str]) -> u16 {
    raw(admin, head(first, lines).as_bytes()).status
}

fn head(first: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{first}\r\n{lines}\r\n")
}

fn plain(more: &str) -> (Proxy, Upstream) {
    let (upstream, _) = Upstream::with_document("[1]");
    let url = upstream.url();
    let proxy = Proxy::start(&format!(
        "upstreams: {{ legacy: {{ url: \"{url}\" }} }}\n\
         feeds:\n  - {{ path: /feed, upstream: legacy, poll: {{ interval: 1h }} }}\n{more}"
    ));
    (proxy, upstream)
}

#[test]
fn a_name_that_somebody_made_point_here_is_refused() {
    let (proxy, _upstream) = plain("");
    let admin = proxy.admin_address();
    for path in ["/", "/metrics", "/api/status", "/api/config", "/nowhere"] {
        for host in [
            "evil.example",
            "evil.example:9091",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1@evil.example",
            "localhost,evil.example",
            "[::1].evil.example",
            "localhost:x",
            "127.0.0.1:99999",
            "0x7f.1",
            "",
        ] {
            let first = format!("GET {path} HTTP/1.1");
            let answer = raw(admin, head(&first, &[&format!("host: {host}")]).as_bytes());
            assert!(
                matches!(answer.status, 400 | 421),
                "{path} {host:?}: {}",
                answer.status
            );
            let told = answer.text();
            assert!(!told.contains("evil"), "{told}");
        }
    }
    let answer = raw(admin, b"GET / HTTP/1.1\r\nhost: ops.example\r\n\r\n");
    assert_eq!(answer.status, 421);
    assert!(answer.text().contains("`admin.hosts`"));
    for host in [
        "localhost",
        "LocalHost:1",
        "localhost.",
        "127.0.0.1",
        "127.0.0.1:80",
        "[::1]",
        "[::1]:9091",
        "192.0.2.7:9091",
    ] {
        let line = format!("host: {host}");
        assert_eq!(
            status(admin, "GET /metrics HTTP/1.1", &[&line]),
            200,
            "{host}"
        );
    }
    // What a page could not read anyway, and what probes ask by names of their own.
    for path in ["/healthz", "/readyz"] {
        let first = format!("GET {path} HTTP/1.1");
        assert_eq!(status(admin, &first, &["host: pollcast.pods.example"]), 200);
        assert_eq!(status(admin, &format!("GET {path} HTTP/1.0"), &[]), 200);
    }
}

#[test]
fn a_request_without_one_host_is_refused() {
    let (proxy, _upstream) = plain("");
    let admin = proxy.admin_address();
    let first = "GET /metrics HTTP/1.1";
    assert_eq!(status(admin, first, &[]), 400);
    assert_eq!(
        status(admin, first, &["host: localhost", "host: localhost"]),
        400
    );
    assert_eq!(
        status(admin, first, &["host: localhost", "host: evil.example"]),
        400
    );
    assert_eq!(status(admin, "GET /metrics HTTP/1.0", &[]), 400);
    // The target's authority counts before the header (RFC 9112 section 3.2.2).
    let absolute = "GET http://evil.example/metrics HTTP/1.1";
    assert_eq!(status(admin, absolute, &["host: localhost"]), 400);
    assert_eq!(status(admin, absolute, &["host: evil.example"]), 421);
    let own = "GET http://localhost/metrics HTTP/1.1";
    assert_eq!(status(admin, own, &["host: localhost"]), 200);
}

#[test]
fn names_are_added_by_the_configuration() {
    let (upstream, _) = Upstream::with_document("[1]");
    let proxy = Proxy::start_admin(
        ", hosts: [Ops.Example, \"pinned.example:9091\"]",
        &format!(
            "upstreams: {{ legacy: {{ url: \"{}\" }} }}\n",
            upstream.url()
        ),
    );
    let admin = proxy.admin_address();
    for (host, expected) in [
        ("ops.example", 200),
        ("OPS.example:1234", 200),
        ("ops.example.", 200),
        ("pinned.example:9091", 200),
        ("pinned.example", 421),
        ("pinned.example:9092", 421),
        ("x.ops.example", 421),
        ("ops.example.evil.example", 421),
        ("localhost", 200),
    ] {
        let line = format!("host: {host}");
        assert_eq!(
            status(admin, "GET /metrics HTTP/1.1", &[&line]),
            expected,
            "{host}"
        );
    }
}

#[test]
fn pages_of_other_origins_get_nothing() {
    let (proxy, _upstream) = plain("");
    let admin = proxy.admin_address();
    let own = format!("http://{admin}");
    let stream = ("accept", "text/event-stream");
    for path in ["/api/status", "/metrics", "/", "/api/config"] {
        for foreign in [
            "https://elsewhere.example",
            "null",
            "http://127.0.0.1",
            "http://localhost:3000",
            "",
        ] {
            let answer = request(admin, "GET", path, &[("origin", foreign), stream], b"");
            assert_eq!(answer.status, 403, "{path} {foreign:?}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
        for site in ["cross-site", "same-site"] {
            let headers = [("sec-fetch-site", site), ("sec-fetch-mode", "no-cors")];
            assert_eq!(
                request(admin, "GET", path, &headers, b"").status,
                403,
                "{path} {site}"
            );
        }
        // A link on another page.
        let link = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert_eq!(
            request(admin, "GET", path, &link, b"").status,
            200,
            "{path}"
        );
        let mine = [("origin", own.as_str()), ("sec-fetch-site", "same-origin")];
        assert_eq!(
            request(admin, "GET", path, &mine, b"").status,
            200,
            "{path}"
        );
    }
    let framed = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "iframe"),
    ];
    assert_eq!(request(admin, "GET", "/", &framed, b"").status, 403);
}

#[test]
fn every_answer_says_what_browsers_may_do_with_it() {
    let (proxy, _upstream) = plain("");
    let admin = proxy.admin_address();
    for path in [
        "/",
        "/metrics",
        "/api/status",
        "/api/openapi.json",
        "/nowhere",
        "/healthz",
    ] {
        let answer = request(admin, "GET", path, &[], b"");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path} {name}");
        }
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        let features = answer.header("permissions-policy").expect("a policy");
        assert!(features.contains("geolocation=()"), "{features}");
        let caching = answer.header("cache-control").unwrap_or_default();
        assert!(
            caching.contains("no-store") || caching.contains("no-cache"),
            "{path}: {caching}"
        );
    }
}

#[test]
fn requests_in_a_row_are_answered_in_a_row() {
    let (proxy, _upstream) = plain("");
    let admin = proxy.admin_address();
    let mut stream = TcpStream::connect(admin).expect("it accepts");
    let one =
        |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{more}\r\n");
    let all = [
        one("/healthz", ""),
        one("/nowhere", ""),
        "POST /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(),
        one("/readyz", "connection: close\r\n"),
    ];
    stream
        .write_all(all.concat().as_bytes())
        .expect("a request");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("text");
    let statuses: Vec<_> = answers
        .lines()
        .filter_map(|line| line.strip_prefix("HTTP/1.1 "))
        .map(|rest| &rest[..3])
        .collect();
    assert_eq!(statuses, ["200", "404", "405", "200"], "{answers}");
    assert!(answers.ends_with("ready\n"));
}

const KEY: &str = "k3y-of-the-operators-0123456789abcdef";

/// An admin listener that asks who it is.
fn guarded(more: &str) -> (Proxy, Upstream) {
    let (upstream, _) = Upstream::with_document("[1]");
    let hash = openssl::sha::sha256(KEY.as_bytes());
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let proxy = Proxy::start_admin(
        ", access: [{ keys: [operators] }]",
        &format!(
            "auth: {{ keys: {{ operators: {{ sha256: \"{hash}\"{more} }} }} }}\n\
             upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
             feeds: [{{ path: /feed, upstream: legacy }}]\n",
            upstream.url()
        ),
    );
    (proxy, upstream)
}

#[test]
fn whoever_has_no_key_learns_nothing_but_whether_it_serves() {
    let (proxy, _upstream) = guarded("");
    let admin = proxy.admin_address();
    let basic = |password: &str| {
        let text = openssl::base64::encode_block(format!("anybody:{password}").as_bytes());
        format!("Basic {text}")
    };
    for path in [
        "/",
        "/metrics",
        "/api/status",
        "/api/config",
        "/pollcast.js",
        "/nowhere",
    ] {
        for wrong in [
            None,
            Some("Bearer wrong".to_owned()),
            Some(basic("wrong")),
            Some("Basic !".into()),
        ] {
            let headers: Vec<_> = wrong
                .iter()
                .map(|it| ("authorization", it.as_str()))
                .collect();
            for accept in ["*/*", "text/event-stream"] {
                let headers = [&headers[..], &[("accept", accept)]].concat();
                let answer = request(admin, "GET", path, &headers, b"");
                assert_eq!(answer.status, 401, "{path} {headers:?}");
                let asked = answer.header_list("www-authenticate");
                assert!(
                    asked.contains("Basic realm") && asked.contains("Bearer"),
                    "{asked}"
                );
                assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            }
        }
        for right in [format!("Bearer {KEY}"), basic(KEY)] {
            let headers = [("authorization", right.as_str())];
            let expected = if path == "/nowhere" { 404 } else { 200 };
            assert_eq!(
                request(admin, "GET", path, &headers, b"").status,
                expected,
                "{path}"
            );
        }
        assert!(!proxy.log().contains(KEY));
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(request(admin, "GET", path, &[], b"").status, 200);
    }
    // A page of somebody else's could have the browser send the password along.
    let (password, foreign) = (basic(KEY), ("origin", "https://evil.example"));
    let headers = [("authorization", password.as_str()), foreign];
    assert_eq!(
        request(admin, "POST", "/api/poll?path=/feed", &headers, b"").status,
        403
    );
}

#[test]
fn a_stream_of_the_status_ends_with_the_key_that_it_was_opened_by() {
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3);
    let (proxy, _upstream) = guarded(&format!(", expires: \"{soon}\""));
    let bearer = format!("Bearer {KEY}");
    let headers = [
        ("accept", "text/event-stream"),
        ("authorization", bearer.as_str()),
    ];
    let mut watcher = request(proxy.admin_address(), "GET", "/api/status", &headers, b"");
    assert_eq!(watcher.status, 200);
    watcher.expect("snapshot");
    while watcher.event().is_some() {}
    assert_eq!(
        request(proxy.admin_address(), "GET", "/api/status", &headers, b"").status,
        401
    );
}

#[test]
fn what_anybody_may_be_refused_with_is_described() {
    let (proxy, _upstream) = plain("");
    let (_, text) = proxy.admin("/api/openapi.json");
    let contract: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    for (path, operations) in contract["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            for status in ["400", "401", "403", "421"] {
                let mut told = &operation["responses"][status];
                if let Some(name) = told["$ref"].as_str() {
                    told = contract
                        .pointer(name.trim_start_matches('#'))
                        .expect("a part");
                }
                let is_told = told["description"].is_string();
                let is_probe = path == "/healthz" || path == "/readyz";
                assert_ne!(is_told, is_probe, "{method} {path} {status}");
            }
        }
    }
}
