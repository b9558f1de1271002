//! `POST /api/poll`: whoever knows that something changed has it polled now.
//!
//! Promises that a page in somebody's browser cannot do so: the private listener asks nobody who
//! they are.

use http::{HeaderMap, Method, StatusCode, header};
use pingora::http::RequestHeader;
use serde::Serialize;
use url::{Host, Url};

use super::answer::Answer;
use super::{WRITE, json};
use crate::hub::Hub;

/// Where it is asked for.
pub(super) const PATH: &str = "/api/poll";

const USAGE: &str = "name what to poll: ?path= with the public path of one document, or ?feed= \
                     with the path of a feed as it is configured";

#[derive(Serialize)]
struct One<'a> {
    path: &'a str,
    polled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
}

#[derive(Serialize)]
struct All<'a> {
    feed: &'a str,
    polled: usize,
    asleep: usize,
}

/// Pokes what the request names.
pub(super) fn answer(hub: &Hub, request: &RequestHeader) -> Answer {
    if request.method != Method::POST {
        return Answer::not_allowed(WRITE);
    }
    if !is_from_here(&request.headers) {
        let why = "pages of other origins may not ask for this";
        return Answer::text(StatusCode::FORBIDDEN, why);
    }
    let query = request.uri.query().unwrap_or_default();
    let named: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
    let [(name, value)] = named.as_slice() else {
        return Answer::text(StatusCode::BAD_REQUEST, USAGE);
    };
    match &**name {
        "path" => one(hub, value),
        "feed" => all(hub, value),
        _ => Answer::text(StatusCode::BAD_REQUEST, USAGE),
    }
}

/// Topics that differ in what must not be shown have the same path; without a query, it stands for
/// every query.
fn one(hub: &Hub, path: &str) -> Answer {
    let bare = |name: &str| name.split('?').next().unwrap_or_default().to_owned();
    let Some(place) = hub.at(&bare(path)) else {
        return Answer::text(StatusCode::NOT_FOUND, "no feed has this path");
    };
    let topics = hub.topics(&place);
    let named = topics.iter().filter(|topic| {
        let name = topic.identity().name();
        name == path || bare(name) == path
    });
    let polled = named.filter(|topic| topic.poke()).count() > 0;
    told(&One {
        path,
        polled,
        why: (!polled).then_some("nobody listens"),
    })
}

fn all(hub: &Hub, feed: &str) -> Answer {
    let Some((_, topics)) = hub.feeds().find(|(it, _)| it.path == feed) else {
        return Answer::text(StatusCode::NOT_FOUND, "no feed has this path");
    };
    let polled = topics.iter().filter(|topic| topic.poke()).count();
    told(&All {
        feed,
        polled,
        asleep: topics.len() - polled,
    })
}

fn told(what: &impl Serialize) -> Answer {
    Answer::json(StatusCode::ACCEPTED, json(what))
}

/// Whether no page of another origin sends this (WHATWG Fetch section 3.2, Fetch Metadata section
/// 2.4). A name that leads to this address proves nothing, since anybody's may; so a page's own host
/// must be an address or `localhost`.
pub(super) fn is_from_here(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    if site.is_some_and(|site| site != "same-origin" && site != "none") {
        return false;
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let url = origin.to_str().ok().and_then(|text| Url::parse(text).ok());
    let (Some(url), Some(host)) = (url, host) else {
        return false;
    };
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        None => false,
    };
    is_local && url.authority() == host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_of_this_very_address_is_from_here() {
        let check = |host: &'static str, origin: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            headers.insert(header::ORIGIN, origin.parse().unwrap());
            is_from_here(&headers)
        };
        assert!(check("127.0.0.1:9091", "http://127.0.0.1:9091"));
        assert!(check("[::1]:9091", "http://[::1]:9091"));
        assert!(check("localhost:9091", "http://localhost:9091"));
        assert!(!check("127.0.0.1:9091", "http://127.0.0.1:8080"));
        assert!(!check("127.0.0.1:9091", "null"));
        // A name of an attacker's that resolves to loopback.
        assert!(!check("evil.example:9091", "http://evil.example:9091"));
        assert!(is_from_here(&HeaderMap::new()));
    }
}
