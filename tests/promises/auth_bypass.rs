//! Ways past the guard that were tried, and lead nowhere.

use serde_json::json;

use crate::support::client::{get, raw, request};
use crate::support::proxy::Proxy;
use crate::support::stage::Stage;
use crate::support::upstream::{Reply, Request};

/// SHA-256 of `key`, and of `other`.
const KEY: &str = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683";
const OTHER: &str = "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa";

/// Two guarded feeds, one within the other, and a guarded route, in a site that is open otherwise.
fn site(api: &Stage) -> Proxy {
    Proxy::start(&format!(
        "auth: {{ keys: {{ mine: {{ sha256: {KEY} }}, other: {{ sha256: {OTHER} }} }} }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds:\n\
         - {{ path: \"/orders/{{id}}\", upstream: legacy, access: [{{ keys: [mine] }}] }}\n\
         - {{ path: /orders/all, upstream: legacy, json: latest, access: [{{ keys: [other] }}] }}\n\
         - {{ path: /news, upstream: legacy, json: latest }}\n\
         proxy:\n\
         - {{ path: /, upstream: legacy, access: everyone }}\n\
         - {{ path: /private, upstream: legacy, access: [{{ keys: [other] }}] }}\n",
        api.url()
    ))
}

#[test]
fn no_other_way_to_write_a_guarded_path_goes_past_its_guard() {
    let api = Stage::serving("[\"s3cret\"]");
    let proxy = site(&api);
    let paths = [
        "/orders/7/",
        "//orders/7",
        "/orders//7",
        "/%6frders/7",
        "/%6Frders/7",
        "/%256frders/7",
        "/orders%2f7",
        "/orders%2F7/",
        "/orders%5c7",
        "/Orders/7",
        "/ORDERS/7",
        "/x/../orders/7",
        "/x/%2e%2e/orders/7",
        "/x/.%2E/orders/7",
        "/./orders/7",
        "/orders/./7",
        "/orders/7/.",
        "/orders/7/x/..",
        "/../orders/7",
        "/orders;a=b/7",
        "/orders;/7;",
        "/;/orders/7",
        "/x/..;/orders/7",
        "/privat%65",
        "/%70rivate/a",
        "//private/a",
        "/Private/a",
        "/private;x/a",
        "/x/../private/a",
        "/private%2fa",
        "/privat%65/..%2f./private",
    ];
    for path in paths {
        for (method, accept) in [
            ("GET", "*/*"),
            ("HEAD", "*/*"),
            ("POST", "*/*"),
            ("OPTIONS", "*/*"),
            ("GET", "text/event-stream"),
        ] {
            let target = format!("{path}?a=1");
            let answer = request(proxy.address(), method, &target, &[("accept", accept)], b"");
            assert_eq!(answer.status, 400, "{method} {target}");
        }
        let absolute = format!(
            "GET http://elsewhere{path} HTTP/1.1\r\nhost: elsewhere\r\nconnection: close\r\n\r\n"
        );
        assert_eq!(
            raw(proxy.address(), absolute.as_bytes()).status,
            400,
            "{path}"
        );
    }
    assert_eq!(api.upstream.requests().len(), 0, "nobody was asked");
}

#[test]
fn a_guard_of_a_wider_path_does_not_stand_for_that_of_a_narrower_one() {
    let api = Stage::serving("[\"s3cret\"]");
    let proxy = site(&api);
    let (mine, other) = (("x-api-key", "key"), ("x-api-key", "other"));
    for path in [
        "/orders/al%6c",
        "/orders/ALL",
        "/orders/all;a=b",
        "/orders/%2561ll",
    ] {
        for accept in ["application/json", "text/event-stream"] {
            let headers = [mine, ("accept", accept)];
            let answer = get(proxy.address(), path, &headers);
            assert_eq!(answer.status, 400, "{path} {accept}");
        }
    }
    assert_eq!(api.upstream.requests().len(), 0, "nobody was asked");
    assert_eq!(get(proxy.address(), "/orders/all", &[mine]).status, 401);
    assert_eq!(get(proxy.address(), "/orders/all", &[other]).status, 200);
}

#[test]
fn whatever_leads_to_no_guarded_path_is_passed_through_as_it_is_written() {
    let api = Stage::new(|request: &Request| Reply::json(json!(request.target).to_string()));
    let proxy = site(&api);
    let mine = ("x-api-key", "key");
    for path in [
        "/a%20b/%C3%A9",
        "/News/",
        "//news",
        "/orders",
        "/orders/7/lines",
        "/orders/%37/lines",
        "/privately",
        "/a;b=c",
        "/%",
        "/%zz%2",
    ] {
        let answer = get(proxy.address(), path, &[]);
        assert_eq!(
            (answer.status, answer.text()),
            (200, json!(path).to_string()),
            "{path}"
        );
    }
    // One and the same feed, however it is written.
    let mut stream = get(
        proxy.address(),
        "/orders/%37",
        &[mine, ("accept", "text/event-stream")],
    );
    assert_eq!(stream.expect("snapshot").value, json!("/orders/7"));
    let inside = [("x-api-key", "other")];
    for path in ["/private/a%20b", "/private//x", "/private/A/"] {
        assert_eq!(get(proxy.address(), path, &inside).status, 200, "{path}");
    }
}

#[test]
fn a_preflight_brings_nothing_past_the_guard_but_its_question() {
    let api = Stage::new(|_: &Request| Reply::empty(204));
    let proxy = site(&api);
    let preflight = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "PUT"),
    ];
    let with = |more: &[(&str, &str)], body: &[u8]| {
        let headers = [&preflight[..], more].concat();
        request(proxy.address(), "OPTIONS", "/private/a", &headers, body).status
    };
    let more = [
        ("access-control-request-headers", "x-a"),
        ("x-http-method-override", "GET"),
        ("x-http-method", "DELETE"),
        ("x-method-override", "GET"),
        ("authorization", "Bearer x"),
        ("cookie", "session=x"),
        ("expect", "100-continue"),
    ];
    assert_eq!(with(&more, b""), 204);
    let asked = &api.upstream.requests()[0];
    assert_eq!(asked.header("access-control-request-headers"), Some("x-a"));
    assert_eq!(asked.header("access-control-request-method"), Some("PUT"));
    for (name, _) in &more[1..] {
        assert_eq!(asked.header(name), None, "{name}");
    }
    let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
    for (more, body) in [
        (&[][..], &b"body"[..]),
        (&upgrade, b""),
        (&[("access-control-request-method", "GET")], b""),
        (&[("origin", "https://b.example")], b""),
    ] {
        assert_eq!(with(more, body), 401, "{more:?}");
    }
    assert_eq!(api.upstream.requests().len(), 1);
}

/// Says `x-user: ann` of everybody.
fn ann(_: &Request) -> Reply {
    Reply::Answer {
        status: 200,
        headers: vec![("x-user", "ann".to_owned())],
        body: Vec::new(),
    }
}

#[test]
fn no_client_calls_what_a_service_says_of_it_a_matter_of_one_hop() {
    let service = Stage::new(ann);
    let api =
        Stage::new(|request: &Request| Reply::json(json!(request.header("x-user")).to_string()));
    let proxy = Proxy::start(&format!(
        "auth: {{ forward: {{ sso: {{ url: \"{}/check\", response_headers: [x-user] }} }} }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, access: [{{ forward: sso }}] }}]\n\
         proxy: [{{ path: /, upstream: legacy, access: [{{ forward: sso }}] }}]\n",
        service.url(),
        api.url()
    ));
    for path in ["/feed", "/elsewhere"] {
        for options in ["x-user", "close, X-User", "keep-alive,x-user"] {
            let answer = get(proxy.address(), path, &[("connection", options)]);
            assert_eq!(answer.text(), "\"ann\"", "{path} {options}");
        }
    }
}
