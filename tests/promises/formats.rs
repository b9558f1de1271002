//! Answers that are not one JSON text become feeds as well.

use serde_json::{Value, json};

use crate::support::client::subscribe;
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::replica::Replica;
use crate::support::stage::Stage;

/// A feed of this format tells the first answer, then the second, then that the third is none and
/// why; and goes on with the second afterwards.
fn becomes(format: &str, answers: [&str; 3], documents: [Value; 2], reason: &str) {
    let stage = Stage::serving(answers[0]);
    let feed = format!(", poll: {{ interval: 20ms }}, document: {{ format: {format} }}");
    let proxy = Proxy::with_feed(&stage.url(), &feed);
    let mut stream = subscribe(proxy.address(), "/feed");
    let mut replica = Replica::default();
    replica.take(&stream.expect("snapshot"));
    assert_eq!(replica.document.as_ref(), Some(&documents[0]), "{format}");

    stage.serves(answers[1]);
    replica.take(&stream.event().expect("a change"));
    assert_eq!(replica.document.as_ref(), Some(&documents[1]), "{format}");

    stage.serves(answers[2]);
    let status = stream.expect("status").value;
    assert_eq!(
        (&status["state"], &status["reason"]),
        (&json!("stale"), &json!(reason)),
        "{format}"
    );
    let failed = proxy.metric("pollcast_polls_total", &["outcome=\"invalid_format\""]);
    assert!(failed > 0.5, "{format}");

    // It is the document that we hold.
    stage.serves(answers[1]);
    assert_eq!(stream.expect("status").value["state"], "live", "{format}");
    let polls = stage.upstream.count("/feed");
    eventually("more polls", || stage.upstream.count("/feed") > polls + 3);
    let changed = proxy.metric("pollcast_polls_total", &["outcome=\"changed\""]);
    assert!(changed < 2.5, "{format}: {changed}");
}

#[test]
fn newline_delimited_json_is_an_array_of_its_lines() {
    becomes(
        "ndjson",
        [
            "{\"id\":1}\n{\"id\":2}\n",
            "{\"id\":1}\r\n\r\n{\"id\":3,\"n\":1.50}",
            "{\"id\":1}\n{\"id\":\n",
        ],
        [
            json!([{"id": 1}, {"id": 2}]),
            json!([{"id": 1}, {"id": 3, "n": 1.5}]),
        ],
        "the answer is no NDJSON: line 2: EOF while parsing a value at column 6",
    );
}

#[test]
fn csv_is_an_array_of_its_rows() {
    becomes(
        "csv",
        [
            "\u{feff}id,name\n1,Tea\n",
            "id,name\n1,Tea\n2,\"Coffee, strong\"\n",
            "id,name\n1\n",
        ],
        [
            json!([{"id": 1, "name": "Tea"}]),
            json!([{"id": 1, "name": "Tea"}, {"id": 2, "name": "Coffee, strong"}]),
        ],
        "the answer is no CSV: line 2: it has 1 field, the header 2",
    );
    becomes(
        "{ csv: { delimiter: \"\\t\", header: false, numbers: false } }",
        ["1\tTea\n", "1\tTea\n2\tCoffee\n", "1\tTea\n2\n"],
        [
            json!([["1", "Tea"]]),
            json!([["1", "Tea"], ["2", "Coffee"]]),
        ],
        "the answer is no CSV: line 2: it has 1 field, the first row 2",
    );
}

#[test]
fn xml_is_an_object_of_its_elements() {
    becomes(
        "{ xml: { arrays: [order], numbers: true } }",
        [
            "<?xml version=\"1.0\"?><orders><order id=\"1\">Tea</order></orders>",
            "<orders><order id=\"1\">Tea</order><order id=\"2\"><n>1</n></order></orders>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]>\n<a>&b;</a>",
        ],
        [
            json!({"orders": {"order": [{"@id": 1, "#text": "Tea"}]}}),
            json!({"orders": {"order": [{"@id": 1, "#text": "Tea"}, {"@id": 2, "n": 1}]}}),
        ],
        "the answer is no XML: line 1: entities of its own are not taken",
    );
}

#[test]
fn a_metrics_page_is_an_object_of_its_families() {
    let page = |up: &str| {
        format!("# HELP up Whether it is.\n# TYPE up gauge\nup{{job=\"api\"}} {up}\nx_total 1e3\n")
    };
    let document = |up: Value| {
        json!({
            "up": {
                "help": "Whether it is.",
                "type": "gauge",
                "samples": {"up{job=\"api\"}": {"labels": {"job": "api"}, "value": up}}
            },
            "x_total": {"samples": {"x_total": {"labels": {}, "value": 1000.0}}}
        })
    };
    becomes(
        "prometheus",
        [&page("1"), &page("NaN"), &page("")],
        [document(json!(1)), document(json!("NaN"))],
        "the answer is no Prometheus text: line 3: the value is no number",
    );
}

#[test]
fn a_document_that_grows_in_its_conversion_stays_within_the_bound() {
    let stage = Stage::serving("a-rather-long-name-of-a-column\n".to_owned() + &"1\n".repeat(100));
    let feed = ", document: { format: csv, max_bytes: 1KiB }";
    let proxy = Proxy::with_feed(&stage.url(), feed);
    let status = subscribe(proxy.address(), "/feed").expect("status").value;
    assert_eq!(
        status["reason"],
        "the answer is longer than 1024 bytes as JSON (document.max_bytes)"
    );
}

#[test]
fn an_upstream_that_knows_several_formats_is_asked_for_the_one_that_is_read() {
    for (format, body, accept) in [
        ("json", "1", "application/json, */*;q=0.5"),
        (
            "ndjson",
            "1",
            "application/x-ndjson, application/jsonl, */*;q=0.5",
        ),
        ("csv", "a", "text/csv, */*;q=0.5"),
        ("xml", "<a/>", "application/xml, text/xml, */*;q=0.5"),
        ("prometheus", "a 1", "text/plain;version=0.0.4, */*;q=0.5"),
    ] {
        let stage = Stage::serving(body);
        let feed = format!(", document: {{ format: {format} }}");
        let proxy = Proxy::with_feed(&stage.url(), &feed);
        subscribe(proxy.address(), "/feed").expect("snapshot");
        let polls = stage.upstream.requests();
        assert_eq!(polls[0].header("accept"), Some(accept), "{format}");
    }
}
