//! `pollcast tail`, and streams for it that no pollcast made.

use super::running::Running;
use super::upstream::{Reply, Upstream};

/// A `tail` of this URL; without times, unless it prints JSON or is told which.
pub fn follow(url: &str, more: &[&str]) -> Running {
    follow_with(url, more, &[])
}

/// The same with these environment variables.
pub fn follow_with(url: &str, more: &[&str], variables: &[(&str, String)]) -> Running {
    let time = match more.contains(&"--json") || more.contains(&"--time") {
        true => &[][..],
        false => &["--time", "none"],
    };
    Running::start_with(&[&["tail", url], time, more].concat(), variables)
}

pub const OLD: &str = r#"{"orders": [{"id": 1, "state": "new"}], "note": "something long enough"}"#;
pub const NEW: &str =
    r#"{"orders": [{"id": 1, "state": "paid"}], "note": "something long enough"}"#;

pub const TWO: &str = "id: a-1\nevent: snapshot\ndata: {\"state\":\"new\",\"n\":1}\n\n\
    id: a-2\nevent: patch\ndata: [{\"op\":\"replace\",\"path\":\"/state\",\"value\":\"done\"}]\n\n";

/// A stream of these bytes for whoever asks, and 204 for whoever comes back.
pub fn streaming(bytes: &'static str) -> Upstream {
    Upstream::start(move |request| match request.header("last-event-id") {
        None => Reply::Raw(
            [
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nretry: 10\n\n",
                bytes.as_bytes(),
            ]
            .concat(),
        ),
        Some(_) => Reply::empty(204),
    })
}

/// What `tail` prints of this stream, and its exit code.
pub fn told(bytes: &'static str, more: &[&str]) -> (String, Option<i32>) {
    let upstream = streaming(bytes);
    let mut tail = follow(&format!("{}/feed", upstream.url()), more);
    let lines: Vec<_> = tail.out.by_ref().map_while(Result::ok).collect();
    let (code, _) = tail.end();
    (lines.join("\n"), code)
}
