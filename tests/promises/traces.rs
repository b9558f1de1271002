//! A collector of traces sees what pollcast took part in, as a part of the traces of others; and
//! nobody waits for it.
#![cfg(feature = "otlp")]

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::client::{get, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::stage::Stage;
use crate::support::upstream::{Reply, Request};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const SERVER: u64 = 2;
const CLIENT: u64 = 3;

/// One value of a protobuf message, as it is on the wire.
#[derive(Clone, Debug)]
enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

/// The fields of a message, by number, in the order of the wire.
#[derive(Clone, Debug)]
struct Message(Vec<(u64, Field)>);

impl Message {
    fn read(mut bytes: &[u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes);
            let mut take = |length: usize| {
                let (taken, rest) = bytes.split_at(length);
                bytes = rest;
                taken.to_vec()
            };
            let number =
                |bytes: Vec<u8>| bytes.iter().rev().fold(0, |n, b| (n << 8) | u64::from(*b));
            let field = match tag & 7 {
                0 => Field::Number(varint(&mut bytes)),
                1 => Field::Number(number(take(8))),
                5 => Field::Number(number(take(4))),
                2 => {
                    let length = varint(&mut bytes);
                    let (taken, rest) = bytes.split_at(length as usize);
                    bytes = rest;
                    Field::Bytes(taken.to_vec())
                }
                other => panic!("wire type {other}"),
            };
            fields.push((tag >> 3, field));
        }
        Self(fields)
    }

    fn all(&self, number: u64) -> impl Iterator<Item = &[u8]> {
        let fields = self.0.iter().filter(move |(it, _)| *it == number);
        fields.filter_map(|(_, field)| match field {
            Field::Bytes(bytes) => Some(bytes.as_slice()),
            Field::Number(_) => None,
        })
    }

    fn bytes(&self, number: u64) -> &[u8] {
        self.all(number).next().unwrap_or_default()
    }

    fn text(&self, number: u64) -> String {
        String::from_utf8(self.bytes(number).to_vec()).expect("text")
    }

    fn hex(&self, number: u64) -> String {
        let bytes = self.bytes(number).iter();
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }

    fn number(&self, number: u64) -> u64 {
        let mut fields = self.0.iter().filter(|(it, _)| *it == number);
        match fields.next() {
            Some((_, Field::Number(number))) => *number,
            _ => 0,
        }
    }

    /// The attributes in this field, `KeyValue` of opentelemetry/proto/common/v1.
    fn attributes(&self, number: u64) -> BTreeMap<String, String> {
        let pair = |bytes: &[u8]| {
            let pair = Message::read(bytes);
            let value = Message::read(pair.bytes(2));
            let text = match value.0.first() {
                Some((1, Field::Bytes(text))) => String::from_utf8(text.clone()).expect("text"),
                Some((3, Field::Number(number))) => number.to_string(),
                other => panic!("a value: {other:?}"),
            };
            (pair.text(1), text)
        };
        self.all(number).map(pair).collect()
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (first, rest) = bytes.split_first().expect("a byte");
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        shift += 7;
        if first & 0x80 == 0 {
            return value;
        }
    }
}

/// What a test looks at of a span, opentelemetry/proto/trace/v1.
#[derive(Clone, Debug)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    kind: u64,
    attributes: BTreeMap<String, String>,
    failed: bool,
    service: String,
}

/// Every span that the collector was sent.
fn spans(collector: &Stage) -> Vec<Span> {
    let mut spans = Vec::new();
    for request in collector.upstream.requests() {
        assert_eq!((&*request.method, &*request.target), ("POST", "/v1/traces"));
        assert_eq!(
            request.header("content-type"),
            Some("application/x-protobuf")
        );
        for of_resource in Message::read(&request.body).all(1) {
            let of_resource = Message::read(of_resource);
            let resource = Message::read(of_resource.bytes(1)).attributes(1);
            for of_scope in of_resource.all(2) {
                spans.extend(Message::read(of_scope).all(2).map(|span| {
                    let span = Message::read(span);
                    assert!(span.number(7) <= span.number(8), "it ends after it began");
                    Span {
                        trace: span.hex(1),
                        id: span.hex(2),
                        parent: span.hex(4),
                        name: span.text(5),
                        kind: span.number(6),
                        attributes: span.attributes(9),
                        failed: Message::read(span.bytes(15)).number(3) == 2,
                        service: resource["service.name"].clone(),
                    }
                }));
            }
        }
    }
    spans
}

fn collector() -> Stage {
    Stage::new(|_| Reply::Answer {
        status: 200,
        headers: vec![("content-type", "application/x-protobuf".to_owned())],
        body: Vec::new(),
    })
}

/// One feed at `/feed`, everything else passes through; spans go to the collector soon.
fn proxy(upstream: &str, collector: &str, more: &str) -> Proxy {
    Proxy::start_with(
        &format!(
            "traces: {{ otlp: {{ endpoint: \"{collector}\"{more} }} }}\n\
             upstreams: {{ legacy: {{ url: \"{upstream}\" }} }}\n\
             feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 50ms }} }}]\n\
             proxy: [{{ path: /, upstream: legacy }}]\n"
        ),
        &[("OTEL_BSP_SCHEDULE_DELAY", "100")],
    )
}

/// The parts of the `traceparent` of a request that an upstream saw.
fn parent(request: &Request) -> (String, String, String) {
    let value = request.header("traceparent").expect("a traceparent");
    let parts: Vec<_> = value.split('-').map(str::to_owned).collect();
    assert_eq!((parts.len(), &*parts[0]), (4, "00"), "{value}");
    (parts[1].clone(), parts[2].clone(), parts[3].clone())
}

fn seen(stage: &Stage, path: &str) -> Request {
    let requests = stage.upstream.requests();
    requests
        .iter()
        .rev()
        .find(|it| it.target.starts_with(path))
        .expect("a request")
        .clone()
}

#[test]
fn a_request_that_passes_through_is_a_span_between_its_caller_and_the_upstream() {
    let (stage, collector) = (Stage::serving("{}"), collector());
    let more = ", service_name: shopfront, headers: { authorization: s3cret }";
    let mut proxy = proxy(&stage.url(), &collector.url(), more);
    let caller = format!("00-{TRACE}-{CALLER}-01");
    let headers = [
        ("traceparent", caller.as_str()),
        ("tracestate", "other=1"),
        ("x-request-id", "mine"),
    ];
    get(proxy.address(), "/a/b?token=s3cret", &headers);
    let request = seen(&stage, "/a/b");
    let (trace, operation, flags) = parent(&request);
    assert_eq!((&*trace, &*flags), (TRACE, "01"));
    assert_ne!(operation, CALLER);
    assert_eq!(request.header("tracestate"), Some("other=1"));
    proxy.signal("TERM");
    assert!(proxy.exit_status().success());
    let spans = spans(&collector);
    let span = spans
        .iter()
        .find(|span| span.id == operation)
        .expect("its span");
    assert_eq!((&*span.trace, &*span.parent), (TRACE, CALLER));
    assert_eq!(
        (&*span.name, span.kind, span.failed),
        ("GET /", SERVER, false)
    );
    assert_eq!(span.service, "shopfront");
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/"),
        ("http.response.status_code", "200"),
        ("url.path", "/a/b"),
        ("network.protocol.version", "1.1"),
        ("client.address", "127.0.0.1"),
        ("pollcast.upstream", "legacy"),
        ("pollcast.request_id", "mine"),
    ] {
        assert_eq!(
            span.attributes.get(key).map(String::as_str),
            Some(value),
            "{key}"
        );
    }
    let batch = collector.upstream.requests().remove(0);
    assert_eq!(batch.header("authorization"), Some("s3cret"));
    let told = format!("{spans:?} {}", proxy.log());
    assert!(!told.contains("s3cret"), "{told}");
}

#[test]
fn polls_and_the_opening_of_a_subscription_are_spans_too() {
    let (stage, collector) = (Stage::serving("{\"a\":1}"), collector());
    let proxy = proxy(&stage.url(), &collector.url(), "");
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    let named = |name: &str| {
        let spans = spans(&collector);
        spans.iter().find(|span| span.name == name).cloned()
    };
    // While the stream goes on.
    eventually("both", || {
        named("GET /feed").is_some() && named("poll /feed").is_some()
    });
    let opening = named("GET /feed").expect("it is there");
    assert_eq!((opening.kind, &*opening.parent), (SERVER, ""));
    assert_eq!(opening.attributes["pollcast.feed"], "/feed");
    assert_eq!(opening.attributes["http.response.status_code"], "200");
    let poll = named("poll /feed").expect("it is there");
    assert_eq!((poll.kind, &*poll.parent), (CLIENT, ""));
    assert_eq!(poll.attributes["pollcast.outcome"], "body");
    let requests = stage.upstream.requests();
    let asked = requests
        .iter()
        .map(parent)
        .find(|(_, id, _)| *id == poll.id);
    let (trace, _, flags) = asked.expect("a request of that poll");
    assert_eq!((trace, &*flags), (poll.trace, "03"));
    stage.becomes(|_| Reply::status(503, "no"));
    eventually("a failed poll", || {
        spans(&collector)
            .iter()
            .any(|span| span.failed && span.attributes["error.type"] == "status_5xx")
    });
}

#[test]
fn a_context_that_is_not_valid_begins_a_trace() {
    let (stage, collector) = (Stage::serving("{}"), collector());
    let proxy = proxy(&stage.url(), &collector.url(), "");
    let valid = format!("00-{TRACE}-{CALLER}-01");
    for headers in [
        &[][..],
        &[("tracestate", "a=1")],
        &[
            (
                "traceparent",
                "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            ),
            ("tracestate", "a=1"),
        ],
        &[
            ("traceparent", &*valid),
            ("traceparent", &*valid),
            ("tracestate", "a=1"),
        ],
    ] {
        get(proxy.address(), "/x", headers);
        let request = seen(&stage, "/x");
        let (trace, _, flags) = parent(&request);
        assert_ne!(trace, TRACE, "{headers:?}");
        assert_eq!(flags, "03", "{headers:?}");
        assert_eq!(request.header("tracestate"), None, "{headers:?}");
    }
    let later = format!("cc-{TRACE}-{CALLER}-02-more");
    let headers = [("traceparent", &*later), ("tracestate", "NO")];
    get(proxy.address(), "/x", &headers);
    let request = seen(&stage, "/x");
    let (trace, _, flags) = parent(&request);
    assert_eq!(
        (&*trace, &*flags),
        (TRACE, "02"),
        "not sampled, still random"
    );
    assert_eq!(request.header("tracestate"), None);
}

#[test]
fn what_is_not_sampled_is_not_sent_but_says_so_to_the_upstream() {
    let (stage, collector) = (Stage::serving("{}"), collector());
    let mut proxy = proxy(&stage.url(), &collector.url(), ", sample: 0");
    get(proxy.address(), "/mine", &[]);
    assert_eq!(parent(&seen(&stage, "/mine")).2, "02");
    let caller = format!("00-{TRACE}-{CALLER}-01");
    get(
        proxy.address(),
        "/theirs",
        &[("traceparent", caller.as_str())],
    );
    assert_eq!(parent(&seen(&stage, "/theirs")).2, "01");
    proxy.signal("TERM");
    assert!(proxy.exit_status().success());
    let spans = spans(&collector);
    let paths: Vec<_> = spans
        .iter()
        .map(|span| &*span.attributes["url.path"])
        .collect();
    assert_eq!(paths, ["/theirs"]);
}

#[test]
fn a_collector_that_is_away_is_told_of_once_and_holds_nothing_up() {
    let (stage, mut collector) = (Stage::serving("{}"), collector());
    let mut proxy = proxy(&stage.url(), &collector.url(), "");
    let told = |proxy: &Proxy, words: &str| proxy.log().matches(words).count();
    collector.upstream.kill();
    for _ in 0..3 {
        get(proxy.address(), "/x", &[]);
        std::thread::sleep(Duration::from_millis(300));
    }
    eventually("it is told", || told(&proxy, "traces are not taken") == 1);
    collector.upstream.restart();
    eventually("it is back", || {
        get(proxy.address(), "/y", &[]);
        told(&proxy, "traces are taken again") == 1
    });
    collector.becomes(|_| Reply::Hang);
    get(proxy.address(), "/z", &[]);
    proxy.signal("TERM");
    assert!(proxy.exit_status().success());
    assert!(told(&proxy, "traces are not taken") <= 2, "{}", proxy.log());
}

#[test]
fn spans_that_were_taken_are_not_sent_again_however_much_the_answer_says() {
    let stage = Stage::serving("{}");
    let collector = Stage::new(|_| Reply::status(200, "x".repeat(200_000)));
    let proxy = proxy(&stage.url(), &collector.url(), "");
    for n in 0..3 {
        assert_eq!(get(proxy.address(), &format!("/{n}"), &[]).status, 200);
        let of_it = |span: &Span| span.attributes.get("url.path") == Some(&format!("/{n}"));
        eventually("its spans come", || spans(&collector).iter().any(of_it));
    }
    let all = spans(&collector);
    let mut ids: Vec<_> = all.iter().map(|span| span.id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all.len(), "each span once");
    assert!(
        !proxy.log().contains("traces are not taken"),
        "{}",
        proxy.log()
    );
}
