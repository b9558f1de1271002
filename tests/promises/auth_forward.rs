//! Forward-auth: a service of the user's own decides who is let in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::client::{Response, get, raw, request};
use crate::support::eventually;
use crate::support::http2::{Client, Events, text};
use crate::support::proxy::Proxy;
use crate::support::stage::Stage;
use crate::support::upstream::{Reply, Request};

/// Lets in whoever has the cookie `user=NAME`, as NAME.
fn by_cookie(request: &Request) -> Reply {
    let cookie = request.header("cookie").unwrap_or_default();
    match cookie.strip_prefix("user=") {
        Some(user) => Reply::Answer {
            status: 200,
            headers: vec![("x-user", user.to_owned()), ("x-other", "kept".to_owned())],
            body: b"ignored".to_vec(),
        },
        None => Reply::Answer {
            status: 401,
            headers: vec![
                ("www-authenticate", "Cookie realm=\"shop\"".to_owned()),
                ("x-internal", "s3cret".to_owned()),
            ],
            body: b"b0dy of the service".to_vec(),
        },
    }
}

/// Shows what the upstream sees of identity.
fn echo(request: &Request) -> Reply {
    let seen: Vec<_> = request
        .headers
        .iter()
        .filter(|(name, _)| name.to_ascii_lowercase().replace('_', "-") == "x-user")
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    Reply::json(serde_json::to_string(&seen).expect("JSON"))
}

/// pollcast in front of an API, with a service that decides, of which `more` says more.
fn start(service: &Stage, api: &Stage, more: &str) -> Proxy {
    Proxy::start(&format!(
        "auth: {{ forward: {{ sso: {{ url: \"{}/check\", response_headers: [x-user]{more} }} }} }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds:\n\
         - {{ path: \"/feed/{{id}}\", upstream: legacy, poll: {{ interval: 50ms }}, access: [{{ forward: sso }}] }}\n\
         - {{ path: /memory, upstream: legacy, json: latest, poll: {{ interval: 50ms }}, access: [{{ forward: sso }}] }}\n\
         - {{ path: /mine, upstream: legacy, share: {{ per_credential: [x-user] }}, access: [{{ forward: sso }}] }}\n\
         proxy:\n\
         - {{ path: /, upstream: legacy, access: [{{ forward: sso }}] }}\n\
         - {{ path: /open, upstream: legacy }}\n",
        service.url(),
        api.url(),
    ))
}

fn stream(proxy: &Proxy, path: &str, user: &str) -> Response {
    let cookie = format!("user={user}");
    let headers = [("accept", "text/event-stream"), ("cookie", cookie.as_str())];
    get(proxy.address(), path, &headers)
}

fn plain(proxy: &Proxy, path: &str, headers: &[(&str, &str)]) -> Response {
    get(proxy.address(), path, headers)
}

/// What a service does with a request.
type Act = Box<dyn Fn(&Request) -> Reply + Send + Sync>;

#[test]
fn who_is_let_in_is_what_the_service_says() {
    let (service, api) = (Stage::new(by_cookie), Stage::new(echo));
    let proxy = start(&service, &api, "");
    let events = ("accept", "text/event-stream");
    for (path, headers) in [
        ("/feed/7", &[events][..]),
        ("/feed/7", &[]),
        ("/memory", &[events]),
        ("/memory", &[]),
        ("/elsewhere", &[]),
    ] {
        let answer = plain(&proxy, path, headers);
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Cookie realm=\"shop\"")
        );
        assert_eq!(answer.header("x-internal"), None);
        let told = answer.text();
        assert!(!told.contains("b0dy"), "{told}");
    }
    assert_eq!(api.upstream.requests().len(), 0);
    let ann = ("cookie", "user=ann");
    stream(&proxy, "/feed/7", "ann").expect("snapshot");
    assert_eq!(plain(&proxy, "/memory", &[ann]).status, 200);
    assert_eq!(
        plain(&proxy, "/elsewhere", &[ann]).text(),
        "[\"x-user=ann\"]"
    );
    assert_eq!(plain(&proxy, "/open", &[]).status, 200);
    // What becomes of 403 is the same.
    service.becomes(|_| Reply::status(403, "no"));
    assert_eq!(stream(&proxy, "/feed/8", "bob").status, 403);
}

#[test]
fn the_service_is_told_what_was_asked_and_nothing_else() {
    let (service, api) = (Stage::new(by_cookie), Stage::new(echo));
    let proxy = start(&service, &api, ", request_headers: [cookie, x-tenant]");
    let headers = [
        ("cookie", "user=ann"),
        ("x-tenant", "acme"),
        ("authorization", "Bearer t0ken"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-uri", "/forged"),
        ("x-forwarded-method", "DELETE"),
        ("x-forwarded-host", "forged.example"),
        ("content-type", "text/plain"),
    ];
    let answer = request(
        proxy.address(),
        "POST",
        "/elsewhere?a=1&mode=x",
        &headers,
        b"b0dy",
    );
    assert_eq!(answer.status, 200);
    let asked = &service.upstream.requests()[0];
    assert_eq!(
        (asked.method.as_str(), asked.target.as_str()),
        ("GET", "/check")
    );
    assert_eq!(asked.body, b"");
    let host = proxy.address().to_string();
    for (name, value) in [
        ("cookie", Some("user=ann")),
        ("x-tenant", Some("acme")),
        ("authorization", None),
        ("content-type", None),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-uri", Some("/elsewhere?a=1&mode=x")),
        ("x-forwarded-method", Some("POST")),
        ("x-forwarded-host", Some(host.as_str())),
        ("x-forwarded-proto", Some("http")),
    ] {
        assert_eq!(asked.header(name), value, "{name}");
    }
    // What only says how a stream is delivered is nothing to decide by.
    stream(&proxy, "/feed/7?mode=snapshot&last_event_id=a-1", "ann").expect("reset");
    let last = service.upstream.requests().pop().expect("a question");
    assert_eq!(last.header("x-forwarded-uri"), Some("/feed/7"));
}

#[test]
fn nobody_can_say_of_themselves_what_the_service_says() {
    let (service, api) = (Stage::new(by_cookie), Stage::new(echo));
    let proxy = start(&service, &api, "");
    for name in ["x-user", "X-USER", "x_user", "X-User"] {
        for (path, cookie, seen) in [
            ("/elsewhere", "user=ann", "[\"x-user=ann\"]"),
            ("/feed/7", "user=ann", "[\"x-user=ann\"]"),
            ("/open", "", "[]"),
        ] {
            let headers = [("cookie", cookie), (name, "admin"), (name, "root")];
            assert_eq!(plain(&proxy, path, &headers).text(), seen, "{name} {path}");
        }
    }
    // A feed for whoever the service says it is.
    for user in ["ann", "bob"] {
        let cookie = format!("user={user}");
        let headers = [
            ("accept", "text/event-stream"),
            ("cookie", cookie.as_str()),
            ("x-user", "root"),
        ];
        let document = plain(&proxy, "/mine", &headers).expect("snapshot").value;
        assert_eq!(document, serde_json::json!([format!("x-user={user}")]));
    }
}

#[test]
fn a_decision_is_kept_for_whoever_is_asked_about_alike() {
    let (service, api) = (Stage::new(by_cookie), Stage::new(echo));
    let proxy = start(&service, &api, ", cache: 1h");
    let asked = || service.upstream.requests().len();
    let ask = |path: &str, cookie: &str| plain(&proxy, path, &[("cookie", cookie)]);
    for _ in 0..5 {
        assert_eq!(ask("/a", "user=ann").text(), "[\"x-user=ann\"]");
    }
    assert_eq!(asked(), 1);
    // Nobody gets what was decided of somebody else, or of something else.
    for (path, cookie, status) in [
        ("/a", "user=bob", 200),
        ("/a", "user=ann ", 200),
        ("/a", "xuser=ann", 401),
        ("/a", "", 401),
        ("/b", "user=ann", 200),
        ("/a?x", "user=ann", 200),
    ] {
        assert_eq!(ask(path, cookie).status, status, "{path} {cookie}");
    }
    assert_eq!(ask("/a", "user=bob").text(), "[\"x-user=bob\"]");
    let post = request(
        proxy.address(),
        "POST",
        "/a",
        &[("cookie", "user=ann")],
        b"",
    );
    assert_eq!(post.status, 200);
    assert!(asked() >= 7);
    let cached = proxy.metric("pollcast_auth_forward_requests_total", &["sso", "cached"]);
    assert!(cached > 3.5, "{cached}");
}

#[test]
fn the_service_says_how_long_its_decision_holds() {
    for (control, more, questions) in [
        ("no-store", ", cache: 1h", 3),
        ("max-age=0", ", cache: 1h", 3),
        ("max-age=60", ", cache: 1h", 1),
        ("max-age=60", ", cache: 0s", 3),
        ("nonsense=,;", ", cache: 1h", 1),
    ] {
        let (service, api) = (Stage::new(by_cookie), Stage::new(echo));
        service.becomes(move |_| Reply::Answer {
            status: 204,
            headers: vec![("cache-control", control.to_owned())],
            body: Vec::new(),
        });
        let proxy = start(&service, &api, more);
        for _ in 0..3 {
            assert_eq!(plain(&proxy, "/a", &[]).status, 200);
        }
        assert_eq!(
            service.upstream.requests().len(),
            questions,
            "{control}{more}"
        );
    }
}

#[test]
fn equal_questions_at_once_are_asked_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let service = Stage::new(move |request| {
        count.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(200));
        by_cookie(request)
    });
    let api = Stage::new(echo);
    let proxy = start(&service, &api, ", cache: 1h");
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| assert_eq!(plain(&proxy, "/a", &[("cookie", "user=ann")]).status, 200));
        }
    });
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn without_an_answer_nobody_is_let_in_and_event_sources_come_back() {
    let huge = || vec![("x-user", "a".repeat(64 << 10))];
    let acts: Vec<(&str, Act)> = vec![
        ("an error", Box::new(|_| Reply::status(500, "no"))),
        ("not found", Box::new(|_| Reply::status(404, "no"))),
        ("a redirect to nowhere", Box::new(|_| Reply::empty(302))),
        ("silence", Box::new(|_| Reply::Hang)),
        (
            "no HTTP",
            Box::new(|_| Reply::Raw(b"SSH-2.0-x\r\n\r\n".to_vec())),
        ),
        ("nothing", Box::new(|_| Reply::Raw(Vec::new()))),
        (
            "half a head",
            Box::new(|_| Reply::Raw(b"HTTP/1.1 200 OK\r\nx-us".to_vec())),
        ),
        (
            "too much",
            Box::new(move |_| Reply::Answer {
                status: 200,
                headers: huge(),
                body: Vec::new(),
            }),
        ),
    ];
    for (what, act) in acts {
        let (service, api) = (Stage::new(act), Stage::new(echo));
        let proxy = start(&service, &api, ", timeout: 200ms");
        let ann = ("cookie", "user=ann");
        let answer = plain(&proxy, "/elsewhere", &[ann]);
        assert_eq!(answer.status, 503, "{what}");
        assert!(answer.header("retry-after").is_some(), "{what}");
        assert_eq!(plain(&proxy, "/memory", &[ann]).status, 503, "{what}");
        // EventSource gives up at an error status.
        let source = [
            ("accept", "text/event-stream"),
            ("cache-control", "no-cache"),
            ann,
        ];
        let mut waiting = get(proxy.address(), "/feed/7", &source);
        assert_eq!(waiting.status, 200, "{what}");
        assert!(waiting.event().is_none(), "{what}");
        assert_eq!(api.upstream.requests().len(), 0, "{what}");
        eventually("it is told", || proxy.log().contains("auth.forward"));
        let failed = proxy.metric("pollcast_auth_forward_requests_total", &["sso", "failed"]);
        assert!(failed > 0.5, "{what}");
    }
    // Gone altogether.
    let mut service = Stage::new(by_cookie);
    let api = Stage::new(echo);
    let proxy = start(&service, &api, "");
    service.upstream.kill();
    assert_eq!(
        plain(&proxy, "/elsewhere", &[("cookie", "user=ann")]).status,
        503
    );
    service.upstream.restart();
    eventually("it is back", || {
        plain(&proxy, "/elsewhere", &[("cookie", "user=ann")]).status == 200
    });
}

#[test]
fn a_body_without_end_is_not_waited_for() {
    let service = Stage::new(|_| {
        let head = b"HTTP/1.1 200 OK\r\nx-user: ann\r\ncontent-length: 1000000000\r\n\r\n".to_vec();
        let mut pieces = vec![head];
        pieces.extend((0..100).map(|_| vec![b'x'; 1 << 10]));
        Reply::Drip(pieces, Duration::from_millis(100))
    });
    let api = Stage::new(echo);
    let proxy = start(&service, &api, "");
    assert_eq!(plain(&proxy, "/elsewhere", &[]).text(), "[\"x-user=ann\"]");
}

#[test]
fn a_login_page_is_shown_to_people_and_no_event_source_is_sent_there() {
    let service = Stage::new(|_| Reply::Answer {
        status: 302,
        headers: vec![
            ("location", "https://login.example/?back=1".to_owned()),
            ("set-cookie", "state=abc".to_owned()),
        ],
        body: Vec::new(),
    });
    let api = Stage::new(echo);
    let proxy = start(&service, &api, ", cache: 1h");
    for _ in 0..2 {
        let answer = plain(&proxy, "/elsewhere", &[]);
        assert_eq!(answer.status, 302);
        assert_eq!(
            answer.header("location"),
            Some("https://login.example/?back=1")
        );
        assert_eq!(answer.header("set-cookie"), Some("state=abc"));
    }
    // What one is to remember is told to nobody else.
    assert_eq!(service.upstream.requests().len(), 2);
    let answer = stream(&proxy, "/feed/7", "ann");
    assert_eq!((answer.status, answer.header("location")), (401, None));
    assert_eq!(answer.header("set-cookie"), None);
}

#[test]
fn a_stream_ends_when_the_service_changes_its_mind() {
    let (service, api) = (Stage::new(by_cookie), Stage::serving("[1]"));
    let proxy = start(&service, &api, ", cache: 1h, recheck: 1s");
    let (mut ann, mut bob) = (
        stream(&proxy, "/feed/7", "ann"),
        stream(&proxy, "/feed/7", "bob"),
    );
    ann.expect("snapshot");
    bob.expect("snapshot");
    let asked = service.upstream.requests().len();
    eventually("it is asked again", || {
        service.upstream.requests().len() >= asked + 2
    });
    service.becomes(|request| match request.header("cookie") {
        Some("user=bob") => Reply::status(403, "gone"),
        _ => by_cookie(request),
    });
    assert_eq!(
        bob.expect("end").value,
        serde_json::json!({"reason": "unauthorized"})
    );
    assert!(bob.event().is_none());
    assert_eq!(stream(&proxy, "/feed/7", "bob").status, 403);
    api.serves("[2]");
    ann.event().expect("the other's stream goes on");
    // A service that is away for a moment ends nothing.
    service.becomes(|_| Reply::status(500, "no"));
    let asked = service.upstream.requests().len();
    eventually("it is asked", || {
        service.upstream.requests().len() >= asked + 2
    });
    api.serves("[3]");
    ann.event().expect("it goes on");
}

#[test]
fn nothing_that_a_service_was_told_is_told_to_anybody() {
    let (service, api) = (Stage::new(by_cookie), Stage::new(echo));
    let config = format!(
        "auth: {{ forward: {{ sso: {{ url: \"{}/check\", response_headers: [x-user] }} }} }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         logs: {{ access: on }}\n\
         feeds:\n- {{ path: /feed, upstream: legacy, poll: {{ interval: 50ms }}, access: [{{ forward: sso }}] }}\n",
        service.url(),
        api.url(),
    );
    let proxy = Proxy::start_with(&config, &[("RUST_LOG", "trace")]);
    let mut shown = String::new();
    stream(&proxy, "/feed", "s3cret-ann").expect("snapshot");
    service.becomes(|_| Reply::status(500, "s3cret-body"));
    shown += &plain(&proxy, "/feed", &[("cookie", "user=s3cret-bob")]).text();
    for path in [
        "/metrics",
        "/api/feeds",
        "/api/config",
        "/api/topics",
        "/api/upstreams",
    ] {
        shown += &proxy.admin(path).1;
    }
    shown += &proxy.log();
    assert!(shown.contains("sso"));
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn another_server_of_the_service_decides_where_one_is_gone() {
    let (service, api) = (Stage::new(by_cookie), Stage::new(echo));
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("an address")
    };
    let proxy = Proxy::start(&format!(
        "auth: {{ forward: {{ sso: {{ upstream: sso, path: /check, cache: 0s }} }} }}\n\
         upstreams:\n\
         \x20 legacy: {{ url: \"{}\" }}\n\
         \x20 sso: {{ servers: [\"http://{gone}\", \"{}\"] }}\n\
         proxy: [{{ path: /, upstream: legacy, access: [{{ forward: sso }}] }}]\n",
        api.url(),
        service.url(),
    ));
    for n in 0..10 {
        let cookie = format!("user={n}");
        let answer = plain(&proxy, "/elsewhere", &[("cookie", &cookie)]);
        assert_eq!(answer.status, 200, "{n}");
    }
}

#[test]
fn a_request_that_names_two_hosts_is_asked_of_nobody() {
    let (service, api) = (Stage::new(by_cookie), Stage::new(echo));
    let proxy = start(&service, &api, ", cache: 0s");
    let absolute = "GET http://public.example/elsewhere HTTP/1.1\r\nhost: private.example\r\n\
                    cookie: user=ann\r\nconnection: close\r\n\r\n";
    assert_eq!(raw(proxy.address(), absolute.as_bytes()).status, 400);
    assert_eq!(service.upstream.requests().len(), 0);
    assert_eq!(api.upstream.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_2_it_is_asked_and_its_streams_end_as_well() {
    let (service, api) = (Stage::new(by_cookie), Stage::new(echo));
    let proxy = Proxy::start(&format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\", http2: true }}] }}\n\
         auth: {{ forward: {{ sso: {{ url: \"{}/check\", response_headers: [x-user], \
         cache: 0s, recheck: 1s }} }} }}\n\
         upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /mine, upstream: legacy, share: {{ per_credential: [x-user] }}, \
         access: [{{ forward: sso }}] }}]\n\
         proxy: [{{ path: /, upstream: legacy, access: [{{ forward: sso }}] }}]\n",
        service.url(),
        api.url(),
    ));
    let mut client = Client::plain(proxy.address()).await;
    let events = ("accept", "text/event-stream");
    for path in ["/mine", "/elsewhere"] {
        assert_eq!(client.get(path, &[events]).await.status(), 401, "{path}");
    }
    assert_eq!(api.upstream.requests().len(), 0);
    // Cookies in pieces (RFC 9113 section 8.2.3) are one to the service.
    let pieces = [
        ("cookie", "user=ann"),
        ("cookie", "b=1"),
        ("x-user", "root"),
    ];
    let answer = client.get("/elsewhere", &pieces).await;
    assert_eq!(text(answer.into_body()).await, "[\"x-user=ann; b=1\"]");
    let asked = service.upstream.requests().pop().expect("a question");
    let host = proxy.address().to_string();
    assert_eq!(asked.header("x-forwarded-host"), Some(host.as_str()));
    let headers = [events, ("cookie", "user=ann")];
    let mut stream = Events::of(client.get("/mine", &headers).await);
    stream.until("event: snapshot").await;
    // Another host beside the authority is not what the one is told and not the other.
    let two = [("cookie", "user=ann"), ("host", "public.example")];
    let answer = client.get("/elsewhere", &two).await;
    if answer.status() == 200 {
        let told = |stage: &Stage| {
            let last = stage.upstream.requests().pop().expect("a request");
            last.header("x-forwarded-host").map(str::to_owned)
        };
        assert_eq!(told(&service), told(&api));
    }
    service.becomes(|_| Reply::status(403, "no"));
    stream.until("event: end").await;
    assert_eq!(stream.rest().await, "");
    assert_eq!(client.get("/mine", &headers).await.status(), 403);
}
