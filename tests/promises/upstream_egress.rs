//! An HTTP proxy on the way out: polls, passed-through requests and health checks go through it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::support::certificate::Certificate;
use crate::support::client::{get, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::secure::SecureServer;
use crate::support::upstream::{Reply, Upstream};

/// What "me:s3cret" is in Basic (RFC 7617).
const BASIC: &str = "Basic bWU6czNjcmV0";

/// A proxy that opens tunnels to one port of this machine, whatever name it is asked for.
struct TunnelProxy {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl TunnelProxy {
    fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || tunnel(stream, to, &seen));
            }
        });
        Self { port, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn tunnel(stream: TcpStream, to: u16, seen: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    seen.lock().unwrap().push(head.clone());
    let mut client = stream;
    if !head.contains(BASIC) {
        let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
        let _ = client.write_all(refusal);
        return;
    }
    let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let (mut up, mut down) = (server.try_clone().unwrap(), server);
    let upwards = std::thread::spawn(move || copy(&mut reader, &mut up));
    copy(&mut down, &mut client);
    upwards.join().unwrap();
}

fn copy(from: &mut impl Read, to: &mut TcpStream) {
    let _ = std::io::copy(from, to);
    let _ = to.shutdown(std::net::Shutdown::Both);
}

fn config(url: &str, proxy: u16, user: &str, more: &str) -> String {
    format!(
        "upstreams: {{ legacy: {{ url: \"{url}\", \
         egress_proxy: \"http://{user}127.0.0.1:{proxy}\"{more} }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 50ms }} }}]\n"
    )
}

#[test]
fn https_goes_through_a_tunnel_and_is_verified_at_its_far_end() {
    let authority = Certificate::authority("our own authority");
    let server = SecureServer::start(&authority.issue("shop.example"), None);
    let way = TunnelProxy::start(server.port());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
    let more = ", tls: { ca: ca.pem }, health_check: { path: /health, interval: 50ms }";
    let config = config("https://shop.example", way.port, "me:s3cret@", more);
    let proxy = Proxy::start_in(folder, &config);
    assert_eq!(
        subscribe(proxy.address(), "/feed").expect("snapshot").data,
        "[1]"
    );
    assert_eq!(get(proxy.address(), "/feed", &[]).text(), "[1]");
    eventually("it is checked", || {
        server
            .visits()
            .iter()
            .any(|visit| visit.line.contains("/health"))
    });
    for visit in server.visits() {
        assert_eq!(visit.sni.as_deref(), Some("shop.example"));
        assert_eq!(visit.host, "shop.example");
    }
    for head in way.heads() {
        assert!(
            head.starts_with("CONNECT shop.example:443 HTTP/1.1\r\n"),
            "{head}"
        );
    }
    let (_, told) = proxy.admin("/api/upstreams");
    assert!(told.contains("\"healthy\":true"), "{told}");
    for text in [proxy.log(), told, proxy.admin("/metrics").1] {
        assert!(!text.contains("s3cret") && !text.contains("bWU6"), "{text}");
    }
}

#[test]
fn a_proxy_that_refuses_a_tunnel_is_a_failed_connection() {
    let server = SecureServer::start(&Certificate::of("shop.example"), None);
    let way = TunnelProxy::start(server.port());
    let config = config("https://shop.example", way.port, "", "");
    let proxy = Proxy::start(&config);
    let status = subscribe(proxy.address(), "/feed").expect("status");
    let reason = status.value["reason"].as_str().unwrap();
    assert!(reason.contains("no connection"), "{reason}");
    let answer = get(proxy.address(), "/feed", &[]);
    assert_eq!(answer.status, 502);
    let text = answer.text();
    assert!(text.contains("the egress proxy refuses a tunnel"), "{text}");
    assert!(server.visits().is_empty());
}

#[test]
fn plain_http_is_asked_of_the_proxy_in_absolute_form() {
    // To the proxy of plain HTTP a request is one like any other.
    let way = Upstream::start(|request| Reply::json(format!("\"{}\"", request.target)));
    let port = way.url().rsplit(':').next().unwrap().parse().unwrap();
    let proxy = Proxy::start(&config(
        "http://shop.example:8080/api",
        port,
        "me:s3cret@",
        "",
    ));
    let target = "http://shop.example:8080/api/feed";
    let snapshot = subscribe(proxy.address(), "/feed").expect("snapshot");
    assert_eq!(snapshot.data, format!("\"{target}\""));
    let answer = get(proxy.address(), "/feed", &[]).text();
    assert_eq!(answer, format!("\"{target}\""));
    for request in way.requests() {
        assert_eq!(request.target, target);
        assert_eq!(request.header("proxy-authorization"), Some(BASIC));
        assert_eq!(request.header("host"), Some("shop.example:8080"));
    }
}
