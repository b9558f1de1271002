//! Which pages may read a feed, and which may not even ask for one that is for somebody.

use crate::support::client::{Response, get, request};
use crate::support::proxy::Proxy;
use crate::support::stage::Stage;

const APP: &str = "https://app.example";

/// A feed for whoever a cookie says, which one other origin may read.
fn start(share: &str, more: &str) -> (Stage, Proxy) {
    let stage = Stage::serving(r#"{"n": 1}"#);
    let proxy = Proxy::with_feed(
        &stage.url(),
        &format!(
            "{share}{more}, deliver: {{ cors: {{ origins: [\"{APP}\", \"http://app.example:8443\"], credentials: true }} }}"
        ),
    );
    (stage, proxy)
}

const MINE: &str = ", share: { per_credential: [cookie] }";

fn ask(proxy: &Proxy, headers: &[(&str, &str)]) -> Response {
    let events = ("accept", "text/event-stream");
    let headers = [&[events, ("cookie", "session=s3cret")], headers].concat();
    get(proxy.address(), "/feed", &headers)
}

#[test]
fn an_origin_is_allowed_exactly_or_not_at_all() {
    let (_stage, proxy) = start("", "");
    for allowed in [APP, "http://app.example:8443"] {
        let answer = ask(&proxy, &[("origin", allowed)]);
        assert_eq!(answer.header("access-control-allow-origin"), Some(allowed));
        assert_eq!(
            answer.header("access-control-allow-credentials"),
            Some("true")
        );
        assert_eq!(
            answer.header_list("vary"),
            "accept, origin, accept-encoding"
        );
    }
    for other in [
        "null",
        "",
        "*",
        "https://APP.example",
        "HTTPS://app.example",
        "https://app.example:443",
        "https://app.example/",
        "https://app.example.",
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "https://evil.example/https://app.example",
        "https://app.example@evil.example",
        "https://xapp.example",
        "https://sub.app.example",
        "https://app.example, https://evil.example",
        "https://app.example https://evil.example",
    ] {
        // The feed is for everybody, so that it is served; the page is not let read it.
        let answer = ask(&proxy, &[("origin", other)]);
        assert_eq!(answer.status, 200, "{other:?}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            None,
            "{other:?}"
        );
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        assert_eq!(
            answer.header_list("vary"),
            "accept, origin, accept-encoding"
        );
    }
    let two = ask(
        &proxy,
        &[("origin", APP), ("origin", "https://evil.example")],
    );
    assert_eq!(two.header("access-control-allow-origin"), None);
}

#[test]
fn a_page_that_may_not_read_a_users_stream_cannot_even_have_it_polled() {
    for (more, accept) in [
        ("", "text/event-stream"),
        (", json: latest", "application/json"),
    ] {
        let (stage, proxy) = start(MINE, more);
        let ask = |headers: &[(&str, &str)]| {
            let common = [("accept", accept), ("cookie", "session=s3cret")];
            get(proxy.address(), "/feed", &[&common, headers].concat())
        };
        for headers in [
            &[("origin", "https://evil.example")][..],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "https://app.example.evil.example")],
            &[("origin", APP), ("origin", "https://evil.example")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "no-cors"),
            ],
            &[
                ("sec-fetch-site", "cross-site"),
                ("origin", "https://evil.example"),
            ],
        ] {
            let answer = ask(headers);
            assert_eq!(answer.status, 403, "{accept} {headers:?}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
            let vary = answer.header_list("vary");
            assert!(
                vary.contains("origin") && vary.contains("sec-fetch-site"),
                "{vary}"
            );
            let told = answer.text();
            assert!(
                told.contains("deliver.cors") && !told.contains("evil"),
                "{told}"
            );
        }
        assert_eq!(stage.upstream.count("/feed"), 0);
        let own = format!("http://{}", proxy.address());
        for headers in [
            &[][..],
            &[("origin", APP)],
            &[("origin", APP), ("sec-fetch-site", "cross-site")],
            &[("origin", own.as_str())],
            &[("sec-fetch-site", "same-origin")],
            // Behind something that changes the name, a browser still knows whose page it is.
            &[
                ("sec-fetch-site", "same-origin"),
                ("origin", "https://front.example"),
            ],
            // Typed in, or a bookmark.
            &[("sec-fetch-site", "none")],
        ] {
            assert_eq!(ask(headers).status, 200, "{accept} {headers:?}");
        }
    }
}

#[test]
fn a_link_from_another_page_shows_a_user_what_is_theirs() {
    let (_stage, proxy) = start(MINE, ", json: latest");
    let link = [
        ("cookie", "session=s3cret"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    assert_eq!(get(proxy.address(), "/feed", &link).status, 200);
}

#[test]
fn refusals_of_pages_are_counted() {
    let (_stage, proxy) = start(MINE, "");
    assert_eq!(ask(&proxy, &[("origin", "null")]).status, 403);
    let refused = proxy.metric(
        "pollcast_subscriptions_refused_total",
        &["/feed", "foreign_origin"],
    );
    assert!((refused - 1.0).abs() < 0.1);
}

#[test]
fn a_preflight_for_a_private_network_is_answered_for_allowed_origins() {
    let (stage, proxy) = start(MINE, "");
    let preflight = |origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "GET"),
            ("access-control-request-private-network", "true"),
        ];
        request(proxy.address(), "OPTIONS", "/feed", &headers, b"")
    };
    let answer = preflight(APP);
    assert_eq!(answer.status, 204);
    assert_eq!(
        answer.header("access-control-allow-private-network"),
        Some("true")
    );
    assert!(answer.header_list("vary").contains("origin"));
    assert_eq!(stage.upstream.count("/feed"), 0);
    // Any other is the upstream's to answer.
    assert_eq!(
        preflight("https://evil.example").header("access-control-allow-private-network"),
        None
    );
}
