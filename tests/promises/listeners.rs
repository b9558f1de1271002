//! The listeners: whoever is slow, silent or too many costs little, and the others are served.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::client::{get, raw, subscribe};
use crate::support::proxy::Proxy;
use crate::support::stage::{Stage, numbered};
use crate::support::{PATIENCE, eventually};

/// A proxy with one feed and these settings of its server.
fn proxy(server: &str, upstream: &str) -> Proxy {
    Proxy::start(&config(server, upstream))
}

fn config(server: &str, upstream: &str) -> String {
    format!(
        "server: {{ {server} }}\n\
         upstreams: {{ legacy: {{ url: \"{upstream}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 50ms }} }}]\n"
    )
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Whether the other end closes without a word.
fn is_closed(mut stream: TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

fn refused(proxy: &Proxy, reason: &str) -> f64 {
    let label = format!("reason=\"{reason}\"");
    proxy.metric("pollcast_refused_connections_total", &[&label])
}

#[test]
fn a_head_that_drips_is_cut_off_although_bytes_flow() {
    let stage = Stage::serving("[1]");
    let proxy = proxy("listen: \"127.0.0.1:0\", header_timeout: 1s", &stage.url());
    let mut stream = connect(proxy.address());
    stream.write_all(b"GET / HTTP/1.1\r\nx-slow: ").unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    eventually("the connection is closed", || {
        // A write may succeed once more after the close.
        let _ = stream.write_all(b"a");
        match stream.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    });
    eventually("it is counted", || refused(&proxy, "header_timeout") > 0.5);
    assert_eq!(get(proxy.address(), "/x", &[]).status, 200);
}

#[test]
fn silence_is_cut_off_and_so_is_half_a_preface() {
    let stage = Stage::serving("[1]");
    let proxy = proxy(
        "listen: [{ address: \"127.0.0.1:0\", http2: true }], header_timeout: 500ms",
        &stage.url(),
    );
    assert!(is_closed(connect(proxy.address())));
    let mut half = connect(proxy.address());
    half.write_all(b"PRI * HTTP/2.0\r\n\r\n").unwrap();
    assert!(is_closed(half));
    eventually("both are counted", || {
        refused(&proxy, "header_timeout") > 1.5
    });
}

#[test]
fn a_connection_that_was_used_may_wait_for_longer_than_a_new_one() {
    let stage = Stage::serving("[1]");
    let proxy = proxy(
        "listen: \"127.0.0.1:0\", header_timeout: 300ms",
        &stage.url(),
    );
    let request = b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n";
    let first = raw(proxy.address(), request);
    assert_eq!(first.status, 200);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(first.again(request).status, 200);
    assert!(refused(&proxy, "header_timeout") < 0.5);
}

#[test]
fn a_slow_answer_and_a_stream_outlast_the_time_for_heads() {
    let stage = Stage::serving(numbered(1));
    let proxy = proxy(
        "listen: \"127.0.0.1:0\", header_timeout: 300ms",
        &stage.url(),
    );
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    std::thread::sleep(Duration::from_secs(1));
    stage.serves(numbered(2));
    stream.expect("patch");
}

#[test]
fn a_head_that_is_too_long_is_told_so() {
    let stage = Stage::serving("[1]");
    let proxy = Proxy::with_feed(&stage.url(), "");
    let long = "a".repeat(70_000);
    let answer = get(proxy.address(), "/x", &[("x-long", &long)]);
    assert_eq!(answer.status, 431);
    assert_eq!(answer.header("connection"), Some("close"));
    let fine = "a".repeat(60_000);
    assert_eq!(get(proxy.address(), "/x", &[("x-long", &fine)]).status, 200);
}

/// What the upstream is told of the client when a connection begins with these bytes.
fn announced(proxy: &Proxy, stage: &Stage, header: &[u8]) -> String {
    let (tell, told) = std::sync::mpsc::channel();
    stage.becomes(move |request| {
        let client = request.header("x-forwarded-for").unwrap_or_default();
        let _ = tell.send(client.to_owned());
        crate::support::upstream::Reply::json("[1]")
    });
    let request = b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n";
    let answer = raw(proxy.address(), &[header, request].concat());
    assert_eq!(answer.status, 200);
    told.recv_timeout(PATIENCE).expect("the upstream is asked")
}

#[test]
fn a_load_balancer_tells_the_client_and_others_are_refused() {
    let stage = Stage::serving("[1]");
    let proxy = proxy(
        "listen: { address: \"127.0.0.1:0\", proxy_protocol: true, http2: true }",
        &stage.url(),
    );
    let v1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
    assert_eq!(announced(&proxy, &stage, v1), "192.0.2.7");
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x08\xc6\x33\x64\x01\xdc\x04\x01\xbb";
    assert_eq!(announced(&proxy, &stage, v2), "192.0.2.8");
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    assert_eq!(announced(&proxy, &stage, local), "127.0.0.1");
    for wrong in [
        &b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n"[..],
        b"PROXY TCP4 192.0.2.7\r\n",
    ] {
        let mut stream = connect(proxy.address());
        stream.write_all(wrong).unwrap();
        assert!(is_closed(stream));
    }
    eventually("both are counted", || refused(&proxy, "proxy_header") > 1.5);
}

#[test]
fn without_descriptors_streams_go_on_and_newcomers_come_later() {
    let stage = Stage::serving(numbered(1));
    let config = config("listen: \"127.0.0.1:0\"", &stage.url());
    let proxy = Proxy::start_with_descriptors(64, &config);
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    // They take every descriptor there is, but for those the poller has.
    let crowd: Vec<_> = (0..80).map(|_| connect(proxy.address())).collect();
    let told = || {
        proxy
            .log()
            .matches("no room for another connection")
            .count()
    };
    eventually("it is told", || told() == 1);
    stage.serves(numbered(2));
    stream.expect("patch");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(told(), 1, "{}", proxy.log());
    drop(crowd);
    let mut late = subscribe(proxy.address(), "/feed");
    late.expect("snapshot");
    assert!(proxy.metric("pollcast_accept_failures_total", &["file_descriptors"]) > 0.5);
}

#[test]
fn more_connections_than_are_accepted_in_a_second_wait_and_none_is_refused() {
    let stage = Stage::serving("[1]");
    let proxy = proxy(
        "listen: \"127.0.0.1:0\", limits: { accepts_per_second: 10 }",
        &stage.url(),
    );
    let begun = Instant::now();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = || get(proxy.address(), "/x", &[]).status;
        let threads: Vec<_> = (0..30).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert_eq!(answers, [200; 30]);
    // Nobody is faster than the rate, however slow this machine is.
    assert!(begun.elapsed() > Duration::from_secs(2));
    // With a short backlog the system would drop what it cannot hold, and clients would try again
    // after a second, after three, after seven.
    let crowd: Vec<_> = (0..1000)
        .map(|_| TcpStream::connect_timeout(&proxy.address(), Duration::from_secs(10)))
        .collect();
    assert!(crowd.iter().all(Result::is_ok));
}

#[test]
fn every_listener_is_told_with_what_it_speaks_and_how_to_watch() {
    let pair = format!("{}/config/localhost", env!("CARGO_MANIFEST_DIR"));
    let plain = "{ address: \"127.0.0.1:0\" }";
    let balanced = "{ address: \"127.0.0.1:0\", proxy_protocol: true }";
    let secure = format!(
        "{{ address: \"127.0.0.1:0\", tls: {{ certificate: {pair}.crt, key: {pair}.key }} }}"
    );
    let both = format!("{balanced}, {secure}");
    let header = "http://127.0.0.1:0  HTTP/1.1, after a PROXY protocol header";
    for (listeners, checked, watched) in [
        (plain, "http://127.0.0.1:0  HTTP/1.1", "curl -N -H"),
        (
            &secure,
            "https://127.0.0.1:0  HTTP/2 and HTTP/1.1",
            "curl -kN -H",
        ),
        (balanced, header, "curl -N --haproxy-protocol -H"),
        (&both, header, "curl -kN -H"),
    ] {
        let listen = format!("listen: [{listeners}]");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("pollcast.yaml");
        let config = config(&listen, "http://127.0.0.1:9");
        let admin = "admin: { listen: \"127.0.0.1:0\" }";
        std::fs::write(&file, format!("{admin}\n{config}")).expect("a file");
        let said = first_lines(&file, "check", "  proxy");
        assert!(said.contains(&format!("  listen {checked}\n")), "{said}");
        let said = first_lines(&file, "run", "watch it:");
        assert!(said.contains(watched), "{said}");
    }
}

/// What this command says of a configuration, up to a line that begins so.
fn first_lines(config: &Path, command: &str, last: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pollcast"))
        .args([command, "-c"])
        .arg(config)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut said = String::new();
    for line in lines.map_while(Result::ok) {
        said += &format!("{line}\n");
        if line.starts_with(last) {
            break;
        }
    }
    let _ = child.kill();
    child.wait().expect("a child");
    said
}
