//! What a load balancer tells of a client before its first byte: the PROXY protocol, version 1 and 2.
//!
//! <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>

use std::net::SocketAddr;

use proxy_header::{Error, ParseConfig, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest header, in bytes. Version 1 is at most 107 long; version 2 has room here for what
/// balancers add of their own TLS connection.
const LONGEST: usize = 4 << 10;

/// A header that was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The client; none if the balancer speaks for itself, or does not know.
    pub(super) client: Option<SocketAddr>,
    /// What came after the header already.
    pub(super) rest: Vec<u8>,
}

/// Reads the header that must come first; none if what came is no such header.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Told> {
    let config = ParseConfig {
        include_tlvs: false,
        ..ParseConfig::default()
    };
    let mut bytes = Vec::with_capacity(256);
    loop {
        match ProxyHeader::parse(&bytes, config) {
            Ok((header, length)) => {
                return Some(Told {
                    client: header.proxied_address().map(|address| address.source),
                    rest: bytes.split_off(length),
                });
            }
            Err(Error::BufferTooShort) if bytes.len() < LONGEST && !is_ended_line(&bytes) => {}
            Err(_) => return None,
        }
        let left = (LONGEST - bytes.len()) as u64;
        if (&mut *stream).take(left).read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// Whether this is a line of version 1 that has come to its end: more bytes make it no better.
fn is_ended_line(bytes: &[u8]) -> bool {
    bytes.starts_with(b"P") && bytes.contains(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

    /// What is read if the bytes come one by one, as they may.
    fn told(bytes: &[u8]) -> Option<Told> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let mut pieces = bytes.chunks(1).fold(
            Box::new(tokio::io::empty()) as Box<dyn AsyncRead + Unpin>,
            |before, piece| Box::new(before.chain(piece)),
        );
        runtime.block_on(read(&mut pieces))
    }

    fn client(address: &str) -> Option<Told> {
        Some(Told {
            client: (!address.is_empty()).then(|| address.parse().unwrap()),
            rest: Vec::new(),
        })
    }

    #[test]
    fn version_1_tells_the_client_unless_it_does_not_know_it() {
        let v4 = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
        assert_eq!(told(v4), client("192.0.2.7:56324"));
        let v6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 1 443\r\n";
        assert_eq!(told(v6), client("[2001:db8::7]:1"));
        assert_eq!(told(b"PROXY UNKNOWN\r\n"), client(""));
    }

    #[test]
    fn version_2_tells_the_client_and_what_it_adds_is_skipped() {
        let addresses = [192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 4, 1, 0xbb];
        let extra = [0x04, 0, 2, 9, 9];
        let with = |command, family, length: u16, rest: &[u8]| {
            [V2, &[command, family], &length.to_be_bytes(), rest].concat()
        };
        let proxied = with(0x21, 0x11, 17, &[&addresses[..], &extra].concat());
        assert_eq!(told(&proxied), client("192.0.2.7:56324"));
        let local = with(0x20, 0, 0, b"");
        assert_eq!(told(&local), client(""));
        assert_eq!(told(&with(0x21, 0x11, 4, &addresses)), None);
        assert_eq!(told(&with(0x31, 0x11, 12, &addresses)), None);
    }

    #[test]
    fn what_is_no_header_or_too_long_or_cut_off_is_refused() {
        for bytes in [
            &b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..],
            b"PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
            b"PROXY TCP4 192.0.2.777 198.51.100.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7",
            b"",
            &[b"PROXY UNKNOWN ", &[b'x'; 200][..]].concat(),
            &[V2, b"\x21\x11\xff\xff", &[0; 5000]].concat(),
        ] {
            assert_eq!(told(bytes), None, "{}", bytes.escape_ascii());
        }
    }

    #[tokio::test]
    async fn a_line_that_ended_too_early_is_not_waited_for() {
        let (mut near, mut far) = tokio::io::duplex(64);
        let line = b"PROXY TCP4 192.0.2.7\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut far, line)
            .await
            .unwrap();
        assert_eq!(read(&mut near).await, None);
    }

    #[tokio::test]
    async fn what_comes_after_it_is_kept() {
        let mut bytes = &b"PROXY UNKNOWN\r\nGET /"[..];
        let told = read(&mut bytes).await.unwrap();
        assert_eq!(told.rest, b"GET /");
    }
}
