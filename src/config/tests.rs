//! What the whole road promises, from text to [`Config`].

mod open;
mod secrets;

use std::time::Duration;

use super::expand::tests::Fixed;
use super::{Config, Feed, Idle, Limits, Listener, Memory, PollRequest, Template, Warning, below};
use crate::core::event::{Mode, Names};

fn parsed(text: &str) -> (Config, Vec<String>) {
    let (config, warnings) = Config::parse(text, &Fixed).unwrap();
    (config, warnings.iter().map(Warning::to_string).collect())
}

fn one_feed(rest: &str) -> (Config, Vec<String>) {
    parsed(&format!(
        "upstreams: {{shop: {{url: 'http://shop/base/', headers: {{x-a: up, x-b: up}}}}}}\nfeeds:\n  - {{path: /orders, upstream: shop{rest}}}\n"
    ))
}

/// Where a feed's polls go.
fn polled(feed: &Feed) -> String {
    let PollRequest { path, query, .. } = &feed.request;
    let plain = |(name, value): &(String, Template)| (name.clone(), value.text(&[]));
    let query: Vec<_> = query.iter().map(plain).collect();
    below(&feed.upstream.url, &path.path(&[]), &query).to_string()
}

#[test]
fn the_defaults_are_those_of_the_reference() {
    let (config, warnings) = one_feed("");
    assert!(warnings.is_empty());
    let standard = Listener::plain("127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.server.listen, [standard]);
    assert_eq!(config.server.header_timeout, Duration::from_secs(15));
    let memory = Memory {
        bytes: 4 << 30,
        is_auto: true,
    };
    let limits = Limits {
        memory,
        ..Limits::default()
    };
    assert_eq!(config.server.limits, limits);
    assert_eq!(
        (config.server.threads, config.server.drain),
        (4, Duration::from_secs(5))
    );
    assert_eq!(config.admin.listen, "127.0.0.1:9091".parse().unwrap());
    let feed = &config.feeds[0];
    assert_eq!(polled(feed), "http://shop/base/orders");
    assert_eq!(
        (feed.poll.interval, feed.poll.timeout),
        (Duration::from_secs(2), Duration::from_secs(5))
    );
    assert_eq!(
        (feed.poll.idle, feed.poll.linger),
        (Idle::Pause, Duration::from_secs(30))
    );
}

#[test]
fn the_defaults_of_documents_events_and_delivery_are_those_of_the_reference() {
    let (config, _) = one_feed("");
    let feed = &config.feeds[0];
    assert_eq!(
        (feed.document.max_bytes, feed.document.view.key.as_deref()),
        (16 << 20, None)
    );
    assert_eq!(
        (feed.events.mode, feed.events.modes.as_slice()),
        (Mode::Patch, &Mode::STANDARD[..])
    );
    assert_eq!(
        (feed.events.history.events, feed.events.history.bytes),
        (1000, 16 << 20)
    );
    assert_eq!(feed.events.names, Names::default());
    assert_eq!(
        (feed.deliver.retry, feed.deliver.heartbeat.every),
        (Duration::from_secs(3), Duration::from_secs(15))
    );
    assert_eq!(
        (feed.deliver.write_timeout, feed.deliver.end_after),
        (Duration::from_secs(30), Duration::from_secs(30))
    );
    assert_eq!(feed.deliver.max_lifetime, None);
    assert_eq!(
        (config.routes.len(), config.routes[0].path.as_str()),
        (1, "/")
    );
}

#[test]
fn the_full_example_differs_from_the_defaults_only_where_it_says_so() {
    let (full, _) = parsed(include_str!("../../config/full.yaml"));
    let (plain, _) = one_feed("");
    let (full_feed, plain_feed) = (&full.feeds[0], &plain.feeds[0]);
    assert_eq!(full.admin.listen, plain.admin.listen);
    assert_eq!(full.admin.hosts, plain.admin.hosts);
    let (full_server, plain_server) = (&full.server, &plain.server);
    assert_eq!(full_server.listen[1..], plain_server.listen[..]);
    assert!(full_server.listen[0].http2 && !full_server.listen[0].proxy_protocol);
    assert_eq!(full_server.threads, plain_server.threads);
    assert_eq!(full_server.drain, plain_server.drain);
    assert_eq!(full_server.header_timeout, plain_server.header_timeout);
    assert_eq!(full_server.client, plain_server.client);
    assert_eq!(full_feed.poll, plain_feed.poll);
    let (full_events, plain_events) = (&full_feed.events, &plain_feed.events);
    assert_eq!(full_events.mode, plain_events.mode);
    assert_eq!(full_events.names, plain_events.names);
    assert_eq!(full_events.history, plain_events.history);
    assert_eq!(full_events.modes, Mode::ALL);
    assert_eq!(full_feed.document.max_bytes, plain_feed.document.max_bytes);
    assert_eq!(full_feed.deliver.retry, plain_feed.deliver.retry);
    assert_eq!(
        full_feed.deliver.heartbeat.every,
        plain_feed.deliver.heartbeat.every
    );
    assert_eq!(
        full_feed.deliver.write_timeout,
        plain_feed.deliver.write_timeout
    );
    assert_eq!(full_feed.deliver.end_after, plain_feed.deliver.end_after);
}

#[test]
fn a_poll_asks_below_the_upstream_with_the_feeds_headers_laid_over_its_own() {
    let (config, _) = one_feed(
        ", request: {path: '/a%20b/c', query: {q: ['x y', 1], r: '&='}, headers: {X-A: feed}}",
    );
    let request = &config.feeds[0].request;
    assert_eq!(
        polled(&config.feeds[0]),
        "http://shop/base/a%20b/c?q=x+y&q=1&r=%26%3D"
    );
    assert_eq!(
        (&request.headers["x-a"], &request.headers["x-b"]),
        (&"feed".parse().unwrap(), &"up".parse().unwrap())
    );
    assert!(
        request
            .headers
            .values()
            .all(http::HeaderValue::is_sensitive)
    );
}

#[test]
fn an_upstream_that_is_pollcast_itself_is_refused() {
    for url in ["http://127.0.0.1:8080", "http://localhost:8080/x"] {
        let problems = Config::quick(url, &["/f".to_owned()]).unwrap_err();
        assert!(
            problems.to_string().contains("pollcast itself"),
            "{problems}"
        );
    }
    assert!(Config::quick("http://127.0.0.1:8081", &["/f".to_owned()]).is_ok());
}

#[test]
fn without_patch_among_the_modes_the_first_is_the_standard() {
    assert_eq!(
        one_feed(", events: {modes: [snapshot]}").0.feeds[0]
            .events
            .mode,
        Mode::Snapshot
    );
}

#[test]
fn what_no_mode_of_the_feed_asks_for_is_warned_of() {
    let (config, warnings) =
        one_feed(", document: {items: /rows}, events: {names: {added: new, patch: diff}}");
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for place in ["feeds[0].document.items", "feeds[0].events.names.added"] {
        let told = format!("{place} (line 3): `items` is not among `");
        let found = warnings.iter().any(|warning| warning.starts_with(&told));
        assert!(found, "{place}: {warnings:?}");
    }
    assert_eq!(
        config.feeds[0].document.view.items.to_string(),
        "/rows",
        "it is kept"
    );
    let every = ", document: {items: /rows}, events: {modes: [items], names: {added: new}}";
    assert!(one_feed(every).1.is_empty());
}

#[test]
fn an_upstream_without_use_is_warned_of() {
    let (config, warnings) = parsed(
        "upstreams: {a: {url: 'http://a'}, b: {url: 'http://b'}}\nfeeds: [{path: /, upstream: a}]",
    );
    assert!(warnings[0].starts_with("upstreams.b (line 1): no feed and no proxy route"));
    assert!(config.routes.is_empty());
}

#[test]
fn routes_stand_longest_first_without_a_slash_at_their_end() {
    let (config, _) = parsed(
        "upstreams: {a: {url: 'http://a'}}\nfeeds: [{path: /x, upstream: a}]\nproxy: [{path: /, upstream: a}, {path: /api/v1/, upstream: a}, {path: /api, upstream: a}]",
    );
    let paths: Vec<_> = config
        .routes
        .iter()
        .map(|route| route.path.as_str())
        .collect();
    assert_eq!(paths, ["/api/v1", "/api", "/"]);
}

#[test]
fn two_arguments_make_a_configuration() {
    let (config, warnings) =
        Config::quick("http://shop:9000", &["/a".into(), "/b$$".into()]).unwrap();
    assert!(warnings.is_empty());
    let urls: Vec<_> = config.feeds.iter().map(|feed| polled(feed)).collect();
    assert_eq!(urls, ["http://shop:9000/a", "http://shop:9000/b$$"]);
    assert_eq!(config.routes.len(), 1);
}

#[test]
fn problems_without_a_file_speak_of_the_arguments() {
    let problems =
        Config::quick("shop:9000", &["orders".into(), "/a".into(), "/a".into()]).unwrap_err();
    let places: Vec<_> = problems
        .iter()
        .map(|problem| problem.place.as_str())
        .collect();
    assert_eq!(places, ["--upstream", "--feed", "--feed"]);
    assert!(
        Config::quick("http://x", &["${HOME}".into()])
            .unwrap_err()
            .to_string()
            .starts_with("--feed: ")
    );
}

#[test]
fn an_argument_is_shown_as_it_was_given() {
    let problems = Config::quick("http://x", &["a$b".into()]).unwrap_err();
    assert!(
        problems
            .to_string()
            .starts_with("--feed: \"a$b\" is no path")
    );
}

#[test]
fn without_limits_anybody_may_come_and_nobody_is_believed() {
    let (config, _) = one_feed("");
    let limits = &config.server.limits;
    assert_eq!(
        (limits.subscribers, limits.subscribers_per_client),
        (None, None)
    );
    assert_eq!(limits.accepts_per_second, None);
    assert!(config.server.trusted_proxies.is_empty());
    assert_eq!(config.feeds[0].deliver.max_subscribers, None);
}

#[test]
fn a_feed_that_hides_the_client_module_is_warned_of() {
    let warned = |server: &str, path: &str| {
        let (_, warnings) = parsed(&format!(
            "server: {{{server}}}\nupstreams: {{a: {{url: 'http://a'}}}}\n\
             feeds: [{{path: '{path}', upstream: a}}]"
        ));
        let is_told = |it: &String| it.contains("browsers do not get the client module");
        warnings.iter().any(is_told)
    };
    assert!(warned("", "/{name}") && warned("", "/pollcast.js"));
    assert!(warned("client: /js/live.js", "/js/{file}"));
    assert!(!warned("client: off", "/{name}"));
    assert!(!warned("client: /js/live.js", "/{name}"));
    assert!(!warned("", "/orders/{id}"));
}

#[test]
fn memory_is_half_of_what_there_is_unless_a_size_is_written() {
    let memory = |text: &str| {
        let yaml = format!(
            "server: {{limits: {{memory: {text}}}}}\nupstreams: {{a: {{url: 'http://a'}}}}\n\
             feeds: [{{path: /a, upstream: a}}]"
        );
        Config::parse(&yaml, &Fixed)
    };
    for (text, bytes, is_auto, warned) in [
        ("auto", 4 << 30, true, 0),
        ("512MiB", 512 << 20, false, 0),
        ("1048576", 1 << 20, false, 0),
        ("9GiB", 9 << 30, false, 1),
    ] {
        let (config, warnings) = memory(text).unwrap();
        let expected = Memory { bytes, is_auto };
        assert_eq!(config.server.limits.memory, expected, "{text}");
        assert_eq!(warnings.len(), warned, "{text}");
    }
    for text in ["1MB", "much", "[]", "0"] {
        let problems = memory(text).unwrap_err().to_string();
        assert!(problems.contains("server.limits.memory"), "{problems}");
    }
}

#[test]
fn limits_that_are_never_reached_are_warned_of() {
    let warnings = |server: &str, feed: &str| {
        parsed(&format!(
            "server: {{{server}}}\nupstreams: {{a: {{url: 'http://a'}}}}\n\
             feeds: [{{path: /f, upstream: a{feed}}}]"
        ))
        .1
    };
    // There are 1024 descriptors, and pollcast needs some itself.
    let told = warnings("limits: {subscribers: 1000}", "");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("server.limits.subscribers (line 1): over HTTP/1.1"));
    assert!(warnings("limits: {subscribers: 900}", "").is_empty());
    let told = warnings("", ", deliver: {max_subscribers: 5000}");
    assert!(told[0].starts_with("feeds[0].deliver.max_subscribers (line 3): over"));

    let limits = "limits: {subscribers: 10, subscribers_per_client: 11}";
    let told = warnings(limits, ", deliver: {max_subscribers: 12}");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("server.limits.subscribers_per_client (line 1): no client"));
    assert!(told[1].starts_with("feeds[0] (line 3): `deliver.max_subscribers` is more"));
    let told = warnings("trusted_proxies: ['::/0']", "");
    assert!(told[0].starts_with("server.trusted_proxies[0] (line 1): everybody is trusted"));
}

#[test]
fn a_body_is_sent_as_it_is_written_or_as_json() {
    let sent = |body: &str| {
        let (config, _) = one_feed(&format!(", request: {{method: POST, body: {body}}}"));
        let request = &config.feeds[0].request;
        assert_eq!(request.method, http::Method::POST);
        assert_eq!(request.headers["content-type"], "application/json");
        String::from_utf8(request.body.clone().unwrap().to_vec()).unwrap()
    };
    assert_eq!(sent("'{ \"a\": 1 }'"), "{ \"a\": 1 }");
    assert_eq!(
        sent("{z: [1, -2.5, null, true, {}], a: 'say \"${HOST}\"', n: 18446744073709551615}"),
        r#"{"z":[1,-2.5,null,true,{}],"a":"say \"shop\"","n":18446744073709551615}"#
    );
    let (config, _) =
        one_feed(", request: {method: POST, body: 'q=1', headers: {Content-Type: text/plain}}");
    assert_eq!(
        config.feeds[0].request.headers["content-type"],
        "text/plain"
    );
}

#[test]
fn parameters_that_change_nothing_or_hide_something_are_warned_of() {
    let (_, warnings) = parsed(
        "upstreams: {a: {url: 'http://a', headers: {authorization: s3cret, cookie: s3cret}}}\n\
         feeds:\n\
         - {path: '/o/{id}/{part}', upstream: a, request: {path: '/o/{id}'}, \
            share: {per_credential: [authorization]}}\n\
         - {path: '/p/{id}', upstream: a, request: {path: /p, query: {q: 'a{id}'}}, \
            share: {per_credential: [x-user]}}",
    );
    let told: Vec<&str> = warnings.iter().map(String::as_str).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("polls carry the client's"), "{told:?}");
    assert!(told[1].contains("does not use `{part}`"), "{told:?}");
    assert!(!warnings.concat().contains("s3cret"));
}

#[test]
fn a_feed_without_captures_keeps_its_braces() {
    let (config, _) = one_feed(", request: {query: {query: 'up{job} {{a}} {b}'}}");
    let feed = &config.feeds[0];
    assert!(feed.parameters.is_none());
    assert_eq!(feed.request.query[0].1.text(&[]), "up{job} {{a}} {b}");
}
