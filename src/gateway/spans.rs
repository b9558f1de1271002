//! What the span of a request says: OpenTelemetry's semantic conventions for HTTP servers, as far as
//! they hold nothing that a query may hide.

use http::{Method, Version};
use pingora::proxy::Session;

use super::access::{Finished, Outcome};
use super::identity::request_id;
use super::routes::Destination;
use crate::peers::Server;
use crate::traces::Span;

/// Describes a request that is over; of a subscription, its opening.
pub fn describe(span: &mut Span, session: &Session, finished: &Finished<'_>) {
    let request = session.req_header();
    let method = known(&request.method);
    let (feed, refusal) = match finished.outcome {
        Outcome::Answered => (finished.destination.and_then(Destination::feed_path), None),
        Outcome::FromMemory(feed) | Outcome::Subscribed(feed) => (Some(feed.path.as_str()), None),
        Outcome::Refused(feed, reason) => (Some(feed.path.as_str()), Some(*reason)),
    };
    let route = finished.destination.and_then(Destination::route);
    let route = route.map(|route| route.path.as_str()).or(feed);
    let name = method.unwrap_or("HTTP");
    span.name(route.map_or_else(|| name.to_owned(), |route| format!("{name} {route}")));
    span.text("http.request.method", method.unwrap_or("_OTHER"));
    span.text("url.path", finished.path(session));
    span.text("network.protocol.name", "http");
    span.text(
        "network.protocol.version",
        match request.version {
            Version::HTTP_2 => "2",
            Version::HTTP_11 => "1.1",
            _ => "1.0",
        },
    );
    let id = request_id(request).and_then(|id| id.to_str().ok());
    let client = finished.client.map(|client| client.to_string());
    let destination = finished.destination;
    for (key, value) in [
        ("http.route", route.map(str::to_owned)),
        ("client.address", client),
        ("pollcast.feed", feed.map(str::to_owned)),
        ("pollcast.refused", refusal.map(str::to_owned)),
        ("pollcast.request_id", id.map(str::to_owned)),
        (
            "pollcast.upstream",
            destination.map(|destination| destination.upstream().name.clone()),
        ),
        ("pollcast.server", finished.server.map(Server::authority)),
    ] {
        if let Some(value) = value {
            span.text(key, value);
        }
    }
    let status = match finished.outcome {
        Outcome::Subscribed(_) => Some(200),
        _ => session.response_written().map(|head| head.status.as_u16()),
    };
    if let Some(status) = status {
        span.number("http.response.status_code", status);
    }
    match (finished.failure, status) {
        (Some(failure), _) => span.failed(failure.etype().as_str()),
        (None, Some(status)) if status >= 500 => span.failed(&status.to_string()),
        _ => {}
    }
}

/// A method that the conventions know, so that there are few names of spans.
fn known(method: &Method) -> Option<&'static str> {
    const KNOWN: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
    ];
    KNOWN.into_iter().find(|known| *known == method.as_str())
}
