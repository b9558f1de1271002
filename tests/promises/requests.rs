//! How an upstream is asked: method, body, and redirects that keep or lose them.

use crate::support::client::subscribe;
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::stage::Stage;
use crate::support::upstream::{Reply, Request};

fn redirect(status: u16, location: &str) -> Reply {
    Reply::Answer {
        status,
        headers: vec![("location", location.to_owned())],
        body: Vec::new(),
    }
}

/// An upstream that knows its documents by the body of the question.
fn by_body(request: &Request) -> Reply {
    let question = String::from_utf8_lossy(&request.body).into_owned();
    Reply::Answer {
        status: 200,
        headers: vec![("etag", "\"1\"".into())],
        body: format!("[{question}]").into_bytes(),
    }
}

#[test]
fn a_post_carries_its_body_and_is_never_conditional() {
    let stage = Stage::new(by_body);
    let request = ", request: { method: POST, path: /search, body: { q: open, n: [1, 2.5] } }";
    let proxy = Proxy::with_feed(&stage.url(), request);
    let mut stream = subscribe(proxy.address(), "/feed");
    assert_eq!(
        stream.expect("snapshot").data,
        r#"[{"q":"open","n":[1,2.5]}]"#
    );
    eventually("more polls", || stage.upstream.count("/search") > 2);
    for poll in stage.upstream.requests() {
        assert_eq!((&*poll.method, &*poll.target), ("POST", "/search"));
        assert_eq!(poll.header("content-type"), Some("application/json"));
        assert_eq!(poll.header("if-none-match"), None);
        assert_eq!(poll.body, br#"{"q":"open","n":[1,2.5]}"#);
    }
}

#[test]
fn check_tells_what_is_asked_for() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("pollcast.yaml");
    let request = "{ method: POST, path: /search, body: '${file:body}', pages: { link: next } }";
    let text = format!(
        "upstreams: {{ shop: {{ url: http://shop }} }}\n\
         feeds: [{{ path: /feed, upstream: shop, request: {request} }}]\n"
    );
    std::fs::write(&file, text).expect("a file");
    std::fs::write(folder.path().join("body"), "s3cret").expect("a file");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_pollcast"))
        .args(["check", "-c"])
        .arg(&file)
        .output()
        .expect("the binary runs");
    let told = String::from_utf8_lossy(&output.stdout);
    let line = "feed  /feed  polls POST http://shop/search, page by page, every 2s";
    assert!(told.contains(line) && !told.contains("s3cret"), "{told}");
}

#[test]
fn text_is_sent_as_it_is_with_the_content_type_of_the_headers() {
    let stage = Stage::serving("[1]");
    let request = ", request: { method: POST, body: \"a=1&b=${HOME_TOWN}\", \
                   headers: { content-type: application/x-www-form-urlencoded } }";
    let config = format!(
        "upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds:\n  - {{ path: /feed, upstream: legacy{request} }}\n",
        stage.url()
    );
    let proxy = Proxy::start_with(&config, &[("HOME_TOWN", "Ulm")]);
    subscribe(proxy.address(), "/feed").expect("snapshot");
    let poll = stage.upstream.requests()[0].clone();
    assert_eq!(poll.body, b"a=1&b=Ulm");
    let kind = poll.header("content-type");
    assert_eq!(kind, Some("application/x-www-form-urlencoded"));
}

#[test]
fn a_redirect_that_keeps_the_method_takes_the_body_along() {
    for status in [307, 308] {
        let stage = Stage::new(move |request| match request.target.as_str() {
            "/feed" => redirect(status, "moved?to=here"),
            _ => by_body(request),
        });
        let proxy = Proxy::with_feed(&stage.url(), ", request: { method: POST, body: \"7\" }");
        let mut stream = subscribe(proxy.address(), "/feed");
        assert_eq!(stream.expect("snapshot").data, "[7]", "{status}");
        let moved = stage.upstream.requests()[1].clone();
        assert_eq!((&*moved.method, &*moved.target), ("POST", "/moved?to=here"));
    }
}

#[test]
fn a_redirect_that_would_turn_a_post_into_a_get_is_refused() {
    for status in [301, 302, 303] {
        let stage = Stage::new(move |request| match request.target.as_str() {
            "/feed" => redirect(status, "/moved"),
            _ => by_body(request),
        });
        let proxy = Proxy::with_feed(&stage.url(), ", request: { method: POST, body: \"7\" }");
        let told = subscribe(proxy.address(), "/feed").expect("status").value;
        assert_eq!(told["state"], "down");
        let reason = told["reason"].as_str().unwrap();
        assert!(reason.contains("lose the POST"), "{reason}");
        assert_eq!(stage.upstream.count("/moved"), 0);
    }
}

#[test]
fn a_redirected_get_stays_a_get_with_its_headers_and_each_request_is_counted() {
    for status in [301, 302, 303, 307, 308] {
        let stage = Stage::new(move |request| match request.target.as_str() {
            "/feed" => redirect(status, "/moved"),
            _ => Reply::json("[1]"),
        });
        let more = ", poll: { interval: 1h }, request: { headers: { authorization: Bearer t } }";
        let proxy = Proxy::with_feed(&stage.url(), more);
        subscribe(proxy.address(), "/feed").expect("snapshot");
        let requests = stage.upstream.requests();
        assert_eq!(requests.len(), 2, "{status}");
        assert_eq!(requests[1].method, "GET");
        assert_eq!(requests[1].header("authorization"), Some("Bearer t"));
        assert_eq!(proxy.metric("pollcast_poll_requests_total", &[]), 2.0);
    }
}

#[test]
fn a_redirect_brings_no_credentials_of_its_own() {
    let stage = Stage::new(|request| {
        let host = request.header("host").unwrap_or_default();
        redirect(302, &format!("http://me:you@{host}/moved"))
    });
    let proxy = Proxy::with_feed(&stage.url(), "");
    let told = subscribe(proxy.address(), "/feed").expect("status").value;
    let reason = told["reason"].as_str().unwrap();
    assert!(reason.contains("redirects elsewhere"), "{reason}");
    assert_eq!(stage.upstream.count("/moved"), 0);
}
