//! What clients send.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use pollcast::config::{Config, Parameters, System};
use pollcast::gateway::fuzz;

use super::{heads, now};
use crate::core::accept;
use crate::core::id::EventId;

/// A head that goes on from here has one reading, and nothing of it is another header, line or field
/// by the time that it is used.
pub fn check(input: &[u8]) {
    if let Some(head) = now(fuzz::head(input)) {
        one_reading(input, &head);
        particulars(&head);
        wishes(&head);
    }
    // Without a request line in front, whatever HTTP/2 lets through, which is less careful.
    let fields = heads::fields(input);
    let target = "/?mode=patch".to_owned();
    wishes(&fuzz::Head { target, fields });
}

/// By a reader that is not ours.
fn one_reading(input: &[u8], head: &fuzz::Head) {
    let end = input.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.expect("a head that ends where the standard says");
    let text = &input[..end];
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let named = |name: &str| {
        let is = |line: &&&[u8]| {
            let before = line.split(|byte| *byte == b':').next().unwrap_or_default();
            before.trim_ascii().eq_ignore_ascii_case(name.as_bytes())
        };
        lines.iter().skip(1).filter(is).count()
    };
    let (lengths, codings) = (named("content-length"), named("transfer-encoding"));
    assert!(lengths + codings <= 1, "{}", text.escape_ascii());
    assert!(named("host") <= 1, "{}", text.escape_ascii());
    if let Some(length) = head.fields.get("content-length") {
        let length = length.to_str().expect("digits");
        assert!(length.bytes().all(|byte| byte.is_ascii_digit()));
    }
    if let Some(coding) = head.fields.get("transfer-encoding") {
        assert!(coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    }
    for line in lines.iter().skip(1) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(
            !line
                .iter()
                .any(|byte| byte.is_ascii_control() && *byte != b'\t')
        );
    }
    let target = head.target.as_bytes();
    assert!(target.starts_with(b"/") || target == b"*");
    assert!(target.iter().all(|byte| *byte > b' ' && *byte != 0x7f));
    let id = fuzz::request_id(&head.fields).expect("an id");
    assert!((1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(!id.contains(['"', '\\']));
}

/// What becomes part of a poll's target stays one part of it.
fn particulars(head: &fuzz::Head) {
    let (path, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
    for segment in path.split('/') {
        let (capture, pairs) = fuzz::particulars(&PARAMETERS, segment, query);
        if let Some(value) = capture {
            assert!((1..=256).contains(&value.len()));
            assert!(!value.contains(|c: char| c == '/' || c == '\\' || c.is_control()));
            assert!(value != "." && value != "..");
        }
        if let Some(pairs) = pairs {
            let length: usize = pairs
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum();
            assert!(length <= 2 << 10);
            assert!(pairs.iter().all(|(name, _)| name == "a" || name == "b"));
        }
    }
}

fn wishes(head: &fuzz::Head) {
    let id = EventId::parse(b"0000000000000001-7").expect("an id");
    let asked = fuzz::wishes(&head.target, &head.fields, id);
    assert_eq!(asked, fuzz::wishes(&head.target, &head.fields, id));
    let _ = (
        accept::names_events(&head.fields),
        accept::coding(&head.fields),
    );
    // Without a list of hops nobody is anybody else; behind an unknown peer no list is believed.
    let unknown = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    assert_eq!(fuzz::client(unknown, &head.fields), unknown);
    let near = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    let client = fuzz::client(near, &head.fields);
    assert!(client == near || head.fields.contains_key("x-forwarded-for"));
}

static PARAMETERS: LazyLock<Parameters> = LazyLock::new(|| {
    let text = "upstreams: {a: {url: 'http://a'}}\n\
         feeds: [{path: '/{id}', upstream: a, request: {forward_query: [b, a]}}]";
    let (config, _) = Config::parse(text, &System::new("")).expect("a configuration");
    config.feeds[0].parameters.clone().expect("parameters")
});
