//! Clients that only know how to ask get the newest document from memory (`json: latest`).

use std::io::Read as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::client::{Response, get, raw, request, subscribe};
use crate::support::proxy::Proxy;
use crate::support::stage::{Stage, numbered, paused};
use crate::support::upstream::Reply;
use crate::support::{eventually, http2};

const LATEST: &str = ", json: latest, poll: { interval: 50ms }";
/// Polled once, then for an hour only if poked: what clients get is from memory.
const RESTING: &str = ", json: latest, poll: { interval: 1h, linger: 1h }";

fn start(more: &str) -> (Stage, Proxy) {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::with_feed(&stage.url(), more);
    (stage, proxy)
}

fn etag(answer: &Response) -> String {
    answer.header("etag").expect("a tag").to_owned()
}

fn conditional(address: SocketAddr, header: &str, value: &str) -> Response {
    get(address, "/feed", &[(header, value)])
}

fn bytes(mut answer: Response) -> Vec<u8> {
    std::iter::from_fn(|| answer.byte()).collect()
}

fn answers(proxy: &Proxy, outcome: &str) -> f64 {
    let outcome = format!("outcome=\"{outcome}\"");
    proxy.metric("pollcast_json_answers_total", &["feed=\"/feed\"", &outcome])
}

#[test]
fn legacy_pollers_cost_the_upstream_nothing() {
    let (stage, proxy) = start(RESTING);
    let mut tags = Vec::new();
    for _ in 0..100 {
        let answer = get(proxy.address(), "/feed", &[]);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        assert_eq!(answer.header_list("vary"), "accept, accept-encoding");
        assert_eq!(answer.header("cache-status"), Some("pollcast; hit"));
        assert!(answer.header("date").is_some());
        assert!(answer.header("age").expect("an age").parse::<u64>().is_ok());
        tags.push(etag(&answer));
        assert_eq!(answer.text(), numbered(1));
    }
    assert_eq!(stage.upstream.count("/feed"), 1);
    tags.dedup();
    let id = subscribe(proxy.address(), "/feed").expect("snapshot").id;
    assert_eq!(tags, [format!("\"{}\"", id.expect("an id"))]);
    assert!((answers(&proxy, "full") - 100.0).abs() < 0.1);
}

#[test]
fn the_first_who_asks_waits_for_the_first_poll_and_polling_goes_on_for_linger() {
    let stage = Stage::new(|_| {
        std::thread::sleep(Duration::from_millis(200));
        Reply::json(numbered(1))
    });
    let poll = ", json: latest, poll: { interval: 20ms, linger: 300ms }";
    let proxy = Proxy::with_feed(&stage.url(), poll);
    assert_eq!(get(proxy.address(), "/feed", &[]).text(), numbered(1));
    stage.serves(numbered(2));
    eventually("it is polled", || stage.upstream.count("/feed") > 2);
    eventually("the newest is told", || {
        get(proxy.address(), "/feed", &[]).text() == numbered(2)
    });
    paused(&proxy);
    stage.serves(numbered(3));
    // Nothing old is passed off as new.
    assert_eq!(get(proxy.address(), "/feed", &[]).text(), numbered(3));
}

#[test]
fn json_first_and_events_after_it_is_seamless() {
    let (stage, proxy) = start(LATEST);
    for (n, headers) in [
        (1, &[][..]),
        (2, &[("accept-encoding", "gzip")]),
        (3, &[("accept-encoding", "br")]),
    ] {
        eventually("the newest is told", || {
            get(proxy.address(), "/feed", &[]).text() == numbered(n)
        });
        let tag = etag(&get(proxy.address(), "/feed", headers));
        let bare = tag.trim_matches('"');
        let texts = [bare.to_owned(), tag.clone(), format!("W/{tag}")];
        let mut streams: Vec<_> = texts
            .iter()
            .map(|text| {
                let text = text.replace('"', "%22");
                let target = format!("/feed?last_event_id={text}");
                subscribe(proxy.address(), &target)
            })
            .collect();
        eventually("they are there", || {
            proxy.metric("pollcast_connections", &[]) > 2.5
        });
        stage.serves(numbered(n + 1));
        for stream in &mut streams {
            assert_eq!(stream.expect("patch").value[0]["value"], json!(n + 1));
        }
    }
}

#[test]
fn whoever_has_the_newest_is_told_so() {
    let (_stage, proxy) = start(RESTING);
    let first = get(proxy.address(), "/feed", &[]);
    let tag = etag(&first);
    let other = "\"0123456789abcdef-1\"";
    let zipped = format!("\"{}-gzip\"", tag.trim_matches('"'));
    for (value, status) in [
        (tag.clone(), 304),
        (format!("W/{tag}"), 304),
        (format!("{other}, {tag}"), 304),
        (zipped.clone(), 304),
        ("*".to_owned(), 304),
        (other.to_owned(), 200),
        (tag.trim_matches('"').to_owned(), 200),
        ("\"\"".to_owned(), 200),
    ] {
        let answer = conditional(proxy.address(), "if-none-match", &value);
        assert_eq!(answer.status, status, "{value}");
        assert!(answer.header("age").is_some());
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        assert_eq!(answer.header_list("vary"), "accept, accept-encoding");
        // The tag of what the client has, so that a cache knows which one is meant.
        let told = etag(&answer);
        assert_eq!(
            told,
            if value == zipped {
                zipped.clone()
            } else {
                tag.clone()
            }
        );
        match status {
            304 => assert_eq!(answer.header("content-type"), None),
            _ => assert_eq!(answer.text(), numbered(1)),
        }
    }
    assert!((answers(&proxy, "not_modified") - 5.0).abs() < 0.1);
    assert_eq!(conditional(proxy.address(), "if-match", &tag).status, 200);
    assert_eq!(conditional(proxy.address(), "if-match", other).status, 412);
    assert_eq!(
        conditional(proxy.address(), "range", "bytes=0-1").status,
        200
    );
}

#[test]
fn the_time_of_the_last_change_is_a_validator_that_cannot_be_wrong() {
    let (stage, proxy) = start(LATEST);
    let modified = || {
        let mut told = None;
        eventually("the second is over", || {
            let answer = get(proxy.address(), "/feed", &[]);
            told = answer.header("last-modified").map(str::to_owned);
            told.is_some()
        });
        told.expect("a time")
    };
    let first = modified();
    let since = |value: &str| conditional(proxy.address(), "if-modified-since", value);
    assert_eq!(since(&first).status, 304);
    stage.serves(numbered(2));
    eventually("it changed", || since(&first).status == 200);
    let second = modified();
    assert_ne!(first, second);
    assert_eq!(since(&second).status, 304);
    assert_eq!(since(&first).status, 200);
    let too_old = conditional(proxy.address(), "if-unmodified-since", &first);
    assert_eq!(too_old.status, 412);
    // A tag is better than a time, which is not asked then.
    let both = [
        ("if-none-match", "\"0123456789abcdef-1\""),
        ("if-modified-since", second.as_str()),
    ];
    assert_eq!(get(proxy.address(), "/feed", &both).status, 200);
}

#[test]
fn what_is_compressed_has_a_tag_of_its_own_and_the_same_document() {
    let (_stage, proxy) = start(RESTING);
    let plain = etag(&get(proxy.address(), "/feed", &[]));
    let accept = [("accept-encoding", "gzip, br")];
    let answer = get(proxy.address(), "/feed", &accept);
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let tag = etag(&answer);
    assert_eq!(tag, format!("\"{}-gzip\"", plain.trim_matches('"')));
    let length: usize = answer
        .header("content-length")
        .and_then(|length| length.parse().ok())
        .expect("a length");
    let body = bytes(answer);
    assert_eq!(body.len(), length);
    assert!(body.len() < numbered(1).len());
    let mut text = String::new();
    flate2::read::GzDecoder::new(&body[..])
        .read_to_string(&mut text)
        .expect("one gzip member");
    assert_eq!(text, numbered(1));
    let both = [("accept-encoding", "gzip"), ("if-none-match", tag.as_str())];
    assert_eq!(get(proxy.address(), "/feed", &both).status, 304);

    let more = format!("{RESTING}, deliver: {{ compression: off }}");
    let (_stage, proxy) = start(&more);
    let answer = get(proxy.address(), "/feed", &accept);
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(answer.header_list("vary"), "accept");
    assert_eq!(answer.text(), numbered(1));
}

#[test]
fn while_the_upstream_fails_the_age_of_the_document_tells() {
    let (stage, proxy) = start(LATEST);
    assert_eq!(get(proxy.address(), "/feed", &[]).status, 200);
    stage.becomes(|_| Reply::status(503, "no"));
    let (mut oldest, begun) = (0, Instant::now());
    eventually("it grows", || {
        let answer = get(proxy.address(), "/feed", &[]);
        assert_eq!(answer.status, 200);
        let age: u64 = answer.header("age").unwrap().parse().unwrap();
        assert!(age >= oldest && age <= begun.elapsed().as_secs() + 1);
        oldest = age;
        let status = answer.header("cache-status").map(str::to_owned);
        assert_eq!(answer.text(), numbered(1));
        age >= 2 && status.as_deref() == Some("pollcast; hit; detail=stale")
    });
    stage.serves(numbered(1));
    eventually("it is fresh again", || {
        let answer = get(proxy.address(), "/feed", &[]);
        answer.header("age") == Some("0") && answer.header("cache-status") == Some("pollcast; hit")
    });
}

#[test]
fn without_a_document_the_reason_is_told_and_nothing_else() {
    let stage = Stage::new(|_| Reply::status(500, "no"));
    let proxy = Proxy::with_feed(&stage.url(), LATEST);
    let answer = get(proxy.address(), "/feed", &[]);
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.header("etag"), None);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json")
    );
    let text = answer.text();
    assert!(text.contains("answered 500"), "{text}");
    assert!((answers(&proxy, "unavailable") - 1.0).abs() < 0.1);
    for status in [401, 403, 404, 410] {
        stage.becomes(move |_| Reply::status(status, "no"));
        eventually("the refusal is told", || {
            get(proxy.address(), "/feed", &[]).status == status
        });
    }
    stage.serves("[1]");
    eventually("the document is told", || {
        get(proxy.address(), "/feed", &[]).status == 200
    });
}

#[test]
fn what_memory_cannot_answer_passes_through() {
    let stage = Stage::new(|request| match request.target.as_str() {
        "/feed" if request.method == "GET" && request.body.is_empty() => Reply::json(numbered(1)),
        _ => Reply::json(format!("[\"{} {}\"]", request.method, request.target)),
    });
    let proxy = Proxy::with_feed(&stage.url(), RESTING);
    let ask = |method, target, body: &[u8]| request(proxy.address(), method, target, &[], body);
    for target in [
        "/feed?page=2",
        "/feed?last_event_id=x&page=2",
        "/feed?mode=compact",
        "/feed?mode",
        "/feed/",
    ] {
        let answer = ask("GET", target, b"");
        assert_eq!(answer.header("etag"), None, "{target}");
        assert_eq!(answer.text(), format!("[\"GET {target}\"]"));
    }
    for target in [
        "/feed",
        "/feed?",
        "/feed?mode=patch",
        "/feed?last_event_id=x",
    ] {
        assert_eq!(ask("GET", target, b"").text(), numbered(1), "{target}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        let answer = ask(method, "/feed", b"{}").text();
        assert_eq!(answer, format!("[\"{method} /feed\"]"));
    }
    // A question in the body is one more that memory cannot answer.
    assert_eq!(ask("GET", "/feed", b"{}").text(), "[\"GET /feed\"]");
    let head = ask("HEAD", "/feed", b"");
    assert_eq!(head.status, 200);
    let length = numbered(1).len().to_string();
    assert_eq!(head.header("content-length"), Some(length.as_str()));
    let next = head.again(b"GET /feed HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(next.text(), numbered(1));

    let proxy = Proxy::with_feed(&stage.url(), "");
    assert_eq!(get(proxy.address(), "/feed", &[]).header("etag"), None);
}

#[test]
fn pages_of_allowed_origins_can_read_what_they_need() {
    let more = format!("{RESTING}, deliver: {{ cors: {{ origins: [\"https://app.example\"] }} }}");
    let (_stage, proxy) = start(&more);
    let answer = conditional(proxy.address(), "origin", "https://app.example");
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    let exposed = answer.header("access-control-expose-headers");
    assert_eq!(
        exposed,
        Some("etag, age, cache-status, preference-applied, x-request-id")
    );
    assert_eq!(
        answer.header_list("vary"),
        "accept, origin, accept-encoding"
    );
    let answer = conditional(proxy.address(), "origin", "https://evil.example");
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(answer.header("access-control-expose-headers"), None);
}

/// Asks for what is newer than this, for so many seconds.
fn wait_for(proxy: &Proxy, tag: &str, seconds: u64) -> Response {
    let prefer = format!("wait={seconds}");
    let headers = [("if-none-match", tag), ("prefer", prefer.as_str())];
    get(proxy.address(), "/feed", &headers)
}

fn waiting(proxy: &Proxy) -> bool {
    let (_, feeds) = proxy.admin("/api/feeds");
    let feeds: serde_json::Value = serde_json::from_str(&feeds).expect("JSON");
    feeds[0]["subscribers"]["total"] == json!(1)
}

#[test]
fn whoever_likes_to_wait_gets_the_next_document_when_it_comes() {
    let (stage, proxy) = start(LATEST);
    let tag = etag(&get(proxy.address(), "/feed", &[]));
    let answer = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| wait_for(&proxy, &tag, 30));
        eventually("it waits", || waiting(&proxy));
        stage.serves(numbered(2));
        waiter.join().expect("an answer")
    });
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("preference-applied"), Some("wait=30"));
    assert_ne!(etag(&answer), tag);
    assert_eq!(answer.text(), numbered(2));
    assert!((answers(&proxy, "waited_full") - 1.0).abs() < 0.1);
    eventually("its place is free", || !waiting(&proxy));
}

#[test]
fn a_wait_in_vain_ends_in_time_and_a_long_one_is_bounded() {
    let (_stage, proxy) = start(LATEST);
    let tag = etag(&get(proxy.address(), "/feed", &[]));
    let begun = Instant::now();
    let answer = wait_for(&proxy, &tag, 1);
    assert_eq!(answer.status, 304);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(answer.header("preference-applied"), Some("wait=1"));
    assert_eq!(etag(&answer), tag);
    assert!((answers(&proxy, "waited_not_modified") - 1.0).abs() < 0.1);
    // By the id in the query there is nothing that a 304 could mean.
    let target = format!("/feed?last_event_id={}", tag.trim_matches('"'));
    let answer = get(proxy.address(), &target, &[("prefer", "wait=1")]);
    assert_eq!(answer.header("preference-applied"), Some("wait=1"));
    assert_eq!((answer.status, answer.text()), (200, numbered(1)));
}

#[test]
fn who_has_not_the_newest_never_waits() {
    let (_stage, proxy) = start(LATEST);
    let tag = etag(&get(proxy.address(), "/feed", &[]));
    for (prefer, condition) in [
        ("wait=50", ("x-none", "x")),
        ("wait=50", ("if-none-match", "\"0123456789abcdef-1\"")),
        ("wait=0", ("if-none-match", tag.as_str())),
        ("wait", ("if-none-match", tag.as_str())),
        ("wait=-1", ("if-none-match", tag.as_str())),
        ("respond-async", ("if-none-match", tag.as_str())),
    ] {
        let answer = get(proxy.address(), "/feed", &[("prefer", prefer), condition]);
        assert_eq!(answer.header("preference-applied"), None, "{prefer}");
    }
}

#[test]
fn a_waiting_client_takes_a_seat_and_leaves_it_when_it_goes() {
    let more = format!("{LATEST}, deliver: {{ max_subscribers: 1 }}");
    let (_stage, proxy) = start(&more);
    let tag = etag(&get(proxy.address(), "/feed", &[]));
    let ask =
        format!("GET /feed HTTP/1.1\r\nhost: a\r\nif-none-match: {tag}\r\nprefer: wait=50\r\n\r\n");
    let mut stream = std::net::TcpStream::connect(proxy.address()).expect("a connection");
    std::io::Write::write_all(&mut stream, ask.as_bytes()).expect("a request");
    eventually("it waits", || waiting(&proxy));
    let refused = subscribe(proxy.address(), "/feed");
    assert_eq!(refused.status, 503);
    // Nobody is refused JSON: without a seat it is told at once.
    let answer = raw(proxy.address(), ask.as_bytes());
    assert_eq!(answer.status, 304);
    assert_eq!(answer.header("preference-applied"), None);
    drop(stream);
    eventually("its seat is free", || {
        subscribe(proxy.address(), "/feed").status == 200
    });
}

#[test]
fn leaving_ends_the_wait_and_refuses_nobody_what_is_known() {
    let (_stage, mut proxy) = start(LATEST);
    let tag = etag(&get(proxy.address(), "/feed", &[]));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| wait_for(&proxy, &tag, 50));
        eventually("it waits", || waiting(&proxy));
        proxy.signal("TERM");
        let answer = waiter.join().expect("an answer");
        assert_eq!(answer.status, 304);
        assert_eq!(answer.header("connection"), Some("close"));
    });
    assert!(proxy.exit_status().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_waits_is_noticed_when_it_is_reset() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::start(&format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\", http2: true }}], drain: 10s }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, json: latest }}]\n",
        stage.url()
    ));
    let mut client = http2::Client::plain(proxy.address()).await;
    let first = client.get("/feed", &[]).await;
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(http2::text(first.into_body()).await, numbered(1));
    let headers = [("if-none-match", tag.as_str()), ("prefer", "wait=50")];
    let (answer, mut stream) = client.send("GET", "/feed", &headers, false).await;
    let (kept, _) = client.send("GET", "/feed", &headers, false).await;
    let seated = |number| {
        let (_, feeds) = proxy.admin("/api/feeds");
        let feeds: serde_json::Value = serde_json::from_str(&feeds).expect("JSON");
        feeds[0]["subscribers"]["total"] == json!(number)
    };
    eventually("both wait", || seated(2));
    stream.send_reset(h2::Reason::CANCEL);
    drop(answer);
    eventually("one does", || seated(1));
    stage.serves(numbered(2));
    let kept = http2::in_time(kept).await.expect("an answer");
    assert_eq!(kept.status(), 200);
    assert_eq!(http2::text(kept.into_body()).await, numbered(2));
}
