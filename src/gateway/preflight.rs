//! Browsers that ask whether a page may ask (WHATWG Fetch section 4.8).
//!
//! They can carry no proof, so that guards let them by. Promises that nothing else comes along.

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, UPGRADE};
use http::{HeaderName, Method};
use pingora::http::RequestHeader;
use pingora::proxy::Session;

/// A browser that asks whether a page may ask: once, with no body, in no other protocol.
pub(super) fn is_one(session: &mut Session) -> bool {
    let request = session.req_header();
    let once = |name| request.headers.get_all(name).iter().count() == 1;
    request.method == Method::OPTIONS
        && once(ORIGIN)
        && once(ACCESS_CONTROL_REQUEST_METHOD)
        && !request.headers.contains_key(UPGRADE)
        && session.is_body_empty()
}

/// What a preflight may bring past a guard without a proof: what browsers and proxies say of
/// themselves, and the question. Another header could make another request of it, to some servers
/// another method.
pub(super) fn bare(request: &mut RequestHeader) {
    const NAMES: [&str; 10] = [
        "host",
        "origin",
        "user-agent",
        "referer",
        "connection",
        "content-length",
        "forwarded",
        "x-request-id",
        "traceparent",
        "tracestate",
    ];
    const BEGINNINGS: [&str; 4] = [
        "access-control-request-",
        "accept",
        "sec-fetch-",
        "x-forwarded-",
    ];
    let is_other = |name: &&HeaderName| {
        let name = name.as_str();
        !NAMES.contains(&name) && !BEGINNINGS.iter().any(|begin| name.starts_with(begin))
    };
    let others: Vec<_> = request.headers.keys().filter(is_other).cloned().collect();
    for name in others {
        request.remove_header(&name);
    }
}
