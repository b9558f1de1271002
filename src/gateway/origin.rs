//! Whose page asks.
//!
//! A browser sends its user's cookies along with what a page of somebody else's asks for, and the
//! page could not read the answer, but would have it polled and hold a seat. Promises that a feed
//! which is for somebody is not touched by such a page.

use http::{HeaderMap, Method, header};
use pingora::http::RequestHeader;

use crate::config::{Cors, Feed};

/// The header by which browsers say whose page it is (W3C Fetch Metadata); pages cannot set it.
pub(super) const SITE: &str = "sec-fetch-site";

/// What whoever is refused is told.
pub(super) const REFUSAL: &str = "a page of this origin may not ask for a feed that is for \
                                  somebody; list the origin in the feed's `deliver.cors.origins`";

/// Whether a page of an origin that is not allowed asks for a feed that is for somebody.
pub(super) fn is_refused(feed: &Feed, request: &RequestHeader) -> bool {
    feed.is_for_some() && is_foreign(&feed.deliver.cors, request)
}

/// The origin of the page that asks, if there is exactly one and it may read the answer.
pub(super) fn allowed<'a>(cors: &Cors, headers: &'a HeaderMap) -> Option<&'a header::HeaderValue> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = origins.next().filter(|_| origins.next().is_none())?;
    cors.origins
        .iter()
        .any(|allowed| origin == allowed)
        .then_some(origin)
}

/// Whether a page asks that is neither of this origin nor of an allowed one. What comes from no page
/// at all has no such headers.
fn is_foreign(cors: &Cors, request: &RequestHeader) -> bool {
    let headers = &request.headers;
    if allowed(cors, headers).is_some() {
        return false;
    }
    match headers.get(SITE) {
        Some(site) if site == "same-origin" || site == "none" => false,
        Some(_) => !is_link(request),
        None => headers
            .get_all(header::ORIGIN)
            .iter()
            .any(|origin| !is_own(origin.as_bytes(), request)),
    }
}

/// Whether somebody follows a link, whose page learns nothing of where it led to.
fn is_link(request: &RequestHeader) -> bool {
    let headers = &request.headers;
    let says = |name: &str, wanted: &str| headers.get(name).is_some_and(|value| value == wanted);
    matches!(request.method, Method::GET | Method::HEAD)
        && !headers.contains_key(header::ORIGIN)
        && says("sec-fetch-mode", "navigate")
        && says("sec-fetch-dest", "document")
}

/// Whether this is the origin of the request's own host; its scheme may be another one, where TLS
/// ends in front of us.
fn is_own(origin: &[u8], request: &RequestHeader) -> bool {
    let page = origin
        .strip_prefix(b"https://")
        .or_else(|| origin.strip_prefix(b"http://"));
    let authority = request.uri.authority().map(|it| it.as_str().as_bytes());
    let host = request
        .headers
        .get(header::HOST)
        .map(header::HeaderValue::as_bytes);
    match (page, authority.or(host)) {
        (Some(page), Some(host)) => page.eq_ignore_ascii_case(host),
        _ => false,
    }
}
