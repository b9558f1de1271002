//! What one client may see never reaches another: topics by credential.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::support::client::{Response, get, request};
use crate::support::http2;
use crate::support::proxy::Proxy;
use crate::support::stage::Stage;
use crate::support::upstream::{Reply, Request};
use crate::support::{Dice, eventually};

/// Who asks, to an upstream that tells them by their tokens.
fn user(request: &Request) -> Option<String> {
    let token = request.header("authorization")?;
    token.strip_prefix("Bearer ").map(str::to_owned)
}

/// An upstream with a document of its own for each token, another one at every poll, which holds the
/// token in every place. Without a token, it answers 401.
fn private() -> Stage {
    let polls = AtomicU64::new(0);
    Stage::new(move |request| {
        let Some(user) = user(request) else {
            return Reply::status(401, "{}");
        };
        let n = polls.fetch_add(1, Ordering::SeqCst);
        let rows: Vec<Value> = (0..8)
            .map(|i| json!({ "id": i, "of": user, "n": n + i }))
            .collect();
        Reply::Answer {
            status: 200,
            headers: vec![("etag", format!("\"{user}-{n}\""))],
            body: json!({ "of": user, "rows": rows }).to_string().into_bytes(),
        }
    })
}

const SHARE: &str = ", share: { per_credential: [authorization] }, events: { modes: [patch, merge, \
                     items, snapshot] }, document: { items: /rows, key: id }";

fn proxy(stage: &Stage, more: &str) -> Proxy {
    Proxy::with_feed(&stage.url(), &format!("{SHARE}{more}"))
}

fn ask(proxy: &Proxy, target: &str, token: &str, more: &[(&str, &str)]) -> Response {
    let bearer = format!("Bearer {token}");
    let own = [("accept", "text/event-stream"), ("authorization", &bearer)];
    get(proxy.address(), target, &[&own, more].concat())
}

/// The tokens in a text. They begin as nothing else does.
fn tokens(text: &str) -> HashSet<String> {
    let found = text.split("s3cret-").skip(1);
    let name = |rest: &str| {
        rest.chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect()
    };
    found.map(name).collect()
}

/// Reads some events, in which no other token may stand. Returns the last id.
fn read(stream: &mut Response, user: &str, events: u64) -> Option<String> {
    let mut last = None;
    for _ in 0..events {
        let event = stream.event().expect("an event");
        let strangers: Vec<_> = tokens(&event.data)
            .into_iter()
            .filter(|it| it != user)
            .collect();
        assert!(
            strangers.is_empty(),
            "{user} sees {strangers:?}: {}",
            event.data
        );
        last = event.id.or(last);
    }
    last
}

#[test]
fn nobody_ever_sees_what_another_may_see() {
    const USERS: u64 = 4;
    let stage = private();
    let proxy = proxy(&stage, ", poll: { interval: 10ms, linger: 200ms }");
    // Everybody knows everybody's ids.
    let ids: Mutex<Vec<(u64, String)>> = Mutex::default();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (proxy, ids) = (&proxy, &ids);
            scope.spawn(move || {
                let mut dice = Dice(1000 + thread);
                for _ in 0..250 {
                    one_request(proxy, ids, &mut dice, USERS);
                }
            });
        }
    });
    assert!(ids.lock().unwrap().len() > 100);
    for request in stage.upstream.requests() {
        let user = user(&request).expect("every poll has a token");
        if let Some(etag) = request.header("if-none-match") {
            assert_eq!(tokens(etag), tokens(&user), "validators are a user's own");
        }
    }
}

fn one_request(proxy: &Proxy, ids: &Mutex<Vec<(u64, String)>>, dice: &mut Dice, users: u64) {
    let number = dice.below(users);
    let user = format!("user{number}");
    let mode = ["patch", "merge", "items", "snapshot"][dice.below(4) as usize];
    let target = format!("/feed?mode={mode}");
    let known = {
        let ids = ids.lock().unwrap();
        let at = dice.below(ids.len().max(1) as u64) as usize;
        ids.get(at).cloned().filter(|_| dice.below(2) == 0)
    };
    let more: Vec<(&str, &str)> = match &known {
        Some((_, id)) => vec![("last-event-id", id)],
        None => Vec::new(),
    };
    let mut stream = ask(proxy, &target, &format!("s3cret-{user}"), &more);
    assert_eq!(stream.status, 200);
    if let Some((owner, _)) = &known
        && *owner != number
    {
        assert_eq!(stream.expect("reset").value["reason"], "unknown_id");
    }
    if let Some(id) = read(&mut stream, &user, 1 + dice.below(3)) {
        let mut ids = ids.lock().unwrap();
        ids.push((number, id));
    }
}

#[test]
fn what_is_private_says_so_and_is_polled_with_the_clients_own_headers() {
    let stage = private();
    let more = ", request: { headers: { authorization: Bearer operator, x-kept: yes } }";
    let proxy = proxy(&stage, &more.replace("yes", "'1'"));
    let mut stream = ask(
        &proxy,
        "/feed",
        "s3cret-a",
        &[("cookie", "c=1"), ("x-other", "1")],
    );
    stream.expect("snapshot");
    assert_eq!(
        stream.header("cache-control"),
        Some("private, no-cache, no-transform")
    );
    let vary = stream.header_list("vary");
    assert!(
        vary.split(", ").any(|name| name == "authorization"),
        "{vary}"
    );
    let polled = &stage.upstream.requests()[0];
    assert_eq!(polled.header("authorization"), Some("Bearer s3cret-a"));
    assert_eq!(polled.header("x-kept"), Some("1"));
    assert!(polled.header("cookie").is_none() && polled.header("x-other").is_none());
    // Who proves nothing must not see what the operator may see.
    let nobody = get(proxy.address(), "/feed", &[("accept", "text/event-stream")]);
    assert_eq!(nobody.status, 401);
}

#[test]
fn headers_are_told_apart_wherever_one_ends_and_the_next_begins() {
    let stage = Stage::new(|request| {
        let of = |name| request.header(name).unwrap_or("none").to_owned();
        Reply::json(json!([of("x-a"), of("x-b")]).to_string())
    });
    let more = ", share: { per_credential: [x-a, x-b] }";
    let proxy = Proxy::with_feed(&stage.url(), more);
    let see = |headers: &[(&str, &str)]| {
        let asks = [&[("accept", "text/event-stream")], headers].concat();
        get(proxy.address(), "/feed", &asks)
            .expect("snapshot")
            .value
    };
    assert_eq!(see(&[("x-a", "12"), ("x-b", "3")]), json!(["12", "3"]));
    assert_eq!(see(&[("x-a", "1"), ("x-b", "23")]), json!(["1", "23"]));
    assert_eq!(see(&[("x-b", "123")]), json!(["none", "123"]));
    assert_eq!(see(&[("x-a", "123")]), json!(["123", "none"]));
    assert_eq!(see(&[("x-a", ""), ("x-b", "123")]), json!(["", "123"]));
    assert_eq!(see(&[]), json!(["none", "none"]));
}

#[test]
fn whose_credentials_are_refused_is_alone_with_it() {
    let stage = private();
    let proxy = proxy(&stage, ", poll: { interval: 20ms, linger: 10s }");
    let mut good = ask(&proxy, "/feed", "s3cret-good", &[]);
    for (name, status, reason) in [
        ("s3cret-a", 401, "unauthorized"),
        ("s3cret-b", 403, "forbidden"),
    ] {
        let mut bad = ask(&proxy, "/feed", name, &[]);
        let id = bad.expect("snapshot").id.expect("an id");
        stage.becomes(move |request| match user(request) {
            Some(user) if user == name => Reply::status(status, "{}"),
            Some(user) => Reply::json(json!({ "of": user, "now": status }).to_string()),
            None => Reply::status(401, "{}"),
        });
        let last = std::iter::from_fn(|| bad.event()).last().expect("events");
        assert_eq!(
            (last.name.as_str(), &last.value["reason"]),
            ("end", &json!(reason))
        );
        let again = ask(&proxy, "/feed", name, &[("last-event-id", &id)]);
        assert_eq!(again.status, 204, "which stops an EventSource");
        assert_eq!(ask(&proxy, "/feed", name, &[]).status, status);
        // The other's stream goes on.
        loop {
            let event = good.event().expect("an event");
            assert!(
                event.name == "patch" || event.name == "snapshot",
                "{}",
                event.name
            );
            if event.data.contains(&status.to_string()) {
                break;
            }
        }
    }
}

#[test]
fn a_preflight_lets_the_named_headers_through() {
    let stage = private();
    let proxy = proxy(
        &stage,
        ", deliver: { cors: { origins: ['https://app.example'] } }",
    );
    let headers = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "authorization"),
    ];
    let answer = request(proxy.address(), "OPTIONS", "/feed", &headers, b"");
    assert_eq!(answer.status, 204);
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some("authorization")
    );
    assert_eq!(stage.upstream.requests().len(), 0);
}

#[test]
fn no_credential_can_be_read_anywhere() {
    let stage = private();
    let config = format!(
        "upstreams: {{ legacy: {{ url: \"{}\" }} }}\nfeeds:\n\
         - {{ path: '/mine/{{id}}', upstream: legacy, poll: {{ interval: 20ms, linger: 0s }}\n    {SHARE},\n\
         request: {{ client_body: {{}} }} }}\n",
        stage.url()
    );
    let proxy = Proxy::start_with(&config, &[("RUST_LOG", "trace")]);
    let ask = |token: &str, body: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("accept", "text/event-stream"),
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        request(
            proxy.address(),
            "POST",
            "/mine/1",
            &headers,
            body.as_bytes(),
        )
    };
    let mut stream = ask("t0ken-one", r#"{"b0dy": 1}"#);
    let mut shown = stream.expect("snapshot").id.expect("an id");
    stream.event();
    shown += &proxy.admin("/api/feeds").1;
    shown += &proxy.admin("/metrics").1;
    // Trouble is where things get told: refusals, an upstream that breaks off, one that is gone.
    stage.becomes(|_| Reply::status(403, "{}"));
    while stream.event().is_some() {}
    shown += &ask("t0ken-two", "[1]").text();
    stage.becomes(|_| Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".to_vec()));
    let mut stream = ask("t0ken-three", "[2]");
    shown += &stream.expect("status").data;
    shown += &proxy.admin("/api/feeds").1;
    shown += &proxy.admin("/metrics").1;
    drop(stream);
    eventually("its topic is gone", || {
        proxy.metric("pollcast_topics", &[]) < 0.5
    });
    shown += &proxy.log();
    assert!(shown.contains("/mine/1") && shown.contains("pollcast_topics"));
    for secret in ["t0ken", "b0dy", "Bearer"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_one_connection_may_be_of_different_users() {
    let stage = Stage::new(|request| {
        let cookie = request.header("cookie").unwrap_or("none").to_owned();
        let body = String::from_utf8_lossy(&request.body).into_owned();
        Reply::json(json!({ "cookie": cookie, "body": body }).to_string())
    });
    let proxy = Proxy::start(&format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\", http2: true }}], drain: 10s }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, request: {{ client_body: {{}} }}, \
         share: {{ per_credential: [cookie] }} }}]\n",
        stage.url()
    ));
    let mut client = http2::Client::plain(proxy.address()).await;
    for user in ["a", "b"] {
        // HTTP/2 cuts a cookie into its parts.
        let parts = [format!("user={user}"), "theme=dark".to_owned()];
        let headers = [
            ("accept", "text/event-stream"),
            ("content-type", "application/json"),
            ("cookie", parts[0].as_str()),
            ("cookie", parts[1].as_str()),
        ];
        let (answer, mut upload) = client.send("POST", "/feed", &headers, true).await;
        upload.send_data("[1]".into(), true).expect("open");
        let answer = http2::in_time(answer).await.expect("an answer");
        let mut events = http2::Events::of(answer);
        let seen = format!(r#"{{"cookie":"user={user}; theme=dark","body":"[1]"}}"#);
        events.until(&seen).await;
    }
    assert_eq!(proxy.metric("pollcast_topics", &[]) as i64, 2);
}
