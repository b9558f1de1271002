//! The client module, as browsers get it.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::support::client::{get, raw, request, subscribe};
use crate::support::proxy::Proxy;
use crate::support::upstream::{Reply, Upstream};

const AT: &str = "/pollcast.js";
/// What a page may weigh for being live.
const MOST: usize = 4096;

#[test]
fn anybody_gets_the_client_module() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let plain = get(proxy.address(), AT, &[]);
    assert_eq!(plain.status, 200);
    for (name, value) in [
        ("content-type", "text/javascript; charset=utf-8"),
        ("cache-control", "no-cache"),
        ("access-control-allow-origin", "*"),
        ("cross-origin-resource-policy", "cross-origin"),
        ("x-content-type-options", "nosniff"),
        ("vary", "accept-encoding"),
    ] {
        assert_eq!(plain.header(name), Some(value), "{name}");
    }
    assert_eq!(plain.header("content-encoding"), None);
    let length = plain.header("content-length").unwrap().to_owned();
    let text = plain.text();
    assert_eq!(text.len().to_string(), length);
    assert!(text.contains("as live"), "it exports `live`");

    let head = format!("HEAD {AT} HTTP/1.1\r\nhost: a\r\n\r\n");
    let answer = raw(proxy.address(), head.as_bytes());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-length"), Some(length.as_str()));
    // The connection goes on, so there was no body.
    let again = format!("GET {AT}?v=1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert_eq!(answer.again(again.as_bytes()).text(), text);
    assert_eq!(upstream.count(AT), 0);
}

#[test]
fn the_client_module_is_small_and_compressed_for_who_takes_it() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), "");
    let text = get(proxy.address(), AT, &[]).text();
    let zipped = get(proxy.address(), AT, &[("accept-encoding", "gzip, br")]);
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    let mut zipped = zipped;
    let bytes: Vec<u8> = std::iter::from_fn(|| zipped.byte()).collect();
    assert!(bytes.len() < MOST, "{} bytes", bytes.len());
    let mut unzipped = String::new();
    GzDecoder::new(&*bytes)
        .read_to_string(&mut unzipped)
        .unwrap();
    assert_eq!(unzipped, text);
}

#[test]
fn who_has_the_client_module_is_told_so() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let proxy = Proxy::with_feed(&upstream.url(), "");
    for coding in ["identity", "gzip"] {
        let encoding = ("accept-encoding", coding);
        let first = get(proxy.address(), AT, &[encoding]);
        let tag = first.header("etag").unwrap().to_owned();
        let known = get(
            proxy.address(),
            AT,
            &[encoding, ("if-none-match", tag.as_str())],
        );
        assert_eq!((known.status, known.header("etag")), (304, Some(&*tag)));
        assert_eq!(known.header("access-control-allow-origin"), Some("*"));
        let other = get(
            proxy.address(),
            AT,
            &[encoding, ("if-none-match", "\"another\"")],
        );
        assert_eq!(other.status, 200);
    }
}

#[test]
fn other_methods_and_switched_off_it_is_the_upstreams() {
    let upstream = Upstream::start(|_| Reply::json("\"theirs\""));
    let url = upstream.url();
    let configured = |client: &str| {
        Proxy::start(&format!(
            "{client}upstreams: {{ shop: {{ url: \"{url}\" }} }}\n\
             feeds: [{{ path: /feed, upstream: shop }}]\n"
        ))
    };
    let proxy = configured("");
    let posted = request(proxy.address(), "POST", AT, &[], b"x");
    assert_eq!(posted.text(), "\"theirs\"");

    let proxy = configured("server: { listen: \"127.0.0.1:0\", client: off }\n");
    assert_eq!(get(proxy.address(), AT, &[]).text(), "\"theirs\"");

    let proxy = configured("server: { listen: \"127.0.0.1:0\", client: /lib/live.js }\n");
    assert_eq!(get(proxy.address(), AT, &[]).text(), "\"theirs\"");
    let moved = get(proxy.address(), "/lib/live.js", &[]);
    assert!(moved.text().contains("as live"));
}

#[test]
fn a_feed_of_that_path_goes_first() {
    let upstream = Upstream::start(|_| Reply::json("[1]"));
    let proxy = Proxy::start(&format!(
        "upstreams: {{ shop: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: \"/{{name}}\", upstream: shop }}]\n",
        upstream.url()
    ));
    assert_eq!(get(proxy.address(), AT, &[]).text(), "[1]");
    assert_eq!(
        subscribe(proxy.address(), AT).expect("snapshot").data,
        "[1]"
    );
}
