//! The API behind the status page: what is known of feeds and topics, live, and nothing secret.

use serde_json::{Value, json};

use crate::support::client::{get, raw, request, subscribe};
use crate::support::contract::Contract;
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::stage::{Stage, numbered};
use crate::support::upstream::Reply;

/// A JSON answer of the private listener.
pub fn asked(proxy: &Proxy, path: &str) -> Value {
    let (status, body) = proxy.admin(path);
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
}

/// What `/api/status` says of a feed.
pub fn feed(proxy: &Proxy, path: &str) -> Value {
    let status = asked(proxy, "/api/status");
    let feeds = status["feeds"].as_array().expect("feeds");
    let feed = feeds.iter().find(|feed| feed["path"] == path);
    feed.unwrap_or_else(|| panic!("no {path}: {status}"))
        .clone()
}

/// What `/api/topic` says of the only topic of a feed.
fn topic(proxy: &Proxy, path: &str) -> Value {
    let id = feed(proxy, path)["topic_id"].clone();
    asked(
        proxy,
        &format!("/api/topic?id={}", id.as_str().expect("an id")),
    )
}

/// Waits until the feed says so, and for this reason nothing is sent.
fn quiet(proxy: &Proxy, path: &str, reason: &str) -> Value {
    let mut last = Value::Null;
    eventually(&format!("{path} is quiet: {reason}"), || {
        last = feed(proxy, path);
        last["quiet"]["reason"] == reason
    });
    assert_eq!(topic(proxy, path)["quiet"]["reason"], reason);
    last
}

#[test]
fn the_status_says_what_each_feed_does() {
    let stage = Stage::serving(numbered(1));
    let proxy = Proxy::with_feed(&stage.url(), "");
    let idle = feed(&proxy, "/feed");
    assert_eq!(idle["state"], "paused");
    assert_eq!(idle["quiet"]["reason"], "paused");
    assert_eq!(idle["last_change"], Value::Null);

    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    stage.serves(numbered(2));
    let patch = stream.expect("patch");
    eventually("polls and bytes are counted", || {
        let feed = feed(&proxy, "/feed");
        feed["polls"].as_u64() > Some(2) && feed["sent_bytes"].as_u64() > Some(400)
    });
    let status = asked(&proxy, "/api/status");
    let feed = &status["feeds"][0];
    assert_eq!(feed["state"], "live");
    assert_eq!(feed["parameters"], false);
    assert_eq!(
        (&feed["topics"], &feed["max_topics"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(feed["subscribers"]["patch"], 1);
    assert_eq!(feed["last_event_id"], patch.id.expect("an id"));
    assert_eq!(feed["document_bytes"], numbered(2).len());
    assert_eq!(feed["events"], 2);
    assert_eq!(feed["interval_ms"], 50);
    assert_eq!(feed["why"], "interval");
    assert_eq!(status["totals"]["subscribers"], 1);
    assert_eq!(status["totals"]["topics"], 1);
    assert_eq!(status["ready"], true);
    assert_eq!(status["listeners"], json!([proxy.url("")]));
    assert_eq!(status["upstreams"][0]["name"], "legacy");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));

    let mut second = subscribe(proxy.address(), "/feed");
    second.expect("snapshot");
    eventually("what is spared is counted", || {
        let totals = asked(&proxy, "/api/status")["totals"].clone();
        totals["spared_requests"].as_u64() > Some(3)
    });
}

#[test]
fn a_topic_shows_its_document_its_patches_and_its_polls() {
    let stage = Stage::serving(r#"{"n": 1.10, "text": "long enough for a patch to pay"}"#);
    let proxy = Proxy::with_feed(&stage.url(), "");
    let mut stream = subscribe(proxy.address(), "/feed");
    let first = stream.expect("snapshot").id;
    stage.serves(r#"{"n": 2.50, "text": "long enough for a patch to pay"}"#);
    let second = stream.expect("patch").id;
    stage.becomes(|_| Reply::status(500, "{}"));
    quiet(&proxy, "/feed", "failing");

    let id = feed(&proxy, "/feed")["topic_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let (_, text) = proxy.admin(&format!("/api/topic?id={id}"));
    // As the upstream wrote it.
    let document = r#""document":{"n":2.50,"text":"long enough for a patch to pay"}"#;
    assert!(text.contains(document), "{text}");
    let data = r#"{"bytes":43,"data":[{"op":"replace","path":"/n","value":2.50}]}"#;
    assert!(
        text.contains(&format!(r#""forms":{{"patch":{data}}}"#)),
        "{text}"
    );
    let topic: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(topic["id"], id);
    assert_eq!(
        (&topic["feed"], &topic["path"]),
        (&json!("/feed"), &json!("/feed"))
    );
    assert_eq!(topic["private"], false);
    assert_eq!(topic["subscribers"], 1);
    assert_eq!(topic.get("document_omitted"), None);
    let events = topic["events"].as_array().expect("events");
    let ids: Vec<_> = events
        .iter()
        .map(|event| event["id"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(ids, [second.clone(), first.clone()]);
    assert_eq!(events[1]["forms"], json!({}));
    let polls = topic["polls"].as_array().expect("polls");
    assert_eq!(polls[0]["outcome"], "status_5xx");
    assert_eq!(
        polls[0]["reason"],
        "the upstream answered 500 Internal Server Error"
    );
    let of = |id: &Option<String>| {
        polls
            .iter()
            .find(|poll| poll["event_id"] == json!(id))
            .cloned()
    };
    let changed = of(&second)
        .or(of(&first))
        .or(Some(polls[0].clone()))
        .expect("a poll");
    assert!(changed["took_ms"].is_u64() && changed["body_bytes"].is_u64());
    assert!(polls.len() <= 20);
}

#[test]
fn what_is_too_large_or_too_deep_is_left_out_and_the_rest_is_shown() {
    let large = |n: usize| {
        let rows: Vec<_> = (0..600)
            .map(|id| json!({ "id": id, "text": "x".repeat(450), "n": n }))
            .collect();
        json!(rows).to_string()
    };
    let stage = Stage::serving(large(1));
    let proxy = Proxy::with_feed(&stage.url(), "");
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    let shown = topic(&proxy, "/feed");
    assert_eq!(
        (&shown["document"], &shown["document_omitted"]),
        (&Value::Null, &json!("too_large"))
    );
    for n in 2..5 {
        stage.serves(large(n));
        assert!(stream.expect("patch").data.len() > 22 << 10);
    }
    // As much as there is room for, the newest first.
    let shown = topic(&proxy, "/feed");
    let omitted: Vec<_> = (0..4)
        .map(|n| shown["events"][n].get("omitted").cloned())
        .collect();
    assert_eq!(omitted, [None, None, Some(json!("too_large")), None]);
    Contract::of(&proxy).check("get", "/api/topic", 200, &shown);

    stage.serves("[".repeat(101) + &"]".repeat(101));
    stream.expect("snapshot");
    assert_eq!(topic(&proxy, "/feed")["document_omitted"], "too_large");
    stage.serves("[".repeat(100) + &"]".repeat(100));
    stream.event().expect("it goes on");
    let shown = topic(&proxy, "/feed");
    assert_eq!(shown.get("document_omitted"), None, "{shown}");
    let target = format!("/api/topic?id={}", shown["id"].as_str().expect("an id"));
    let live = subscribe(proxy.admin_address(), &target)
        .expect("snapshot")
        .value;
    assert_eq!(live["document"], shown["document"]);
}

#[test]
fn every_reason_for_silence_is_told() {
    for (reason, part, poll, head, status) in [
        ("unchanged", "the same since 2", "", None, 200),
        ("failing", "500 Internal", "", None, 500),
        ("ended", "(gone, status 410)", "", None, 410),
        (
            "held_back",
            "(Retry-After)",
            "",
            Some(("retry-after", "100")),
            503,
        ),
        (
            "waiting",
            "(Cache-Control)",
            "",
            Some(("cache-control", "max-age=600")),
            200,
        ),
        (
            "not_polled_yet",
            "no poll was answered",
            ", timeout: 1m",
            None,
            0,
        ),
    ] {
        let stage = Stage::new(move |_| match status {
            0 => Reply::Hang,
            status => Reply::Answer {
                status,
                headers: head
                    .map(|(name, value)| (name, value.to_owned()))
                    .into_iter()
                    .collect(),
                body: b"[1]".to_vec(),
            },
        });
        let proxy = Proxy::with_feed(&stage.url(), &format!(", poll: {{ interval: 50ms{poll} }}"));
        let head = "GET /feed HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n";
        let mut stream = std::net::TcpStream::connect(proxy.address()).expect("a connection");
        std::io::Write::write_all(&mut stream, head.as_bytes()).expect("a request");
        let feed = quiet(&proxy, "/feed", reason);
        let text = feed["quiet"]["text"].as_str().expect("a sentence");
        assert!(text.contains(part), "{reason}: {text}");
        Contract::of(&proxy).check("get", "/api/status", 200, &asked(&proxy, "/api/status"));
    }
}

/// Feeds of every kind, a secret wherever there can be one.
const EVERYTHING: &str = r#"
upstreams:
  shop:
    url: "UPSTREAM?key=s3cret-0"
    headers: { authorization: "Bearer s3cret-1", x-key: "${KEY}" }
    budget: 90000/m
feeds:
  - path: /plain
    upstream: shop
    poll: { interval: 50ms, idle: keep }
    request: { headers: { cookie: s3cret-2 }, query: { token: s3cret-3 } }
    document: { key: id }
  - { path: "/of/{id}", upstream: shop, poll: { interval: 50ms }, request: { forward_query: [page] } }
  - { path: /mine, upstream: shop, poll: { interval: 50ms }, share: { per_credential: [authorization] } }
  - { path: /asked, upstream: shop, poll: { interval: 50ms }, request: { client_body: {} } }
"#;

/// One with subscribers of each feed.
fn everything() -> (Stage, Proxy, Vec<crate::support::client::Response>) {
    let stage = Stage::new(|request| {
        let token = request.header("authorization").unwrap_or_default();
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let rows: Vec<_> = (0..5)
            .map(|id| json!({ "id": id, "text": "long enough" }))
            .collect();
        let private = request.target.starts_with("/mine") || request.target.starts_with("/asked");
        let own = private.then_some([token, &body].concat());
        let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let at = at.unwrap().as_millis();
        let named = own.as_ref().map(|own| json!({ own: at }));
        Reply::json(json!({ "own": own, "named": named, "rows": rows, "at": at }).to_string())
    });
    let config = EVERYTHING.replace("UPSTREAM?key=s3cret-0", &stage.url());
    let proxy = Proxy::start_with(&config, &[("KEY", "s3cret-4")]);
    let mut streams = vec![
        subscribe(proxy.address(), "/plain"),
        subscribe(proxy.address(), "/of/1?page=2"),
    ];
    for n in 5..8 {
        let bearer = format!("Bearer s3cret-{n}");
        let headers = [("accept", "text/event-stream"), ("authorization", &bearer)];
        streams.push(get(proxy.address(), "/mine", &headers));
    }
    let headers = [
        ("accept", "text/event-stream"),
        ("content-type", "application/json"),
    ];
    let body = br#"{"user":"s3cret-8"}"#;
    streams.push(request(proxy.address(), "POST", "/asked", &headers, body));
    for stream in &mut streams {
        assert_eq!(stream.status, 200);
        stream.expect("snapshot");
        stream.expect("patch");
    }
    (stage, proxy, streams)
}

/// Every topic there is.
fn topics(proxy: &Proxy) -> Vec<Value> {
    let paths = ["/plain", "/of/%7Bid%7D", "/mine", "/asked"];
    let page = |path: &str| asked(proxy, &format!("/api/topics?feed={path}"))["topics"].clone();
    let pages = paths
        .into_iter()
        .flat_map(|path| page(path).as_array().expect("topics").clone());
    pages.collect()
}

#[test]
fn every_answer_is_as_the_description_says_and_every_path_is_in_it() {
    let (_stage, proxy, _streams) = everything();
    let contract = Contract::of(&proxy);
    let check = |path: &str, query: &str| {
        contract.check("get", path, 200, &asked(&proxy, &format!("{path}{query}")));
    };
    for path in [
        "/api/status",
        "/api/feeds",
        "/api/upstreams",
        "/api/config",
        "/api/openapi.json",
    ] {
        check(path, "");
    }
    for feed in ["/plain", "/of/%7Bid%7D", "/mine", "/asked"] {
        check("/api/topics", &format!("?feed={feed}&limit=1"));
    }
    let topics = topics(&proxy);
    assert_eq!(topics.len(), 6);
    for topic in &topics {
        let id = topic["id"].as_str().expect("an id");
        check("/api/topic", &format!("?id={id}"));
    }
    for query in ["path=/plain", "feed=/mine"] {
        let target = format!("/api/poll?{query}");
        let answer = request(proxy.admin_address(), "POST", &target, &[], b"");
        assert_eq!(answer.status, 202);
        let answer = serde_json::from_str(&answer.text()).expect("JSON");
        contract.check("post", "/api/poll", 202, &answer);
    }
    let (_, list) = proxy.admin("/nowhere");
    let mut told: Vec<_> = list
        .trim_start_matches("try ")
        .split([',', ' ', '\n'])
        .filter(|word| word.starts_with('/'))
        .map(str::to_owned)
        .collect();
    let mut described = contract.paths();
    told.sort();
    described.sort();
    assert_eq!(told, described);
}

#[test]
fn what_belongs_to_some_clients_is_shown_to_nobody_and_secrets_are_hidden_everywhere() {
    let (_stage, proxy, _streams) = everything();
    for feed in ["/mine", "/asked"] {
        let feed = format!("feed={feed:?}");
        eventually("noise is found", || {
            proxy.metric("pollcast_noise_places", &[&feed]) > 1.5
        });
    }
    let (_, status) = proxy.admin("/api/status");
    let mut bodies = vec![status];
    for path in [
        "/api/feeds",
        "/api/upstreams",
        "/api/config",
        "/metrics",
        "/",
    ] {
        bodies.push(proxy.admin(path).1);
    }
    let topics = topics(&proxy);
    let mut shown = 0;
    for topic in &topics {
        let target = format!("/api/topic?id={}", topic["id"].as_str().expect("an id"));
        let full = asked(&proxy, &target);
        let is_private = full["feed"] == "/mine" || full["feed"] == "/asked";
        assert_eq!(full["private"], is_private, "{full}");
        if is_private {
            assert_eq!(
                (&full["document"], &full["document_omitted"]),
                (&Value::Null, &json!("private"))
            );
            let newest = &full["events"][0];
            assert_eq!(newest["omitted"], "private", "{full}");
            assert!(newest["forms"]["patch"]["bytes"].is_u64());
            assert_eq!(newest["forms"]["patch"].get("data"), None);
            assert_eq!((&full["keys"], &full["noise"]), (&json!([]), &json!([])));
        } else {
            assert_eq!(full["document"]["rows"][4]["id"], 4, "{full}");
            assert!(
                full["events"][0]["forms"]["patch"]["data"].is_array(),
                "{full}"
            );
            shown += 1;
        }
        bodies.push(full.to_string());
        let mut live = subscribe(proxy.admin_address(), &target);
        bodies.push(live.expect("snapshot").data);
    }
    assert_eq!(shown, 2);
    let log = proxy.log();
    let told = |feed: &str| {
        let mut lines = log
            .lines()
            .filter(|line| line.contains("changes at every poll"));
        lines.any(|line| line.contains(feed))
    };
    assert!(told("/plain") && !told("/mine") && !told("/asked"), "{log}");
    bodies.push(log);
    for body in bodies {
        assert!(!body.contains("s3cret"), "{body}");
    }
    let config = asked(&proxy, "/api/config");
    assert!(
        config["file"]
            .as_str()
            .is_some_and(|file| file.ends_with("pollcast.yaml"))
    );
    assert_eq!(
        config["config"]["upstreams"]["shop"]["headers"]["authorization"],
        "***"
    );
}

#[test]
fn what_is_wrong_with_the_answer_for_one_client_is_told_without_its_words() {
    let stage = Stage::serving("<users><s3cret>1</users>");
    let config = |share: &str| {
        format!(
            "upstreams: {{ shop: {{ url: \"{}\" }} }}\n\
             feeds: [{{ path: /feed, upstream: shop, document: {{ format: xml }}{share} }}]\n",
            stage.url()
        )
    };
    let said = |proxy: &Proxy| {
        let headers = [("accept", "text/event-stream"), ("authorization", "mine")];
        let _stream = get(proxy.address(), "/feed", &headers);
        let mut said = String::new();
        eventually("the poll has failed", || {
            said = asked(proxy, "/api/topics?feed=/feed").to_string();
            said.contains("\"down\"")
        });
        said + &proxy.log()
    };
    let everyone = Proxy::start(&config(""));
    assert!(said(&everyone).contains("s3cret"), "it names what is wrong");
    let one = Proxy::start(&config(", share: { per_credential: [authorization] }"));
    let said = said(&one);
    assert!(
        said.contains("the answer cannot be read (") && !said.contains("s3cret"),
        "{said}"
    );
}

#[test]
fn topics_are_listed_page_by_page_even_while_they_go() {
    let stage = Stage::new(|request| Reply::json(format!("[{:?}]", request.target)));
    let proxy = Proxy::start(&format!(
        "upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds:\n  - {{ path: '/of/{{id}}', upstream: legacy, poll: {{ interval: 1m, linger: 1ms }} }}\n",
        stage.url()
    ));
    let mut streams: Vec<_> = (0..60)
        .map(|n| subscribe(proxy.address(), &format!("/of/{n}")))
        .collect();
    streams
        .iter_mut()
        .for_each(|stream| drop(stream.expect("snapshot")));
    let page = |query: &str| asked(&proxy, &format!("/api/topics?feed=/of/%7Bid%7D{query}"));
    let path = |topic: &Value| topic["path"].as_str().expect("a path").to_owned();
    let first = page("&limit=25");
    let mut seen: Vec<_> = first["topics"]
        .as_array()
        .expect("topics")
        .iter()
        .map(path)
        .collect();
    assert_eq!(seen.len(), 25);
    assert_eq!(page("")["topics"].as_array().map(Vec::len), Some(50));
    // The one that the list goes on after goes away.
    let next = first["next"].as_str().expect("more").to_owned();
    let last: usize = seen[24]
        .trim_start_matches("/of/")
        .parse()
        .expect("a number");
    drop(streams.swap_remove(last));
    eventually("it is gone", || {
        proxy.admin(&format!("/api/topic?id={next}")).0 == 404
    });
    let mut next = Some(next);
    while let Some(after) = next {
        let rest = page(&format!("&limit=20&after={after}"));
        seen.extend(rest["topics"].as_array().expect("topics").iter().map(path));
        next = rest["next"].as_str().map(str::to_owned);
    }
    assert_eq!(seen.len(), 60);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 60);

    let feed = feed(&proxy, "/of/{id}");
    assert_eq!(
        (&feed["parameters"], &feed["topics"]),
        (&json!(true), &json!(59))
    );
    assert_eq!(
        (&feed["state"], &feed["topic_id"]),
        (&json!("live"), &Value::Null)
    );
    for query in [
        "",
        "feed=/x",
        "feed=/of/%7Bid%7D&limit=0",
        "feed=/of/%7Bid%7D&after=x",
    ] {
        let (status, why) = proxy.admin(&format!("/api/topics?{query}"));
        assert!(status == 400 || status == 404, "{query}: {status} {why}");
    }
}

#[test]
fn whoever_asks_wrongly_is_told_and_answers_say_what_they_allow() {
    let stage = Stage::serving("[1]");
    let proxy = Proxy::with_feed(&stage.url(), "");
    let admin = proxy.admin_address();
    for path in [
        "/",
        "/api/status",
        "/api/topics?feed=/feed",
        "/api/config",
        "/metrics",
        "/nowhere",
    ] {
        let head = format!("HEAD {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let head = raw(admin, head.as_bytes());
        let full = get(admin, path, &[]);
        assert_eq!(head.status, full.status, "{path}");
        for name in [
            "content-type",
            "cache-control",
            "etag",
            "content-security-policy",
        ] {
            assert_eq!(head.header(name), full.header(name), "{path} {name}");
        }
        let policy = full.header("content-security-policy").expect("a policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{policy}"
        );
        assert_eq!(full.header("x-content-type-options"), Some("nosniff"));
        // HEAD has no body, and the connection goes on.
        let next = head.again(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
        assert_eq!(next.text(), "ok\n");
        assert_eq!(
            request(admin, "PUT", path, &[], b"x").header("allow"),
            Some("GET, HEAD")
        );
    }
    assert_eq!(get(admin, "/api/poll", &[]).header("allow"), Some("POST"));
    assert_eq!(
        get(admin, "/api/status", &[]).header("vary"),
        Some("accept")
    );
    assert_eq!(
        get(admin, "/api/status", &[]).header("cache-control"),
        Some("no-store")
    );
    for (target, status) in [
        ("/api/topic", 400),
        ("/api/topic?id=x", 404),
        ("/api/topic?id=1.0000000000000001", 404),
    ] {
        assert_eq!(get(admin, target, &[]).status, status, "{target}");
        assert_eq!(subscribe(admin, target).status, status, "{target}");
    }
}

#[test]
fn files_of_the_page_are_sent_once() {
    let stage = Stage::serving("[1]");
    let proxy = Proxy::with_feed(&stage.url(), "");
    let admin = proxy.admin_address();
    for (path, media_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/status.css", "text/css; charset=utf-8"),
        ("/status.js", "text/javascript; charset=utf-8"),
        ("/pollcast.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let first = get(admin, path, &[]);
        assert_eq!(
            (first.status, first.header("content-type")),
            (200, Some(media_type))
        );
        assert_eq!(first.header("cache-control"), Some("no-cache"));
        let tag = first.header("etag").expect("a tag").to_owned();
        let again = get(admin, path, &[("if-none-match", &tag)]);
        assert_eq!(
            (again.status, again.header("etag")),
            (304, Some(tag.as_str()))
        );
        assert_eq!(
            get(admin, path, &[("if-none-match", "\"other\"")]).status,
            200
        );
    }
}
