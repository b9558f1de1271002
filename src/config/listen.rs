//! The public listeners as they are written: an address alone, or an address with its settings.

use std::net::SocketAddr;

use serde_yaml::Value;

use super::keys::{LISTEN, LISTEN_TLS};
use super::pem::{KeyPair, PemError, read_chain, read_key};
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
    // Taken for absent, an empty `tls` would lay open what was meant to be kept from others.
    let section_of_tls = match section.is_blank("tls") {
        true => section.require("tls", "write `certificate` and `key` in it, or remove it"),
        false => section.find("tls"),
    };
    let tls = section_of_tls.map(|node| key_pair(&node.section(&LISTEN_TLS), "clients refuse it"));
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

/// The two files `certificate` and `key`, read once to find out whether they will do; `else_what`
/// happens where they are out of date.
pub(super) fn key_pair(section: &Section<'_>, else_what: &str) -> Option<Tls> {
    let certificate = section.require(
        "certificate",
        "write the file of the certificate and those that vouch for it, in PEM",
    );
    let key = section.require("key", "write the file of the private key, in PEM");
    let chain = certificate.and_then(|node| pem(node, "certificate", read_chain));
    let key = key.and_then(|node| pem(node, "private key", read_key));
    let (chain, key) = (chain?, key?);
    match KeyPair::new(chain.holds, key.holds) {
        Ok(pair) => {
            if let Some(why) = pair.out_of_date() {
                let what = format!("{}: {why}, so that {else_what}", chain.shown);
                let remedy = "have one made that is valid; it is read without a restart";
                chain.node.warning(what, remedy);
            }
        }
        Err(error) => {
            let what = format!("{}: {error}", key.shown);
            key.node.problem(what, error.remedy());
        }
    }
    let around = section.node.sheet().around;
    Some(Tls {
        certificate: around.locate(&chain.path),
        key: around.locate(&key.path),
    })
}

/// A file that was read.
pub(super) struct Pem<'a, T> {
    node: Node<'a>,
    pub(super) path: String,
    shown: String,
    holds: T,
}

/// Reads a file that `node` names.
pub(super) fn pem<'a, T>(
    node: Node<'a>,
    of: &str,
    read: fn(&[u8]) -> Result<T, PemError>,
) -> Option<Pem<'a, T>> {
    let scalar = node.text()?;
    let shown = scalar.shown();
    let text = match node.sheet().around.file(&scalar.text) {
        Ok(text) => text,
        Err(cause) => {
            node.problem(
                format!("cannot read the {of} {shown}: {cause}"),
                "name a PEM file; a relative path starts at the folder of the configuration file",
            );
            return None;
        }
    };
    match read(text.as_bytes()) {
        Ok(holds) => Some(Pem {
            node,
            path: scalar.text,
            shown,
            holds,
        }),
        Err(error) => {
            node.problem(format!("{shown}: {error}"), error.remedy());
            None
        }
    }
}
