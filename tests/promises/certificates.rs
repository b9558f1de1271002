//! Listeners with TLS: what is negotiated, and certificates that change while they run.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use openssl::asn1::Asn1Time;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode};

use crate::support::certificate::Certificate;
use crate::support::http2::{Client, text};
use crate::support::proxy::Proxy;
use crate::support::stage::{Stage, numbered};
use crate::support::upstream::Reply;
use crate::support::{PATIENCE, eventually};

/// Writes a certificate of this name and its key into a folder.
fn issue(folder: &Path, name: &str) {
    write(folder, &Certificate::of(name));
}

fn write(folder: &Path, pair: &Certificate) {
    std::fs::write(folder.join("server.key"), pair.key_pem()).expect("a file");
    std::fs::write(folder.join("server.crt"), pair.pem()).expect("a file");
}

/// A proxy with a TLS listener, and the folder of its certificate.
fn proxy(upstream: &str, more: &str) -> (Proxy, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    issue(folder.path(), "first");
    let path = folder.path().to_owned();
    let config = format!(
        "server: {{ listen: [{{ address: \"127.0.0.1:0\", \
         tls: {{ certificate: server.crt, key: server.key }}{more} }}] }}\n\
         upstreams: {{ legacy: {{ url: \"{upstream}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 50ms }} }}]\n"
    );
    (Proxy::start_in(folder, &config), path)
}

fn connect(address: SocketAddr, offered: &[u8]) -> SslStream<TcpStream> {
    secure(TcpStream::connect(address).expect("a connection"), offered)
}

fn secure(stream: TcpStream, offered: &[u8]) -> SslStream<TcpStream> {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut builder = SslConnector::builder(SslMethod::tls()).expect("TLS");
    builder.set_verify(SslVerifyMode::NONE);
    if !offered.is_empty() {
        builder.set_alpn_protos(offered).expect("protocols");
    }
    builder
        .build()
        .connect("localhost", stream)
        .expect("a handshake")
}

/// The name in the certificate that a new connection is shown.
fn shown(address: SocketAddr) -> String {
    let stream = connect(address, b"");
    let certificate = stream.ssl().peer_certificate().expect("a certificate");
    let name = certificate.subject_name();
    let entry = name.entries_by_nid(Nid::COMMONNAME).next().expect("a name");
    String::from_utf8_lossy(entry.data().as_slice()).into_owned()
}

/// Reads until these bytes have come.
fn read_until(stream: &mut SslStream<TcpStream>, wanted: &str) {
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains(wanted) {
        let read = stream.read(&mut piece).expect("more");
        assert!(read > 0, "it ended before {wanted:?}");
        seen.extend_from_slice(&piece[..read]);
    }
}

#[test]
fn the_client_chooses_the_protocol_unless_http2_is_off() {
    let stage = Stage::serving("[1]");
    let both = b"\x02h2\x08http/1.1";
    let chosen = |address, offered| {
        let stream = connect(address, offered);
        stream.ssl().selected_alpn_protocol().map(<[u8]>::to_vec)
    };
    let (proxy, _) = proxy(&stage.url(), "");
    let address = proxy.address();
    assert_eq!(chosen(address, both), Some(b"h2".to_vec()));
    assert_eq!(chosen(address, b"\x08http/1.1"), Some(b"http/1.1".to_vec()));
    assert_eq!(chosen(address, b""), None);
    assert_eq!(chosen(address, b"\x03foo"), None);
    let (older, _) = self::proxy(&stage.url(), ", http2: false");
    assert_eq!(chosen(older.address(), both), Some(b"http/1.1".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_and_http1_are_served_over_tls() {
    let stage = Stage::serving(numbered(1));
    let (proxy, _) = proxy(&stage.url(), "");
    let mut client = Client::secured(proxy.address()).await;
    let answer = client.get("/x", &[]).await;
    assert_eq!(text(answer.into_body()).await, numbered(1));
    let mut stream = client.subscribe("/feed").await;
    stream.until("event: snapshot").await;
    let mut older = connect(proxy.address(), b"");
    older
        .write_all(b"GET /feed HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n")
        .unwrap();
    read_until(&mut older, "event: snapshot");
    stage.serves(numbered(2));
    stream.until("event: patch").await;
    read_until(&mut older, "event: patch");
}

#[test]
fn a_new_certificate_is_shown_to_new_connections_and_streams_go_on() {
    let stage = Stage::serving(numbered(1));
    let (proxy, folder) = proxy(&stage.url(), "");
    assert_eq!(shown(proxy.address()), "first");
    let mut stream = connect(proxy.address(), b"");
    stream
        .write_all(b"GET /feed HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n")
        .unwrap();
    read_until(&mut stream, "event: snapshot");
    issue(&folder, "second");
    eventually("it is in use", || shown(proxy.address()) == "second");
    stage.serves(numbered(2));
    read_until(&mut stream, "event: patch");
    let expiry = proxy.metric("pollcast_certificate_expiry_timestamp_seconds", &[]);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    let days = (expiry - now) / 86_400.0;
    assert!((6.5..7.5).contains(&days), "{days} days are left");
}

#[test]
fn a_reload_shows_another_certificate_and_none_that_is_of_no_use() {
    let stage = Stage::serving(numbered(1));
    let (proxy, folder) = proxy(&stage.url(), "");
    let mut stream = connect(proxy.address(), b"");
    let ask = b"GET /feed HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n";
    stream.write_all(ask).expect("a request");
    read_until(&mut stream, "\"n\":1");
    let other = Certificate::of("other");
    std::fs::write(folder.join("other.key"), other.key_pem()).expect("a file");
    std::fs::write(folder.join("other.crt"), other.pem()).expect("a file");
    let file = folder.join("pollcast.yaml");
    let text = std::fs::read_to_string(&file).expect("text");
    let text = text.replace("server.crt", "other.crt");
    std::fs::write(&file, &text).expect("a file");
    assert_eq!(proxy.reload().0, 422, "it has another key");
    assert_eq!(shown(proxy.address()), "first");
    std::fs::write(&file, text.replace("server.key", "other.key")).expect("a file");
    assert_eq!(proxy.reload().0, 200);
    assert_eq!(shown(proxy.address()), "other");
    stage.serves(numbered(2));
    read_until(&mut stream, "\"value\":2");
    let port = proxy.address().port();
    let (_, status) = proxy.admin("/api/status");
    assert!(
        status.contains(&format!("https://127.0.0.1:{port}")),
        "{status}"
    );
}

#[test]
fn a_pair_that_is_of_no_use_is_told_once_and_the_old_one_stays() {
    let stage = Stage::serving("[1]");
    let (proxy, folder) = proxy(&stage.url(), "");
    let certificate = Certificate::of("other").pem();
    let told = || proxy.log().matches("the old one stays").count();
    std::fs::write(folder.join("server.crt"), certificate).unwrap();
    eventually("it is told", || told() == 1);
    assert!(proxy.log().contains("does not belong to the certificate"));
    assert_eq!(shown(proxy.address()), "first");
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(told(), 1);
    std::fs::remove_file(folder.join("server.key")).unwrap();
    eventually("the next is told too", || told() == 2);
    assert_eq!(shown(proxy.address()), "first");
    issue(&folder, "second");
    eventually("a good one is taken", || shown(proxy.address()) == "second");
}

#[test]
fn a_certificate_that_clients_refuse_is_warned_of() {
    let stage = Stage::serving("[1]");
    let (proxy, folder) = proxy(&stage.url(), "");
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    write(
        &folder,
        &Certificate::ending(key, "old", &Asn1Time::from_unix(1_577_836_800).unwrap()),
    );
    eventually("it is told", || proxy.log().contains("clients refuse it"));
    assert_eq!(shown(proxy.address()), "old");
    let (code, said) = check(&folder);
    assert_eq!(code, Some(0), "{said}");
    let begin = "warning: server.listen.tls.certificate (line 1): \"server.crt\"";
    assert!(said.contains(begin), "{said}");
    assert!(
        said.contains("ended to be valid on Jan  1 00:00:00 2020"),
        "{said}"
    );
}

#[test]
fn a_key_that_nobody_can_serve_with_is_told_by_check() {
    let folder = tempfile::tempdir().unwrap();
    let key = PKey::from_rsa(Rsa::generate(512).unwrap()).unwrap();
    let soon = Asn1Time::days_from_now(7).unwrap();
    write(folder.path(), &Certificate::ending(key, "weak", &soon));
    let (code, said) = check(folder.path());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("server.listen.tls.key (line 1)"), "{said}");
    assert!(
        said.contains("not fit for TLS (ee key too small)"),
        "{said}"
    );
}

/// The exit code of `pollcast check` for a listener with the folder's pair, and what it says.
fn check(folder: &Path) -> (Option<i32>, String) {
    let config = "server: { listen: { address: \"127.0.0.1:8443\", \
                  tls: { certificate: server.crt, key: server.key } } }\n\
                  upstreams: { legacy: { url: \"http://127.0.0.1:9\" } }\n";
    std::fs::write(folder.join("check.yaml"), config).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_pollcast"))
        .args(["check", "-c", "check.yaml"])
        .current_dir(folder)
        .output()
        .expect("the binary runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).expect("text"))
}

#[test]
fn a_load_balancer_tells_the_client_before_tls_begins() {
    let stage = Stage::new(|request| {
        let client = request.header("x-forwarded-for").unwrap_or("-");
        Reply::status(200, client.to_owned())
    });
    let (proxy, _) = proxy(&stage.url(), ", proxy_protocol: true");
    let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
    stream
        .write_all(b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n")
        .unwrap();
    let mut stream = secure(stream, b"");
    stream
        .write_all(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    read_until(&mut stream, "2001:db8::7");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_is_told_that_the_client_came_by_tls() {
    let stage = Stage::new(|request| {
        let header = |name| request.header(name).unwrap_or("-").to_owned();
        Reply::status(
            200,
            header("x-forwarded-proto") + " " + &header("forwarded"),
        )
    });
    let (proxy, _) = proxy(&stage.url(), "");
    let mut client = Client::secured(proxy.address()).await;
    let told = text(client.get("/x", &[]).await.into_body()).await;
    assert!(told.starts_with("https for=127.0.0.1;"), "{told}");
    assert!(told.ends_with(";proto=https"), "{told}");
}

#[test]
fn whoever_speaks_no_tls_or_no_http2_is_counted_and_not_logged() {
    let stage = Stage::serving("[1]");
    let (proxy, _) = proxy(&stage.url(), "");
    let mut stream = TcpStream::connect(proxy.address()).expect("a connection");
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    let label = "reason=\"tls_handshake\"";
    eventually("it is counted", || {
        proxy.metric("pollcast_refused_connections_total", &[label]) > 0.5
    });
    let mut stream = connect(proxy.address(), b"\x02h2");
    stream.write_all(&[b'x'; 100]).unwrap();
    let label = "reason=\"client_left\"";
    eventually("it is counted", || {
        proxy.metric("pollcast_refused_connections_total", &[label]) > 0.5
    });
    let log = proxy.log();
    let is_of_start = |line: &str| line.contains(" INFO pollcast::server::running: ");
    assert!(log.lines().all(is_of_start), "{log}");
}
