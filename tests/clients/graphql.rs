//! A real GraphQL API is polled with POST, and changed through pollcast while clients watch.

use serde_json::{Value, json};

use crate::foreign::{Follower, Process, free_port, node, python};
use crate::support::client::{request, subscribe};
use crate::support::proxy::Proxy;

/// Sends a GraphQL request through the proxy; the answer's data.
fn ask(proxy: &Proxy, query: &str, variables: Value) -> Value {
    let body = json!({"query": query, "variables": variables}).to_string();
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json"),
        ("connection", "close"),
    ];
    let answer = request(
        proxy.address(),
        "POST",
        "/graphql",
        &headers,
        body.as_bytes(),
    );
    assert_eq!(answer.status, 200, "{query}");
    let text = answer.text();
    let mut answer: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(answer.get("errors"), None, "{text}");
    answer["data"].take()
}

#[test]
fn mutations_of_a_graphql_api_reach_whoever_watches_a_query() {
    let address = free_port();
    let mut server = node("graphql.mjs");
    let _server = Process::server(server.arg(address.port().to_string()), address);
    let proxy = Proxy::start(&format!(
        "upstreams: {{ shop: {{ url: \"http://{address}\" }} }}\n\
         feeds:\n\
         \x20 - path: /oak\n\
         \x20   upstream: shop\n\
         \x20   poll: {{ interval: 50ms }}\n\
         \x20   request:\n\
         \x20     method: POST\n\
         \x20     path: /graphql\n\
         \x20     body:\n\
         \x20       query: 'query ($named: String) {{ orders(named: $named) {{ id name total }} }}'\n\
         \x20       variables: {{ named: Oak }}\n\
         \x20   document: {{ select: /data/orders, key: id }}\n"
    ));
    let oak = proxy.url("/oak");
    let mut followers = [
        Follower::start(node("follow.mjs"), &oak, None),
        Follower::start(python("follow.py"), &oak, None),
    ];
    let add = "mutation ($id: ID!, $name: String!, $total: Float!) {
        add(id: $id, name: $name, total: $total) { id } }";
    let rename = "mutation ($id: ID!, $name: String!) { rename(id: $id, name: $name) { id } }";
    let remove = "mutation ($id: ID!) { remove(id: $id) }";
    let mut seen = Value::Null;
    for (mutation, variables) in [
        (add, json!({"id": "1", "name": "Oak tray", "total": 18.5})),
        (add, json!({"id": "2", "name": "Oak stool", "total": 1e-7})),
        (add, json!({"id": "3", "name": "Ash stool", "total": 40})),
        (rename, json!({"id": "3", "name": "Oak stool after all"})),
        (rename, json!({"id": "1", "name": "Oak tray, large"})),
        (remove, json!({"id": "2"})),
    ] {
        ask(&proxy, mutation, variables);
        let orders = ask(
            &proxy,
            "{ orders(named: \"Oak\") { id name total } }",
            json!({}),
        );
        // What the query does not ask for changes nothing, and nothing is told.
        if orders != seen {
            for follower in &mut followers {
                follower.hold_until(&orders["orders"]);
            }
        }
        seen = orders;
    }

    // GraphQL tells errors with 200 and without data: no document, the last one stays.
    let fail = "mutation ($now: Boolean!) { fail(now: $now) }";
    let mut stream = subscribe(proxy.address(), "/oak");
    let held = stream.expect("snapshot").value;
    assert_eq!(held.as_array().expect("orders").len(), 2);
    ask(&proxy, fail, json!({"now": true}));
    assert_eq!(stream.expect("status").value["state"], "stale");
    ask(&proxy, fail, json!({"now": false}));
    assert_eq!(stream.expect("status").value["state"], "live");
    for follower in followers {
        follower.end();
    }
}
