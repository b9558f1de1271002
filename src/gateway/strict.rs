//! Which requests are taken for requests at all.
//!
//! Promises that whatever goes on from here says in one way only where it ends and for whom it is, so
//! that no server behind can read another request out of the same bytes (RFC 9112 section 11.2).
//! Pingora's parser forgives what the standard lets a recipient forgive: line feeds alone, lengths
//! that are lists, a length beside chunks, a missing host. Servers behind may forgive otherwise.

use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use pingora::http::RequestHeader;

/// Why a request is refused, and its connection closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The answer's status.
    pub status: u16,
    /// The explanation for people. It repeats nothing of the request.
    pub detail: &'static str,
}

/// Whether this is one request to everybody. `raw` is the head as it came over HTTP/1; HTTP/2 frames
/// leave nothing to doubt but the fields.
///
/// # Errors
/// What is ambiguous or malformed.
pub fn check(request: &RequestHeader, raw: Option<&[u8]>) -> Result<(), Unfit> {
    if let Some(raw) = raw {
        lines(raw)?;
        // Pingora drops the length where it finds both.
        if says(raw, &CONTENT_LENGTH) && says(raw, &TRANSFER_ENCODING) {
            return refuse(400, BOTH);
        }
    }
    framing(&request.headers)?;
    target(request)?;
    host(request)?;
    let mut expectations = request.headers.get_all(EXPECT).iter();
    let is_known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if expectations.next().is_some_and(|value| !is_known(value)) || expectations.next().is_some() {
        return refuse(417, "the one expectation that is met is 100-continue");
    }
    Ok(())
}

/// Every line ends with CRLF, and nothing but a tab controls anything within (sections 2.2 and 5).
fn lines(head: &[u8]) -> Result<(), Unfit> {
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        let Some(line) = line.strip_suffix(b"\r\n") else {
            return refuse(400, "a line of the request's head does not end with CRLF");
        };
        let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
        if line.iter().any(is_control) {
            return refuse(400, "the request's head holds a control character");
        }
    }
    Ok(())
}

/// Whether a line of this head is a field of this name.
fn says(head: &[u8], name: &HeaderName) -> bool {
    head.split(|byte| *byte == b'\n').any(|line| {
        let before_colon = line.split(|byte| *byte == b':').next();
        before_colon.is_some_and(|each| each.eq_ignore_ascii_case(name.as_str().as_bytes()))
    })
}

/// One length or chunks, never both (section 6.3); no coding but that of chunks, which is all that
/// can be undone here (section 6.1).
fn framing(headers: &HeaderMap) -> Result<(), Unfit> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (lengths.next(), codings.next()) {
        (Some(_), Some(_)) => refuse(400, BOTH),
        (Some(length), None) => {
            let digits = length.as_bytes();
            let is_number =
                (1..=MAX_DIGITS).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
            match is_number && lengths.next().is_none() {
                true => Ok(()),
                false => refuse(400, "the length of the body is not one number"),
            }
        }
        (None, Some(coding)) => {
            let is_chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
            match is_chunked && codings.next().is_none() {
                true => Ok(()),
                false => refuse(501, "the one transfer coding that is known is chunked"),
            }
        }
        (None, None) => Ok(()),
    }
}

const BOTH: &str = "the body has both a length and a transfer coding";
/// More digits than any body is long, and fewer than any server's integers hold.
const MAX_DIGITS: usize = 18;

/// HTTP/1.1 requires a host, and one at most means something (section 3.2).
fn host(request: &RequestHeader) -> Result<(), Unfit> {
    let mut hosts = request.headers.get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if first.is_none() && request.version == Version::HTTP_11 {
        return refuse(400, "the request does not say for which host it is");
    }
    match second.is_none() && first.is_none_or(is_authority) {
        true => Ok(()),
        false => refuse(400, "the request's host is not the name of one"),
    }
}

/// A name or an address, and perhaps a port; nobody's credentials.
fn is_authority(host: &HeaderValue) -> bool {
    let Ok(authority) = Authority::try_from(host.as_bytes()) else {
        return false;
    };
    let (text, name) = (authority.as_str(), authority.host());
    let port = text.strip_prefix(name);
    let is_port = |port: &str| port.is_empty() || authority.port_u16().is_some();
    !name.is_empty() && port.is_some_and(is_port)
}

/// The target is a path, or a whole address of which the path is read; `*` for OPTIONS (section 3.2).
/// What Pingora could not read as a path it keeps beside one of its own making: the request would be
/// admitted by the one and passed on by the other.
fn target(request: &RequestHeader) -> Result<(), Unfit> {
    let path = request.uri.path_and_query();
    let path = path.map_or("", PathAndQuery::as_str).as_bytes();
    let is_plain = match request.raw_path() {
        b"*" => request.method == Method::OPTIONS,
        raw @ [b'/', ..] => path == raw,
        raw => below_authority(raw).is_some_and(|rest| match rest {
            [b'/', ..] => path == rest,
            query => path.strip_prefix(b"/") == Some(query),
        }),
    };
    match is_plain {
        true => Ok(()),
        false => refuse(400, "the request's target is no path"),
    }
}

/// What follows the authority in an absolute address of ours (RFC 3986 section 3).
fn below_authority(address: &[u8]) -> Option<&[u8]> {
    let is = |scheme: &&[u8]| {
        let begin = address.get(..scheme.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    };
    let scheme = [&b"http://"[..], b"https://"].into_iter().find(is)?;
    let rest = &address[scheme.len()..];
    let end = rest.iter().position(|byte| b"/?#".contains(byte));
    let (authority, below) = rest.split_at(end.unwrap_or(rest.len()));
    (!authority.is_empty()).then_some(below)
}

const fn refuse(status: u16, detail: &'static str) -> Result<(), Unfit> {
    Err(Unfit { status, detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(&'static str, &'static str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        request.set_version(Version::HTTP_11);
        for (name, value) in fields {
            request.append_header(*name, *value).unwrap();
        }
        request
    }

    fn status(fields: &[(&'static str, &'static str)]) -> u16 {
        let with_host = [&[("host", "a")][..], fields].concat();
        check(&request(&with_host), None).map_or_else(|unfit| unfit.status, |()| 200)
    }

    #[test]
    fn a_body_ends_where_one_field_says() {
        assert_eq!(status(&[("content-length", "0")]), 200);
        assert_eq!(status(&[("content-length", "999999999999999999")]), 200);
        assert_eq!(status(&[("transfer-encoding", "Chunked")]), 200);
        for length in ["", "+1", "1,1", " 1", "0x1", "1000000000000000000"] {
            assert_eq!(status(&[("content-length", length)]), 400, "{length:?}");
        }
        let twice = [("content-length", "1"), ("content-length", "1")];
        assert_eq!(status(&twice), 400);
        let both = [("transfer-encoding", "chunked"), ("content-length", "1")];
        assert_eq!(status(&both), 400);
        for coding in ["", "gzip, chunked", "chunked,", "identity"] {
            assert_eq!(status(&[("transfer-encoding", coding)]), 501, "{coding:?}");
        }
    }

    #[test]
    fn a_length_beside_chunks_is_seen_although_the_parser_dropped_it() {
        let parsed = request(&[("host", "a"), ("transfer-encoding", "chunked")]);
        let raw =
            b"POST / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding:chunked\r\nContent-length: 1\r\n\r\n";
        assert_eq!(check(&parsed, Some(raw)).unwrap_err().status, 400);
    }

    #[test]
    fn a_request_is_for_one_host() {
        let of = |hosts: &[&'static str]| {
            let fields: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            check(&request(&fields), None).is_ok()
        };
        for host in ["a", "a:1", "[::1]:80", "a.example."] {
            assert!(of(&[host]), "{host}");
        }
        for hosts in [
            &[][..],
            &[""],
            &["a", "a"],
            &["b@a"],
            &["a b"],
            &["a/b"],
            &[":80"],
            &["a:x"],
            &["a:"],
            &["a:99999"],
        ] {
            assert!(!of(hosts), "{hosts:?}");
        }
        let mut old = request(&[]);
        old.set_version(Version::HTTP_10);
        assert_eq!(check(&old, None), Ok(()));
    }

    #[test]
    fn a_target_is_what_it_is_routed_by() {
        let of = |method, target: &[u8]| {
            let mut request = RequestHeader::build(method, target, None).unwrap();
            request.append_header("host", "a").unwrap();
            check(&request, None).is_ok()
        };
        for target in [
            &b"/"[..],
            b"/a?b=c//d",
            b"//a",
            b"/%00",
            b"http://a/x?y",
            b"http://a",
            b"HTTP://a/",
            b"http://a?x",
        ] {
            assert!(of("GET", target), "{}", target.escape_ascii());
        }
        assert!(of("OPTIONS", b"*"));
        for target in [
            &b"*"[..],
            b"a",
            b"%20/a",
            b"/\xff",
            b"http:///a",
            b"a:80",
            b"ftp://a/",
            b"http:/a",
            b"http:a",
        ] {
            assert!(!of("GET", target), "{}", target.escape_ascii());
        }
    }

    #[test]
    fn every_line_ends_as_the_standard_says() {
        for head in [
            &b"\r\nGET / HTTP/1.1\r\nhost: a\r\nx: \xe9\ty\r\n\r\n"[..],
            b"GET / HTTP/1.0\r\n\r\n",
        ] {
            assert_eq!(lines(head), Ok(()));
        }
        for head in [
            &b"GET / HTTP/1.1\nhost: a\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nhost: a\n\n",
            b"GET / HTTP/1.1\r\nhost: a\r\n\n",
            b"GET / HTTP/1.1\r\nx: a\rb\r\n\r\n",
            b"GET / HTTP/1.1\r\nx: a\r\r\n\r\n",
            b"GET / HTTP/1.1\r\nx: \0\r\n\r\n",
            b"GET / HTTP/1.1\r\nx: \x7f\r\n\r\n",
        ] {
            assert!(lines(head).is_err(), "{}", head.escape_ascii());
        }
    }

    #[test]
    fn nothing_is_expected_but_leave_to_go_on() {
        assert_eq!(status(&[("expect", "100-Continue")]), 200);
        for expected in ["", "y 100-continue", "100-continue, x", "200-ok"] {
            assert_eq!(status(&[("expect", expected)]), 417, "{expected:?}");
        }
    }
}
