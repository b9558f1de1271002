//! The examples of modes in the README do what they say, with an EventSource that is not ours.

use serde_json::{Value, json};

use crate::foreign::{Follower, node};
use crate::support::proxy::Proxy;
use crate::support::upstream::Upstream;

fn document(orders: &Value, note: &Value) -> Value {
    json!({"orders": orders, "note": note, "text": "unchanged ".repeat(40)})
}

#[test]
fn the_examples_of_modes_keep_what_the_upstream_serves() {
    let row = |id: u64, total: Value| json!({"id": id, "total": total});
    let first = json!([row(1, json!(1)), row(2, json!({"net": 1, "tax": [null]}))]);
    let (upstream, served) = Upstream::with_document(&document(&first, &json!(1)).to_string());
    let proxy = Proxy::start(&format!(
        "upstreams: {{ shop: {{ url: \"{}\" }} }}\n\
         feeds:\n\
         \x20 - path: /orders\n\
         \x20   upstream: shop\n\
         \x20   poll: {{ interval: 50ms }}\n\
         \x20   document: {{ items: /orders, key: id }}\n\
         \x20   events: {{ modes: [patch, merge, items, snapshot] }}\n",
        upstream.url()
    ));
    let follow = |mode: &str| {
        let mut program = node("readme.mjs");
        program.arg(mode);
        Follower::start(program, &proxy.url("/"), None)
    };
    let (mut items, mut merges) = (follow("items"), follow("merge"));
    for (orders, note) in [
        (first.clone(), json!(1)),
        (json!([row(1, json!(5)), row(3, json!(3))]), json!(1)),
        (json!([row(3, json!(3))]), json!({"a": {"b": 1}})),
        (json!([row(3, json!({"net": 2}))]), json!({"a": {"c": 1}})),
        (json!([]), json!(null)),
        (json!([row(4, json!(4))]), json!({"a": [null]})),
    ] {
        let document = document(&orders, &note);
        *served.lock().unwrap() = document.to_string();
        items.hold_until(&orders);
        merges.hold_until(&document);
    }
    let delivered = |event| proxy.metric("pollcast_events_delivered_total", &[event]);
    for event in ["merge", "added", "changed", "removed"] {
        assert!(delivered(event) > 0.5, "{event} was not tried");
    }
    for follower in [items, merges] {
        follower.end();
    }
}
