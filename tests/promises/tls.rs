//! Upstreams behind TLS: trusted ones are polled and passed through to, others are refused clearly.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};

use crate::support::client::{get, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;

/// A certificate for `localhost` that only its own key vouches for.
fn certificate() -> (X509, PKey<Private>) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "localhost").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(&key).unwrap();
    let (from, to) = (Asn1Time::days_from_now(0), Asn1Time::days_from_now(1));
    builder.set_not_before(&from.unwrap()).unwrap();
    builder.set_not_after(&to.unwrap()).unwrap();
    let ca = BasicConstraints::new().critical().ca().build().unwrap();
    builder.append_extension(ca).unwrap();
    let context = builder.x509v3_context(None, None);
    let names = SubjectAlternativeName::new()
        .dns("localhost")
        .build(&context);
    let names = names.unwrap();
    builder.append_extension(names).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    (builder.build(), key)
}

/// Answers every request over TLS with `[1]`; ends with the test's process.
fn serve(certificate: &X509, key: &PKey<Private>) -> u16 {
    let mut acceptor = SslAcceptor::mozilla_intermediate(SslMethod::tls()).unwrap();
    acceptor.set_certificate(certificate).unwrap();
    acceptor.set_private_key(key).unwrap();
    let acceptor = Arc::new(acceptor.build());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let acceptor = Arc::clone(&acceptor);
            std::thread::spawn(move || {
                let Ok(stream) = acceptor.accept(stream) else {
                    return;
                };
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                    line.clear();
                }
                let answer =
                    b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\n[1]";
                let _ = stream.get_mut().write_all(answer);
                let _ = stream.get_mut().shutdown();
            });
        }
    });
    port
}

fn config(port: u16) -> String {
    format!(
        "upstreams: {{ legacy: {{ url: \"https://localhost:{port}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 50ms }} }}]\n"
    )
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused_and_the_reason_told() {
    let (certificate, key) = certificate();
    let proxy = Proxy::start(&config(serve(&certificate, &key)));
    let status = subscribe(proxy.address(), "/feed").expect("status");
    assert_eq!(status.value["state"], "down");
    let reason = status.value["reason"].as_str().unwrap();
    assert!(
        reason.contains("certificate is not trusted: self"),
        "{reason}"
    );

    let answer = get(proxy.address(), "/feed", &[]);
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("no secure connection to upstream"));
    eventually("the failure is logged", || {
        proxy.log().contains("could not be passed through")
    });
}

#[test]
fn a_trusted_upstream_is_polled_and_passed_through_to_by_its_name() {
    let (certificate, key) = certificate();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, certificate.to_pem().unwrap()).unwrap();
    let trust = [("SSL_CERT_FILE", file.to_str().unwrap())];
    let proxy = Proxy::start_with(&config(serve(&certificate, &key)), &trust);
    assert_eq!(
        subscribe(proxy.address(), "/feed").expect("snapshot").data,
        "[1]"
    );
    assert_eq!(get(proxy.address(), "/feed", &[]).text(), "[1]");
}
