//! What polls prove themselves with: secrets in files that rotate, and tokens that are renewed.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::support::certificate::Certificate;
use crate::support::client::{get, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::secure::SecureServer;
use crate::support::stage::Stage;
use crate::support::upstream::{Reply, Request, Upstream};

/// An upstream that takes only what `key` says at present, in a header of this name.
struct Door {
    upstream: Upstream,
    key: Arc<Mutex<String>>,
}

impl Door {
    fn new(name: &'static str, key: &str) -> Self {
        let key = Arc::new(Mutex::new(key.to_owned()));
        let wanted = Arc::clone(&key);
        let upstream = Upstream::start(move |request| {
            match request.header(name) == Some(wanted.lock().unwrap().as_str()) {
                true => Reply::json("[1]"),
                false => Reply::status(401, "no"),
            }
        });
        Self { upstream, key }
    }

    fn wants(&self, key: &str) {
        *self.key.lock().unwrap() = key.to_owned();
    }
}

fn config(upstream: &Upstream, credentials: &str, more: &str) -> String {
    format!(
        "upstreams: {{ legacy: {{ url: \"{}\", credentials: {credentials} }} }}\n\
         feeds:\n  - {{ path: /feed, upstream: legacy{more} }}\n",
        upstream.url()
    )
}

const FAST: &str = ", poll: { interval: 20ms }";

/// A proxy whose configuration has the file `secret` beside it, and where that is.
fn with_file(upstream: &Upstream, secret: &str, credentials: &str, more: &str) -> (Proxy, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("secret");
    std::fs::write(&file, secret).expect("a file");
    let proxy = Proxy::start_in(folder, &config(upstream, credentials, more));
    (proxy, file)
}

#[test]
fn basic_bearer_and_header_credentials_come_from_files() {
    for (name, value, credentials) in [
        // RFC 7617 section 2 gives this example.
        (
            "authorization",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            "{ basic: { username: Aladdin, password_file: secret } }",
        ),
        ("authorization", "Bearer open", "{ bearer_file: secret }"),
        (
            "x-api-key",
            "open sesame",
            "{ header_files: { X-API-Key: secret } }",
        ),
    ] {
        let secret = if value == "Bearer open" {
            "open\n"
        } else {
            "open sesame\r\n"
        };
        let door = Door::new(name, value);
        let (proxy, _) = with_file(&door.upstream, secret, credentials, FAST);
        subscribe(proxy.address(), "/feed").expect("snapshot");
        assert_eq!(
            get(proxy.address(), "/feed", &[]).status,
            401,
            "not with pass-through"
        );
        let (_, feeds) = proxy.admin("/api/feeds");
        assert!(!feeds.contains("open") && !proxy.log().contains("sesame"));
    }
}

#[test]
fn a_password_may_stand_in_the_environment() {
    let door = Door::new("authorization", "Basic YTpiOmM=");
    let credentials = "{ basic: { username: a, password: \"${PASSWORD}\" } }";
    let config = config(&door.upstream, credentials, FAST);
    let proxy = Proxy::start_with(&config, &[("PASSWORD", "b:c")]);
    subscribe(proxy.address(), "/feed").expect("snapshot");
}

#[test]
fn a_rotated_secret_is_used_without_a_failed_poll() {
    let door = Door::new("x-key", "old");
    let credentials = "{ header_files: { x-key: secret } }";
    let (proxy, file) = with_file(&door.upstream, "old", credentials, FAST);
    let _stream = subscribe(proxy.address(), "/feed");
    // 401 to the old one: the file is read at once, and the same poll asks again.
    let mut wanted = door.key.lock().unwrap();
    std::fs::write(&file, "fresh\n").expect("a file");
    *wanted = "fresh".to_owned();
    drop(wanted);
    let asked = || door.upstream.requests();
    eventually("the new secret", || {
        asked()
            .iter()
            .any(|poll| poll.header("x-key") == Some("fresh"))
    });
    let failed = proxy.metric("pollcast_polls_total", &["status_4xx"]);
    assert_eq!(failed, 0.0, "{}", proxy.log());
    assert!(proxy.log().contains("a new credential is in use"));

    // A file that changed is noticed without a refusal, too, also when a link is turned over.
    let other = file.with_file_name("other");
    std::fs::write(&other, "other").expect("a file");
    std::fs::rename(&other, &file).expect("another file of the name");
    eventually("the file is looked at", || {
        asked()
            .iter()
            .any(|poll| poll.header("x-key") == Some("other"))
    });
}

#[test]
fn a_file_that_cannot_be_used_leaves_the_last_good_secret_and_is_told_once() {
    let door = Door::new("authorization", "Bearer good");
    let (proxy, file) = with_file(&door.upstream, "good", "{ bearer_file: secret }", FAST);
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    std::fs::write(&file, "\n").expect("a file");
    let told = |what: &str| proxy.log().matches(what).count();
    eventually("the empty file is told", || told("it is empty") == 1);
    std::fs::remove_file(&file).expect("no file");
    let polls = || proxy.metric("pollcast_polls_total", &[]);
    let before = polls();
    eventually("polls go on", || polls() > before + 60.0);
    assert_eq!(told("the last credential stays"), 1);
    assert_eq!(proxy.metric("pollcast_polls_total", &["status_4xx"]), 0.0);
    std::fs::write(&file, "fresh").expect("a file");
    door.wants("Bearer fresh");
    eventually("it is back", || told("a new credential is in use") == 1);
}

#[test]
fn a_wrong_secret_is_asked_with_once_a_poll() {
    let door = Door::new("authorization", "Bearer right");
    let once = ", poll: { interval: 1h }";
    let (proxy, _) = with_file(&door.upstream, "wrong", "{ bearer_file: secret }", once);
    assert_eq!(subscribe(proxy.address(), "/feed").status, 401);
    assert_eq!(door.upstream.count("/feed"), 1);
}

#[test]
fn credentials_follow_redirects_within_the_origin_only() {
    let (elsewhere, _document) = Upstream::with_document("[\"stolen\"]");
    let away = elsewhere.url();
    let redirect = |location: String| Reply::Answer {
        status: 307,
        headers: vec![("location", location)],
        body: Vec::new(),
    };
    let stage = Stage::new(move |request| match request.target.as_str() {
        "/feed" => redirect("/moved".into()),
        _ => Reply::json("[1]"),
    });
    let (proxy, _) = with_file(&stage.upstream, "t", "{ bearer_file: secret }", FAST);
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    let moved = stage.upstream.requests()[1].clone();
    assert_eq!(moved.header("authorization"), Some("Bearer t"));
    stage.becomes(move |_| redirect(format!("{away}/feed")));
    assert_eq!(stream.expect("status").value["state"], "stale");
    assert_eq!(elsewhere.requests().len(), 0);
}

/// A token endpoint that gives out `t1`, `t2`, ..., each for so many seconds.
struct Issuer {
    stage: Stage,
    given: Arc<AtomicUsize>,
}

impl Issuer {
    fn new(seconds: u32) -> Self {
        let given = Arc::new(AtomicUsize::new(0));
        let stage = Stage::new(|_| Reply::empty(500));
        let issuer = Self { stage, given };
        issuer.gives(seconds);
        issuer
    }

    fn gives(&self, seconds: u32) {
        let given = Arc::clone(&self.given);
        self.stage.becomes(move |_| {
            let number = given.fetch_add(1, Ordering::SeqCst) + 1;
            Reply::json(format!(
                "{{\"access_token\":\"t{number}\",\"token_type\":\"bearer\",\"expires_in\":{seconds}}}"
            ))
        });
    }

    fn credentials(&self, more: &str) -> String {
        let url = self.stage.url();
        format!("{{ oauth2: {{ token_url: \"{url}/token?x=1\", client_id: \"me:you\"{more} }} }}")
    }

    fn requests(&self) -> Vec<Request> {
        self.stage.upstream.requests()
    }
}

fn reason(proxy: &Proxy) -> String {
    let told = subscribe(proxy.address(), "/feed").expect("status").value;
    told["reason"].as_str().expect("a reason").to_owned()
}

#[test]
fn a_token_is_asked_for_once_for_all_feeds_as_rfc_6749_says() {
    let issuer = Issuer::new(3600);
    let door = Door::new("authorization", "Bearer t1");
    let more = ", client_secret: \"s:1\", scopes: [a, b], parameters: { audience: \"x y\" }";
    let feeds: String = (0..8)
        .map(|n| format!("  - {{ path: /f{n}, upstream: legacy, poll: {{ interval: 20ms }} }}\n"))
        .collect();
    let config = config(&door.upstream, &issuer.credentials(more), FAST) + &feeds;
    let proxy = Proxy::start(&config);
    let mut streams: Vec<_> = (0..8)
        .map(|n| subscribe(proxy.address(), &format!("/f{n}")))
        .collect();
    for stream in &mut streams {
        stream.expect("snapshot");
    }
    let requests = issuer.requests();
    assert_eq!(requests.len(), 1);
    let asked = &requests[0];
    assert_eq!((&*asked.method, &*asked.target), ("POST", "/token?x=1"));
    // `me%3Ayou` and `s%3A1` (RFC 6749 section 2.3.1), in base64.
    assert_eq!(
        asked.header("authorization"),
        Some("Basic bWUlM0F5b3U6cyUzQTE=")
    );
    let body = String::from_utf8(asked.body.clone()).unwrap();
    assert!(body.contains("grant_type=client_credentials"), "{body}");
    assert!(
        body.contains("scope=a+b") && body.contains("audience=x+y"),
        "{body}"
    );
    assert!(!body.contains("client_secret"), "{body}");
    let (_, feeds) = proxy.admin("/api/feeds");
    assert!(!feeds.contains("t1") && !proxy.log().contains("Bearer"));
}

#[test]
fn id_and_secret_may_go_into_the_body() {
    let issuer = Issuer::new(3600);
    let door = Door::new("authorization", "Bearer t1");
    let more = ", client_secret_file: secret, authentication: body";
    let (proxy, _) = with_file(&door.upstream, "s&1\n", &issuer.credentials(more), FAST);
    subscribe(proxy.address(), "/feed").expect("snapshot");
    let asked = issuer.requests()[0].clone();
    assert_eq!(asked.header("authorization"), None);
    let body = String::from_utf8(asked.body).unwrap();
    assert!(
        body.contains("client_id=me%3Ayou&client_secret=s%261"),
        "{body}"
    );
}

#[test]
fn a_token_is_renewed_before_it_ends_and_no_poll_fails() {
    let issuer = Issuer::new(2);
    let stage = Stage::serving("[1]");
    let config = config(
        &stage.upstream,
        &issuer.credentials(", client_secret: s"),
        FAST,
    );
    let proxy = Proxy::start(&config);
    let _stream = subscribe(proxy.address(), "/feed");
    let used = |token: &str| {
        let asked = stage.upstream.requests();
        asked
            .iter()
            .any(|poll| poll.header("authorization") == Some(token))
    };
    eventually("the third token", || used("Bearer t3"));
    for failure in ["no_token", "status_4xx"] {
        let failed = proxy.metric("pollcast_polls_total", &[failure]);
        assert_eq!(failed, 0.0, "{failure}");
    }
}

#[test]
fn a_refused_token_is_replaced_and_the_poll_repeated_once() {
    let issuer = Issuer::new(3600);
    let door = Door::new("authorization", "Bearer t1");
    let config = config(
        &door.upstream,
        &issuer.credentials(", client_secret: s"),
        FAST,
    );
    let proxy = Proxy::start(&config);
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    eventually("polls", || door.upstream.count("/feed") > 2);
    door.wants("Bearer t2");
    let asked = || door.upstream.requests();
    eventually("the second token", || {
        asked()
            .iter()
            .any(|poll| poll.header("authorization") == Some("Bearer t2"))
    });
    assert_eq!(proxy.metric("pollcast_polls_total", &["status_4xx"]), 0.0);
    assert_eq!(issuer.requests().len(), 2);
}

#[test]
fn an_upstream_that_refuses_every_token_costs_the_token_endpoint_little() {
    let issuer = Issuer::new(3600);
    let stage = Stage::new(|_| Reply::status(401, "never"));
    let config = config(
        &stage.upstream,
        &issuer.credentials(", client_secret: s"),
        FAST,
    );
    let proxy = Proxy::start(&config);
    assert_eq!(subscribe(proxy.address(), "/feed").status, 401);
    let _stream = get(
        proxy.address(),
        "/feed",
        &[("accept", "text/event-stream"), ("last-event-id", "x")],
    );
    eventually("many refusals", || {
        proxy.metric("pollcast_polls_total", &["status_4xx"]) > 3.5
    });
    let polls = stage.upstream.count("/feed");
    let asked = issuer.requests().len();
    assert!(
        asked <= polls.div_ceil(2) + 1,
        "{asked} tokens for {polls} polls"
    );
}

#[test]
fn without_a_token_the_reason_is_told_and_the_endpoint_left_in_peace() {
    let issuer = Issuer::new(3600);
    issuer.stage.becomes(|_| {
        let body = r#"{"error":"invalid_client","error_description":"no s3cret for you"}"#;
        Reply::status(401, body)
    });
    let door = Door::new("authorization", "Bearer t1");
    let config = config(
        &door.upstream,
        &issuer.credentials(", client_secret: s3cret"),
        FAST,
    );
    let proxy = Proxy::start(&config);
    let why = reason(&proxy);
    assert_eq!(
        why,
        "no access token from the token endpoint: it answered invalid_client"
    );
    eventually("polls fail", || {
        proxy.metric("pollcast_polls_total", &["no_token"]) > 3.5
    });
    let polls = proxy.metric("pollcast_polls_total", &["no_token"]);
    let asked = issuer.requests().len() as f64;
    assert!(asked < polls, "{asked} requests for {polls} polls");
    assert_eq!(door.upstream.requests().len(), 0);
    let (_, feeds) = proxy.admin("/api/feeds");
    assert!(!feeds.contains("s3cret") && !proxy.log().contains("s3cret"));

    issuer.gives(3600);
    let mut stream = subscribe(proxy.address(), "/feed");
    while stream.event().expect("an event").name != "snapshot" {}
}

#[test]
fn odd_answers_of_a_token_endpoint_are_told_without_what_they_hold() {
    let door = Door::new("authorization", "Bearer t1");
    for (answer, words) in [
        (
            Reply::status as fn(u16, &'static str) -> Reply,
            "503 Service Unavailable",
        ),
        (|_, _| Reply::json("<s3cret>"), "no bearer token"),
        (
            |_, _| Reply::json(r#"{"access_token":"s3cret","token_type":"mac"}"#),
            "no bearer token",
        ),
        (
            |_, _| Reply::json(r#"{"access_token":"s3cret\n","token_type":"bearer"}"#),
            "no bearer token",
        ),
        (
            |_, _| Reply::status(400, r#"{"error":"s3cret"}"#),
            "an error of its own",
        ),
        (
            |_, _| Reply::Answer {
                status: 307,
                headers: vec![("location", "/s3cret".into())],
                body: Vec::new(),
            },
            "307 Temporary Redirect",
        ),
    ] {
        let issuer = Issuer::new(1);
        issuer.stage.becomes(move |_| answer(503, "s3cret"));
        let config = config(
            &door.upstream,
            &issuer.credentials(", client_secret: s"),
            FAST,
        );
        let proxy = Proxy::start(&config);
        let why = reason(&proxy);
        assert!(why.contains(words) && !why.contains("s3cret"), "{why}");
        assert!(!proxy.log().contains("s3cret"), "{}", proxy.log());
        assert!(
            issuer
                .requests()
                .iter()
                .all(|it| it.target.starts_with("/token"))
        );
    }
    assert_eq!(door.upstream.requests().len(), 0);
}

#[test]
fn a_token_endpoint_that_is_silent_is_told_and_what_it_says_late_is_used() {
    let issuer = Issuer::new(3600);
    let (answer, answers) = std::sync::mpsc::channel::<()>();
    let answers = Mutex::new(answers);
    issuer.stage.becomes(move |_| {
        let _ = answers.lock().unwrap().recv();
        Reply::json(r#"{"access_token":"late","token_type":"Bearer"}"#)
    });
    let door = Door::new("authorization", "Bearer late");
    let hasty = ", poll: { interval: 20ms, timeout: 100ms }";
    let config = config(
        &door.upstream,
        &issuer.credentials(", client_secret: s"),
        hasty,
    );
    let proxy = Proxy::start(&config);
    let mut stream = subscribe(proxy.address(), "/feed");
    // A subscriber waits as long as the poll, and may be told a moment before it is over.
    stream.expect("status");
    let why = "\"no access token from the token endpoint: no answer within 100ms\"";
    eventually("it is told", || proxy.admin("/api/feeds").1.contains(why));
    answer.send(()).expect("somebody waits");
    while stream.event().expect("an event").name != "snapshot" {}
    assert_eq!(issuer.requests().len(), 1, "one request, whoever gave up");
}

#[test]
fn a_missing_file_is_told_by_check_and_by_run() {
    let folder: TempDir = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("pollcast.yaml");
    let door = Door::new("authorization", "x");
    let text = config(&door.upstream, "{ bearer_file: gone }", "");
    std::fs::write(&file, text).expect("a file");
    for command in ["check", "run"] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_pollcast"))
            .args([command, "-c"])
            .arg(&file)
            .output()
            .expect("the binary runs");
        assert!(!output.status.success());
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            told.contains("credentials.bearer_file") && told.contains("\"gone\""),
            "{told}"
        );
    }
}

#[test]
fn a_token_endpoint_is_trusted_for_its_upstreams_authorities() {
    let authority = Certificate::authority("our own authority");
    let endpoint = SecureServer::start(&authority.issue("localhost"), None);
    let start = |tls: &str| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        let url = format!("https://localhost:{}", endpoint.port());
        let config = format!(
            "upstreams: {{ legacy: {{ url: \"{url}\"{tls}, credentials: {{ oauth2: {{ \
             token_url: \"{url}/token\", client_id: me, client_secret: s3cret }} }} }} }}\n\
             feeds: [{{ path: /feed, upstream: legacy }}]\n"
        );
        Proxy::start_in(folder, &config)
    };
    let told = reason(&start(""));
    assert!(told.contains("the certificate is not trusted"), "{told}");
    assert!(endpoint.visits().is_empty());
    // It answers `[1]`, which is no token, but an answer.
    let told = reason(&start(", tls: { ca: ca.pem }"));
    assert!(told.contains("its answer is no bearer token"), "{told}");
    assert!(!endpoint.visits().is_empty());
}

#[test]
fn a_token_endpoint_is_not_reached_where_its_upstream_must_not_be() {
    let (issuer, upstream) = (Issuer::new(60), Stage::serving("{}"));
    let url = issuer.stage.url().replace("127.0.0.1", "localhost");
    let credentials =
        format!("{{ oauth2: {{ token_url: \"{url}/token\", client_id: a, client_secret: b }} }}");
    let addresses = ", addresses: { deny: [127.0.0.1, \"::1\"] }, host: shop.internal";
    // The upstream itself is at an address that is not denied.
    let elsewhere = upstream.url().replace("127.0.0.1", "127.0.0.2");
    let proxy = Proxy::start(&format!(
        "upstreams: {{ legacy: {{ url: \"{elsewhere}\", credentials: {credentials}{addresses} }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 50ms }} }}]\n"
    ));
    let told = reason(&proxy);
    assert!(told.contains("upstreams.legacy.addresses"), "{told}");
    assert!(issuer.requests().is_empty());
}
