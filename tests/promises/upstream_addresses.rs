//! Addresses that are never reached, whatever a name or an answer says.

use crate::support::client::{get, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::upstream::{Reply, Upstream};

fn port(upstream: &Upstream) -> String {
    upstream.url().rsplit(':').next().unwrap().to_owned()
}

fn config(url: &str, more: &str) -> String {
    format!(
        "upstreams: {{ legacy: {{ url: \"{url}\"{more} }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 50ms }} }}]\n"
    )
}

#[test]
fn a_name_that_leads_to_a_forbidden_address_is_neither_polled_nor_passed_through_to() {
    let upstream = Upstream::start(|_| Reply::json("1"));
    let url = format!("http://localhost:{}", port(&upstream));
    let denied = ", health_check: { path: /health, interval: 20ms }, \
                  addresses: { allow: [private], deny: [127.0.0.0/8, \"::1\"] }";
    let proxy = Proxy::start(&config(&url, denied));
    let status = subscribe(proxy.address(), "/feed").expect("status");
    assert_eq!(status.value["state"], "down");
    let reason = status.value["reason"].as_str().unwrap();
    assert!(
        reason.contains("leads to an address that `addresses.deny` forbids"),
        "{reason}"
    );
    let answer = get(proxy.address(), "/feed", &[]);
    assert_eq!(answer.status, 502);
    let text = answer.text();
    assert!(text.contains("a forbidden address"), "{text}");
    eventually("it is logged", || {
        proxy.log().contains("a name cannot be used")
    });
    let (_, told) = proxy.admin("/api/upstreams");
    assert!(told.contains("`addresses.deny` forbids"), "{told}");
    assert!(upstream.requests().is_empty(), "nobody asked");
}

#[test]
fn a_name_of_the_private_network_may_lead_there() {
    let upstream = Upstream::start(|_| Reply::json("1"));
    let url = format!("http://localhost:{}", port(&upstream));
    let proxy = Proxy::start(&config(&url, ""));
    assert_eq!(
        subscribe(proxy.address(), "/feed").expect("snapshot").data,
        "1"
    );
    assert_eq!(get(proxy.address(), "/feed", &[]).text(), "1");
}

#[test]
fn a_redirect_leaves_the_upstream_for_nobody() {
    let other = Upstream::start(|_| Reply::json("\"secret\""));
    for elsewhere in [
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        format!("{}/feed", other.url()),
        "http://localhost:1/feed".to_owned(),
    ] {
        let location = elsewhere.clone();
        let upstream = Upstream::start(move |_| Reply::Answer {
            status: 302,
            headers: vec![("location", location.clone())],
            body: Vec::new(),
        });
        let proxy = Proxy::start(&config(&upstream.url(), ""));
        let status = subscribe(proxy.address(), "/feed").expect("status");
        let reason = status.value["reason"].as_str().unwrap();
        assert!(
            reason.contains("redirects elsewhere"),
            "{elsewhere}: {reason}"
        );
    }
    assert!(other.requests().is_empty(), "nobody followed");
}

#[test]
fn a_redirect_within_the_upstream_is_followed_at_the_same_server() {
    let upstream = Upstream::start(|request| match request.target.as_str() {
        "/feed" => Reply::Answer {
            status: 302,
            headers: vec![("location", "/elsewhere".to_owned())],
            body: Vec::new(),
        },
        _ => Reply::json("\"followed\""),
    });
    let proxy = Proxy::start(&config(&upstream.url(), ", host: shop.internal"));
    let snapshot = subscribe(proxy.address(), "/feed").expect("snapshot");
    assert_eq!(snapshot.data, "\"followed\"");
}
