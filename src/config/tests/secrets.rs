//! What is secret enters nothing that is printed, and whoever may see too much is warned of.

use super::*;

#[test]
fn a_secret_enters_no_debug_output_of_the_headers() {
    let (config, _) = one_feed(", request: {headers: {authorization: '${TOKEN}'}}");
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn who_asks_an_egress_proxy_enters_no_debug_output() {
    let (config, _) = parsed(
        "upstreams: {a: {url: 'https://x', egress_proxy: 'http://me:${TOKEN}@proxy:3128'}}\n\
         feeds: [{path: /f, upstream: a}]",
    );
    let proxy = config.upstreams[0].servers.egress_proxy.as_ref().unwrap();
    assert!(proxy.authorization.is_some());
    assert_eq!(proxy.url.as_str(), "http://proxy:3128/");
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("s3cret") && !shown.contains("Basic"),
        "{shown}"
    );
}

#[test]
fn a_secret_in_a_url_is_shown_as_it_was_written() {
    let (config, _) = parsed(
        "upstreams: {a: {url: 'http://a/${TOKEN}'}}\n\
         feeds: [{path: /f, upstream: a, request: {path: '/x/${TOKEN}', query: {k: '${TOKEN}'}}}]",
    );
    let feed = &config.feeds[0];
    assert_eq!(polled(feed), "http://a/s3cret/x/s3cret?k=s3cret");
    assert_eq!(feed.request.shown, "http://a/${TOKEN}/x/${TOKEN}?...");
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn everyone_seeing_what_credentials_may_see_is_warned_of() {
    let (_, warnings) = one_feed(", request: {headers: {authorization: a}}, share: everyone");
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].starts_with("feeds[0].share (line 3): polls carry credentials (authorization)")
    );
}

#[test]
fn a_secret_in_a_body_enters_no_debug_output() {
    let (config, _) = one_feed(", request: {method: POST, body: {key: '${TOKEN}'}}");
    let request = &config.feeds[0].request;
    assert!(request.body.as_ref().unwrap().ends_with(b"s3cret\"}"));
    assert!(!format!("{config:?}").contains("s3cret"));
}

fn upstream_with(credentials: &str) -> (Config, Vec<String>) {
    parsed(&format!(
        "upstreams: {{a: {{url: 'http://a', credentials: {credentials}}}}}\n\
         feeds: [{{path: /f, upstream: a}}]"
    ))
}

#[test]
fn credentials_are_warned_of_where_everyone_profits_and_enter_no_debug_output() {
    for (credentials, names) in [
        (
            "{basic: {username: '${TOKEN}', password: '${TOKEN}'}}",
            "authorization",
        ),
        ("{bearer_file: dos}", "authorization"),
        ("{header_files: {X-B: dos, X-A: dos}}", "x-b, x-a"),
        (
            "{oauth2: {token_url: 'https://id/${TOKEN}?t=${TOKEN}', client_id: '${TOKEN}', \
             client_secret: '${TOKEN}', parameters: {p: '${TOKEN}'}}}",
            "authorization",
        ),
    ] {
        let (config, warnings) = upstream_with(credentials);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(&format!("polls carry credentials ({names})")));
        let shown = format!("{config:?}");
        assert!(
            !shown.contains("s3cret") && !shown.contains("from a file"),
            "{shown}"
        );
    }
}

#[test]
fn a_token_endpoint_without_tls_is_warned_of_unless_it_is_near() {
    let warned = |url: &str| {
        let (_, warnings) = upstream_with(&format!(
            "{{oauth2: {{token_url: '{url}', client_id: a, client_secret: b}}}}"
        ));
        warnings
            .iter()
            .any(|warning| warning.contains("without TLS"))
    };
    for near in [
        "localhost",
        "127.0.0.1:81",
        "10.1.2.3",
        "192.168.0.1",
        "[::1]",
        "[fd00::1]",
    ] {
        assert!(!warned(&format!("http://{near}/token")), "{near}");
    }
    for far in [
        "id.example",
        "11.0.0.1",
        "[2001:db8::1]",
        "localhost.example",
    ] {
        assert!(warned(&format!("http://{far}/token")), "{far}");
        assert!(!warned(&format!("https://{far}/token")), "{far}");
    }
}
