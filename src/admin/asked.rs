//! What a request asks for.

use http::{StatusCode, Version, header};
use pingora::http::RequestHeader;

use crate::core::id::TopicId;

/// The first parameter of this name.
pub(super) fn query(request: &RequestHeader, name: &str) -> Option<String> {
    let query = request.uri.query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(each, _)| each == name)
        .map(|(_, value)| value.into_owned())
}

/// Why a request cannot be answered.
pub(super) type Refusal = (StatusCode, &'static str);
/// There is no such topic, or no more.
pub(super) const GONE: Refusal = (
    StatusCode::NOT_FOUND,
    "no topic has this id; one that nobody asks for is dropped after a while",
);

/// The topic that is named.
///
/// # Errors
/// If none is, or no topic can be called so.
pub(super) fn topic(request: &RequestHeader) -> Result<TopicId, Refusal> {
    let unnamed = "name the topic: ?id= with an id of /api/topics or /api/status";
    let id = query(request, "id").ok_or((StatusCode::BAD_REQUEST, unnamed))?;
    TopicId::parse(&id).ok_or(GONE)
}

/// The position to resume from; the header wins, as EventSource keeps its first URL for ever.
pub(super) fn last_id(request: &RequestHeader) -> Option<Vec<u8>> {
    let header = request.headers.get("last-event-id");
    let header = header.map(|id| id.as_bytes().to_vec());
    header
        .or_else(|| query(request, "last_event_id").map(String::into_bytes))
        .filter(|id| !id.is_empty())
}

/// Whether the client means to ask again on this connection (RFC 9112 section 9.3); Pingora's
/// small server assumes so.
pub(super) fn stays(request: &RequestHeader) -> bool {
    let options = request.headers.get(header::CONNECTION);
    let option =
        |name: &[u8]| options.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(name));
    match request.version {
        Version::HTTP_11 => !option(b"close"),
        _ => option(b"keep-alive"),
    }
}
