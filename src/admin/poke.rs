//! `POST /api/poll`: whoever knows that something changed has it polled now.

use http::{Method, StatusCode};
use pingora::http::RequestHeader;
use serde::Serialize;

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
    let Some((_, topics)) = hub.feeds().into_iter().find(|(it, _)| it.path == feed) else {
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
