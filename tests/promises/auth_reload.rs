//! Who is let in follows the configuration: what a reload takes away is gone, and what is refused
//! changes nothing.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::support::client::get;
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::stage::Stage;
use crate::support::tokens::{Key, SECRET, claims, shared};
use crate::support::upstream::{Reply, Request};

/// SHA-256 of `key`, and of `other`.
const KEY: &str = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683";
const OTHER: &str = "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa";

#[test]
fn a_refused_reload_moves_no_decision_to_other_servers() {
    let (right, wrong) = (
        Stage::new(|_: &Request| Reply::empty(403)),
        Stage::new(|_: &Request| Reply::empty(200)),
    );
    let api = Stage::serving("[1]");
    let config = |second: &Stage, more: &str| {
        format!(
            "server: {{ listen: [\"127.0.0.1:0\"{more}] }}\n\
             auth: {{ forward: {{ sso: {{ upstream: sso, path: /check, cache: 0s }} }} }}\n\
             upstreams: {{ legacy: {{ url: \"{}\" }}, sso: {{ servers: [\"{}\", \"{}\"] }} }}\n\
             feeds: [{{ path: /feed, upstream: legacy, access: [{{ forward: sso }}] }}]\n",
            api.url(),
            right.url(),
            second.url()
        )
    };
    let other = Stage::new(|_: &Request| Reply::empty(403));
    let proxy = Proxy::start(&config(&other, ""));
    let status = || get(proxy.address(), "/feed", &[]).status;
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = holder.local_addr().expect("an address");
    proxy.rewrite(&config(&wrong, &format!(", \"{taken}\"")));
    let (code, answer) = proxy.reload();
    assert_eq!((code, &answer["outcome"]), (422, &json!("refused")));
    for _ in 0..10 {
        assert_eq!(status(), 403, "as before");
    }
    assert_eq!(wrong.upstream.requests().len(), 0);
    proxy.rewrite(&config(&wrong, ""));
    let (code, answer) = proxy.reload();
    assert_eq!(code, 200, "{answer}");
    eventually("a decision of the other server", || status() == 200);
}

#[test]
fn a_policy_that_a_reload_tightens_holds_for_streams_that_run() {
    let api = Stage::serving("[1]");
    let config = |access: &str, keys: &str| {
        format!(
            "server: {{ listen: \"127.0.0.1:0\" }}\n\
             auth: {{ keys: {{ other: {{ sha256: {OTHER} }}{keys} }} }}\n\
             upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
             feeds: [{{ path: /feed, upstream: legacy, json: latest, access: {access} }}]\n",
            api.url()
        )
    };
    let mine = format!(", mine: {{ sha256: {KEY} }}");
    let both = config("[{ keys: [mine, other] }]", &mine);
    let proxy = Proxy::start(&both);
    let key = ("x-api-key", "key");
    let subscribed = || {
        let headers = [key, ("accept", "text/event-stream")];
        let mut stream = get(proxy.address(), "/feed", &headers);
        stream.expect("snapshot");
        stream
    };
    let turns_to = |config: &str| {
        proxy.rewrite(config);
        let (code, answer) = proxy.reload();
        assert_eq!(code, 200, "{answer}");
    };
    for tighter in [
        config("[{ keys: [other] }]", &mine),
        config("[{ keys: [other] }]", ""),
    ] {
        turns_to(&both);
        let mut stream = subscribed();
        turns_to(&tighter);
        while stream.block().is_some() {}
        assert_eq!(get(proxy.address(), "/feed", &[key]).status, 401);
    }
    // The same from one moment to the next for somebody who was let in without a key.
    turns_to(&config("everyone", &mine));
    let mut stream = get(proxy.address(), "/feed", &[("accept", "text/event-stream")]);
    stream.expect("snapshot");
    turns_to(&both);
    while stream.block().is_some() {}
    assert_eq!(get(proxy.address(), "/feed", &[]).status, 401);
}

#[test]
fn keys_that_cannot_be_read_refuse_a_reload_and_leave_who_is_in() {
    let api = Stage::serving("[1]");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.json");
    let key = Key::new("one");
    let publish = |keys: Value| std::fs::write(&file, json!({"keys": keys}).to_string());
    publish(json!([key.jwk()])).expect("a file");
    let config = |leeway: &str| {
        format!(
            "server: {{ listen: \"127.0.0.1:0\" }}\n\
             auth: {{ jwt: {{ corp: {{ issuer: \"https://id.example\", audience: [pollcast], \
             algorithms: [EdDSA], jwks_file: \"{}\", leeway: {leeway} }} }} }}\n\
             upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
             feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 20ms }}, \
             access: [{{ jwt: corp }}] }}]\n",
            file.display(),
            api.url()
        )
    };
    let proxy = Proxy::start(&config("1s"));
    let bearer = format!("Bearer {}", key.token(&claims(&json!({}))));
    let headers = [
        ("authorization", bearer.as_str()),
        ("accept", "text/event-stream"),
    ];
    let ask = || get(proxy.address(), "/feed", &headers);
    let mut stream = ask();
    stream.expect("snapshot");
    proxy.rewrite(&config("2s"));
    std::fs::rename(&file, folder.path().join("away")).expect("a file that moves");
    let (code, answer) = proxy.reload();
    assert_eq!((code, &answer["outcome"]), (422, &json!("refused")));
    std::fs::write(&file, "garbage").expect("a file");
    assert_eq!(proxy.reload().0, 422);
    // A secret in a set is no key, and neither is one that is for something else.
    let mut unfit = key.jwk();
    unfit["use"] = json!("enc");
    publish(json!([{"kty": "oct", "k": "AAAA", "alg": "HS256"}, unfit])).expect("a file");
    assert_eq!(proxy.reload().0, 422);
    api.serves("[2]");
    stream.expect("snapshot");
    ask().expect("snapshot");
    publish(json!([key.jwk()])).expect("a file");
    assert_eq!(proxy.reload().0, 200);
    ask().expect("snapshot");
}

#[test]
fn a_refused_reload_with_other_keys_sends_nobody_away() {
    let api = Stage::serving("[1]");
    let config = |secret: &str, more: &str| {
        format!(
            "server: {{ listen: [\"127.0.0.1:0\"{more}] }}\n\
             auth: {{ jwt: {{ corp: {{ issuer: \"https://id.example\", audience: [pollcast], \
             algorithms: [HS256], secret: {secret} }} }} }}\n\
             upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
             feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 20ms }}, \
             access: [{{ jwt: corp }}] }}]\n",
            api.url()
        )
    };
    let other = "fedcba9876543210fedcba9876543210";
    let proxy = Proxy::start(&config(SECRET, ""));
    let bearer = format!("Bearer {}", shared(SECRET, &claims(&json!({}))));
    let headers = [
        ("authorization", bearer.as_str()),
        ("accept", "text/event-stream"),
    ];
    let mut stream = get(proxy.address(), "/feed", &headers);
    stream.expect("snapshot");
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = holder.local_addr().expect("an address");
    proxy.rewrite(&config(other, &format!(", \"{taken}\"")));
    assert_eq!(proxy.reload().0, 422);
    api.serves("[2]");
    stream.expect("snapshot");
    proxy.rewrite(&config(other, ""));
    assert_eq!(proxy.reload().0, 200);
    assert_eq!(stream.expect("end").value["reason"], "unauthorized");
    assert_eq!(get(proxy.address(), "/feed", &headers).status, 401);
}
