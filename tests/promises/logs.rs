//! Who asked, what became of it, and how long it took, is in the log, in a form that machines read;
//! what proves who somebody is never is.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::support::client::{Block, Response, get, raw, request, resume, subscribe};
use crate::support::eventually;
use crate::support::http2;
use crate::support::proxy::Proxy;
use crate::support::stage::{Stage, numbered};
use crate::support::upstream::{Reply, Request, Upstream};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// One upstream with one feed at `/feed`, everything else passes through, and an access log.
fn proxy(upstream: &str, format: &str, more: &str) -> Proxy {
    Proxy::start(&format!(
        "logs: {{ format: {format}, access: on }}\n\
         upstreams: {{ legacy: {{ url: \"{upstream}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 50ms }}{more} }}]\n\
         proxy: [{{ path: /, upstream: legacy }}]\n"
    ))
}

/// The JSON lines with this message so far. Every line must be JSON.
fn lines(proxy: &Proxy, message: &str) -> Vec<Value> {
    let read = |line: &str| -> Value {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    };
    let log = proxy.log();
    let lines = log.lines().map(read);
    lines.filter(|line| line["message"] == message).collect()
}

/// The only line with this message, once it is there.
fn line(proxy: &Proxy, message: &str) -> Value {
    eventually(&format!("a line {message:?}"), || {
        !lines(proxy, message).is_empty()
    });
    let mut lines = lines(proxy, message);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

/// The newest request that the upstream saw at this path.
fn seen(upstream: &Upstream, path: &str) -> Request {
    let requests = upstream.requests();
    let found = requests.iter().rev().find(|it| it.target.starts_with(path));
    found.expect("a request").clone()
}

fn is_made(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[test]
fn a_request_that_passes_through_has_one_json_line() {
    let stage = Stage::new(|_| Reply::status(201, "{\"ok\":true}"));
    let proxy = proxy(&stage.url(), "json", "");
    let answer = request(
        proxy.address(),
        "POST",
        "/a/b?token=s3cret",
        &[
            ("x-request-id", "mine-1"),
            ("authorization", "Bearer s3cret"),
            ("cookie", "sid=s3cret"),
            ("traceparent", &format!("00-{TRACE}-00f067aa0ba902b7-01")),
        ],
        b"s3cret body",
    );
    assert_eq!(
        (answer.status, answer.header("x-request-id")),
        (201, Some("mine-1"))
    );
    let line = line(&proxy, "forwarded");
    for (field, value) in [
        ("level", "INFO"),
        ("target", "pollcast::access"),
        ("method", "POST"),
        ("path", "/a/b"),
        ("protocol", "http/1.1"),
        ("client", "127.0.0.1"),
        ("upstream", "legacy"),
        ("route", "/"),
        ("server", stage.url().strip_prefix("http://").unwrap()),
        ("request_id", "mine-1"),
        ("trace_id", TRACE),
    ] {
        assert_eq!(line[field], value, "{field}: {line}");
    }
    assert_eq!((&line["status"], &line["bytes"]), (&201.into(), &11.into()));
    assert_eq!(line["client_left"], false);
    assert!(line["duration_ms"].as_f64().is_some_and(|it| it > 0.0));
    let time = line["timestamp"].as_str().expect("a time");
    assert!(time.contains('T') && time.ends_with('Z'), "{time}");
    let request = seen(&stage.upstream, "/a/b");
    assert_eq!(request.header("x-request-id"), Some("mine-1"));
    assert!(!proxy.log().contains("s3cret"), "{}", proxy.log());
}

#[test]
fn what_pollcast_answers_itself_has_its_line_too() {
    let stage = Stage::serving("{\"a\":1}");
    let proxy = proxy(&stage.url(), "json", ", json: latest");
    let answer = get(proxy.address(), "/feed", &[]);
    let id = answer.header("x-request-id").expect("an id").to_owned();
    assert!(is_made(&id), "{id}");
    assert_eq!(answer.text(), "{\"a\":1}");
    let remembered = line(&proxy, "remembered");
    assert_eq!(remembered["request_id"], *id);
    assert_eq!(
        (
            &remembered["feed"],
            &remembered["status"],
            &remembered["bytes"]
        ),
        (&"/feed".into(), &200.into(), &7.into())
    );

    let (long, longer) = (format!("/{}", "x".repeat(5_000)), "x".repeat(66_000));
    let answer = get(proxy.address(), &long, &[("x-filler", &longer)]);
    assert_eq!(answer.status, 431);
    let answered = line(&proxy, "answered");
    assert_eq!(answered["status"], 431);
    assert!(answered["path"].as_str().is_some_and(|it| it.len() < 1100));
    assert_eq!(answered.get("upstream"), None);
}

#[test]
fn a_subscription_has_a_line_when_it_opens_and_one_with_what_it_got_when_it_ends() {
    let stage = Stage::serving(numbered(1));
    let proxy = proxy(&stage.url(), "json", ", events: { modes: [patch, merge] }");
    let mut stream = get(
        proxy.address(),
        "/feed?mode=merge&secret=s3cret",
        &[("accept", "text/event-stream"), ("x-request-id", "page-7")],
    );
    assert_eq!(stream.header("x-request-id"), Some("page-7"));
    stream.expect("snapshot");
    let opened = line(&proxy, "subscribed");
    for (field, value) in [
        ("feed", "/feed"),
        ("path", "/feed"),
        ("mode", "merge"),
        ("protocol", "http/1.1"),
        ("encoding", "identity"),
        ("client", "127.0.0.1"),
        ("request_id", "page-7"),
    ] {
        assert_eq!(opened[field], value, "{field}: {opened}");
    }
    assert_eq!(opened["resumed"], false);
    for n in 2..5 {
        stage.serves(numbered(n));
        assert_eq!(stream.expect("merge").value["n"], n);
    }
    assert!(lines(&proxy, "unsubscribed").is_empty());
    stream.stream().shutdown(Shutdown::Both).expect("it leaves");
    let closed = line(&proxy, "unsubscribed");
    assert_eq!(closed["reason"], "client_left", "{closed}");
    assert_eq!(closed["request_id"], "page-7");
    assert!(closed["duration_ms"].as_f64().is_some_and(|it| it > 0.0));
    // It is in no other kind of line.
    assert!(lines(&proxy, "answered").is_empty());
    assert!(!proxy.log().contains("s3cret"), "{}", proxy.log());
}

/// Every block of a stream until it ends.
fn rest(mut stream: Response) -> (u64, u64) {
    let (mut events, mut bytes) = (0, 0);
    let mut text = Vec::new();
    while let Some(byte) = stream.byte() {
        text.push(byte);
        bytes += 1;
    }
    let text = String::from_utf8(text).expect("text");
    for block in text.split("\n\n").filter(|block| !block.is_empty()) {
        let is_event = block.lines().any(|line| line.starts_with("data:"));
        let is_retry = block.lines().any(|line| line.starts_with("retry:"));
        events += u64::from(is_event) + u64::from(is_retry);
    }
    (events, bytes)
}

#[test]
fn the_counts_of_a_line_are_what_its_client_received() {
    let stage = Stage::serving(numbered(1));
    let mut proxy = proxy(&stage.url(), "json", ", deliver: { compression: off }");
    let stream = subscribe(proxy.address(), "/feed");
    line(&proxy, "subscribed");
    for n in 2..6 {
        let before = proxy.metric("pollcast_events_delivered_total", &[]);
        stage.serves(numbered(n));
        eventually("the change is delivered", || {
            proxy.metric("pollcast_events_delivered_total", &[]) > before
        });
    }
    proxy.signal("TERM");
    let (events, bytes) = rest(stream);
    assert!(proxy.exit_status().success());
    let closed = line(&proxy, "unsubscribed");
    assert_eq!(closed["reason"], "drained");
    assert_eq!(closed["bytes"], bytes, "{closed}");
    assert_eq!(closed["events"], events, "{closed}");
}

#[test]
fn a_subscriber_that_resumes_is_told_from_one_whose_place_is_lost() {
    let stage = Stage::serving(numbered(1));
    let proxy = proxy(&stage.url(), "json", "");
    let mut first = subscribe(proxy.address(), "/feed");
    let id = first.expect("snapshot").id.expect("an id");
    stage.serves(numbered(2));
    first.expect("patch");
    resume(proxy.address(), "/feed", &id).expect("patch");
    resume(proxy.address(), "/feed", "made-up").expect("reset");
    let opened = lines(&proxy, "subscribed");
    let told: Vec<_> = opened
        .iter()
        .map(|line| (&line["resumed"], line["reset"].as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (&false.into(), None),
            (&true.into(), None),
            (&false.into(), Some("unknown_id"))
        ]
    );
}

#[test]
fn a_refused_subscription_has_a_line_with_the_reason() {
    let stage = Stage::serving("{}");
    let proxy = proxy(&stage.url(), "json", ", deliver: { max_subscribers: 1 }");
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    let answer = subscribe(proxy.address(), "/feed");
    assert_eq!(answer.status, 503);
    let refused = line(&proxy, "refused");
    assert_eq!(refused["reason"], "limit_feed");
    assert_eq!(
        (&refused["feed"], &refused["status"]),
        (&"/feed".into(), &503.into())
    );
    let id = refused["request_id"].as_str().expect("an id").to_owned();
    assert_eq!(answer.header("x-request-id"), Some(&*id));
    let problem: Value = serde_json::from_str(&answer.text()).expect("a problem document");
    assert_eq!(problem["request_id"], *id);
}

#[test]
fn a_client_that_leaves_before_its_answer_is_known_by_its_line() {
    let stage = Stage::new(|_| Reply::Hang);
    let proxy = proxy(&stage.url(), "json", "");
    let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        .expect("a request");
    eventually("it is under way", || stage.upstream.count("/slow") > 0);
    drop(stream);
    let left = line(&proxy, "forwarded");
    assert_eq!(left["client_left"], true, "{left}");
    assert_eq!(left.get("status"), None, "{left}");
}

#[test]
fn an_upstream_that_fails_is_named_in_the_line() {
    let mut stage = Stage::serving("{}");
    stage.upstream.kill();
    let proxy = proxy(&stage.url(), "json", "");
    assert_eq!(get(proxy.address(), "/x", &[]).status, 502);
    let failed = line(&proxy, "forwarded");
    assert_eq!(
        (&failed["status"], &failed["client_left"]),
        (&502.into(), &false.into())
    );
    assert_eq!(failed["error"], "ConnectRefused");
    assert_eq!(failed["upstream"], "legacy");
    let warning = line(&proxy, "a request could not be passed through");
    assert_eq!(warning["request_id"], failed["request_id"]);
}

#[test]
fn text_lines_say_the_same_and_escape_what_clients_wrote() {
    let stage = Stage::serving("{}");
    let proxy = proxy(&stage.url(), "text", "");
    let target = "/a%0a%1b[31m\"'\\x?q=s3cret";
    raw(
        proxy.address(),
        format!("GE~T {target} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes(),
    );
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    drop(stream);
    eventually("the lines are there", || {
        ["forwarded", "subscribed", "unsubscribed"]
            .iter()
            .all(|word| proxy.log().contains(&format!("pollcast::access: {word} ")))
    });
    let log = proxy.log();
    assert!(log.contains("method=\"GE~T\""), "{log}");
    assert!(log.contains("client=\"127.0.0.1\""), "{log}");
    assert!(!log.contains('\u{1b}') && !log.contains("s3cret"), "{log}");
}

#[test]
fn ids_that_could_write_a_line_of_their_own_are_replaced() {
    let stage = Stage::serving("{}");
    for format in ["json", "text"] {
        let proxy = proxy(&stage.url(), format, "");
        let long = "x".repeat(10_000);
        let hostile: [&[u8]; 7] = [
            b"a\x1b[31mred",
            b"a\tb",
            b"a\"},{\"b\":\"",
            b"a b",
            b"\xff\xfe",
            b"a\x0bb",
            long.as_bytes(),
        ];
        let mut answered = 0;
        for id in hostile {
            let head = [
                b"GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-request-id: ",
                id,
                b"\r\nx-other: \xff\t\"\r\n\r\n",
            ]
            .concat();
            let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
            stream.write_all(&head).expect("a request");
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
            // What is no header at all is refused before it is a request.
            if !answer.starts_with("http/1.1 200") {
                continue;
            }
            answered += 1;
            let told = answer.split("x-request-id: ").nth(1).expect("an id");
            let told = told.lines().next().expect("a line");
            assert!(is_made(told), "{told:?}");
            let request = seen(&stage.upstream, "/x");
            assert_eq!(request.header("x-request-id"), Some(told));
            eventually("its line", || proxy.log().contains(told));
        }
        assert!(answered >= 3, "{answered}");
        let log = proxy.log();
        assert!(!log.contains('\u{1b}') && !log.contains("xxxxx"), "{log}");
        if format == "json" {
            assert_eq!(lines(&proxy, "forwarded").len(), answered);
        }
    }
}

#[test]
fn no_client_keeps_the_request_id_from_the_upstream() {
    let stage = Stage::serving("{}");
    let proxy = proxy(&stage.url(), "json", "");
    let headers = [("connection", "x-request-id"), ("x-request-id", "mine")];
    get(proxy.address(), "/x", &headers);
    let request = seen(&stage.upstream, "/x");
    assert_eq!(request.header("x-request-id"), Some("mine"));
}

#[test]
fn an_upstreams_own_request_id_reaches_the_client() {
    let stage = Stage::new(|_| Reply::Answer {
        status: 200,
        headers: vec![("x-request-id", "theirs".to_owned())],
        body: Vec::new(),
    });
    let proxy = proxy(&stage.url(), "json", "");
    let answer = get(proxy.address(), "/x", &[("x-request-id", "mine")]);
    assert_eq!(answer.header_list("x-request-id"), "theirs");
    assert_eq!(line(&proxy, "forwarded")["request_id"], "mine");
}

#[test]
fn a_valid_trace_context_passes_untouched_and_any_other_not_at_all() {
    let stage = Stage::serving("{}");
    let proxy = proxy(&stage.url(), "json", "");
    let valid = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let later = format!("cc-{TRACE}-00f067aa0ba902b7-01-what-comes");
    for parent in [&valid, &later] {
        let headers = [("traceparent", parent.as_str()), ("tracestate", "a=1, b=2")];
        get(proxy.address(), "/valid", &headers);
        let request = seen(&stage.upstream, "/valid");
        assert_eq!(request.header("traceparent"), Some(&**parent));
        assert_eq!(request.header("tracestate"), Some("a=1, b=2"));
    }
    for headers in [
        &[("tracestate", "a=1")][..],
        &[("traceparent", "00-1-2-3"), ("tracestate", "a=1")],
        &[("traceparent", &valid), ("traceparent", &valid)],
        &[(
            "traceparent",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        )],
    ] {
        get(proxy.address(), "/invalid", headers);
        let request = seen(&stage.upstream, "/invalid");
        assert_eq!(request.header("traceparent"), None, "{headers:?}");
        assert_eq!(request.header("tracestate"), None, "{headers:?}");
    }
    eventually("six lines", || lines(&proxy, "forwarded").len() == 6);
    for line in lines(&proxy, "forwarded") {
        let trace = (line["path"] == "/valid").then_some(TRACE);
        assert_eq!(line.get("trace_id").and_then(Value::as_str), trace);
    }
}

#[test]
fn without_being_told_to_nobody_is_logged() {
    let stage = Stage::serving("{}");
    let proxy = Proxy::with_feed(&stage.url(), "");
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    drop(stream);
    get(proxy.address(), "/x", &[]);
    eventually("it left", || {
        proxy.metric("pollcast_connections_closed_total", &[]) > 0.5
    });
    assert!(!proxy.log().contains("pollcast::access"), "{}", proxy.log());
}

#[test]
fn either_kind_of_request_can_be_logged_alone_and_rust_log_has_the_last_word() {
    let stage = Stage::serving("{}");
    let start = |access: &str, variables: &[(&str, &str)]| {
        let config = format!(
            "logs: {{ format: json, access: {access} }}\n\
             upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
             feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 50ms }} }}]\n",
            stage.url()
        );
        let proxy = Proxy::start_with(&config, variables);
        let mut stream = subscribe(proxy.address(), "/feed");
        stream.expect("snapshot");
        drop(stream);
        get(proxy.address(), "/x", &[]);
        eventually("both are over", || {
            proxy.metric("pollcast_connections_closed_total", &[]) > 0.5
                && proxy.metric("pollcast_forwarded_requests_total", &[]) > 0.5
        });
        proxy
    };
    let proxy = start("requests", &[]);
    line(&proxy, "forwarded");
    assert!(lines(&proxy, "subscribed").is_empty() && lines(&proxy, "unsubscribed").is_empty());
    let proxy = start("subscriptions", &[]);
    line(&proxy, "unsubscribed");
    assert!(lines(&proxy, "forwarded").is_empty());
    let proxy = start("on", &[("RUST_LOG", "warn")]);
    assert_eq!(proxy.log(), "");
}

#[test]
fn an_event_streams_id_is_readable_where_its_blocks_are() {
    let stage = Stage::serving("{}");
    let proxy = proxy(&stage.url(), "json", "");
    let mut stream = subscribe(proxy.address(), "/feed");
    assert!(stream.header("x-request-id").is_some_and(is_made));
    assert!(matches!(stream.block(), Some(Block::Retry(_))));
}

#[test]
fn a_line_says_why_a_subscription_ended() {
    let big = |n: u64| {
        let unit = format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        format!("[{n},\"{}\"]", unit.repeat(1 << 12))
    };
    let ended = |more: &str, end: &dyn Fn(&Stage)| {
        let stage = Stage::serving(numbered(1));
        let proxy = proxy(&stage.url(), "json", more);
        let mut stream = subscribe(proxy.address(), "/feed");
        stream.expect("snapshot");
        end(&stage);
        // Nobody reads meanwhile.
        let closed = line(&proxy, "unsubscribed");
        closed["reason"].as_str().expect("a reason").to_owned()
    };
    let gone = |stage: &Stage| stage.becomes(|_| Reply::empty(410));
    assert_eq!(ended("", &gone), "feed_ended");
    let lifetime = ", deliver: { max_lifetime: 1s }";
    assert_eq!(ended(lifetime, &|_| {}), "max_lifetime");
    let patience = ", deliver: { write_timeout: 200ms, compression: off }";
    let counter = Arc::new(AtomicU64::new(0));
    let flood = move |stage: &Stage| {
        let counter = Arc::clone(&counter);
        stage.becomes(move |_| Reply::json(big(counter.fetch_add(1, Ordering::SeqCst))));
    };
    assert_eq!(ended(patience, &flood), "write_timeout");
}

#[test]
fn the_client_is_whom_a_trusted_proxy_names() {
    let stage = Stage::serving("{}");
    let proxy = Proxy::start(&format!(
        "server: {{ listen: \"127.0.0.1:0\", trusted_proxies: [127.0.0.1] }}\n\
         logs: {{ format: json, access: on }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy }}]\n",
        stage.url()
    ));
    let named = [("x-forwarded-for", "2001:db8::7")];
    get(proxy.address(), "/x", &named);
    assert_eq!(line(&proxy, "forwarded")["client"], "2001:db8::7");
    let headers = [named[0], ("accept", "text/event-stream")];
    get(proxy.address(), "/feed", &headers).expect("snapshot");
    assert_eq!(line(&proxy, "subscribed")["client"], "2001:db8::7");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_http_2_have_lines_of_their_own() {
    let stage = Stage::serving("{}");
    let proxy = Proxy::start(&format!(
        "server: {{ listen: {{ address: \"127.0.0.1:0\", http2: true }} }}\n\
         logs: {{ format: json, access: on }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy }}]\n",
        stage.url()
    ));
    let mut client = http2::Client::plain(proxy.address()).await;
    let answer = client.get("/x", &[("x-request-id", "one")]).await;
    assert_eq!(answer.headers()["x-request-id"], "one");
    http2::text(answer.into_body()).await;
    let headers = [("accept", "text/event-stream"), ("x-request-id", "two")];
    let mut events = http2::Events::of(client.get("/feed", &headers).await);
    events.until("event: snapshot").await;
    drop(events);
    for (message, id) in [
        ("forwarded", "one"),
        ("subscribed", "two"),
        ("unsubscribed", "two"),
    ] {
        let line = line(&proxy, message);
        assert_eq!(line["request_id"], id, "{line}");
        if message != "unsubscribed" {
            assert_eq!(line["protocol"], "http/2", "{line}");
        }
    }
    assert_eq!(line(&proxy, "unsubscribed")["reason"], "client_left");
}

#[test]
fn every_field_of_a_line_is_explained_and_no_other() {
    let readme = include_str!("../../config/README.md");
    let (_, section) = readme.split_once("\n## Logs\n").expect("a section");
    let (_, table) = section
        .split_once("| field | in | meaning |\n|---|---|---|\n")
        .expect("a table");
    let rows = table
        .lines()
        .map_while(|line| line.strip_prefix("| ")?.split_once(" | "));
    let explained: BTreeSet<_> = rows
        .flat_map(|(names, _)| names.split(", "))
        .map(|name| name.trim_matches('`').to_owned())
        .collect();

    let mut stage = Stage::serving("{}");
    let limited = ", json: latest, deliver: { max_subscribers: 1 }";
    let proxy = proxy(&stage.url(), "json", limited);
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    get(proxy.address(), "/x", &[("traceparent", &parent)]);
    get(proxy.address(), "/feed", &[]);
    let mut stream = resume(proxy.address(), "/feed", "made-up");
    stream.expect("reset");
    subscribe(proxy.address(), "/feed");
    drop(stream);
    stage.upstream.kill();
    get(proxy.address(), "/x", &[]);
    let messages = [
        "forwarded",
        "remembered",
        "subscribed",
        "refused",
        "unsubscribed",
    ];
    eventually("a line of each kind", || {
        let is_there = |message: &&str| !lines(&proxy, message).is_empty();
        messages.iter().all(is_there) && lines(&proxy, "forwarded").len() == 2
    });
    let common = ["timestamp", "level", "message", "target"];
    let mut written = BTreeSet::new();
    for line in messages.iter().flat_map(|message| lines(&proxy, message)) {
        let fields = line.as_object().expect("an object").keys();
        written.extend(fields.filter(|field| !common.contains(&&***field)).cloned());
    }
    assert_eq!(written, explained);
}

#[test]
fn an_argument_says_how_logs_are_written_whatever_the_file_says() {
    let stage = Stage::serving("{}");
    let config = format!(
        "logs: {{ format: text, access: on }}\nupstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         proxy: [{{ path: /, upstream: legacy }}]\n",
        stage.url()
    );
    let proxy = Proxy::start_saying("--log-format json", &config);
    get(proxy.address(), "/x", &[]);
    assert_eq!(line(&proxy, "forwarded")["path"], "/x");

    // It is nothing to run.
    let mut command = Command::new(env!("CARGO_BIN_EXE_pollcast"));
    let output = command.args(["run", "--log-format", "json"]).output();
    assert_eq!(output.expect("it runs").status.code(), Some(2));
}
