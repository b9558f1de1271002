//! Documents that come in pages reach clients as one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::client::subscribe;
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::stage::Stage;
use crate::support::upstream::{Reply, Request, Upstream};

/// The value of a query parameter, as it was sent.
fn parameter<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let (_, query) = request.target.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .find(|(each, _)| *each == name)
        .map(|(_, value)| value)
}

fn number(request: &Request, name: &str) -> usize {
    parameter(request, name).map_or(0, |text| text.parse().expect("a number"))
}

/// 200 with a `Link` header.
fn linked(body: &str, link: String) -> Reply {
    Reply::Answer {
        status: 200,
        headers: vec![("link", link), ("etag", "\"same\"".into())],
        body: body.into(),
    }
}

/// Three pages, each of which links to the next one.
fn three_pages(request: &Request) -> Reply {
    match parameter(request, "page") {
        None => linked("[1.10,", String::new()),
        Some("1") => linked(
            "[1.10, 2]",
            "</x>; rel=prev, <?page=2>; rel=\"next\"".into(),
        ),
        Some("2") => linked(
            "[{\"a\": 1.000000000000000000000000000000}]",
            "<?page=3>; rel=\"last next\"".into(),
        ),
        _ => linked("[\"\u{e9}\"]", "<?page=1>; rel=first".into()),
    }
}

fn follow_links(upstream: &str, more: &str) -> Proxy {
    let request = ", request: { query: { page: 1 }, pages: { link: next } }";
    Proxy::with_feed(upstream, &format!("{request}{more}"))
}

#[test]
fn links_are_followed_to_the_last_page() {
    let stage = Stage::new(three_pages);
    let proxy = follow_links(&stage.url(), ", poll: { interval: 20ms }");
    let mut stream = subscribe(proxy.address(), "/feed");
    let document = stream.expect("snapshot").data;
    assert_eq!(
        document,
        "[1.10,2,{\"a\":1.000000000000000000000000000000},\"\u{e9}\"]"
    );

    stage.becomes(|request| match parameter(request, "page") {
        Some("1") => linked("[1.10, 2]", "<?page=2>; rel=next".into()),
        _ => linked("[3]", String::new()),
    });
    let event = stream.event().expect("a change");
    assert!(event.data.contains('3'), "{}", event.data);
    for request in stage.upstream.requests() {
        assert_eq!(request.header("if-none-match"), None, "{}", request.target);
    }
}

#[test]
fn every_page_is_a_request_that_is_counted_and_together_they_are_one_poll() {
    let stage = Stage::new(three_pages);
    let proxy = follow_links(&stage.url(), ", poll: { interval: 1h }");
    subscribe(proxy.address(), "/feed").expect("snapshot");
    assert_eq!(proxy.metric("pollcast_poll_requests_total", &[]), 3.0);
    assert_eq!(proxy.metric("pollcast_polls_total", &[]), 1.0);
}

#[test]
fn numbered_pages_are_read_until_one_is_not_full() {
    let upstream = Upstream::start(|request| {
        let (page, size) = (number(request, "p"), number(request, "per"));
        let rows: Vec<String> = (0..7).map(|row| format!("{{\"id\":{row}}}")).collect();
        let page = rows.chunks(size).nth(page).unwrap_or_default();
        Reply::json(format!("{{\"page\":\"x\",\"rows\":[{}]}}", page.join(",")))
    });
    let way = "page: { parameter: p, first: 0, size_parameter: per, size: 3 }, items: /rows";
    let request = format!(", request: {{ pages: {{ {way} }} }}, poll: {{ interval: 1h }}");
    let proxy = Proxy::with_feed(&upstream.url(), &request);
    let document = subscribe(proxy.address(), "/feed").expect("snapshot").value;
    assert_eq!(document["rows"].as_array().unwrap().len(), 7);
    assert_eq!(
        (&document["page"], &document["rows"][6]["id"]),
        (&"x".into(), &6.into())
    );
    assert_eq!(upstream.count("/feed"), 3);
}

#[test]
fn an_offset_without_a_limit_is_read_until_a_page_is_empty() {
    let upstream = Upstream::start(|request| {
        let rows: Vec<String> = (number(request, "skip")..5)
            .take(2)
            .map(|row| row.to_string())
            .collect();
        Reply::json(format!("[{}]", rows.join(",")))
    });
    let request = ", request: { pages: { offset: { parameter: skip } } }, poll: { interval: 1h }";
    let proxy = Proxy::with_feed(&upstream.url(), request);
    let document = subscribe(proxy.address(), "/feed").expect("snapshot").data;
    assert_eq!(document, "[0,1,2,3,4]");
    assert_eq!(upstream.count("/feed"), 4);
}

#[test]
fn cursors_are_followed_with_the_method_headers_and_body_of_the_request() {
    let upstream = Upstream::start(|request| {
        let body = match parameter(request, "after") {
            None => r#"{"d": [1], "meta": {"next": "b c"}}"#,
            Some("b+c") => r#"{"d": [2], "meta": {"next": null}}"#,
            other => panic!("{other:?}"),
        };
        Reply::json(body)
    });
    let request = ", poll: { interval: 1h }, document: { select: /d }, request: { method: POST, \
                   body: { q: all }, headers: { x-own: y }, \
                   pages: { cursor: { parameter: after, next: /meta/next }, items: /d } }";
    let proxy = Proxy::with_feed(&upstream.url(), request);
    let document = subscribe(proxy.address(), "/feed").expect("snapshot").data;
    assert_eq!(document, "[1,2]");
    for request in upstream.requests() {
        assert_eq!(
            (&*request.method, &*request.body),
            ("POST", &br#"{"q":"all"}"#[..])
        );
        assert_eq!(request.header("x-own"), Some("y"));
    }
}

/// What a client is told of the feed, which has no document yet.
fn reason(proxy: &Proxy) -> String {
    let told = subscribe(proxy.address(), "/feed").expect("status").value;
    assert_eq!(told["state"], "down");
    told["reason"].as_str().expect("a reason").to_owned()
}

#[test]
fn a_link_to_another_origin_is_refused_and_nothing_is_sent_there() {
    let (elsewhere, _document) = Upstream::with_document("[\"stolen\"]");
    let away = elsewhere.url();
    let stage = Stage::new(move |_| linked("[1]", format!("<{away}/feed>; rel=next")));
    let proxy = follow_links(&stage.url(), "");
    let reason = reason(&proxy);
    assert!(reason.contains("outside the upstream's origin"), "{reason}");
    assert_eq!(elsewhere.count("/feed"), 0);
}

#[test]
fn pages_that_go_in_circles_or_on_for_ever_are_refused_with_what_to_do() {
    let circle = Stage::new(|_| linked("[1]", "<?page=1>; rel=next".into()));
    let circle = follow_links(&circle.url(), "");
    assert!(reason(&circle).contains("read before"));
    assert!(circle.metric("pollcast_polls_total", &["pages"]) > 0.5);

    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let endless = Upstream::start(move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        linked(
            &format!("[{number}]"),
            format!("<?page={}>; rel=next", number + 2),
        )
    });
    let request = ", poll: { interval: 1h }, request: { pages: { link: next, max_pages: 3 } }";
    let proxy = Proxy::with_feed(&endless.url(), request);
    assert!(reason(&proxy).contains("raise request.pages.max_pages"));
    assert_eq!(asked.load(Ordering::SeqCst), 3);

    let deaf = Stage::serving("[1, 2]");
    let request = ", request: { pages: { page: { parameter: page, size: 2 } } }";
    let proxy = Proxy::with_feed(&deaf.url(), request);
    assert!(reason(&proxy).contains("same items"));
}

#[test]
fn a_page_that_fails_fails_the_poll_and_the_last_good_document_stays() {
    let stage = Stage::new(three_pages);
    let proxy = follow_links(&stage.url(), ", poll: { interval: 20ms }");
    let mut stream = subscribe(proxy.address(), "/feed");
    let document = stream.expect("snapshot").data;
    for (broken, words) in [
        (
            Reply::status as fn(u16, &'static str) -> Reply,
            "answered 500",
        ),
        (|_, _| Reply::json("<html>"), "page 2 is no JSON"),
        (|_, _| Reply::json("{}"), "page 2 has no array"),
    ] {
        stage.becomes(move |request| match parameter(request, "page") {
            Some("2") => broken(500, "no"),
            _ => three_pages(request),
        });
        let told = stream.expect("status").value;
        assert_eq!(told["state"], "stale");
        let reason = told["reason"].as_str().unwrap();
        assert!(reason.contains(words), "{reason}");
        let newcomer = subscribe(proxy.address(), "/feed").expect("snapshot").data;
        assert_eq!(newcomer, document);
        stage.becomes(three_pages);
        assert_eq!(stream.expect("status").value["state"], "live");
    }
}

#[test]
fn the_limit_of_size_and_of_time_is_for_all_pages_together() {
    let rows = |page: usize| format!("[{}\"{}\"]", page, "x".repeat(400)).replacen("\"", ",\"", 1);
    let upstream = Upstream::start(move |request| {
        let page = number(request, "page");
        match page {
            0..4 => Reply::json(rows(page)),
            _ => Reply::json("[]"),
        }
    });
    let way = ", request: { pages: { page: { parameter: page, first: 0 } } }";
    let small = format!("{way}, document: {{ max_bytes: 1200 }}");
    let told = reason(&Proxy::with_feed(&upstream.url(), &small));
    assert!(told.contains("longer than 1200 bytes"), "{told}");
    let enough = format!("{way}, document: {{ max_bytes: 2000 }}");
    let proxy = Proxy::with_feed(&upstream.url(), &enough);
    let document = subscribe(proxy.address(), "/feed").expect("snapshot").value;
    assert_eq!(document.as_array().unwrap().len(), 8);

    let slow = Upstream::start(|request| match number(request, "page") {
        page @ 0..2 => Reply::json(format!("[{page}]")),
        _ => Reply::Hang,
    });
    let short = format!("{way}, poll: {{ interval: 1h, timeout: 300ms }}");
    let proxy = Proxy::with_feed(&slow.url(), &short);
    // A subscriber waits as long as the poll, and may be told a moment before it is over.
    let _waiting = subscribe(proxy.address(), "/feed");
    eventually("it is told", || {
        proxy.admin("/api/feeds").1.contains("within 300ms")
    });
    eventually("it was counted", || {
        proxy.metric("pollcast_polls_total", &["timeout"]) > 0.5
    });
}
