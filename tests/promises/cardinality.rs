//! How much is counted depends on the configuration alone: whatever clients ask for, they make no
//! series of their own.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::proxy::Proxy;
use crate::support::upstream::{Reply, Request, Upstream};
use crate::support::{Dice, PATIENCE, dashboards};

/// Requests in all, and those who send them.
const REQUESTS: u64 = 10_000;
const CLIENTS: u64 = 8;

/// The paths of the feeds.
const FEEDS: [&str; 6] = [
    "/steady",
    "/plain",
    "/orders/{id}",
    "/latest/{id}",
    "/search",
    "/mine",
];

/// Answers with all classes of statuses, whatever it is asked.
fn answer(request: &Request) -> Reply {
    let sum: u64 = request.target.bytes().map(u64::from).sum();
    match (request.target.as_str(), sum % 7) {
        (target, _) if target.starts_with("/steady") => Reply::json("[1]"),
        (_, 0) => Reply::status(404, "{}"),
        (_, 1) => Reply::status(503, "{}"),
        (_, 2) => Reply::status(302, "{}"),
        (_, 3) => Reply::status(599, "{}"),
        _ => Reply::json(format!("[{sum}]")),
    }
}

fn config(url: &str) -> String {
    format!(
        "upstreams: {{ a: {{ url: \"{url}\", circuit_breaker: off }}, \
           b: {{ url: \"{url}\", circuit_breaker: off }} }}\n\
         feeds:\n\
         - {{ path: /steady, upstream: a, poll: {{ interval: 200ms }}, json: latest, \
              events: {{ modes: [patch, merge, items, snapshot] }} }}\n\
         - {{ path: /plain, upstream: a, request: {{ path: /steady }} }}\n\
         - {{ path: \"/orders/{{id}}\", upstream: b, topics: 4, poll: {{ linger: 10ms }} }}\n\
         - {{ path: \"/latest/{{id}}\", upstream: b, topics: 4, json: latest, \
              poll: {{ linger: 10ms }} }}\n\
         - {{ path: /search, upstream: b, request: {{ forward_query: [q, page] }}, topics: 4, \
              poll: {{ linger: 10ms }} }}\n\
         - {{ path: /mine, upstream: b, share: {{ per_credential: [authorization] }}, topics: 4, \
              poll: {{ linger: 10ms }} }}\n\
         proxy:\n\
         - {{ path: /, upstream: a }}\n\
         - {{ path: /api, upstream: b }}\n"
    )
}

/// What the configuration names: feeds, routes, upstreams, servers; and where this one listens.
fn configured(proxy: &Proxy, upstream: &str) -> BTreeSet<String> {
    let others = ["/", "/api", "a", "b", upstream, env!("CARGO_PKG_VERSION")];
    let names = FEEDS.into_iter().chain(others).map(str::to_owned);
    let admin = proxy.admin_url("").replace("http://", "");
    names.chain([proxy.address().to_string(), admin]).collect()
}

/// Every value of a label that neither the configuration holds nor the table of metrics.
fn made_up(page: &str, configured: &BTreeSet<String>) -> BTreeSet<String> {
    let table = dashboards::table();
    let mut made_up = BTreeSet::new();
    for sample in dashboards::samples(page) {
        let row = &table[&sample.family];
        for (name, value) in &sample.labels {
            if !configured.contains(value) && !row.words.contains(value) {
                made_up.insert(format!("{}: {name}={value}", sample.family));
            }
        }
    }
    made_up
}

/// A text that nobody thought of, fit for a path or a header.
fn word(dice: &mut Dice) -> String {
    let length = 1 + dice.below(12);
    let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~";
    let letter = |dice: &mut Dice| letters[dice.below(letters.len() as u64) as usize] as char;
    (0..length).map(|_| letter(dice)).collect()
}

fn one_of<'a>(dice: &mut Dice, choices: &[&'a str]) -> &'a str {
    choices[dice.below(choices.len() as u64) as usize]
}

fn target(dice: &mut Dice) -> String {
    let (a, b) = (word(dice), word(dice));
    let path = match dice.below(9) {
        0 => "/steady".to_owned(),
        1 => "/plain".to_owned(),
        2 => format!("/orders/{a}"),
        3 => format!("/latest/{a}"),
        4 => "/search".to_owned(),
        5 => "/mine".to_owned(),
        6 => format!("/api/{a}"),
        7 => format!("/orders/%{:02x}{a}", dice.below(256)),
        _ => format!("/{a}/{b}"),
    };
    let value = word(dice);
    match dice.below(6) {
        0 => path,
        1 => format!("{path}?mode={value}"),
        2 => format!(
            "{path}?mode={}",
            one_of(dice, &["patch", "merge", "items", "snapshot"])
        ),
        3 => format!("{path}?last_event_id={value}-{}", dice.below(9)),
        4 => format!("{path}?q={value}&page={}", dice.below(99)),
        _ => format!("{path}?{b}={value}"),
    }
}

/// The head of a request, whether it ends the connection, and whether it has no body to answer with.
fn head(dice: &mut Dice) -> (String, bool) {
    let own = word(dice).replace(['.', '~', '-', '_'], "X");
    let method = match dice.below(8) {
        0 => "HEAD",
        1 => "OPTIONS",
        2 => "DELETE",
        3 => own.as_str(),
        _ => "GET",
    };
    let version = one_of(dice, &["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0"]);
    let mut head = format!(
        "{method} {} {version}\r\nhost: {}\r\n",
        target(dice),
        word(dice)
    );
    let accept = match dice.below(4) {
        0 => "text/event-stream".to_owned(),
        1 => "application/json;q=0.1, text/event-stream".to_owned(),
        2 => format!("{}/{}", word(dice), word(dice)),
        _ => "*/*".to_owned(),
    };
    head += &format!("accept: {accept}\r\n");
    for (name, value) in [
        (
            "accept-encoding",
            one_of(dice, &["gzip", "identity", "br"]).to_owned(),
        ),
        ("last-event-id", word(dice)),
        ("authorization", word(dice)),
        ("user-agent", word(dice)),
        ("origin", format!("http://{}", word(dice))),
        ("x-forwarded-for", format!("192.0.2.{}", dice.below(256))),
        ("cookie", format!("{}={}", word(dice), word(dice))),
    ] {
        if dice.below(3) == 0 {
            head += &format!("{name}: {value}\r\n");
        }
    }
    head += &format!(
        "{}: {}\r\n",
        word(dice).replace(['.', '~'], "-"),
        word(dice)
    );
    (head + "\r\n", method == "HEAD")
}

/// Sends so many requests one after the other, on as few connections as they leave open.
fn pester(address: SocketAddr, mut dice: Dice, requests: u64) {
    let mut kept: Option<BufReader<TcpStream>> = None;
    for _ in 0..requests {
        let (head, is_head) = head(&mut dice);
        let mut connection = kept.take().unwrap_or_else(|| {
            let stream = TcpStream::connect(address).expect("the proxy accepts");
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            BufReader::new(stream)
        });
        // One that was kept may be closed by now.
        if connection.get_mut().write_all(head.as_bytes()).is_ok() && rest(&mut connection, is_head)
        {
            kept = Some(connection);
        }
    }
}

/// Reads an answer, of an event stream only the beginning. True if the connection is free again.
fn rest(connection: &mut BufReader<TcpStream>, is_head: bool) -> bool {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        match connection.read_line(&mut head) {
            Ok(0) | Err(_) => return false,
            Ok(_) => {}
        }
    }
    let head = head.to_ascii_lowercase();
    let field = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim)
    };
    if !is_head && field("content-type:") == Some("text/event-stream") {
        let _ = connection.read(&mut [0; 256]);
        return false;
    }
    let length = match (is_head, field("content-length:")) {
        (false, None) => return false,
        (true, _) => 0,
        (false, Some(length)) => length.parse().expect("a length"),
    };
    let mut body = vec![0; length];
    connection.read_exact(&mut body).is_ok() && field("connection:") != Some("close")
}

#[test]
fn ten_thousand_random_requests_make_no_series_of_their_own() {
    let upstream = Upstream::start(answer);
    let proxy = Proxy::start(&config(&upstream.url()));
    let address = proxy.address();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || pester(address, Dice(client), REQUESTS / CLIENTS));
        }
    });
    let (_, page) = proxy.admin("/metrics");
    let configured = configured(&proxy, &upstream.url());
    assert_eq!(made_up(&page, &configured), BTreeSet::new());

    // They were many, and of every kind.
    let sum = |family: &str, label: &str| proxy.metric(&format!("pollcast_{family}"), &[label]);
    for feed in FEEDS {
        let feed = format!("feed=\"{feed}\"");
        assert!(sum("connections_opened_total", &feed) > 10.0, "{feed}");
    }
    for route in ["/", "/api"] {
        let route = format!("route=\"{route}\"");
        assert!(sum("forwarded_requests_total", &route) > 100.0, "{route}");
    }
    for reason in ["unknown_mode", "limit_topics", "bad_capture"] {
        let reason = format!("reason=\"{reason}\"");
        assert!(
            sum("subscriptions_refused_total", &reason) > 0.5,
            "{reason}"
        );
    }
}
