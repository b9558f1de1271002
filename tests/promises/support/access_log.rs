//! A pollcast with an access log, and what stands there.

use serde_json::Value;

use super::eventually;
use super::proxy::Proxy;
use super::upstream::{Request, Upstream};

pub const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// One upstream with one feed at `/feed`, everything else passes through, and an access log.
pub fn proxy(upstream: &str, format: &str, more: &str) -> Proxy {
    Proxy::start(&format!(
        "logs: {{ format: {format}, access: on }}\n\
         upstreams: {{ legacy: {{ url: \"{upstream}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 50ms }}{more} }}]\n\
         proxy: [{{ path: /, upstream: legacy }}]\n"
    ))
}

/// The JSON lines with this message so far. Every line must be JSON.
pub fn lines(proxy: &Proxy, message: &str) -> Vec<Value> {
    let read = |line: &str| -> Value {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    };
    let log = proxy.log();
    let lines = log.lines().map(read);
    lines.filter(|line| line["message"] == message).collect()
}

/// The only line with this message, once it is there.
pub fn line(proxy: &Proxy, message: &str) -> Value {
    eventually(&format!("a line {message:?}"), || {
        !lines(proxy, message).is_empty()
    });
    let mut lines = lines(proxy, message);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

/// The newest request that the upstream saw at this path.
pub fn seen(upstream: &Upstream, path: &str) -> Request {
    let requests = upstream.requests();
    let found = requests.iter().rev().find(|it| it.target.starts_with(path));
    found.expect("a request").clone()
}

/// Whether pollcast made up this id.
pub fn is_made(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}
