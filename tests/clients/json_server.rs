//! A real legacy upstream, npm's json-server, is edited through pollcast while clients watch.

use std::fs;

use serde_json::{Value, json};

use crate::foreign::{Follower, Process, free_port, node, python};
use crate::support::client::{get, request};
use crate::support::proxy::Proxy;

#[test]
fn edits_through_the_proxy_reach_whoever_watches() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let database = folder.path().join("db.json");
    let orders = json!({"orders": [{"id": 1, "name": "Oak tray"}, {"id": 2, "name": "Ash stool"}]});
    fs::write(&database, orders.to_string()).expect("a file");
    let legacy = free_port();
    let mut server = node("node_modules/json-server/lib/cli/bin.js");
    server.args(["--quiet", "--host", "127.0.0.1", "--port"]);
    server.arg(legacy.port().to_string()).arg(&database);
    let _server = Process::server(server.current_dir(folder.path()), legacy);

    let proxy = Proxy::start(&format!(
        "upstreams: {{ legacy: {{ url: \"http://{legacy}\" }} }}\n\
         feeds:\n  - {{ path: /orders, upstream: legacy, poll: {{ interval: 50ms }} }}\n"
    ));
    let orders = proxy.url("/orders");
    let mut followers = [
        Follower::start(node("follow.mjs"), &orders, None),
        Follower::start(python("follow.py"), &orders, None),
    ];

    let edits = [
        (
            "POST",
            "/orders",
            r#"{"id": 3, "name": "Bread knife", "lines": [1, 2]}"#,
            201,
        ),
        (
            "PATCH",
            "/orders/1",
            r#"{"name": "Oak tray, large", "total": 18.5}"#,
            200,
        ),
        (
            "PUT",
            "/orders/2",
            r#"{"name": "Ash stool", "status": "packed"}"#,
            200,
        ),
        ("DELETE", "/orders/1", "", 200),
        ("POST", "/orders", r#"{"name": "Łódź, 1 × ☕"}"#, 201),
    ];
    for (method, path, body, status) in edits {
        let headers = [
            ("content-type", "application/json"),
            ("connection", "close"),
        ];
        let answer = request(proxy.address(), method, path, &headers, body.as_bytes());
        let (answered, text) = (answer.status, answer.text());
        assert_eq!(answered, status, "{method} {path}: {text}");
        let plain = get(proxy.address(), "/orders", &[]).text();
        let plain: Value = serde_json::from_str(&plain).expect("JSON");
        for follower in &mut followers {
            follower.hold_until(&plain);
        }
    }
    let on_disk: Value =
        serde_json::from_slice(&fs::read(&database).expect("a file")).expect("JSON");
    let ids: Vec<&Value> = on_disk["orders"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| &row["id"])
        .collect();
    assert_eq!(ids, [2, 3, 4]);
    for follower in followers {
        follower.end();
    }
}
