//! A real paginated API, npm's json-server, is one document to whoever watches.

use std::fs;

use serde_json::{Value, json};

use crate::foreign::{Follower, Process, free_port, node};
use crate::support::client::{get, request};
use crate::support::proxy::Proxy;

/// Feeds of the same rows, by each way that json-server has to the next page.
const FEEDS: &str = "\
feeds:
  - path: /by-link
    upstream: legacy
    poll: &often { interval: 50ms }
    request: { path: /rows, query: { _page: 1, _limit: 4 }, pages: { link: next } }
  - path: /by-page
    upstream: legacy
    poll: *often
    request:
      path: /rows
      pages: { page: { parameter: _page, size_parameter: _limit, size: 4 } }
  - path: /by-offset
    upstream: legacy
    poll: *often
    request:
      path: /rows
      pages: { offset: { parameter: _start, limit_parameter: _limit, limit: 4 } }
";

#[test]
fn rows_on_several_pages_are_one_document_while_they_change() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let database = folder.path().join("db.json");
    let row = |id: u64| json!({"id": id, "name": format!("row {id}")});
    let rows: Vec<Value> = (1..=11).map(row).collect();
    fs::write(&database, json!({"rows": rows}).to_string()).expect("a file");
    let legacy = free_port();
    let mut server = node("node_modules/json-server/lib/cli/bin.js");
    server.args(["--quiet", "--host", "127.0.0.1", "--port"]);
    server.arg(legacy.port().to_string()).arg(&database);
    let _server = Process::server(server.current_dir(folder.path()), legacy);
    let upstream = format!("upstreams: {{ legacy: {{ url: \"http://{legacy}\" }} }}\n");
    let proxy = Proxy::start(&(upstream + FEEDS));
    let mut followers = ["/by-link", "/by-page", "/by-offset"]
        .map(|feed| Follower::start(node("follow.mjs"), &proxy.url(feed), None));

    let headers = [
        ("content-type", "application/json"),
        ("connection", "close"),
    ];
    for (method, path, body) in [
        ("PATCH", "/rows/11", r#"{"name": "the last row"}"#),
        ("POST", "/rows", r#"{"name": "a full last page"}"#),
        ("POST", "/rows", r#"{"name": "a page of its own"}"#),
        ("DELETE", "/rows/1", ""),
        ("DELETE", "/rows/2", ""),
    ] {
        let answer = request(proxy.address(), method, path, &headers, body.as_bytes());
        assert!(answer.status < 300, "{method} {path}: {}", answer.text());
        let whole = get(proxy.address(), "/rows", &[]).text();
        let whole: Value = serde_json::from_str(&whole).expect("JSON");
        for follower in &mut followers {
            follower.hold_until(&whole);
        }
    }
    let rows = get(proxy.address(), "/rows", &[]).text();
    let rows: Value = serde_json::from_str(&rows).expect("JSON");
    assert_eq!(rows.as_array().expect("rows").len(), 11);
    for follower in followers {
        follower.end();
    }
}
