//! What a client or an upstream says stays what it is: never a header, a line of the log or a field of
//! an event stream of its own.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::access_log::{self, lines};
use crate::support::client::{get, raw, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::recorder::Recorder;
use crate::support::stage::Stage;
use crate::support::upstream::Reply;

/// Texts that would be something else if they were written as they are.
const TEXTS: [&str; 9] = [
    "\n\nevent: forged\ndata: 1\n\n",
    "\r\rid: 9\r\r",
    "\r\nretry: 1\r\n",
    "a\0b",
    "\u{2028}data: 1\u{2029}",
    "\u{85}\u{b}\u{c}data: 1",
    "\u{feff}",
    "\"\\\u{7f}\u{1b}[31m",
    "</script>\u{1f600}",
];

/// A document that has them for values and for names.
fn odd(n: u64) -> Value {
    let members: serde_json::Map<_, _> = TEXTS
        .iter()
        .map(|text| ((*text).to_owned(), json!([text, n])))
        .collect();
    json!({ "n": n, "texts": TEXTS, "members": members })
}

#[test]
fn a_document_forges_no_field_of_a_stream_in_whatever_mode() {
    for mode in ["snapshot", "patch", "merge"] {
        let stage = Stage::serving(odd(1).to_string());
        let events = format!(", events: {{ modes: [snapshot, {mode}] }}");
        let events = if mode == "snapshot" {
            ", events: { modes: [snapshot] }"
        } else {
            &events
        };
        let proxy = Proxy::with_feed(
            &stage.url(),
            &format!("{events}, deliver: {{ compression: off }}"),
        );
        let mut stream = subscribe(proxy.address(), &format!("/feed?mode={mode}"));
        // The client knows four fields and panics at any other; data must be JSON on one line.
        assert_eq!(stream.expect("snapshot").value, odd(1));
        // White space between the tokens is an upstream's to choose.
        let spaced = odd(2)
            .to_string()
            .replace(":2", ":\r\n\r2\n\n")
            .replace("],", "]\r,\n\n");
        assert_eq!(
            serde_json::from_str::<Value>(&spaced).expect("JSON"),
            odd(2)
        );
        stage.serves(spaced);
        let event = stream.event().expect("a change");
        assert!(
            ["snapshot", "patch", "merge"].contains(&&*event.name),
            "{event:?}"
        );
        assert!(event.id.is_some_and(|id| id.ends_with("-2")));
        assert!(!event.data.contains(['\r', '\n']));
    }
}

#[test]
fn what_a_subscriber_asks_for_is_not_repeated_as_anything_else() {
    let stage = Stage::serving("[1]");
    let proxy = Proxy::with_feed(&stage.url(), "");
    let evil = "%0d%0aset-cookie:%20evil=1%0d%0a%0d%0aevent:%20forged%0adata:%201%0a%0a";
    let mut stream = subscribe(proxy.address(), &format!("/feed?last_event_id={evil}"));
    let head = format!("{:?}", stream.headers);
    assert!(!head.contains("evil"), "{head}");
    let reset = stream.event().expect("a first event");
    assert!(!format!("{reset:?}").contains("evil"), "{reset:?}");
    let answer = subscribe(proxy.address(), &format!("/feed?mode={evil}"));
    assert_eq!(answer.status, 400);
    let head = format!("{:?}", answer.headers);
    assert!(!head.contains("evil"), "{head}");
    assert!(!answer.text().contains("evil"));
    let headers = [
        ("accept", "text/event-stream"),
        ("origin", "http://a%0d%0aevil"),
    ];
    let answer = get(proxy.address(), "/feed", &headers);
    assert!(!format!("{:?}", answer.headers).contains("\revil"));
}

#[test]
fn captures_and_queries_stay_within_the_target_of_a_poll() {
    let recorder = Recorder::start();
    let proxy = Proxy::start(&format!(
        "upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds:\n\
         - path: /feed/{{id}}\n  \
           upstream: legacy\n  \
           poll: {{ interval: 50ms }}\n  \
           request: {{ path: '/doc/{{id}}/end', forward_query: [q], headers: {{ x-id: '{{id}}' }} }}\n",
        recorder.url()
    ));
    for bad in [
        "a%0d%0ax:%20y",
        "a%0ab",
        "a%00b",
        "%2e%2e",
        "a%2fb",
        "%09",
        "%7f",
        "%c2%85",
    ] {
        let answer = subscribe(proxy.address(), &format!("/feed/{bad}"));
        assert_eq!(answer.status, 400, "{bad}");
    }
    assert!(recorder.take().requests.is_empty());
    let evil = "x%20HTTP/1.1%0d%0ahost:%20b%0d%0a%0d%0aGET%20/prize&a=%23";
    for target in [
        format!("/feed/a%20b?q={evil}"),
        format!("/feed/%3Fq=1%23%26%25?q={evil}"),
    ] {
        // The recorder answers what is no JSON: there is no first event, and none is needed.
        let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
        let ask = format!("GET {target} HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n");
        stream.write_all(ask.as_bytes()).expect("a request");
        let mut seen = recorder.take();
        eventually("a poll", || {
            let more = recorder.take();
            seen.requests.extend(more.requests);
            seen.faults.extend(more.faults);
            !seen.requests.is_empty() || !seen.faults.is_empty()
        });
        assert!(seen.faults.is_empty(), "{seen:?}");
        for request in seen.requests {
            assert!(request.starts_with("GET /doc/"), "{request}");
            assert_eq!(request.matches(['?', '#']).count(), 1, "{request}");
            assert!(
                request.contains("/end?q=") && !request.contains("GET /prize"),
                "{request}"
            );
        }
        drop(stream);
    }
}

#[test]
fn a_request_is_one_line_of_the_log_whatever_it_says() {
    for format in ["json", "text"] {
        let stage = Stage::new(|_| Reply::json("1"));
        let proxy = access_log::proxy(&stage.url(), format, "");
        let before = proxy.log().lines().count();
        let evil = b"GET /x%0a%0d?y=\"z\x01\x1b[31m\xc2\x85\xe2\x80\xa8 HTTP/1.1\r\nhost: a\r\n\
            user-agent: a\"b \\n \xc2\x85 \xe2\x80\xa8 \xff\r\nreferer: \"}\r\nx-request-id: a b\r\n\
            traceparent: 00-\"\r\nx-forwarded-for: \"\r\norigin: }{\r\n\r\n";
        assert_ne!(raw(proxy.address(), evil).status, 0);
        assert_eq!(get(proxy.address(), "/last", &[]).status, 200);
        eventually("both are logged", || proxy.log().contains("/last"));
        let log = proxy.log();
        let new: Vec<_> = log.lines().skip(before).collect();
        assert!(new.len() <= 2, "{new:#?}");
        assert!(!log.contains(['\u{1b}', '\u{85}', '\u{2028}']), "{new:#?}");
        if format == "json" {
            lines(&proxy, "request");
        }
    }
}

#[test]
fn what_a_client_says_of_hops_cannot_swallow_ours() {
    let recorder = Recorder::start();
    let proxy = Proxy::start(&format!(
        "upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         proxy: [{{ path: /, upstream: legacy, headers: {{ x-user: nobody }} }}]\n",
        recorder.url()
    ));
    let head = |headers: &[(&str, &str)]| {
        recorder.take();
        assert_eq!(get(proxy.address(), "/x", headers).status, 200);
        let seen = recorder.take();
        assert!(seen.faults.is_empty(), "{seen:?}");
        seen.heads[0].to_ascii_lowercase()
    };
    let line = |head: &str, name: &str| -> Vec<String> {
        let lines = head
            .lines()
            .filter(|line| line.starts_with(&format!("{name}: ")));
        lines.map(str::to_owned).collect()
    };
    for open in ["for=\"", "for=\"a\\\"", "for=1.2.3.4;by=\"x"] {
        let forwarded = line(&head(&[("forwarded", open)]), "forwarded");
        assert_eq!(forwarded.len(), 1);
        assert!(
            forwarded[0].starts_with("forwarded: for=127.0.0.1;"),
            "{forwarded:?}"
        );
    }
    // To a server behind CGI these are the same as ours.
    let doubles = [
        ("X_Forwarded_For", "1.2.3.4"),
        ("x_forwarded-proto", "https"),
        ("X-Forwarded_Host", "evil"),
        ("x_request_id", "evil"),
        ("X_User", "root"),
        ("x_own", "1"),
    ];
    let seen = head(&doubles);
    assert!(
        !seen.contains("evil") && !seen.contains("root") && !seen.contains("1.2.3.4"),
        "{seen}"
    );
    assert_eq!(line(&seen, "x_own"), ["x_own: 1"]);
    assert_eq!(line(&seen, "x-user"), ["x-user: nobody"]);
    // Nor are they taken away by calling them a matter of one hop.
    let seen = head(&[("connection", "x-request-id, forwarded, x-user, traceparent")]);
    for name in [
        "x-request-id",
        "forwarded",
        "x-user",
        "x-forwarded-for",
        "host",
    ] {
        assert_eq!(line(&seen, name).len(), 1, "{name}: {seen}");
    }
}

#[test]
fn a_secret_that_would_be_several_lines_is_refused_and_not_shown() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (secret, is_fine) in [
        ("s3cret", true),
        ("s3cret\n", true),
        ("s3cret\r\n", true),
        ("s3cret\r\nx-evil: 1", false),
        ("s3cret\nx-evil: 1\n", false),
        ("s3cret\rx", false),
        ("s3cret\0", false),
    ] {
        std::fs::write(folder.path().join("token"), secret).expect("a file");
        let file = folder.path().join("pollcast.yaml");
        let text = "upstreams: { a: { url: 'http://a', headers: { authorization: 'Bearer ${file:token}' } } }\n\
                    feeds: [{ path: /feed, upstream: a }]\n";
        std::fs::write(&file, text).expect("a file");
        let output = Command::new(env!("CARGO_BIN_EXE_pollcast"))
            .args(["check", "-c"])
            .arg(&file)
            .output()
            .expect("the binary runs");
        assert_eq!(output.status.success(), is_fine, "{secret:?}");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!said.contains("s3cret") && !said.contains("evil"), "{said}");
    }
}

#[test]
fn what_an_upstream_says_of_itself_is_no_header_of_ours() {
    // A redirect, a tag and a link that would be lines of the next poll.
    let answers = [
        "HTTP/1.1 200 OK\r\netag: \"a\x7f\"\r\ncontent-length: 3\r\n\r\n[1]",
        "HTTP/1.1 200 OK\r\netag: \"a\tb\"\r\ncontent-length: 3\r\n\r\n[1]",
        "HTTP/1.1 302 Found\r\nlocation: /x%0d%0ay:%20z\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nlocation: /x y\tz\r\ncontent-length: 0\r\n\r\n",
    ];
    for answer in answers {
        let stage = Stage::new(move |_| Reply::Raw(answer.as_bytes().to_vec()));
        let proxy = Proxy::with_feed(&stage.url(), "");
        let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
        let ask = b"GET /feed HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n";
        stream.write_all(ask).expect("a request");
        eventually("two polls", || stage.upstream.requests().len() > 1);
        for poll in stage.upstream.requests() {
            assert_eq!(poll.header("y"), None, "{answer}");
            assert!(!poll.target.contains([' ', '\t']), "{}", poll.target);
            let odd = |(_, value): &(String, String)| value.contains(['\r', '\n', '\0']);
            assert!(!poll.headers.iter().any(odd), "{:?}", poll.headers);
        }
    }
}
