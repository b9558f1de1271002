//! Who may ask the private listener.
//!
//! Promises that no page in somebody's browser reads or moves anything here: neither by a name of
//! its own that it made point here (DNS rebinding), nor from another origin. Probes are let in by
//! any name, and learn one word. Where `admin.access` says who may ask, nobody else does; browsers and
//! scrapers may show a key as a password (RFC 7617), whatever the name beside it.

use std::borrow::Cow;
use std::sync::Arc;

use headers::authorization::Basic;
use headers::{Authorization, HeaderMapExt};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;

use super::answer::Answer;
use super::asked::Refusal;
use crate::auth::{Asking, Denied, Grant, Guard};
use crate::clock::Clock;
use crate::config::{Admin, Authority, Policy, bearer};
use crate::core::accept;

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

/// What metrics call the listener.
const PLACE: &str = "admin";
/// What browsers know how to ask people for, and what programs do.
const CHALLENGES: [&str; 2] = [
    "Basic realm=\"pollcast\", charset=\"UTF-8\"",
    "Bearer realm=\"pollcast\"",
];

/// What is asked of everybody at the door.
#[derive(Debug)]
pub(super) struct Door {
    hosts: Vec<Authority>,
    access: Option<Arc<Policy>>,
    guard: Arc<Guard>,
}

/// Who came in: what by, where not everybody may.
pub(super) type Entered = Option<Arc<Grant>>;

impl Door {
    pub(super) fn new(admin: &Admin, guard: Arc<Guard>) -> Self {
        Self {
            hosts: admin.hosts.clone(),
            access: admin.access.clone(),
            guard,
        }
    }

    /// Lets a request in, or says what it is answered instead.
    pub(super) async fn admit(&self, session: &ServerSession) -> Result<Entered, Answer> {
        let request = session.req_header();
        if is_probe(request.uri.path()) {
            return Ok(None);
        }
        self.knows(request)?;
        let Some(policy) = &self.access else {
            return Ok(None);
        };
        let digest = session.digest();
        let asking = Asking {
            headers: &with_password(&request.headers),
            method: &request.method,
            uri: &request.uri,
            events: accept::names_events(&request.headers),
            is_secure: digest.is_some_and(|digest| digest.ssl_digest.is_some()),
            captures: &[],
            client: session
                .client_addr()
                .and_then(|it| Some(it.as_inet()?.ip())),
        };
        let granted = self.guard.admit(PLACE, policy, &asking).await;
        granted.map(Some).map_err(|denied| refuse(&denied))
    }

    /// Waits until a grant is over.
    pub(super) async fn over(&self, entered: Entered, clock: Clock) {
        let Some(grant) = entered else {
            return std::future::pending().await;
        };
        let mut withdrawals = self.guard.withdrawals();
        self.guard.follow(&grant);
        while !grant.is_over(clock.now()) {
            tokio::select! {
                () = clock.reached(grant.expires()) => {}
                told = withdrawals.changed() => if told.is_err() {
                    return;
                }
            }
        }
    }

    /// Whether the name is one of ours, and nobody else's page asks.
    fn knows(&self, request: &RequestHeader) -> Result<(), Refusal> {
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

/// A key that comes as a password, as if it came by itself.
fn with_password(headers: &HeaderMap) -> Cow<'_, HeaderMap> {
    // What is there twice is no proof, as elsewhere.
    if headers.get_all(header::AUTHORIZATION).iter().count() > 1 {
        return Cow::Borrowed(headers);
    }
    let Some(Authorization(basic)) = headers.typed_get::<Authorization<Basic>>() else {
        return Cow::Borrowed(headers);
    };
    let Some(key) = bearer(basic.password()) else {
        return Cow::Borrowed(headers);
    };
    let mut headers = headers.clone();
    headers.insert(header::AUTHORIZATION, key);
    Cow::Owned(headers)
}

fn refuse(denied: &Denied) -> Answer {
    let status = match denied {
        Denied::Missing | Denied::Invalid => StatusCode::UNAUTHORIZED,
        Denied::Insufficient => StatusCode::FORBIDDEN,
        Denied::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Denied::Elsewhere(refusal) => refusal.status,
    };
    let answer = Answer::text(
        status,
        "the admin listener is not for everybody (`admin.access`)",
    );
    match denied {
        Denied::Elsewhere(refusal) => refusal
            .headers
            .iter()
            .fold(answer, |answer, (name, value)| {
                answer.also(name.clone(), value.clone())
            }),
        Denied::Missing | Denied::Invalid => CHALLENGES.into_iter().fold(answer, |answer, it| {
            answer.also(header::WWW_AUTHENTICATE, HeaderValue::from_static(it))
        }),
        Denied::Insufficient | Denied::Unavailable => answer,
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
