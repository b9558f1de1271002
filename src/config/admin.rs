//! The private listener as it is written: where it accepts, and by which names it is asked.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::keys::{ADMIN, SERVER};
use super::listen::clash;
use super::section::Section;
use super::sheet::Node;
use super::{Admin, Auth, Listener, Policy, policy};

/// What a request calls the server that it means (RFC 9110 section 7.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// In lower case, without a dot at its end; an address as it is written.
    host: String,
    is_address: bool,
    port: Option<u16>,
}

impl Authority {
    /// Reads `HOST` or `HOST:PORT`; `None` if it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, is_address, rest) = match text.strip_prefix('[') {
            Some(text) => {
                let (host, rest) = text.split_once(']')?;
                (host, host.parse::<Ipv6Addr>().is_ok(), rest)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                let (host, rest) = text.split_at(end);
                (host, host.parse::<Ipv4Addr>().is_ok(), rest)
            }
        };
        let port = match rest.strip_prefix(':') {
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(port.parse().ok()?)
            }
            Some(_) => return None,
            None if rest.is_empty() => None,
            None => return None,
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        let is_name = !text.starts_with('[')
            && !host.is_empty()
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        (is_address || is_name).then(|| Self {
            host: host.to_ascii_lowercase(),
            is_address,
            port,
        })
    }

    /// Whether nobody can have made it point somewhere else: an address, or `localhost`.
    pub fn is_fixed(&self) -> bool {
        self.is_address || self.host == "localhost"
    }

    /// Whether `asked` means this one; without a port of its own, at any port.
    pub fn covers(&self, asked: &Self) -> bool {
        self.host == asked.host && (self.port.is_none() || self.port == asked.port)
    }
}

/// Reads the section `admin`, beside the public listeners.
pub(super) fn admin(top: &Section<'_>, public: &[Listener], auth: &Auth) -> Admin {
    let section = top.section("admin", &ADMIN);
    let standard = SocketAddr::from(([127, 0, 0, 1], 9091));
    let node = section.find("listen");
    let listen = node
        .as_ref()
        .and_then(Node::listen)
        .map_or(standard, |(address, _)| address);
    if public.iter().any(|other| clash(other.address, listen)) {
        // Where only one of them is written, that is the line to look at.
        let node = node.or_else(|| top.section("server", &SERVER).find("listen"));
        let node = node.unwrap_or_else(|| section.node.clone());
        node.problem(
            "`server.listen` takes the port of `admin.listen` (127.0.0.1:9091 by default)",
            "give `admin.listen` another port",
        );
    }
    let hosts = section.find("hosts").map_or_else(Vec::new, |node| {
        let items = node.items();
        items.iter().filter_map(host).collect()
    });
    Admin {
        access: access(&section, listen, auth),
        listen,
        hosts,
    }
}

/// Who may ask. Where others than this machine can come, it must be said.
fn access(section: &Section<'_>, listen: SocketAddr, auth: &Auth) -> Option<Arc<Policy>> {
    if section.find("access").is_none() && !listen.ip().is_loopback() {
        let at = section.find("listen");
        let at = at.unwrap_or_else(|| section.node.clone());
        at.problem(
            "others than this machine can come here, and nothing says who may",
            "write `access`, such as `[{keys: [NAME]}]` with a key of `auth.keys`, or `everyone` if \
             whoever gets here may; or listen on 127.0.0.1",
        );
    }
    policy::of_admin(section, auth)
}

fn host(node: &Node<'_>) -> Option<Authority> {
    let scalar = node.text()?;
    let authority = Authority::parse(&scalar.text);
    if authority.is_none() {
        node.problem(
            format!("{} is no name of a host", scalar.shown()),
            "write one such as ops.example, or \"ops.example:9091\", without a scheme or a path",
        );
    }
    authority
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        let read =
            |text| Authority::parse(text).map(|it| (it.host.clone(), it.is_fixed(), it.port));
        for (text, host, is_fixed, port) in [
            ("Ops.Example", "ops.example", false, None),
            ("ops.example.:9091", "ops.example", false, Some(9091)),
            ("localhost:1", "localhost", true, Some(1)),
            ("127.0.0.1", "127.0.0.1", true, None),
            ("[::1]:80", "::1", true, Some(80)),
            ("0x7f.1", "0x7f.1", false, None),
            ("127.1", "127.1", false, None),
        ] {
            assert_eq!(
                read(text),
                Some((host.to_owned(), is_fixed, port)),
                "{text}"
            );
        }
        for text in [
            "",
            ".",
            ":80",
            "[::1",
            "[::1]x",
            "[evil.example]",
            "a:b",
            "a:65536",
            "a:+1",
            "a b",
            "user@host",
            "a,b",
            "http://a",
            "a/b",
            "::1",
            "ops.example:80:80",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
