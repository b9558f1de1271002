//! The public listeners as they are written: an address alone, or an address with its settings.

use std::net::SocketAddr;

use serde_yaml::Value;

use super::keys::{LISTEN, LISTEN_TLS};
use super::pem::{KeyPair, PemError};
use super::scalar::Scalar;
use super::section::Section;
use super::sheet::Node;
use super::{Listener, Tls};

/// One listener, or a list of them.
pub(super) fn listeners(node: &Node<'_>) -> Vec<Listener> {
    let entries = match node.value() {
        Value::Sequence(_) => node.items(),
        _ => vec![node.clone()],
    };
    if entries.is_empty() {
        node.problem(
            "there is no address",
            "write one such as \"127.0.0.1:8080\"",
        );
    }
    let mut listeners: Vec<Listener> = Vec::new();
    for entry in entries {
        let Some((listener, place, scalar)) = listener(&entry) else {
            continue;
        };
        let taken = |other: &Listener| clash(other.address, listener.address);
        if listeners.iter().any(taken) {
            place.problem(
                format!("{} is taken by an earlier entry", scalar.shown()),
                "use another port, or remove it",
            );
        } else {
            listeners.push(listener);
        }
    }
    listeners
}

/// Whether both cannot be listened on together. Port 0 is a fresh one each time.
pub(super) fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    let overlap = a.ip() == b.ip()
        || (a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified()));
    a.port() == b.port() && a.port() != 0 && overlap
}

/// A listener, and where its address stands.
fn listener<'a>(entry: &Node<'a>) -> Option<(Listener, Node<'a>, Scalar)> {
    if !matches!(entry.value(), Value::Mapping(_)) {
        let (address, scalar) = entry.listen()?;
        return Some((Listener::plain(address), entry.clone(), scalar));
    }
    let section = entry.section(&LISTEN);
    let flag = |key| section.find(key).and_then(|node| node.flag());
    let (http2, proxy_protocol) = (flag("http2"), flag("proxy_protocol"));
    let tls = section
        .find("tls")
        .map(|node| tls(&node.section(&LISTEN_TLS)));
    let node = section.require("address", "write IP:PORT, as in \"127.0.0.1:8443\"")?;
    let (address, scalar) = node.listen()?;
    let listener = Listener {
        address,
        http2: http2.unwrap_or(tls.is_some()),
        tls: tls.flatten(),
        proxy_protocol: proxy_protocol.unwrap_or(false),
    };
    Some((listener, node, scalar))
}

/// The two files, read once to find out whether they will do.
fn tls(section: &Section<'_>) -> Option<Tls> {
    let certificate = section.require(
        "certificate",
        "write the file of the certificate and those that vouch for it, in PEM",
    );
    let key = section.require("key", "write the file of the private key, in PEM");
    let certificate = certificate.and_then(|node| pem(node, "certificate"));
    let key = key.and_then(|node| pem(node, "private key"));
    let (certificate, key) = (certificate?, key?);
    if let Err(error) = KeyPair::from_pem(certificate.text.as_bytes(), key.text.as_bytes()) {
        let place = match error {
            PemError::Certificate(_) | PemError::NoCertificate => &certificate,
            PemError::Key(_) | PemError::Mismatch => &key,
        };
        let what = format!("{}: {error}", place.shown);
        place.node.problem(what, error.remedy());
    }
    let around = section.node.sheet().around;
    Some(Tls {
        certificate: around.locate(&certificate.path),
        key: around.locate(&key.path),
    })
}

/// A file that was read.
struct Pem<'a> {
    node: Node<'a>,
    path: String,
    shown: String,
    text: String,
}

fn pem<'a>(node: Node<'a>, of: &str) -> Option<Pem<'a>> {
    let scalar = node.text()?;
    let shown = scalar.shown();
    match node.sheet().around.file(&scalar.text) {
        Ok(text) => Some(Pem {
            node,
            path: scalar.text,
            shown,
            text,
        }),
        Err(cause) => {
            node.problem(
                format!("cannot read the {of} {shown}: {cause}"),
                "name a PEM file; a relative path starts at the folder of the configuration file",
            );
            None
        }
    }
}
