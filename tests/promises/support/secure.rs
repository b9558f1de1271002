//! A server that speaks TLS, and knows who came.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use openssl::nid::Nid;
use openssl::ssl::{NameType, SslAcceptor, SslMethod, SslRef, SslVerifyMode};
use openssl::x509::store::X509StoreBuilder;

use super::certificate::Certificate;

/// Answers every request with `[1]`; ends with the test's process.
pub struct SecureServer {
    port: u16,
    visits: Arc<Mutex<Vec<Visit>>>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Visit {
    /// What the server was called in the handshake.
    pub sni: Option<String>,
    /// The name in the client's certificate.
    pub client: Option<String>,
    /// The request's first line.
    pub line: String,
    /// The request's `Host`.
    pub host: String,
}

impl SecureServer {
    /// Shows this certificate, and lets in only clients that `authority` vouches for, if there is one.
    pub fn start(certificate: &Certificate, authority: Option<&Certificate>) -> Self {
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
        acceptor.set_certificate(&certificate.x509).unwrap();
        acceptor.set_private_key(&certificate.key).unwrap();
        if let Some(authority) = authority {
            let mut store = X509StoreBuilder::new().unwrap();
            store.add_cert(authority.x509.clone()).unwrap();
            acceptor.set_verify_cert_store(store.build()).unwrap();
            acceptor.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        }
        let acceptor = Arc::new(acceptor.build());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let visits: Arc<Mutex<Vec<Visit>>> = Arc::default();
        let seen = Arc::clone(&visits);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (acceptor, seen) = (Arc::clone(&acceptor), Arc::clone(&seen));
                std::thread::spawn(move || {
                    let Ok(stream) = acceptor.accept(stream) else {
                        return;
                    };
                    let mut stream = BufReader::new(stream);
                    let mut lines = Vec::new();
                    let mut line = String::new();
                    while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                        lines.push(std::mem::take(&mut line).trim_end().to_owned());
                    }
                    if lines.is_empty() {
                        return;
                    }
                    seen.lock()
                        .unwrap()
                        .push(visit(stream.get_ref().ssl(), &lines));
                    let answer =
                        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\n[1]";
                    let _ = stream.get_mut().write_all(answer);
                    let _ = stream.get_mut().shutdown();
                });
            }
        });
        Self { port, visits }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Every request so far.
    pub fn visits(&self) -> Vec<Visit> {
        self.visits.lock().unwrap().clone()
    }
}

fn visit(ssl: &SslRef, lines: &[String]) -> Visit {
    let host = lines
        .iter()
        .find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("host").then(|| value.trim())
        })
        .unwrap_or_default();
    let client = ssl.peer_certificate().and_then(|certificate| {
        let name = certificate.subject_name();
        let entry = name.entries_by_nid(Nid::COMMONNAME).next()?;
        Some(String::from_utf8_lossy(entry.data().as_slice()).into_owned())
    });
    Visit {
        sni: ssl.servername(NameType::HOST_NAME).map(str::to_owned),
        client,
        line: lines[0].clone(),
        host: host.to_owned(),
    }
}
