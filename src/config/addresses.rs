//! Which addresses an upstream may be reached at.
//!
//! A name says nothing of where it leads: whoever may change it, or an answer that redirects, could
//! send our requests, with our credentials, to the machine's own services or to those of its cloud.
//! The rule is asked for every address after the name is looked up.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde_yaml::Value;
use url::Host;

use super::keys::ADDRESSES;
use super::limits::network;
use super::section::Section;

/// Never meant as an upstream, unless a network of `allow` that lies within says so.
const SPECIAL: &[(&str, &str)] = &[
    ("0.0.0.0/8", "an unspecified address"),
    (
        "169.254.0.0/16",
        "a link-local address, such as a cloud's metadata service",
    ),
    ("100.100.100.200/32", "a cloud's metadata service"),
    ("168.63.129.16/32", "a cloud's metadata service"),
    ("192.0.0.0/24", "an address for protocols"),
    ("192.0.2.0/24", "an address for documentation"),
    ("198.51.100.0/24", "an address for documentation"),
    ("203.0.113.0/24", "an address for documentation"),
    ("224.0.0.0/4", "a multicast address"),
    ("240.0.0.0/4", "a reserved address"),
    ("::/128", "an unspecified address"),
    ("fe80::/10", "a link-local address"),
    ("fd00:ec2::254/128", "a cloud's metadata service"),
    ("fd20:ce::254/128", "a cloud's metadata service"),
    ("ff00::/8", "a multicast address"),
    ("100::/64", "an address that leads nowhere"),
    ("2001::/32", "a Teredo address"),
    ("2001:db8::/32", "an address for documentation"),
    ("3fff::/20", "an address for documentation"),
];

/// Reached where the configuration itself says so.
const PRIVATE: &[&str] = &[
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "127.0.0.0/8",
    "100.64.0.0/10",
    "198.18.0.0/15",
    "::1/128",
    "fc00::/7",
    "fec0::/10",
    "64:ff9b:1::/48",
];

/// Ends of names that the public DNS cannot hold (RFC 6761, RFC 6762, RFC 8375, ICANN's reserved
/// `.internal`, and those that RFC 6762 appendix G finds in private use).
const PRIVATE_NAMES: &[&str] = &[
    "localhost",
    "local",
    "internal",
    "home.arpa",
    "lan",
    "test",
    "svc",
    "corp",
    "home",
    "intranet",
    "private",
];

/// What `upstreams.NAME.addresses` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Networks that may be reached although they are private or special.
    pub allow: Vec<IpNet>,
    /// Whether every private address may be reached.
    pub allow_private: bool,
    /// Networks that are never reached; wins over all.
    pub deny: Vec<IpNet>,
}

/// Why an address is not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// It is within `deny`.
    Denied,
    /// It is private, and a name that anybody may own led to it.
    Private,
    /// It is never meant as an upstream; what it is.
    Special(&'static str),
}

impl Addresses {
    /// Reads the section `addresses`.
    pub(super) fn read(upstream: &Section<'_>) -> Self {
        let section = upstream.section("addresses", &ADDRESSES);
        let mut addresses = Self::default();
        let items = |key| section.find(key).map_or_else(Vec::new, |node| node.items());
        for node in items("allow") {
            match node.value() {
                Value::String(text) if text == "private" => addresses.allow_private = true,
                _ => addresses.allow.extend(network(&node)),
            }
        }
        addresses.deny = items("deny").iter().filter_map(network).collect();
        addresses
    }

    /// Whether `address`, which `host` led to, may be reached.
    ///
    /// # Errors
    /// [`Forbidden`] says why not.
    pub fn judge(&self, host: &Host<&str>, address: IpAddr) -> Result<(), Forbidden> {
        let meant = embedded(address).map_or([address, address], |inner| [address, inner]);
        for address in meant {
            self.judge_one(host, address)?;
        }
        Ok(())
    }

    fn judge_one(&self, host: &Host<&str>, address: IpAddr) -> Result<(), Forbidden> {
        if self.deny.iter().any(|network| network.contains(&address)) {
            return Err(Forbidden::Denied);
        }
        for (network, what) in SPECIAL {
            let special = constant(network);
            let named = |allowed: &IpNet| allowed.contains(&address) && special.contains(allowed);
            if special.contains(&address) && !self.allow.iter().any(named) {
                return Err(Forbidden::Special(what));
            }
        }
        let is_private = PRIVATE
            .iter()
            .any(|network| constant(network).contains(&address));
        let allowed = self.allow_private
            || self.allow.iter().any(|network| network.contains(&address))
            || is_private_host(host);
        match is_private && !allowed {
            true => Err(Forbidden::Private),
            false => Ok(()),
        }
    }
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Denied => "an address that `addresses.deny` forbids",
            Self::Private => "a private address",
            Self::Special(what) => what,
        })
    }
}

/// Whether the configuration means the private network by this host: it is an address, or a name
/// that nobody can own in public.
fn is_private_host(host: &Host<&str>) -> bool {
    let Host::Domain(name) = host else {
        return true;
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let below = |end: &&str| {
        name.strip_suffix(end)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    !name.contains('.') || PRIVATE_NAMES.iter().any(below)
}

/// The address of version 4 that one of version 6 leads to: mapped or compatible (RFC 4291 section
/// 2.5.5), NAT64 (RFC 6052 section 2.1), 6to4 (RFC 3056 section 2).
fn embedded(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(six) = address else {
        return None;
    };
    let octets = six.octets();
    let at = |from: usize| -> Option<IpAddr> {
        let four: [u8; 4] = octets.get(from..from + 4)?.try_into().ok()?;
        Some(Ipv4Addr::from(four).into())
    };
    match six.segments() {
        [0x2002, ..] => at(2),
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] | [0, 0, 0, 0, 0, 0xffff, _, _] => at(12),
        [0, 0, 0, 0, 0, 0, _, _] if six > Ipv6Addr::LOCALHOST => at(12),
        _ => None,
    }
}

fn constant(network: &str) -> IpNet {
    network
        .parse()
        .expect("invariant: networks in the source are well written")
}
