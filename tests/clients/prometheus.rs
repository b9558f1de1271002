//! A real Prometheus: it scrapes pollcast, and pollcast makes its HTTP API live.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::foreign::{Process, folder, free_port, program};
use crate::support::client::{get, subscribe};
use crate::support::eventually;
use crate::support::everything::Everything;
use crate::support::proxy::Proxy;
use crate::support::replica::Replica;
use crate::support::upstream::Upstream;

#[test]
fn it_scrapes_the_open_subscriptions_and_its_api_becomes_a_feed() {
    let (upstream, _document) = Upstream::with_document("[0]");
    let scraped = Proxy::with_feed(&upstream.url(), "");
    let prometheus = Prometheus::scraping(&scraped);

    // Prometheus' own answer to `up`, live.
    let config = fs::read_to_string(folder().join("../../config/prometheus.yaml")).expect("a file");
    let address = format!("http://{}", prometheus.address);
    let config = config
        .replace("${PROMETHEUS_URL:-http://127.0.0.1:9090}", &address)
        .replace("interval: 5s ", "interval: 200ms ");
    assert!(config.contains(&address) && config.contains("200ms"));
    let live = Proxy::start(&config);
    let mut up = subscribe(live.address(), "/live/up");
    let mut value = up.expect("snapshot").value;
    while value == json!([]) {
        value = up.expect("snapshot").value; // too small for a patch
    }
    assert_eq!(value[0]["metric"]["__name__"], "up");
    assert_eq!(value[0]["value"], json!(["1"]));

    let mut streams: Vec<_> = (0..3)
        .map(|_| subscribe(scraped.address(), "/feed"))
        .collect();
    for stream in &mut streams {
        stream.expect("snapshot");
    }
    eventually("three subscriptions are counted", || {
        prometheus.value("pollcast_connections") == Some(3.0)
    });
    drop(streams.pop());
    eventually("one has left", || {
        prometheus.value("pollcast_connections") == Some(2.0)
    });

    // Its target goes away, which the feed tells.
    scraped.signal("KILL");
    let change = up.event().expect("an event").value;
    assert!(change.to_string().contains(r#""0""#), "{change}");
}

#[test]
fn its_metrics_page_and_paths_into_its_api_become_feeds() {
    let (upstream, _document) = Upstream::with_document("[0]");
    let scraped = Proxy::with_feed(&upstream.url(), "");
    let prometheus = Prometheus::scraping(&scraped);
    let config = folder().join("../../config/metrics-as-feed.yaml");
    let config = fs::read_to_string(config).expect("a file");
    let address = format!("http://{}", prometheus.address);
    let config = config
        .replace("${PROMETHEUS_URL:-http://127.0.0.1:9090}", &address)
        .replace("interval: 15s ", "interval: 100ms ")
        .replace("interval: 5s ", "interval: 100ms ");
    assert!(config.contains(&address) && config.matches("100ms").count() == 4);
    let live = Proxy::start(&config);

    // The whole page, and what becomes of it: nothing is lost, nothing made up.
    let mut page = Replica::default();
    let mut pages = subscribe(live.address(), "/live/metrics");
    for _ in 0..10 {
        page.take(&pages.event().expect("an event"));
    }
    let page = page.document.expect("a document");
    let families = page.as_object().expect("an object");
    assert!(families.len() > 100, "{}", families.len());
    for (name, family) in families {
        assert!(family["type"].is_string(), "{name}");
        let samples = family["samples"].as_object().expect("samples");
        for (series, sample) in samples {
            assert!(series.starts_with(&**name), "{series} in {name}");
            let value = &sample["value"];
            assert!(
                value.is_number() || value == "NaN" || value == "+Inf",
                "{series}"
            );
        }
    }
    let buckets = &page["prometheus_http_request_duration_seconds"];
    assert_eq!(buckets["type"], "histogram");
    let version = page["prometheus_build_info"]["samples"].as_object();
    let version = version.and_then(|samples| samples.values().next());
    let version = version.expect("one")["labels"]["version"].as_str();
    assert!(version.is_some_and(|version| version.contains('.')));

    // Our own requests are counted on it.
    let mut requests = subscribe(live.address(), "/live/requests");
    let mut held = Replica::default();
    let asked = |held: &Replica| {
        let samples = held.document.as_ref().and_then(Value::as_object);
        let all = samples.into_iter().flatten();
        all.filter(|(_, sample)| sample["labels"]["handler"] == "/metrics")
            .filter_map(|(_, sample)| sample["value"].as_f64())
            .sum::<f64>()
    };
    held.take(&requests.expect("snapshot"));
    let before = asked(&held);
    while asked(&held) < before + 3.0 {
        held.take(&requests.event().expect("an event"));
    }

    let made = subscribe(live.address(), "/live/scraped")
        .expect("snapshot")
        .value;
    assert!(made["requests"].as_f64() > Some(1.0), "{made}");
    assert!(made["series"].is_number(), "{made}");

    let mut jobs = subscribe(live.address(), "/live/jobs-up");
    let mut value = jobs.expect("snapshot").value;
    while value == json!([]) {
        value = jobs.expect("snapshot").value;
    }
    assert_eq!(value, json!(["pollcast"]));
    scraped.signal("KILL");
    assert_eq!(jobs.expect("snapshot").value, json!([]));
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    let mut everything = Everything::start();
    everything.use_all();
    let (_, metrics) = everything.proxy.admin("/metrics");
    let families = metrics.lines().filter(|line| line.starts_with("# TYPE"));
    assert!(families.count() > 50);
    assert_eq!(complaints(&metrics), None);
    // It would say so.
    let abbreviated = metrics.replace("pollcast_pokes_total", "pollcast_pokes_ms");
    assert!(complaints(&abbreviated).is_some());
}

/// What promtool says of a page of metrics; none if that is nothing.
fn complaints(metrics: &str) -> Option<String> {
    let mut promtool = Command::new(program("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    let mut stdin = promtool.stdin.take().expect("piped");
    stdin.write_all(metrics.as_bytes()).expect("it reads");
    drop(stdin);
    let output = promtool.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (!output.status.success() || !said.is_empty()).then(|| said.into_owned())
}

struct Prometheus {
    address: SocketAddr,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn scraping(proxy: &Proxy) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = free_port();
        let target = proxy.admin_url("");
        let target = target.trim_start_matches("http://");
        let config = format!(
            "global: {{ scrape_interval: 500ms, scrape_timeout: 500ms }}\n\
             scrape_configs:\n\
             - job_name: pollcast\n  static_configs: [{{ targets: [\"{target}\"] }}]\n"
        );
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, config).expect("a file");
        let mut prometheus = Command::new(program("prometheus"));
        prometheus
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error");
        Self {
            address,
            _process: Process::server(&mut prometheus, address),
            _folder: folder,
        }
    }

    /// The sum of the current values of a metric, by the HTTP API.
    fn value(&self, metric: &str) -> Option<f64> {
        let target = format!("/api/v1/query?query=sum({metric})");
        let answer = get(self.address, &target, &[]).text();
        let answer: Value = serde_json::from_str(&answer).ok()?;
        let value = answer["data"]["result"][0]["value"][1].as_str()?;
        value.parse().ok()
    }
}
