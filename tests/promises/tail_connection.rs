//! `pollcast tail` finds its feed, goes on where it was when it has lost it, and says why it cannot.

use serde_json::json;

use crate::support::proxy::Proxy;
use crate::support::tail::{NEW, OLD, TWO, follow, follow_with, streaming};
use crate::support::upstream::{Reply, Upstream};

/// One with a certificate that nobody vouches for, and the file that has it.
fn behind_tls(upstream: &Upstream) -> (Proxy, String) {
    let config = format!("{}/config", env!("CARGO_MANIFEST_DIR"));
    let proxy = Proxy::start(&format!(
        "server: {{ listen: {{ address: \"127.0.0.1:0\", \
         tls: {{ certificate: {config}/localhost.crt, key: {config}/localhost.key }} }} }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy }}]\n",
        upstream.url()
    ));
    (proxy, format!("{config}/localhost.crt"))
}

#[test]
fn a_stream_that_breaks_is_taken_up_again_with_its_last_id() {
    let upstream = Upstream::start(|request| match request.header("last-event-id") {
        None => Reply::Raw(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n\
              retry: 10\n\nid: a-1\nevent: snapshot\ndata: [1]\n\nid: a-2\nevent: patch\ndata: ["
                .to_vec(),
        ),
        Some("a-1") => Reply::Raw(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n\
              id: a-2\nevent: end\ndata: {\"reason\":\"gone\"}\n\n"
                .to_vec(),
        ),
        Some(_) => Reply::empty(204),
    });
    let mut tail = follow(&format!("{}/feed", upstream.url()), &["--json"]);
    assert_eq!(
        tail.event(),
        json!({"event": "snapshot", "id": "a-1", "data": [1]})
    );
    assert!(
        tail.note()
            .contains("the stream ended; trying again in 10ms")
    );
    assert!(
        tail.note()
            .contains("connected again, going on where it broke")
    );
    assert_eq!(tail.event()["event"], "end");
    let (code, said) = tail.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the feed is over"), "{said}");
    assert_eq!(
        upstream.requests().len(),
        2,
        "there is nothing more to ask for"
    );
}

#[test]
fn a_restarted_proxy_is_found_again() {
    let (upstream, document) = Upstream::with_document("[1]");
    let more = ", deliver: { retry: 50ms }";
    let mut proxy = Proxy::with_feed(&upstream.url(), more);
    let mut tail = follow(&proxy.url("/feed"), &["--json"]);
    assert_eq!(tail.event()["data"], json!([1]));
    let address = proxy.address();
    proxy.signal("TERM");
    assert!(proxy.exit_status().success());
    assert!(tail.note().contains("trying again"));
    *document.lock().unwrap() = "[2]".into();
    let _proxy = Proxy::start(&format!(
        "server: {{ listen: \"{address}\" }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 50ms }} }}]\n",
        upstream.url()
    ));
    // Another life of the process: the position cannot be continued, and that is said.
    assert_eq!(tail.event()["event"], "reset");
    assert_eq!(tail.event()["data"], json!([2]));
}

#[test]
fn what_makes_no_sense_to_follow_is_explained() {
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/gone" => Reply::status(404, "{}"),
        _ => Reply::json("[1]"),
    });
    let proxy = Proxy::start(&format!(
        "upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy }}, {{ path: /gone, upstream: legacy }}]\n\
         proxy: [{{ path: /plain, upstream: legacy }}]\n",
        upstream.url()
    ));
    for (target, more, words) in [
        ("/gone", &[][..], ["404", "upstream"]),
        ("/nowhere", &[], ["404", "no feed"]),
        ("/feed", &["--mode", "merge"], ["400", "patch, snapshot"]),
        ("/plain", &[], ["not with an event stream", "/plain"]),
    ] {
        let (code, said) = follow(&proxy.url(target), more).end();
        assert_eq!(code, Some(1), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let (code, said) = follow("ftp://127.0.0.1/feed", &[]).end();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("http://"), "{said}");
    // Nobody there: a browser would try again, and so does it.
    let mut tail = follow("http://127.0.0.1:9/feed", &[]);
    let note = tail.note();
    assert!(note.contains("no connection (Connection refused"), "{note}");
    assert!(note.contains("trying again in"), "{note}");
    // Neither is what speaks no TLS taken for a certificate.
    let mut tail = follow(&proxy.url("/feed").replace("http:", "https:"), &[]);
    let note = tail.note();
    assert!(note.contains("is https spoken there?"), "{note}");
}

#[test]
fn a_certificate_that_nobody_vouches_for_can_be_trusted() {
    let (upstream, _document) = Upstream::with_document("[0]");
    let (proxy, certificate) = behind_tls(&upstream);
    let url = format!("https://{}/feed", proxy.address());
    let mut tail = follow(&url, &[]);
    let note = tail.note();
    assert!(
        note.contains("self-signed certificate; to trust it"),
        "{note}"
    );
    assert!(note.contains("SSL_CERT_FILE"), "{note}");
    let trusting = [("SSL_CERT_FILE", certificate)];
    let mut tail = follow_with(&url, &["--json"], &trusting);
    assert_eq!(tail.event()["event"], "snapshot");
}

#[test]
fn headers_bodies_and_a_position_can_be_given() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("headers");
    std::fs::write(&file, "authorization: Bearer s3cret\nx-two: 2\n").expect("a file");
    let url = format!("{}/feed", upstream.url());
    let file = format!("@{}", file.display());
    let more = [
        "-H",
        "x-one: 1",
        "-H",
        &file,
        "-d",
        r#"{"q":1}"#,
        "--last-id",
        "a-7",
    ];
    let (code, said) = follow(&url, &more).end();
    assert_eq!(code, Some(1), "it is no stream: {said}");
    let requests = upstream.requests();
    let sent = requests.first().expect("a request");
    assert_eq!(
        (sent.method.as_str(), &sent.body[..]),
        ("POST", &br#"{"q":1}"#[..])
    );
    for (name, value) in [
        ("x-one", "1"),
        ("x-two", "2"),
        ("authorization", "Bearer s3cret"),
        ("content-type", "application/json"),
        ("accept", "text/event-stream"),
        ("last-event-id", "a-7"),
    ] {
        assert_eq!(sent.header(name), Some(value), "{name}");
    }
    for (wrong, words) in [
        ("s3cret", "a header is written \"Name: value\""),
        ("x: s3cret\u{1}", "the value of x is none"),
        ("@/nowhere/at/all", "cannot read /nowhere/at/all"),
    ] {
        let (code, said) = follow(&url, &["-H", wrong]).end();
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(words) && !said.contains("s3cret"), "{said}");
    }
}

#[test]
fn a_position_brings_what_was_missed() {
    let (upstream, document) = Upstream::with_document(OLD);
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let mut first = follow(&proxy.url("/feed"), &["--json", "--count", "2"]);
    let id = first.event()["id"].as_str().expect("an id").to_owned();
    *document.lock().unwrap() = NEW.into();
    first.event();
    let mut second = follow(&proxy.url("/feed"), &["--last-id", &id]);
    assert_eq!(second.line(), r#"#2 ~ /orders/0/state  "paid""#);
}

#[test]
fn credentials_go_to_no_other_host() {
    let elsewhere = streaming(TWO);
    let target = elsewhere.url().replace("127.0.0.1", "localhost");
    let upstream = Upstream::start(move |_| Reply::Answer {
        status: 302,
        headers: vec![("location", format!("{target}/feed"))],
        body: Vec::new(),
    });
    let url = format!("{}/feed", upstream.url());
    let (code, said) = follow(&url, &["-H", "x-key: s3cret"]).end();
    assert_eq!(code, Some(1));
    assert!(
        said.contains("302") && said.contains("leads elsewhere"),
        "{said}"
    );
    assert!(elsewhere.requests().is_empty());
    assert_eq!(
        follow(&url, &[]).end().0,
        Some(0),
        "there is nothing to lose"
    );
}

#[test]
fn a_server_that_is_not_ready_yet_is_waited_for() {
    let asked = std::sync::atomic::AtomicU32::new(0);
    let upstream = Upstream::start(move |_| {
        match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Reply::Raw(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nretry: 10\n\ndata: 1\n\n"
                    .to_vec(),
            ),
            1 => Reply::status(503, "{}"),
            2 => Reply::status(429, "{}"),
            _ => Reply::empty(204),
        }
    });
    let (code, said) = follow(&format!("{}/feed", upstream.url()), &["--json"]).end();
    assert_eq!(code, Some(0), "{said}");
    let passed = ["503", "429"].map(|status| said.contains(&format!("the answer is {status}")));
    assert_eq!(passed, [true, true], "{said}");
}

#[test]
fn a_certificate_can_be_named_or_not_looked_at() {
    let (upstream, _document) = Upstream::with_document("[0]");
    let (proxy, certificate) = behind_tls(&upstream);
    let url = format!("https://{}/feed", proxy.address());
    for more in [&["--cacert", &certificate][..], &["--insecure"]] {
        let more = [more, &["--count", "1"]].concat();
        assert_eq!(follow(&url, &more).end(), (Some(0), String::new()));
    }
    let (code, said) = follow(&url, &["--cacert", "Cargo.toml"]).end();
    assert_eq!(code, Some(2));
    assert!(
        said.contains("cannot use the certificates of Cargo.toml"),
        "{said}"
    );
}
