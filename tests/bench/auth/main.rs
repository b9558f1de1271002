//! What it costs to ask who somebody is: CPU of the process for each subscription to feeds that want
//! nothing, an API key, a token with HS256 or with EdDSA, or the yes of a service that is remembered.
//! The keys are in memory; of either kind of token comes another one each time, or the same again.
//!
//! `cargo bench --bench auth -- [ROUNDS] [SUBSCRIPTIONS]`, or `make bench-auth`. One process serves all
//! feeds, which take turns within a round; each subscription is a connection of its own that is left
//! after the first bytes of its snapshot. The medians of the rounds are printed, in microseconds, and
//! of what is added that of the differences within each round.

#![allow(clippy::print_stdout)]

#[path = "../../promises/support/tokens.rs"]
#[allow(dead_code)]
mod tokens;
#[path = "../../promises/support/upstream.rs"]
#[allow(dead_code)]
mod upstream;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use openssl::sha::sha256;
use serde_json::json;
use tokens::{Key, SECRET, claims, shared};
use upstream::{Reply, Upstream};

const KEY: &str = "pk_k3QyJ0nqTzO6s1c8VbXw2RfUeYhLmAdG";

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|it| it.parse().ok());
    let rounds: u32 = numbers.next().unwrap_or(9);
    let each: u32 = numbers.next().unwrap_or(2000);
    let upstream = Upstream::start(|_| Reply::json("[1]"));
    let pair = Key::new("key");
    let served = Served::start(&upstream, &pair);
    let bearer = |token: String| format!("authorization: Bearer {token}\r\n");
    let (same, other) = (claims(&json!({})), |jti: u64| {
        claims(&json!({"jti": jti.to_string()}))
    });
    let key = format!("x-api-key: {KEY}\r\n");
    let shared_again = bearer(shared(SECRET, &same));
    let pair_again = bearer(pair.token(&same));
    let ways: [(&str, &str, Proof<'_>); 7] = [
        ("open", "open", Box::new(|_| String::new())),
        ("API key", "key", Box::new(|_| key.clone())),
        (
            "HS256, new",
            "hs256",
            Box::new(|n| bearer(shared(SECRET, &other(n)))),
        ),
        ("HS256, again", "hs256", Box::new(|_| shared_again.clone())),
        (
            "EdDSA, new",
            "eddsa",
            Box::new(|n| bearer(pair.token(&other(n)))),
        ),
        ("EdDSA, again", "eddsa", Box::new(|_| pair_again.clone())),
        (
            "forward, kept",
            "forward",
            Box::new(|_| "cookie: session=1\r\n".to_owned()),
        ),
    ];
    let (mut figures, mut added) = (vec![Vec::new(); ways.len()], vec![Vec::new(); ways.len()]);
    let mut number = 0;
    for round in 0..=rounds {
        let mut open = 0.0;
        for (at, (_, path, proof)) in ways.iter().enumerate() {
            let before = served.nanoseconds();
            for _ in 0..each {
                number += 1;
                subscribe(served.address, path, &proof(number));
            }
            let cost = (served.nanoseconds() - before) as f64 / f64::from(each) / 1000.0;
            if at == 0 {
                open = cost;
            }
            // The first round warms up.
            if round > 0 {
                figures[at].push(cost);
                added[at].push(cost - open);
            }
        }
    }
    println!("| proof | CPU µs a subscription | added |\n|---|--:|--:|");
    for ((name, ..), (costs, added)) in ways.iter().zip(figures.into_iter().zip(added)) {
        println!("| {name} | {:.1} | {:.1} |", median(costs), median(added));
    }
}

/// The head's line that proves it, for the subscription with this number.
type Proof<'a> = Box<dyn Fn(u64) -> String + 'a>;

/// What the upstream's helpers wait with, where it is started again.
fn eventually(_: &str, mut ready: impl FnMut() -> bool) {
    while !ready() {
        std::thread::yield_now();
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Subscribes, and leaves once something came.
fn subscribe(address: SocketAddr, path: &str, proof: &str) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let request =
        format!("GET /{path} HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n{proof}\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut status = [0; 12];
    stream.read_exact(&mut status).expect("an answer");
    assert_eq!(&status[9..], b"200", "{path}");
}

/// A running pollcast; killed when dropped.
struct Served {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Served {
    fn start(upstream: &Upstream, pair: &Key) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pollcast.yaml");
        let set = json!({"keys": [pair.jwk()]}).to_string();
        fs::write(folder.path().join("keys.json"), set).expect("a file");
        fs::write(&file, config(&upstream.url())).expect("a file");
        let built = || PathBuf::from(env!("CARGO_BIN_EXE_pollcast"));
        let binary = std::env::var_os("POLLCAST_BINARY").map_or_else(built, PathBuf::from);
        let mut child = Command::new(binary)
            .args(["run", "-c"])
            .arg(&file)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let address = lines.find_map(|line| {
            let line = line.expect("text");
            let (_, rest) = line.split_once("listening on http://")?;
            rest.split(['/', ' ']).next()?.parse().ok()
        });
        let address = address.expect("it listens");
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address,
            _folder: folder,
        }
    }

    /// What all of its threads have run.
    fn nanoseconds(&self) -> u64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("threads");
        let ran = |thread: std::io::Result<fs::DirEntry>| {
            let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        };
        threads.filter_map(ran).sum()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(url: &str) -> String {
    let hash: String = sha256(KEY.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let issuer = "issuer: https://id.example, audience: [pollcast]";
    format!(
        "server: {{ listen: \"127.0.0.1:0\" }}\n\
         admin: {{ listen: \"127.0.0.1:0\" }}\n\
         auth:\n  keys: {{ mine: {{ sha256: {hash} }} }}\n  jwt:\n    \
         hs: {{ {issuer}, algorithms: [HS256], secret: {SECRET} }}\n    \
         ed: {{ {issuer}, algorithms: [EdDSA], jwks_file: keys.json }}\n  \
         forward: {{ sso: {{ url: \"{url}/decides\", cache: 1h }} }}\n\
         upstreams: {{ a: {{ url: \"{url}\" }} }}\n\
         feeds:\n\
         - {{ path: /open, upstream: a, access: everyone, poll: {{ idle: keep }} }}\n\
         - {{ path: /key, upstream: a, access: [{{ keys: [mine] }}], poll: {{ idle: keep }} }}\n\
         - {{ path: /hs256, upstream: a, access: [{{ jwt: hs }}], poll: {{ idle: keep }} }}\n\
         - {{ path: /eddsa, upstream: a, access: [{{ jwt: ed }}], poll: {{ idle: keep }} }}\n\
         - {{ path: /forward, upstream: a, access: [{{ forward: sso }}], poll: {{ idle: keep }} }}\n\
         proxy: []\n"
    )
}
