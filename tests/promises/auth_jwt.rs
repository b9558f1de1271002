//! Who may have a feed, by tokens (JSON Web Tokens).

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::client::{Response, get, request, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::tokens::{Issuer, Key, SECRET, at, claims, shared};
use crate::support::upstream::{Reply, Upstream};

const EVENTS: (&str, &str) = ("accept", "text/event-stream");

fn upstream() -> Upstream {
    Upstream::start(|_| Reply::json("[1]"))
}

/// An issuer of this name whose keys are said so.
fn issuer(name: &str, keys: &str, algorithms: &str) -> String {
    format!(
        "{name}: {{ issuer: \"https://id.example\", audience: [pollcast], algorithms: [{algorithms}], leeway: 0s, {keys} }}"
    )
}

fn by_secret() -> String {
    issuer("corp", &format!("secret: {SECRET}"), "HS256")
}

fn by_url(server: &Upstream, refresh: &str) -> String {
    let keys = format!(
        "jwks_url: \"{}/jwks\", refresh: {{ {refresh} }}",
        server.url()
    );
    issuer("corp", &keys, "EdDSA")
}

fn proxy(upstream: &Upstream, auth: &str, feed: &str) -> Proxy {
    Proxy::start(&format!(
        "auth: {{ {auth} }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ upstream: legacy, poll: {{ interval: 20ms }}, {feed} }}]\n\
         proxy: []\n",
        upstream.url()
    ))
}

fn guarded(upstream: &Upstream, issuer: &str) -> Proxy {
    proxy(
        upstream,
        &format!("jwt: {{ {issuer} }}"),
        "path: /feed, access: [{ jwt: corp }]",
    )
}

fn ask(address: SocketAddr, target: &str, token: &str) -> Response {
    let bearer = format!("Bearer {token}");
    get(address, target, &[EVENTS, ("authorization", &bearer)])
}

fn token(more: &Value) -> String {
    shared(SECRET, &claims(more))
}

#[test]
fn a_token_of_the_issuer_lets_in_and_another_one_does_not() {
    let upstream = upstream();
    let proxy = guarded(&upstream, &by_secret());
    let address = proxy.address();
    ask(address, "/feed", &token(&json!({}))).expect("snapshot");
    for wrong in [
        token(&json!({"iss": "https://evil.example"})),
        token(&json!({"aud": "others"})),
        token(&json!({"exp": at(-1)})),
        token(&json!({"nbf": at(60)})),
        shared("another-secret-another-secret-another", &claims(&json!({}))),
        "x".repeat(9000),
        "a.b.c".to_owned(),
    ] {
        let refused = ask(address, "/feed", &wrong);
        assert_eq!(refused.status, 401);
        let challenge = refused.header("www-authenticate").unwrap().to_owned();
        assert_eq!(
            challenge,
            "Bearer realm=\"pollcast\", error=\"invalid_token\""
        );
        assert!(!refused.text().contains(&wrong[..3.min(wrong.len())]) || wrong.starts_with("xxx"));
    }
    assert_eq!(subscribe(address, "/feed").status, 401);
}

#[test]
fn captures_are_compared_with_claims_once_they_are_decoded() {
    let upstream = upstream();
    let feed =
        "path: \"/orders/{id}\", access: [{ jwt: corp, claims: { sub: \"{id}\", roles: reader } }]";
    let proxy = proxy(&upstream, &format!("jwt: {{ {} }}", by_secret()), feed);
    let token = token(&json!({"sub": "a b", "roles": ["reader"]}));
    ask(proxy.address(), "/orders/a%20b", &token).expect("snapshot");
    ask(proxy.address(), "/orders/%61%20%62", &token).expect("snapshot");
    for other in [
        "/orders/a%2520b",
        "/orders/a+b",
        "/orders/A%20b",
        "/orders/a%20b%20",
    ] {
        let refused = ask(proxy.address(), other, &token);
        assert_eq!(refused.status, 403, "{other}");
        let challenge = refused.header("www-authenticate").unwrap();
        assert!(
            challenge.ends_with("error=\"insufficient_scope\""),
            "{challenge}"
        );
    }
    let reader = shared(SECRET, &claims(&json!({"sub": "a b"})));
    assert_eq!(ask(proxy.address(), "/orders/a%20b", &reader).status, 403);
}

#[test]
fn a_stream_ends_with_its_token_and_goes_on_with_another_one() {
    let upstream = upstream();
    let proxy = guarded(&upstream, &by_secret());
    let short = token(&json!({"exp": at(4)}));
    let mut stream = ask(proxy.address(), "/feed", &short);
    let snapshot = stream.expect("snapshot");
    assert_eq!(stream.expect("end").data, r#"{"reason":"unauthorized"}"#);
    while stream.block().is_some() {}
    assert!(stream.closed());
    let id = snapshot.id.unwrap();
    let again = |token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [
            EVENTS,
            ("authorization", bearer.as_str()),
            ("last-event-id", id.as_str()),
        ];
        get(proxy.address(), "/feed", &headers)
    };
    assert_eq!(again(&short).status, 401);
    assert_eq!(again(&token(&json!({}))).status, 200);
}

#[test]
fn a_token_may_come_in_a_cookie_or_the_query_if_the_configuration_says_so() {
    let upstream = upstream();
    let keys = format!("secret: {SECRET}, from: {{ cookie: session, query: access_token }}");
    let proxy = guarded(&upstream, &issuer("corp", &keys, "HS256"));
    let token = token(&json!({}));
    let cookie = format!("a=1; session={token}");
    get(proxy.address(), "/feed", &[EVENTS, ("cookie", &cookie)]).expect("snapshot");
    let target = format!("/feed?access_token={token}");
    subscribe(proxy.address(), &target).expect("snapshot");
    assert_eq!(ask(proxy.address(), "/feed", &token).status, 401);
    // What passes through does so without it.
    let passed = get(proxy.address(), &target, &[("cookie", &cookie)]);
    assert_eq!(passed.status, 200);
    let asked = upstream
        .requests()
        .into_iter()
        .find(|it| it.header("cookie").is_some())
        .unwrap();
    assert_eq!(asked.header("cookie"), Some("a=1"));
    assert!(
        upstream
            .requests()
            .iter()
            .all(|it| !it.target.contains(&token))
    );
    assert!(!proxy.log().contains(&token));
}

#[test]
fn any_entry_lets_in_and_all_of_one_must_hold() {
    let upstream = upstream();
    let auth = format!(
        "keys: {{ mine: {{ sha256: {} }} }}, jwt: {{ {}, {} }}",
        "a94d92e3063af5d0b02169d40a5ff5cd07fc412fda298ffe024ed9c6f10e21d2",
        by_secret(),
        issuer("other", &format!("secret: {SECRET}"), "HS256")
            .replace("id.example", "other.example"),
    );
    let feed = "path: /feed, access: [{ jwt: other }, { keys: [mine], jwt: corp, claims: { sub: alice } }]";
    let proxy = proxy(&upstream, &auth, feed);
    let address = proxy.address();
    // SHA-256 of this is above.
    let key = ("x-api-key", "demo-key-0123456789-abcdef");
    let corp = format!("Bearer {}", token(&json!({})));
    let other = format!("Bearer {}", token(&json!({"iss": "https://other.example"})));
    let status =
        |headers: &[(&str, &str)]| get(address, "/feed", &[&[EVENTS], headers].concat()).status;
    assert_eq!(status(&[("authorization", &other)]), 200);
    assert_eq!(status(&[("authorization", &corp)]), 401);
    assert_eq!(status(&[key]), 401);
    assert_eq!(status(&[key, ("authorization", &corp)]), 200);
    let bob = format!("Bearer {}", token(&json!({"sub": "bob"})));
    assert_eq!(status(&[key, ("authorization", &bob)]), 403);
}

#[test]
fn keys_are_fetched_and_rotated_and_streams_end_with_a_key_that_is_gone() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let issuer = Issuer::with(&[&old]);
    let upstream = upstream();
    let proxy = guarded(&upstream, &by_url(&issuer.server, "at_most_every: 100ms"));
    let (of_old, of_new) = (
        old.token(&claims(&json!({}))),
        new.token(&claims(&json!({}))),
    );
    let mut stream = ask(proxy.address(), "/feed", &of_old);
    stream.expect("snapshot");
    assert_eq!(ask(proxy.address(), "/feed", &of_new).status, 401);
    issuer.publishes(&[&old, &new]);
    eventually("the new key is known", || {
        ask(proxy.address(), "/feed", &of_new).status == 200
    });
    assert_eq!(ask(proxy.address(), "/feed", &of_old).status, 200);
    issuer.publishes(&[&new]);
    // Any token with a key that nobody knows has them fetched.
    let unknown = Key::new("unknown").token(&claims(&json!({})));
    eventually("the old key is gone", || {
        assert_eq!(ask(proxy.address(), "/feed", &unknown).status, 401);
        ask(proxy.address(), "/feed", &of_old).status == 401
    });
    assert_eq!(stream.expect("end").data, r#"{"reason":"unauthorized"}"#);
    assert_eq!(ask(proxy.address(), "/feed", &of_new).status, 200);
}

#[test]
fn unknown_keys_cause_no_more_requests_than_the_configuration_allows() {
    let key = Key::new("known");
    let issuer = Issuer::with(&[&key]);
    let upstream = upstream();
    let proxy = guarded(&upstream, &by_url(&issuer.server, "at_most_every: 1h"));
    ask(proxy.address(), "/feed", &key.token(&claims(&json!({})))).expect("snapshot");
    let unknown = Key::new("unknown").token(&claims(&json!({})));
    for _ in 0..200 {
        assert_eq!(ask(proxy.address(), "/feed", &unknown).status, 401);
    }
    assert_eq!(issuer.server.requests().len(), 1);
}

#[test]
fn the_last_good_keys_stay_while_none_can_be_fetched() {
    let key = Key::new("key");
    let issuer = Issuer::with(&[&key]);
    let upstream = upstream();
    let proxy = guarded(
        &upstream,
        &by_url(&issuer.server, "every: 1s, at_most_every: 100ms"),
    );
    let good = key.token(&claims(&json!({})));
    ask(proxy.address(), "/feed", &good).expect("snapshot");
    issuer.fails(true);
    eventually("a failure", || {
        proxy.metric("pollcast_auth_jwks_refreshes_total", &["failure"]) > 1.5
    });
    ask(proxy.address(), "/feed", &good).expect("snapshot");
    assert!(proxy.log().contains("no new keys of this issuer"));
    issuer.fails(false);
    eventually("it is told", || {
        proxy.log().contains("there are keys of this issuer again")
    });
}

#[test]
fn without_any_keys_nobody_is_let_in_and_told_to_come_back() {
    let key = Key::new("key");
    let issuer = Issuer::with(&[&key]);
    issuer.fails(true);
    let upstream = upstream();
    let proxy = guarded(&upstream, &by_url(&issuer.server, "at_most_every: 100ms"));
    let good = key.token(&claims(&json!({})));
    let refused = ask(proxy.address(), "/feed", &good);
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("5"))
    );
    // An EventSource gives up for ever on a 503.
    let bearer = format!("Bearer {good}");
    let source = [
        EVENTS,
        ("authorization", bearer.as_str()),
        ("cache-control", "no-cache"),
    ];
    let told = get(proxy.address(), "/feed", &source);
    assert_eq!(told.status, 200);
    let text = told.text();
    assert!(
        text.starts_with("retry:") && !text.contains("event:"),
        "{text}"
    );
    issuer.fails(false);
    eventually("keys are there", || {
        ask(proxy.address(), "/feed", &good).status == 200
    });
}

#[test]
fn whoever_is_revoked_is_sent_away_and_does_not_come_back() {
    let upstream = upstream();
    let proxy = guarded(&upstream, &by_secret());
    let admin = proxy.admin_url("").replace("http://", "").parse().unwrap();
    let (alice, bob) = (
        token(&json!({"jti": "a1"})),
        token(&json!({"sub": "bob", "jti": "b1"})),
    );
    let mut gone = ask(proxy.address(), "/feed", &alice);
    gone.expect("snapshot");
    let mut stays = ask(proxy.address(), "/feed", &bob);
    stays.expect("snapshot");
    let revoke = |body: &str| request(admin, "POST", "/api/revoke", &[], body.as_bytes());
    for wrong in ["", "{}", r#"{"for":"1h"}"#, r#"{"subject":"alice"}"#] {
        assert_eq!(revoke(wrong).status, 400, "{wrong}");
    }
    let done = revoke(r#"{"who":"corp/alice","for":"1h"}"#);
    assert_eq!((done.status, done.text().trim()), (200, r#"{"ended":1}"#));
    assert_eq!(gone.expect("end").data, r#"{"reason":"unauthorized"}"#);
    assert_eq!(ask(proxy.address(), "/feed", &alice).status, 401);
    ask(proxy.address(), "/feed", &bob).expect("snapshot");
    assert_eq!(revoke(r#"{"jti":"b1"}"#).status, 200);
    assert_eq!(stays.expect("end").data, r#"{"reason":"unauthorized"}"#);
    let elsewhere = [("origin", "https://evil.example")];
    let foreign = request(
        admin,
        "POST",
        "/api/revoke",
        &elsewhere,
        br#"{"sub":"bob"}"#,
    );
    assert_eq!(foreign.status, 403);
}
