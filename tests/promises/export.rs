//! Numbers of a polled document are metrics: one poll serves the browsers and the scrapers.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::client::subscribe;
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::stage::Stage;
use crate::support::upstream::{Reply, Upstream};

const OUTAGES: &str = ", poll: { interval: 20ms }, document: { ignore: [/at, /counties/*/age] }, export: [
    { metric: outages_customers, help: 'Customers \"without\" power\\now.', each: /counties/*, value: /out, labels: { county: /name, index: '0#', state: 2/state }, constants: { kind: power } },
    { metric: outages_age_seconds, help: How old., each: /counties/*, value: /age, labels: { county: /name } },
    { metric: outages_open, help: Whether there is any., value: /open } ]";

fn outages(kern: u64, age: u64) -> String {
    json!({
        "state": "CA", "at": age, "open": kern > 0,
        "counties": [{"name": "Kern", "out": kern, "age": age}, {"name": "Inyo", "out": 3, "age": 1}],
    })
    .to_string()
}

/// The lines of the metrics page that begin so, but for those that explain.
fn lines(proxy: &Proxy, beginning: &str) -> Vec<String> {
    let (status, page) = proxy.admin("/metrics");
    assert_eq!(status, 200);
    let lines = page.lines().filter(|line| line.starts_with(beginning));
    lines.map(str::to_owned).collect()
}

fn timestamp(proxy: &Proxy) -> f64 {
    proxy.metric(
        "pollcast_export_sample_timestamp_seconds",
        &[r#"feed="/feed""#],
    )
}

#[test]
fn numbers_of_the_document_are_gauges_with_labels_while_nobody_listens() {
    let stage = Stage::serving(outages(12, 1));
    let proxy = Proxy::with_feed(&stage.url(), OUTAGES);
    eventually("they are there", || !lines(&proxy, "outages_").is_empty());
    assert_eq!(
        lines(&proxy, "outages_customers"),
        [
            r#"outages_customers{feed="/feed",county="Inyo",index="1",kind="power",state="CA"} 3"#,
            r#"outages_customers{feed="/feed",county="Kern",index="0",kind="power",state="CA"} 12"#,
        ]
    );
    assert_eq!(
        lines(&proxy, "outages_open"),
        [r#"outages_open{feed="/feed"} 1"#]
    );
    assert_eq!(
        lines(&proxy, "# HELP outages_customers"),
        [r#"# HELP outages_customers Customers "without" power\\now."#]
    );
    assert_eq!(
        lines(&proxy, "# TYPE outages_customers"),
        ["# TYPE outages_customers gauge"]
    );
    let series = |metric: &str| proxy.metric("pollcast_export_series", &[metric]);
    assert!((series("outages_customers") - 2.0).abs() < 0.1);

    // The sample's age: each poll that finds nothing new makes it younger.
    let before = timestamp(&proxy);
    assert!(before > 1.6e9);
    eventually("it grows", || timestamp(&proxy) > before);

    stage.serves(
        json!({"state": "CA", "open": false, "counties": [{"name": "Kern", "out": 0}]}).to_string(),
    );
    eventually("what is gone from the document is gone here", || {
        lines(&proxy, "outages_customers")
            == [
                r#"outages_customers{feed="/feed",county="Kern",index="0",kind="power",state="CA"} 0"#,
            ]
    });
    assert_eq!(lines(&proxy, "outages_age_seconds"), Vec::<String>::new());
    assert_eq!(
        lines(&proxy, "outages_open"),
        [r#"outages_open{feed="/feed"} 0"#]
    );
}

#[test]
fn what_is_ignored_for_events_is_exported_all_the_same() {
    let stage = Stage::serving(outages(12, 1));
    let proxy = Proxy::with_feed(&stage.url(), OUTAGES);
    let mut stream = subscribe(proxy.address(), "/feed");
    let held = stream.expect("snapshot").value;
    assert!(
        held.get("at").is_none() && held["counties"][0].get("age").is_none(),
        "{held}"
    );
    for age in 2..6 {
        stage.serves(outages(12, age));
        let line = format!(r#"outages_age_seconds{{feed="/feed",county="Kern"}} {age}"#);
        eventually("the number follows", || {
            lines(&proxy, "outages_age_seconds{").contains(&line)
        });
    }
    // None of that was an event.
    stage.serves(outages(13, 6));
    let change = stream.event().expect("an event");
    assert!(change.id.expect("an id").ends_with("-2"));
}

#[test]
fn a_stale_feed_keeps_its_numbers_with_their_age_and_a_live_one_brings_new_ones() {
    let stage = Stage::serving(outages(12, 1));
    let proxy = Proxy::with_feed(&stage.url(), OUTAGES);
    eventually("they are there", || {
        !lines(&proxy, "outages_open{").is_empty()
    });
    stage.becomes(|_| Reply::status(500, "no"));
    let state = |state: &str| proxy.metric("pollcast_feed_state", &[&format!("state=\"{state}\"")]);
    eventually("it is stale", || state("stale") > 0.5);
    let before = timestamp(&proxy);
    assert_eq!(
        lines(&proxy, "outages_open{"),
        [r#"outages_open{feed="/feed"} 1"#]
    );
    let requests = || proxy.metric("pollcast_poll_requests_total", &[]);
    let seen = requests();
    eventually("another poll failed", || requests() > seen);
    assert!(
        (timestamp(&proxy) - before).abs() < f64::EPSILON,
        "no poll said that it is so"
    );
    stage.serves(outages(0, 1));
    eventually("it recovers", || {
        lines(&proxy, "outages_open{") == [r#"outages_open{feed="/feed"} 0"#]
    });
    assert!(timestamp(&proxy) > before);
}

#[test]
fn the_numbers_of_a_paused_or_refused_feed_are_absent() {
    let stage = Stage::serving(outages(12, 1));
    let paused = OUTAGES.replace("20ms", "20ms, idle: pause, linger: 0s");
    let proxy = Proxy::with_feed(&stage.url(), &paused);
    assert!(
        proxy.log().contains("exported metrics are absent then"),
        "{}",
        proxy.log()
    );
    assert_eq!(lines(&proxy, "outages_"), Vec::<String>::new());
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    eventually("they are there", || {
        !lines(&proxy, "outages_open{").is_empty()
    });
    drop(stream);
    eventually("they are gone", || lines(&proxy, "outages_").is_empty());
    assert!(timestamp(&proxy) > 1.6e9, "how old they are is still told");
    assert!(proxy.metric("pollcast_export_series", &[]).abs() < 0.1);

    let refused = OUTAGES.replace("20ms }", "20ms }, deliver: { end_after: 100ms }");
    let proxy = Proxy::with_feed(&stage.url(), &refused);
    eventually("they are there", || {
        !lines(&proxy, "outages_open{").is_empty()
    });
    stage.becomes(|_| Reply::status(410, "no more"));
    eventually("they are gone", || lines(&proxy, "outages_").is_empty());
}

#[test]
fn a_growing_document_makes_no_more_series_than_allowed_and_says_what_is_left_out() {
    let (upstream, document) = Upstream::with_document("[]");
    let proxy = Proxy::with_feed(
        &upstream.url(),
        ", poll: { interval: 20ms }, export: [{ metric: rows_weight_grams, help: Weight., each: /*, value: /w, labels: { row: /id }, max_series: 50 }]",
    );
    let rows =
        |count: u64| -> Vec<Value> { (0..count).map(|id| json!({"id": id, "w": id})).collect() };
    let gauge =
        |name: &str| proxy.metric(&format!("pollcast_export_{name}"), &["rows_weight_grams"]);
    let set = |document: &Arc<Mutex<String>>, rows: Vec<Value>| {
        *document.lock().unwrap() = Value::from(rows).to_string();
    };
    set(&document, rows(10));
    eventually("ten", || (gauge("series") - 10.0).abs() < 0.1);
    assert!(gauge("dropped_series").abs() < 0.1);
    set(&document, rows(10_000));
    eventually("fifty", || (gauge("series") - 50.0).abs() < 0.1);
    assert!((gauge("dropped_series") - 9950.0).abs() < 0.1);
    assert_eq!(lines(&proxy, "rows_weight_grams{").len(), 50);
    assert!(
        lines(&proxy, "rows_weight_grams{")
            .iter()
            .any(|line| line.ends_with("row=\"49\"} 49"))
    );

    // Doubles and what is no number are left out; one sample of each label set stays.
    let mut odd = rows(3);
    odd.push(json!({"id": 1, "w": 99}));
    odd.push(json!({"id": "text", "w": "heavy"}));
    odd.push(json!({"id": "none", "w": null}));
    set(&document, odd);
    eventually("three", || (gauge("series") - 3.0).abs() < 0.1);
    assert!((gauge("dropped_series") - 2.0).abs() < 0.1);
    assert!(
        lines(&proxy, "rows_weight_grams{")
            .contains(&r#"rows_weight_grams{feed="/feed",row="1"} 1"#.to_owned())
    );
}

#[test]
fn one_metric_may_come_from_several_feeds_and_from_other_formats() {
    let stage = Stage::new(|request| match request.target.as_str() {
        "/csv" => Reply::json("name,level\nnorth,1.5\nsouth,2\n"),
        _ => Reply::json(r#"{"tanks": {"west": {"level": 7}}}"#),
    });
    let entry = "metric: tank_level_meters, help: Level.";
    let proxy = Proxy::start(&format!(
        "upstreams: {{ a: {{ url: '{}' }} }}
feeds:
  - {{ path: /csv, upstream: a, document: {{ format: csv }}, export: [{{ {entry}, each: /*, value: /level, labels: {{ tank: /name }} }}] }}
  - {{ path: /json, upstream: a, export: [{{ {entry}, each: '$.tanks[?@.level > 1]', value: /level, constants: {{ tank: west }} }}] }}
",
        stage.url()
    ));
    eventually("all are there", || {
        lines(&proxy, "tank_level_meters{").len() == 3
    });
    assert_eq!(
        lines(&proxy, "tank_level_meters{"),
        [
            r#"tank_level_meters{feed="/csv",tank="north"} 1.5"#,
            r#"tank_level_meters{feed="/csv",tank="south"} 2"#,
            r#"tank_level_meters{feed="/json",tank="west"} 7"#,
        ]
    );
}
