//! TLS to upstreams: who is trusted, by which name, what is shown, and files that change.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::certificate::Certificate;
use crate::support::client::{get, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::secure::SecureServer;

/// A folder with the certificate of an authority in `ca.pem`.
fn folder(authority: &Certificate) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    folder
}

fn write_client(folder: &Path, client: &Certificate) {
    std::fs::write(folder.join("client.pem"), client.pem()).unwrap();
    std::fs::write(folder.join("client.key"), client.key_pem()).unwrap();
}

fn config(url: &str, more: &str) -> String {
    format!(
        "upstreams: {{ legacy: {{ url: \"{url}\"{more} }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 50ms }} }}]\n"
    )
}

/// Neither a poll nor a passed-through request gets anywhere.
fn is_refused(proxy: &Proxy) {
    let status = subscribe(proxy.address(), "/feed").expect("status");
    let reason = status.value["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("no connection"), "{reason}");
    assert_eq!(get(proxy.address(), "/feed", &[]).status, 502);
}

/// Both get there.
fn is_served(proxy: &Proxy) {
    let snapshot = subscribe(proxy.address(), "/feed").expect("snapshot");
    assert_eq!(snapshot.data, "[1]");
    assert_eq!(get(proxy.address(), "/feed", &[]).text(), "[1]");
}

#[test]
fn an_authority_of_the_configuration_is_trusted_under_the_name_of_host() {
    let authority = Certificate::authority("our own authority");
    let server = SecureServer::start(&authority.issue("shop.internal"), None);
    let url = format!("https://127.0.0.1:{}", server.port());
    let more = ", host: shop.internal, tls: { ca: ca.pem }, health_check: { path: /health }";
    let proxy = Proxy::start_in(folder(&authority), &config(&url, more));
    is_served(&proxy);
    eventually("it is checked", || {
        server
            .visits()
            .iter()
            .any(|visit| visit.line.contains("/health"))
    });
    let host = format!("shop.internal:{}", server.port());
    for visit in server.visits() {
        assert_eq!(visit.sni.as_deref(), Some("shop.internal"));
        assert_eq!(visit.host, host);
    }
    let healthy = proxy.metric("pollcast_upstream_server_healthy", &[]);
    assert!(healthy > 0.5);
}

#[test]
fn another_authority_or_another_name_is_refused() {
    let authority = Certificate::authority("our own authority");
    let server = SecureServer::start(&authority.issue("shop.internal"), None);
    let url = format!("https://127.0.0.1:{}", server.port());
    let other = Certificate::authority("somebody else");
    let by_name = ", host: shop.internal, tls: { ca: ca.pem }";
    is_refused(&Proxy::start_in(folder(&other), &config(&url, by_name)));
    let wrong_name = ", host: elsewhere.internal, tls: { ca: ca.pem }";
    is_refused(&Proxy::start_in(
        folder(&authority),
        &config(&url, wrong_name),
    ));
    let no_ca = ", host: shop.internal";
    is_refused(&Proxy::start_in(folder(&authority), &config(&url, no_ca)));
    assert!(server.visits().is_empty(), "nothing was asked");
}

#[test]
fn without_verification_anybody_is_taken_for_the_upstream_and_that_is_said() {
    let server = SecureServer::start(&Certificate::of("elsewhere"), None);
    let url = format!("https://localhost:{}", server.port());
    let config = config(&url, ", tls: { verify: false }");
    let proxy = Proxy::start(&config);
    is_served(&proxy);
    assert!(proxy.log().contains("certificates are not verified"));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("check.yaml");
    std::fs::write(&file, config).unwrap();
    let checked = Command::new(env!("CARGO_BIN_EXE_pollcast"))
        .args(["check", "-c"])
        .arg(&file)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&checked.stdout) + String::from_utf8_lossy(&checked.stderr);
    assert!(
        told.contains("whoever answers is taken for the upstream"),
        "{told}"
    );
}

#[test]
fn a_client_certificate_is_shown_and_a_new_one_is_used_without_a_restart() {
    let authority = Certificate::authority("our own authority");
    let server = SecureServer::start(&authority.issue("localhost"), Some(&authority));
    let url = format!("https://localhost:{}", server.port());
    let anonymous = config(&url, ", tls: { ca: ca.pem }");
    is_refused_by_handshake(&Proxy::start_in(folder(&authority), &anonymous));

    let place = folder(&authority);
    let path = place.path().to_owned();
    write_client(&path, &authority.issue("first"));
    let known = ", tls: { ca: ca.pem, certificate: client.pem, key: client.key }";
    let proxy = Proxy::start_in(place, &config(&url, known));
    is_served(&proxy);
    let clients = || -> Vec<_> { server.visits().into_iter().map(|it| it.client).collect() };
    assert!(
        clients()
            .iter()
            .all(|client| client.as_deref() == Some("first"))
    );

    // A key of somebody else changes nothing.
    std::fs::write(path.join("client.key"), Certificate::of("x").key_pem()).unwrap();
    eventually("that is told", || {
        proxy.log().contains("new TLS files are of no use")
    });
    is_served(&proxy);

    write_client(&path, &authority.issue("second"));
    eventually("the new one is shown by passed-through requests", || {
        let before = clients().len();
        assert_eq!(get(proxy.address(), "/feed", &[]).text(), "[1]");
        clients()[before..]
            .iter()
            .any(|it| it.as_deref() == Some("second"))
    });
    is_served(&proxy);
    assert_eq!(clients().last().unwrap().as_deref(), Some("second"));
}

/// As [`is_refused`], where the server may say so only after the handshake (RFC 8446).
fn is_refused_by_handshake(proxy: &Proxy) {
    let status = subscribe(proxy.address(), "/feed").expect("status");
    assert_eq!(status.value["state"], "down");
    assert_eq!(get(proxy.address(), "/feed", &[]).status, 502);
}
