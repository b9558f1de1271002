//! Durations, sizes, paths and addresses as they are written in a configuration.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;
use serde_yaml::Value;
use url::Url;

use super::Endpoint;
use super::scalar::Scalar;
use super::sheet::Node;

/// The longest duration that is accepted. Far beyond use, and far below any overflow.
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Node<'_> {
    /// Reads a duration such as `2s`, not shorter than `least` and not longer than a [`DAY`].
    pub(super) fn duration(&self, least: Duration) -> Option<Duration> {
        let example = "write a number and a unit, as in \"2s\", \"500ms\" or \"1m\"";
        let scalar = match self.value() {
            Value::Number(number) => {
                let remedy = match number.is_u64() {
                    true => format!("write \"{number}s\" for seconds"),
                    false => example.to_owned(),
                };
                self.problem(format!("{number} has no unit"), remedy);
                return None;
            }
            Value::String(_) => self.text()?,
            _ => {
                self.wrong_type("a duration", example);
                return None;
            }
        };
        let text = scalar.text.trim();
        if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.') {
            self.problem(format!("{} has no unit", scalar.shown()), example);
            return None;
        }
        let Ok(duration) = humantime::parse_duration(text) else {
            self.problem(format!("{} is no duration", scalar.shown()), example);
            return None;
        };
        let (what, remedy) = if duration < least {
            let least = humantime::format_duration(least);
            ("is too short", format!("write {least} or more"))
        } else if duration > DAY {
            ("is too long", "write 24h or less".to_owned())
        } else {
            return Some(duration);
        };
        self.problem(format!("{} {what}", scalar.shown()), remedy);
        None
    }

    /// Reads a size such as `16MiB`, or a plain number of bytes.
    pub(super) fn size(&self, range: RangeInclusive<usize>) -> Option<usize> {
        let example = "write bytes, or a number and a unit, as in \"16MiB\"";
        let bytes = match self.value() {
            Value::Number(number) => number.as_u64(),
            Value::String(_) => self
                .text()?
                .text
                .trim()
                .parse::<ByteSize>()
                .ok()
                .map(|it| it.0),
            _ => None,
        };
        let Some(bytes) = bytes else {
            self.problem("this is no size", example);
            return None;
        };
        // More than fits is out of any range.
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        if !range.contains(&bytes) {
            let bound = |bytes: usize| ByteSize(bytes as u64).display().iec();
            let remedy = format!("write {} to {}", bound(*range.start()), bound(*range.end()));
            self.problem("the size is out of range", remedy);
            return None;
        }
        Some(bytes)
    }

    /// Reads a path as it stands in a request: percent-encoded, no query.
    pub(super) fn path(&self) -> Option<(String, Scalar)> {
        let (path, scalar) = self.path_with_captures()?;
        if path.contains(['{', '}']) {
            self.problem(
                format!(
                    "{} has a capture, which only the paths of feeds may have",
                    scalar.shown()
                ),
                "write the path that all of them have in common",
            );
            return None;
        }
        Some((path, scalar))
    }

    /// The same, with braces in it that are yet to be understood.
    pub(super) fn path_with_captures(&self) -> Option<(String, Scalar)> {
        let scalar = self.text()?;
        let path = scalar.text.clone();
        let shown = scalar.shown();
        let refuse = |what: &str, remedy: &str| {
            self.problem(format!("{shown} {what}"), remedy);
            None
        };
        let dots = |segment: &str| {
            let plain = segment.to_ascii_lowercase().replace("%2e", ".");
            plain == "." || plain == ".."
        };
        if !path.starts_with('/') {
            return refuse("is no path", "begin it with `/`, as in \"/orders\"");
        }
        if path.contains('?') {
            return refuse(
                "has a query",
                "write the path alone; what to ask the upstream goes into `request.query`",
            );
        }
        if path.contains("//") || path.split('/').any(dots) {
            return refuse(
                "has an empty, `.` or `..` segment",
                "write the path in its shortest form",
            );
        }
        if path.contains('#') || !is_encoded(&path.replace(['{', '}'], "")) {
            return refuse(
                "has a character that no URL path may hold",
                "percent-encode it, as in \"/a%20b\"",
            );
        }
        Some((path, scalar))
    }

    /// Reads an address to listen on: `IP:PORT`, or `localhost:PORT` for 127.0.0.1.
    pub(super) fn listen(&self) -> Option<(SocketAddr, Scalar)> {
        let example =
            "write IP:PORT, as in \"127.0.0.1:8080\", or \"0.0.0.0:8080\" for every interface";
        if !matches!(self.value(), Value::String(_)) {
            self.wrong_type("an address", example);
            return None;
        }
        let scalar = self.text()?;
        let address = match scalar.text.strip_prefix("localhost:") {
            Some(port) => port
                .parse()
                .ok()
                .map(|port: u16| (Ipv4Addr::LOCALHOST, port).into()),
            None => scalar.text.parse().ok(),
        };
        if address.is_none() {
            self.problem(format!("{} is no address", scalar.shown()), example);
        }
        address.map(|address| (address, scalar))
    }

    /// Reads the base URL of an upstream. The path of the result is `/`, or does not end in `/`.
    pub(super) fn base_url(&self) -> Option<Endpoint> {
        let scalar = self.text()?;
        match base_url(&scalar.text) {
            Ok(url) => Some(Endpoint::new(url, scalar.written)),
            Err((what, remedy)) => {
                self.problem(what, remedy);
                None
            }
        }
    }
}

/// RFC 3986 section 3.3: the characters of a path, and well-formed percent-encodings.
fn is_encoded(path: &str) -> bool {
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let fine = match byte {
            b'%' => bytes.by_ref().take(2).filter(u8::is_ascii_hexdigit).count() == 2,
            byte => byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte),
        };
        if !fine {
            return false;
        }
    }
    true
}

/// The URL, or what is wrong with it and the remedy. Shows nothing of it: it may hold a password.
fn base_url(text: &str) -> Result<Url, (&'static str, &'static str)> {
    const EXAMPLE: &str = "write one such as \"http://127.0.0.1:9000\"";
    let lower = text.to_ascii_lowercase();
    if !lower.starts_with("http://") && !lower.starts_with("https://") {
        return Err(("the URL has neither http:// nor https:// in front", EXAMPLE));
    }
    // The parser would drop or turn these, and mean something else than was written.
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
    if text.contains(odd) || text[text.find("//").map_or(0, |at| at + 2)..].starts_with('/') {
        return Err(("this is no URL", EXAMPLE));
    }
    let Ok(mut url) = Url::parse(text) else {
        return Err(("this is no URL", EXAMPLE));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err((
            "the URL holds a user or password",
            "send them with `headers: {authorization: ...}`",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err((
            "the URL has a query or fragment",
            "move the query to `request.query` of the feed",
        ));
    }
    if url.port() == Some(0) {
        return Err(("port 0 cannot be connected to", EXAMPLE));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_loses_its_trailing_slash() {
        let read = |text| base_url(text).map(|url| url.to_string());
        assert_eq!(read("http://shop"), Ok("http://shop/".into()));
        assert_eq!(
            read("HTTPS://Shop:8443/api/"),
            Ok("https://shop:8443/api".into())
        );
        assert_eq!(read("http://[::1]:9000"), Ok("http://[::1]:9000/".into()));
    }

    #[test]
    fn a_base_url_that_means_something_else_is_refused() {
        for text in [
            "shop:9000",
            "127.0.0.1",
            "ftp://shop",
            "http://",
            "http:///x",
            "http:shop",
            "http://a@shop",
            "http://shop?x",
            "http://shop#x",
            "http://sh op",
            "http://shop:0",
            "http:\\\\shop",
            "http://shop:99999",
            "",
        ] {
            assert!(base_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_is_percent_encoded() {
        assert!(is_encoded("/a%20b/~c;d=1"));
        for path in ["/a b", "/a%2", "/a%zz", "/ä", "/a\"", "/a\\b", "/\u{0}"] {
            assert!(!is_encoded(path), "{path}");
        }
    }
}
