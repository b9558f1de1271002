//! Whose request it is: the peer, or whom a trusted proxy names in its place.
//!
//! Promises that nobody chooses an address for itself: only what trusted proxies say is believed,
//! and of that only as much as hangs together. Must never fail a request.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// The usual list of hops; RFC 7239 has no better one, since proxies that write neither of the two
/// pass on the other as the client sent it, so that only one may be believed.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// One who is counted as one: an address of version 4, or a network of 64 bits of version 6, which
/// is what one site gets at least (RFC 6177) and within which a client changes its address at will
/// (RFC 8981).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// An address.
    V4(Ipv4Addr),
    /// The first half of an address.
    V6(u64),
}

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Client::V4(address),
            IpAddr::V6(address) => Client::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// The proxies whose word is taken.
#[derive(Clone, Debug)]
pub struct Trusted(Vec<IpNet>);

impl Trusted {
    /// Trusts whoever is in one of these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether what this peer says of earlier hops is known to be made up by nobody: somebody is
    /// trusted, and this peer is not.
    pub fn disbelieves(&self, peer: IpAddr) -> bool {
        !self.0.is_empty() && !self.trusts(peer)
    }

    /// The address of whoever made this request, as seen from the nearest hop that is not trusted.
    /// An entry that is no address ends the list, since what is left of it hangs in the air.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
        // Several lines are one list, and the nearest hop wrote its end (RFC 9110 section 5.3).
        let hops = lines
            .iter()
            .rev()
            .flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        let mut client = peer.to_canonical();
        for hop in hops {
            if !self.trusts(client) {
                break;
            }
            match std::str::from_utf8(hop).map(str::trim) {
                Ok("") => {}
                Ok(text) => match address(text) {
                    Some(address) => client = address,
                    None => break,
                },
                Err(_) => break,
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Reads `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let alone = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address: Option<IpAddr> = match alone {
        Some(six) => six.parse().ok().filter(IpAddr::is_ipv6),
        None => text.parse().ok().or_else(|| {
            let with_port: Option<SocketAddr> = text.parse().ok();
            with_port.map(|with_port| with_port.ip())
        }),
    };
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(trusted: &[&str], peer: &str, lines: &[&[u8]]) -> String {
        let networks = trusted.iter().map(|text| text.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap());
        }
        let client = Trusted::new(networks).client(peer.parse().unwrap(), &headers);
        client.to_string()
    }

    #[test]
    fn only_what_trusted_proxies_say_is_believed() {
        let proxies = ["10.0.0.0/8", "2001:db8:1::/48"];
        for (peer, lines, found) in [
            ("192.0.2.1", &[][..], "192.0.2.1"),
            // Nobody vouches for what it says.
            ("192.0.2.1", &[&b"203.0.113.9"[..]], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[b"203.0.113.9"], "203.0.113.9"),
            // What the client wrote itself stands to the left.
            ("10.0.0.1", &[b"1.1.1.1, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &[b"1.1.1.1", b"203.0.113.9"], "203.0.113.9"),
            (
                "10.0.0.1",
                &[b"1.1.1.1, 203.0.113.9", b" 10.1.1.1 , 2001:db8:1::7"],
                "203.0.113.9",
            ),
            // The client is within.
            ("10.0.0.1", &[b"10.9.9.9, 10.0.0.2"], "10.9.9.9"),
            ("::ffff:10.0.0.1", &[b"::ffff:203.0.113.9"], "203.0.113.9"),
        ] {
            assert_eq!(client(&proxies, peer, lines), found, "{peer} {lines:?}");
        }
        assert_eq!(client(&[], "10.0.0.1", &[b"203.0.113.9"]), "10.0.0.1");
    }

    #[test]
    fn addresses_are_read_in_every_form_and_garbage_ends_the_list() {
        for (line, found) in [
            (&b"203.0.113.9:4711"[..], "203.0.113.9"),
            (b"[2001:db8::9]", "2001:db8::9"),
            (b"[2001:db8::9]:4711", "2001:db8::9"),
            (b"2001:db8::9", "2001:db8::9"),
            (b",, 203.0.113.9 ,", "203.0.113.9"),
            (b"203.0.113.9, 10.0.0.2, unknown", "10.0.0.1"),
            (b"203.0.113.9, what, 10.0.0.2", "10.0.0.2"),
            (b"203.0.113.9, [10.0.0.2]", "10.0.0.1"),
            (b"203.0.113.9, 10.0.0.2:99999", "10.0.0.1"),
            (b"203.0.113.9, \xff", "10.0.0.1"),
            (b"_hidden", "10.0.0.1"),
            (b"", "10.0.0.1"),
        ] {
            let shown = String::from_utf8_lossy(line);
            assert_eq!(
                client(&["10.0.0.0/8"], "10.0.0.1", &[line]),
                found,
                "{shown}"
            );
        }
    }

    #[test]
    fn neighbours_of_version_6_are_one_and_mapped_addresses_are_version_4() {
        let of = |text: &str| Client::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("2001:db8:0:7::1"), of("2001:db8:0:7:ffff::2"));
        assert_ne!(of("2001:db8:0:7::1"), of("2001:db8:0:8::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn without_trusted_proxies_nobody_is_disbelieved() {
        let peer: IpAddr = "192.0.2.1".parse().unwrap();
        assert!(!Trusted::new(Vec::new()).disbelieves(peer));
        assert!(Trusted::new(vec!["10.0.0.0/8".parse().unwrap()]).disbelieves(peer));
        assert!(!Trusted::new(vec!["192.0.0.0/8".parse().unwrap()]).disbelieves(peer));
    }
}
