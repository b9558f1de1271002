//! A pollcast at work, its upstreams, its clients, and the Prometheus that scrapes it.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::foreign::{Lines, Process, folder, free_port, node};
use crate::prometheus::Prometheus;
use crate::support::certificate::Certificate;
use crate::support::proxy::Proxy;

/// Ends with the test.
pub struct Scene {
    pub prometheus: Prometheus,
    // In the order of their end: clients leave before what they talk to.
    _crowd: Process,
    _proxy: Proxy,
    _upstreams: Process,
    _certificates: tempfile::TempDir,
}

impl Scene {
    /// `failing`: when the partner fails, as `upstreams.mjs` takes it; with so many clients that come
    /// and go, the last of them after so many seconds; scraped at this interval, by the example `prometheus.yml`.
    pub fn start(failing: &str, clients: usize, seconds: u64, scrape_interval: &str) -> Self {
        let upstreams = node("dashboards/upstreams.mjs");
        let (upstreams, urls) = started(upstreams, &[failing]);
        let urls: Value = serde_json::from_str(&urls).expect("a line of JSON");
        let tls_port = free_port().port().to_string();
        let certificates = tempfile::tempdir().expect("a temporary folder");
        let certificate = Certificate::of("localhost");
        fs::write(certificates.path().join("localhost.crt"), certificate.pem()).expect("a file");
        fs::write(
            certificates.path().join("localhost.key"),
            certificate.key_pem(),
        )
        .expect("a file");
        let config = fs::read_to_string(folder().join("dashboards/scene.yaml")).expect("a file");
        let mut config = config.replace("${TLS_PORT}", &tls_port).replace(
            "${CERTIFICATES}",
            &certificates.path().display().to_string(),
        );
        for (name, url) in urls.as_object().expect("an object") {
            let url = url.as_str().expect("a URL");
            config = config.replace(&format!("${{{name}}}"), url); // a server's label is what is written
        }
        let proxy = Proxy::start(&config);

        let prometheus = Prometheus::by_the_example(&proxy, scrape_interval);
        let mut crowd = node("dashboards/crowd.mjs");
        crowd
            .arg(proxy.url(""))
            .args([&tls_port, &clients.to_string(), &seconds.to_string()]);
        Self {
            prometheus,
            _crowd: Process::start(&mut crowd),
            _proxy: proxy,
            _upstreams: upstreams,
            _certificates: certificates,
        }
    }
}

/// A script that goes on, and its first line.
fn started(mut script: Command, arguments: &[&str]) -> (Process, String) {
    script.args(arguments).stdout(Stdio::piped());
    let mut process = Process::start(&mut script);
    let line = Lines::of(process.stdout()).next().expect("a line");
    (process, line)
}
