//! Where in a request proofs are, and how they are taken off it.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use pingora::http::RequestHeader;
use url::form_urlencoded;

/// The header of API keys, besides `Authorization: Bearer`.
pub const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Who asks, by what is seen of it.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// All of the request's headers.
    pub headers: &'a HeaderMap,
    /// How it is asked.
    pub method: &'a Method,
    /// Its target.
    pub uri: &'a Uri,
    /// Whether it is for an event stream.
    pub events: bool,
    /// Whether its connection is secured.
    pub is_secure: bool,
    /// The values of the captures of the feed's path, decoded, in their order.
    pub captures: &'a [String],
    /// Whose it is.
    pub client: Option<IpAddr>,
}

/// A place in a request where a proof may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `Authorization`, behind `Bearer` (RFC 6750 section 2.1).
    Bearer,
    /// The whole of a header.
    Header(HeaderName),
    /// A cookie (RFC 6265 section 4.2.1).
    Cookie(String),
    /// A parameter of the query.
    Query(String),
}

impl<'a> Asking<'a> {
    /// What is there. Where something is there twice, it is not clear what is meant, and nothing is
    /// taken.
    pub fn find(&self, source: &Source) -> Option<Cow<'a, str>> {
        match source {
            Source::Bearer => bearer(self.only(&header::AUTHORIZATION)?).map(Cow::Borrowed),
            Source::Header(name) => Some(Cow::Borrowed(self.only(name)?.trim())),
            Source::Cookie(name) => {
                let lines = self.headers.get_all(header::COOKIE).iter();
                let pairs = lines
                    .filter_map(|line| line.to_str().ok())
                    .flat_map(cookies);
                one(pairs
                    .filter(|(other, _)| other == name)
                    .map(|(_, value)| value))
                .map(Cow::Borrowed)
            }
            Source::Query(name) => {
                let query = self.uri.query().unwrap_or_default();
                let pairs = form_urlencoded::parse(query.as_bytes());
                one(pairs
                    .filter(|(other, _)| other == name)
                    .map(|(_, value)| value))
            }
        }
        .filter(|found| !found.is_empty())
    }

    fn only(&self, name: &HeaderName) -> Option<&'a str> {
        one(self.headers.get_all(name).iter())?.to_str().ok()
    }
}

/// The only one there is.
fn one<T>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next();
    first.filter(|_| all.next().is_none())
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookies(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split(';')
        .filter_map(|pair| pair.trim().split_once('='))
}

impl Source {
    /// Takes whatever is there off the request, so that nobody behind sees it.
    ///
    /// # Errors
    /// Pingora's, if what is left is no target, which cannot be.
    pub fn strip(&self, request: &mut RequestHeader) -> pingora::Result<()> {
        match self {
            Source::Bearer => {
                request.remove_header(&header::AUTHORIZATION);
            }
            Source::Header(name) => {
                request.remove_header(name);
            }
            Source::Cookie(name) => strip_cookie(request, name)?,
            Source::Query(name) => strip_query(request, name)?,
        }
        Ok(())
    }

    /// The header that it is in.
    pub fn header(&self) -> Option<&HeaderName> {
        match self {
            Source::Bearer => Some(&header::AUTHORIZATION),
            Source::Header(name) => Some(name),
            Source::Cookie(_) => Some(&header::COOKIE),
            Source::Query(_) => None,
        }
    }
}

fn strip_cookie(request: &mut RequestHeader, name: &str) -> pingora::Result<()> {
    let lines = request.headers.get_all(header::COOKIE).iter();
    let left: Vec<String> = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .map(str::trim)
        .filter(|pair| {
            pair.split_once('=')
                .is_none_or(|(other, _)| other.trim() != name)
        })
        .map(str::to_owned)
        .collect();
    request.remove_header(&header::COOKIE);
    match left.is_empty() {
        true => Ok(()),
        false => {
            let value = HeaderValue::try_from(left.join("; "));
            request.insert_header(header::COOKIE, value.map_err(|_| invalid("a cookie"))?)
        }
    }
}

/// The other parameters stay as they are written.
fn strip_query(request: &mut RequestHeader, name: &str) -> pingora::Result<()> {
    let is_other = |pair: &&str| {
        let mut pairs = form_urlencoded::parse(pair.as_bytes());
        pairs.all(|(other, _)| other != name)
    };
    let target = request
        .uri
        .path_and_query()
        .map(|it| (it.path(), it.query()));
    let Some((path, Some(query))) = target else {
        return Ok(());
    };
    let left: Vec<&str> = query.split('&').filter(is_other).collect();
    let target = match left.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", left.join("&")),
    };
    let uri = request.uri.clone();
    let mut parts = uri.into_parts();
    let path_and_query = target.parse();
    parts.path_and_query = Some(path_and_query.map_err(|_| invalid("a target"))?);
    let uri = Uri::from_parts(parts).map_err(|_| invalid("a target"))?;
    request.set_uri(uri);
    Ok(())
}

fn invalid(what: &'static str) -> Box<pingora::Error> {
    pingora::Error::explain(pingora::ErrorType::InvalidHTTPHeader, what).into_down()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, headers: &[(&'static str, &str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
        for (name, value) in headers {
            request.append_header(*name, *value).unwrap();
        }
        request
    }

    fn found(request: &RequestHeader, source: &Source) -> Option<String> {
        let asking = Asking {
            headers: &request.headers,
            uri: &request.uri,
            method: &request.method,
            events: false,
            is_secure: false,
            captures: &[],
            client: None,
        };
        asking.find(source).map(Cow::into_owned)
    }

    #[test]
    fn a_proof_is_found_where_it_is_and_gone_once_it_is_taken() {
        let cookie = Source::Cookie("session".to_owned());
        let query = Source::Query("access_token".to_owned());
        let key = Source::Header(API_KEY);
        for (source, target, headers) in [
            (
                &Source::Bearer,
                "/a?b=1",
                &[("authorization", "Bearer s3cret")][..],
            ),
            (
                &Source::Bearer,
                "/a?b=1",
                &[("authorization", "bEARER  s3cret ")],
            ),
            (&key, "/a?b=1", &[("x-api-key", "s3cret")]),
            (&cookie, "/a?b=1", &[("cookie", "a=1; session=s3cret; b=2")]),
            (
                &cookie,
                "/a?b=1",
                &[("cookie", "a=1"), ("cookie", "session=s3cret")],
            ),
            (&query, "/a?access_token=s3cret&b=1", &[]),
            (&query, "/a?b=1&access%5Ftoken=s%33cret", &[]),
        ] {
            let mut request = request(target, headers);
            assert_eq!(
                found(&request, source).as_deref(),
                Some("s3cret"),
                "{target} {headers:?}"
            );
            source.strip(&mut request).unwrap();
            assert_eq!(found(&request, source), None);
            assert_eq!(request.uri, "/a?b=1");
            assert_eq!(request.raw_path(), b"/a?b=1");
            assert!(!format!("{:?}", request.headers).contains("s3cret"));
            if let Some(left) = request.headers.get("cookie") {
                assert!(left == "a=1; b=2" || left == "a=1", "{left:?}");
            }
        }
    }

    #[test]
    fn what_is_there_twice_or_in_another_form_is_no_proof() {
        let cookie = Source::Cookie("s".to_owned());
        let query = Source::Query("t".to_owned());
        for (source, target, headers) in [
            (&Source::Bearer, "/", &[][..]),
            (&Source::Bearer, "/", &[("authorization", "Bearer")]),
            (&Source::Bearer, "/", &[("authorization", "Bearer ")]),
            (&Source::Bearer, "/", &[("authorization", "Basic YTpi")]),
            (
                &Source::Bearer,
                "/",
                &[("authorization", "Bearer a"), ("authorization", "Bearer a")],
            ),
            (&cookie, "/", &[("cookie", "s=a; s=b")]),
            (&cookie, "/", &[("cookie", "xs=a")]),
            (&query, "/?t=a&t=b", &[]),
            (&query, "/?t=", &[]),
            (&query, "/?t", &[]),
        ] {
            assert_eq!(
                found(&request(target, headers), source),
                None,
                "{target} {headers:?}"
            );
        }
    }
}
