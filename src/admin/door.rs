//! Who may ask the private listener.
//!
//! Promises that no page in somebody's browser reads or moves anything here: neither by a name of
//! its own that it made point here (DNS rebinding), nor from another origin. Probes are let in by
//! any name, and learn one word.

use http::{HeaderMap, Method, StatusCode, header};
use pingora::http::RequestHeader;

use super::asked::Refusal;
use crate::config::{Admin, Authority};

const NO_HOST: Refusal = (
    StatusCode::BAD_REQUEST,
    "a request has one Host header, with a name or an address and perhaps a port (RFC 9112 \
     section 3.2)",
);
/// Names are not repeated: whoever chose one is not to have a page of ours say it.
const MISDIRECTED: Refusal = (
    StatusCode::MISDIRECTED_REQUEST,
    "the admin listener does not go by this name: ask for an IP address or localhost, or list the \
     name in `admin.hosts`",
);
const FOREIGN: Refusal = (
    StatusCode::FORBIDDEN,
    "pages of other origins may not ask for this",
);

/// What is asked of everybody at the door.
#[derive(Debug)]
pub(super) struct Door {
    hosts: Vec<Authority>,
}

impl Door {
    pub(super) fn new(admin: &Admin) -> Self {
        Self {
            hosts: admin.hosts.clone(),
        }
    }

    /// Lets a request in.
    ///
    /// # Errors
    /// What it is answered instead.
    pub(super) fn admit(&self, request: &RequestHeader) -> Result<(), Refusal> {
        if is_probe(request.uri.path()) {
            return Ok(());
        }
        let host = host(&request.headers).ok_or(NO_HOST)?;
        // The target's authority counts before the header (RFC 9112 section 3.2.2).
        let target = request.uri.authority().map(http::uri::Authority::as_str);
        for named in target.into_iter().chain([host]) {
            let named = Authority::parse(named).ok_or(NO_HOST)?;
            if !named.is_fixed() && !self.hosts.iter().any(|known| known.covers(&named)) {
                return Err(MISDIRECTED);
            }
        }
        match is_from_here(request, host) {
            true => Ok(()),
            false => Err(FOREIGN),
        }
    }
}

/// Kubernetes, load balancers: they come by names and versions of their own.
fn is_probe(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}

fn host(headers: &HeaderMap) -> Option<&str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().filter(|_| hosts.next().is_none())?;
    host.to_str().ok()
}

/// Whether no page of another origin asks: browsers say whose page it is, and nothing else sends
/// these headers. A link on another page may lead here, since it cannot read what it led to. The
/// scheme may be another one, where TLS ends in front of us.
fn is_from_here(request: &RequestHeader, host: &str) -> bool {
    let headers = &request.headers;
    let says = |name: &str, wanted: &str| headers.get(name).is_some_and(|value| value == wanted);
    let site = headers.get("sec-fetch-site");
    if site.is_some_and(|site| site != "same-origin" && site != "none") {
        let is_read = request.method == Method::GET || request.method == Method::HEAD;
        let is_link = says("sec-fetch-mode", "navigate") && says("sec-fetch-dest", "document");
        return is_read && is_link && !headers.contains_key(header::ORIGIN);
    }
    headers.get_all(header::ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        let page = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        page.is_some_and(|page| page.eq_ignore_ascii_case(host))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_of_this_very_address_is_from_here() {
        let check = |method: &str, host: &str, lines: &[(&'static str, &str)]| {
            let mut request = RequestHeader::build(method, b"/api/poll", None).unwrap();
            for (name, value) in lines {
                request.append_header(*name, *value).unwrap();
            }
            is_from_here(&request, host)
        };
        let own = "127.0.0.1:9091";
        assert!(check("POST", own, &[]));
        assert!(check("POST", own, &[("origin", "http://127.0.0.1:9091")]));
        assert!(check(
            "POST",
            "ops.example",
            &[("origin", "https://ops.example")]
        ));
        assert!(check(
            "POST",
            "[::1]:9091",
            &[("origin", "http://[::1]:9091")]
        ));
        for origin in [
            "http://127.0.0.1:8080",
            "http://127.0.0.1",
            "null",
            "ftp://127.0.0.1:9091",
            "127.0.0.1:9091",
            "http://127.0.0.1:9091/",
            "http://127.0.0.1:9091.evil.example",
        ] {
            assert!(!check("POST", own, &[("origin", origin)]), "{origin}");
        }
        let mine = ("origin", "http://127.0.0.1:9091");
        assert!(!check(
            "POST",
            own,
            &[mine, ("origin", "http://evil.example")]
        ));
        let link = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert!(check("GET", own, &link));
        assert!(!check("POST", own, &link));
    }
}
