//! Upstreams behind TLS: trusted ones are polled and passed through to, others are refused clearly.

use crate::support::certificate::Certificate;
use crate::support::client::{get, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::secure::SecureServer;

fn config(port: u16) -> String {
    format!(
        "upstreams: {{ legacy: {{ url: \"https://localhost:{port}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 50ms }} }}]\n"
    )
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused_and_the_reason_told() {
    let certificate = Certificate::authority("localhost");
    let proxy = Proxy::start(&config(SecureServer::start(&certificate, None).port()));
    let status = subscribe(proxy.address(), "/feed").expect("status");
    assert_eq!(status.value["state"], "down");
    let reason = status.value["reason"].as_str().unwrap();
    assert!(
        reason.contains("certificate is not trusted: self"),
        "{reason}"
    );

    let answer = get(proxy.address(), "/feed", &[]);
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("no secure connection to upstream"));
    eventually("the failure is logged", || {
        proxy.log().contains("could not be passed through")
    });
}

#[test]
fn a_trusted_upstream_is_polled_and_passed_through_to_by_its_name() {
    let certificate = Certificate::authority("localhost");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, certificate.pem()).unwrap();
    let trust = [("SSL_CERT_FILE", file.to_str().unwrap())];
    let proxy = Proxy::start_with(
        &config(SecureServer::start(&certificate, None).port()),
        &trust,
    );
    assert_eq!(
        subscribe(proxy.address(), "/feed").expect("snapshot").data,
        "[1]"
    );
    assert_eq!(get(proxy.address(), "/feed", &[]).text(), "[1]");
}
