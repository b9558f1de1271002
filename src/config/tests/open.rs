//! What is told of doors that stand open, perhaps by mistake.

use super::parsed;

/// What is told of `rest` beside a key and an upstream of two names.
fn told(rest: &str) -> Vec<String> {
    let hash = "1c5ec1a7f5ccb23df28a5b05eb0d9e3e53fdc0b0d1e8b3ba5f3ac2a4ab6b8c0d";
    let (_, warnings) = parsed(&format!(
        "auth: {{ keys: {{ k: {{ sha256: {hash} }} }} }}\n\
         upstreams:\n  shop: {{ url: 'http://10.0.0.1:9000' }}\n  again: {{ url: 'http://10.0.0.1:9000/api' }}\n  \
         other: {{ url: 'http://10.0.0.2:9000' }}\n{rest}"
    ));
    let is_about_doors = |it: &String| !it.starts_with("upstreams.");
    warnings.into_iter().filter(is_about_doors).collect()
}

const GUARDED: &str = "feeds: [{ path: /orders, upstream: shop, access: [{ keys: [k] }] }]\n";

#[test]
fn a_route_to_the_server_of_a_guarded_feed_is_told_if_it_is_open() {
    for (proxy, is_told) in [
        ("proxy: [{ path: /, upstream: shop }]", true),
        ("proxy: [{ path: /, upstream: again }]", true),
        ("proxy: [{ path: /, upstream: other }]", false),
        (
            "proxy: [{ path: /, upstream: again, access: everyone }]",
            false,
        ),
        (
            "proxy: [{ path: /, upstream: again, access: [{ keys: [k] }] }]",
            false,
        ),
        ("proxy: []", false),
    ] {
        let warnings = told(&format!("{GUARDED}{proxy}"));
        assert_eq!(
            warnings.len(),
            usize::from(is_told),
            "{proxy}: {warnings:?}"
        );
        assert!(
            warnings
                .iter()
                .all(|it| it.contains("at any path below \"/\""))
        );
    }
}

#[test]
fn a_route_that_is_there_unless_it_is_forbidden_is_told_as_well() {
    let hash = "1c5ec1a7f5ccb23df28a5b05eb0d9e3e53fdc0b0d1e8b3ba5f3ac2a4ab6b8c0d";
    let (_, warnings) = parsed(&format!(
        "auth: {{ keys: {{ k: {{ sha256: {hash} }} }} }}\n\
         upstreams: {{ shop: {{ url: 'http://10.0.0.1:9000' }} }}\n{GUARDED}"
    ));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("without `proxy` there is a route for everything"));
}

#[test]
fn feeds_that_were_forgotten_are_told() {
    let feeds = "feeds:\n  - { path: /orders, upstream: shop, access: [{ keys: [k] }] }\n  \
                 - { path: /stock, upstream: shop }\n  - { path: /news, upstream: shop, access: everyone }\nproxy: []";
    let warnings = told(feeds);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("open to everybody, while others are not: /stock;"));
}

#[test]
fn a_secret_that_stands_in_the_file_is_told_and_not_shown() {
    let secret = "0123456789abcdef0123456789abcdef";
    for auth in [
        format!(
            "jwt: {{ corp: {{ issuer: i, audience: [a], algorithms: [HS256], secret: {secret:?} }} }}"
        ),
        format!("tickets: {{ path: /tickets, secret: {secret:?} }}"),
    ] {
        let upstreams = "upstreams: { shop: { url: 'http://10.0.0.1:9000' } }";
        let feeds = "feeds: [{ path: /orders, upstream: shop }]\nproxy: []";
        let (_, warnings) = parsed(&format!("auth: {{ {auth} }}\n{upstreams}\n{feeds}"));
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("knows the secret"));
        assert!(!warnings[0].contains(secret));
    }
}
