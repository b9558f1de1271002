//! Which pages of other origins may read a feed (WHATWG Fetch, section 3.3).

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, VARY,
};
use http::{HeaderName, HeaderValue, Method};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use super::identity::{REQUEST_ID, request_id};
use super::origin;
use crate::config::Feed;

/// Whether a page of a public network may ask a server of a private one (WICG Private Network Access).
const ASKS_PRIVATE: &str = "access-control-request-private-network";
const ALLOWS_PRIVATE: &str = "access-control-allow-private-network";

/// Headers of an answer.
pub type Headers = Vec<(HeaderName, HeaderValue)>;

/// What an answer of ours on this feed says about origins, and the request's id.
pub fn headers(feed: &Feed, request: &RequestHeader) -> Headers {
    let cors = &feed.deliver.cors;
    let mut headers = vec![(VARY, vary(feed))];
    headers.extend(request_id(request).map(|id| (REQUEST_ID, id.clone())));
    if let Some(origin) = origin::allowed(cors, &request.headers) {
        headers.push((ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()));
        if cors.credentials {
            headers.push((
                ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            ));
        }
    }
    headers
}

/// What an answer of ours depends on, besides its path (RFC 9110 section 12.5.5).
fn vary(feed: &Feed) -> HeaderValue {
    let mut names = vec!["accept"];
    if !feed.deliver.cors.origins.is_empty() || feed.is_for_some() {
        names.push("origin");
    }
    if feed.is_for_some() {
        names.push(origin::SITE);
    }
    if let Some(parameters) = &feed.parameters {
        names.extend(parameters.credentials.iter().map(HeaderName::as_str));
    }
    HeaderValue::from_str(&names.join(", ")).expect("invariant: names of headers can be written")
}

/// The answer to a preflight for a subscription from an allowed origin; `None` for any other
/// request, which is the upstream's to answer.
pub fn preflight(feed: &Feed, request: &RequestHeader) -> Option<Result<ResponseHeader>> {
    let method = request.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
    let ours = request.method == Method::OPTIONS
        && (method == "GET" || method == "HEAD" || (method == "POST" && feed.takes_body()))
        && origin::allowed(&feed.deliver.cors, &request.headers).is_some();
    ours.then(|| allow(feed, request))
}

fn allow(feed: &Feed, request: &RequestHeader) -> Result<ResponseHeader> {
    let mut answer = ResponseHeader::build(204, Some(8))?;
    for (name, value) in headers(feed, request) {
        answer.insert_header(name, value)?;
    }
    let methods = match feed.takes_body() {
        true => "GET, HEAD, POST",
        false => "GET, HEAD",
    };
    answer.insert_header(ACCESS_CONTROL_ALLOW_METHODS, methods)?;
    if let Some(wanted) = request.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        answer.insert_header(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone())?;
    }
    allow_private_network(request, &mut answer)?;
    answer.insert_header(ACCESS_CONTROL_MAX_AGE, "600")?;
    Ok(answer)
}

/// Lets a page of a public network ask, where its browser wants to know.
pub fn allow_private_network(request: &RequestHeader, answer: &mut ResponseHeader) -> Result<()> {
    let asks = request.headers.get(ASKS_PRIVATE);
    match asks.is_some_and(|asks| asks == "true") {
        true => answer.insert_header(ALLOWS_PRIVATE, "true"),
        false => Ok(()),
    }
}
