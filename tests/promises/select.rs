//! The document is the part of an answer that `document.select` names.

use serde_json::json;

use crate::support::client::subscribe;
use crate::support::proxy::Proxy;
use crate::support::replica::Replica;
use crate::support::stage::Stage;

fn feed(select: &str) -> String {
    format!(", poll: {{ interval: 20ms }}, document: {{ select: \"{select}\" }}")
}

#[test]
fn a_json_path_that_finds_one_node_at_most_selects_that_node() {
    let answer = |n: &str| format!(r#"{{"at":{n},"rows":[{{"id":1}},{{"id":2,"n":{n}}}]}}"#);
    let long = "123456789012345678901234567890.10";
    let stage = Stage::serving(answer(long));
    let proxy = Proxy::with_feed(&stage.url(), &feed("$.rows[-1]"));
    let mut stream = subscribe(proxy.address(), "/feed");
    let snapshot = stream.expect("snapshot");
    assert_eq!(snapshot.data, format!(r#"{{"id":2,"n":{long}}}"#));

    stage.serves(r#"{"rows":[]}"#);
    let status = stream.expect("status").value;
    assert_eq!(
        status["reason"],
        "nothing at \"$.rows[-1]\" (document.select)"
    );
    assert!(proxy.metric("pollcast_polls_total", &["outcome=\"select\""]) > 0.5);
    stage.serves(answer("20e-1"));
    assert_eq!(stream.expect("status").value["state"], "live");
    assert_eq!(stream.expect("snapshot").data, r#"{"id":2,"n":20e-1}"#);
}

#[test]
fn any_other_json_path_selects_the_array_of_what_it_finds() {
    let stage = Stage::serving(r#"{"rows":[{"id":1,"open":true},{"id":2,"open":false}]}"#);
    let proxy = Proxy::with_feed(&stage.url(), &feed("$.rows[?@.open==true].id"));
    let mut stream = subscribe(proxy.address(), "/feed");
    let mut replica = Replica::default();
    replica.take(&stream.expect("snapshot"));
    assert_eq!(replica.document, Some(json!([1])));
    for (answer, document) in [
        (
            r#"{"rows":[{"id":3,"open":true},{"id":1,"open":true}]}"#,
            json!([3, 1]),
        ),
        (r#"{"rows":[]}"#, json!([])),
        (r#"{"rows":[{"id":4,"open":true}]}"#, json!([4])),
    ] {
        stage.serves(answer);
        replica.take(&stream.event().expect("a change"));
        assert_eq!(replica.document, Some(document));
    }
}

#[test]
fn what_a_json_path_leaves_out_is_no_change() {
    let stage = Stage::serving(r#"{"at":1,"rows":[{"id":1,"seen":1}]}"#);
    let more = ", poll: { interval: 20ms }, \
                document: { select: \"$.rows[*]\", ignore: [\"/*/seen\"] }";
    let proxy = Proxy::with_feed(&stage.url(), more);
    let mut stream = subscribe(proxy.address(), "/feed");
    assert_eq!(stream.expect("snapshot").data, r#"[{"id":1}]"#);
    stage.serves(r#"{"at":2,"rows":[{"id":1,"seen":2}]}"#);
    let polls = stage.upstream.count("/feed");
    crate::support::eventually("more polls", || stage.upstream.count("/feed") > polls + 3);
    stage.serves(r#"{"at":3,"rows":[{"id":2,"seen":3}]}"#);
    assert_eq!(stream.expect("snapshot").data, r#"[{"id":2}]"#);
}
