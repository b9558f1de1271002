//! What a request asks of a feed: which of its topics.
//!
//! Promises that what cannot be a part of a topic's key is refused, in words that say what to do,
//! and that nothing of what a client sent with credentials or a body is repeated in them.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Version;
use http::header::{CONTENT_TYPE, EXPECT};
use percent_encoding::percent_decode_str;
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use serde::de::IgnoredAny;
use tokio::time::timeout;

use crate::config::Parameters;
use crate::hub::{Credentials, Particulars, Place};

/// The longest value of a capture, decoded, in bytes.
const MAX_CAPTURE: usize = 256;
/// The longest forwarded query, names and values decoded, in bytes.
const MAX_QUERY: usize = 2 << 10;
/// How long a client may take to send its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a request is for no topic.
#[derive(Debug, PartialEq, Eq)]
pub struct Unasked {
    /// The answer's status.
    pub status: u16,
    /// The word for metrics.
    pub reason: &'static str,
    /// The explanation for people.
    pub detail: String,
}

/// What a request to this place asks for, its body included where the feed is polled with that.
///
/// # Errors
/// The inner error says what is wrong with it; the outer one, that the client is gone.
pub async fn of(place: &Place, session: &mut Session) -> Result<Result<Particulars, Unasked>> {
    let mut particulars = match particulars(place, session.req_header()) {
        Ok(particulars) => particulars,
        Err(unasked) => return Ok(Err(unasked)),
    };
    let parameters = place.feed().parameters.as_ref();
    if let Some(most) = parameters.and_then(|parameters| parameters.client_body) {
        match body(session, most).await? {
            Ok(body) => particulars.body = Some(body),
            Err(unasked) => return Ok(Err(unasked)),
        }
    }
    Ok(Ok(particulars))
}

/// What a request to this place asks for, without its body.
///
/// # Errors
/// What is wrong with a capture or with the query.
pub fn particulars(place: &Place, request: &RequestHeader) -> Result<Particulars, Unasked> {
    let Some(parameters) = &place.feed().parameters else {
        return Ok(Particulars::default());
    };
    Ok(Particulars {
        captures: captures(place)?,
        query: query(parameters, request.uri.query().unwrap_or_default())?,
        body: None,
        credentials: Credentials::of(&parameters.credentials, &request.headers),
    })
}

/// The values of the captures of the place's path, in their order.
///
/// # Errors
/// What is wrong with one of them.
pub fn captures(place: &Place) -> Result<Vec<String>, Unasked> {
    let names = place.feed().parameters.iter().flat_map(|it| &it.captures);
    let values = names.zip(&place.captures);
    values.map(|(name, raw)| capture(name, raw)).collect()
}

/// A capture's value. It must be text that stays one segment of a path wherever it is put, and says
/// the same to whoever decodes it (RFC 3986 sections 2.1 and 3.3).
pub(super) fn capture(name: &str, raw: &str) -> Result<String, Unasked> {
    let refuse = |why: &str| Unasked {
        status: 400,
        reason: "bad_capture",
        detail: format!("the part of the path that stands for `{name}` {why}"),
    };
    let Ok(value) = percent_decode_str(raw).decode_utf8() else {
        return Err(refuse("is no UTF-8 once it is percent-decoded"));
    };
    if value.is_empty() || value == "." || value == ".." {
        return Err(refuse("is empty, `.` or `..`"));
    }
    if value.len() > MAX_CAPTURE {
        return Err(refuse("is longer than 256 bytes"));
    }
    if value.contains(|c: char| c == '/' || c == '\\' || c.is_control()) {
        return Err(refuse("holds a slash, a backslash or a control character"));
    }
    Ok(value.into_owned())
}

/// The forwarded parameters, in the configured order.
pub(super) fn query(
    parameters: &Parameters,
    query: &str,
) -> Result<Vec<(String, String)>, Unasked> {
    let mut found = Vec::new();
    let mut length = 0;
    for wanted in &parameters.forward_query {
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        for (name, value) in pairs.filter(|(name, _)| name == wanted) {
            length += name.len() + value.len();
            found.push((name.into_owned(), value.into_owned()));
        }
    }
    if length > MAX_QUERY {
        return Err(Unasked {
            status: 400,
            reason: "bad_query",
            detail: "the query parameters of this feed are longer than 2 KiB together".to_owned(),
        });
    }
    Ok(found)
}

/// The body that polls are to be sent with, read to its end: JSON of at most `most` bytes.
///
/// # Errors
/// The inner error says what is wrong with it; the outer one, that the client is gone.
/// A body of JSON, at most so long.
///
/// # Errors
/// The inner error says what is wrong with it; the outer one, that the client is gone.
pub async fn body(session: &mut Session, most: usize) -> Result<Result<Bytes, Unasked>> {
    let refuse = |status, detail: String| {
        Ok(Err(Unasked {
            status,
            reason: "bad_body",
            detail,
        }))
    };
    if !is_json(session.req_header()) {
        let detail = "send a body of the type application/json";
        return refuse(415, detail.to_owned());
    }
    let too_long = || format!("the body is longer than the {most} bytes that are taken");
    if waits_for_leave(session.req_header()) {
        session.downstream_session.write_continue_response().await?;
    }
    let mut body = BytesMut::new();
    let read = async {
        while let Some(part) = session.read_request_body().await? {
            if body.len() + part.len() > most {
                return Ok::<bool, Box<pingora::Error>>(false);
            }
            body.extend_from_slice(&part);
        }
        Ok(true)
    };
    match timeout(BODY_TIMEOUT, read).await {
        Ok(whole) => {
            if !whole? {
                return refuse(413, too_long());
            }
        }
        Err(_) => return refuse(408, "the body did not arrive within 10 s".to_owned()),
    }
    let is_text = std::str::from_utf8(&body).is_ok();
    if !is_text || serde_json::from_slice::<IgnoredAny>(&body).is_err() {
        return refuse(400, "the body is no JSON".to_owned());
    }
    Ok(Ok(body.freeze()))
}

/// Whether the client sends its body only once it is told to (RFC 9110 section 10.1.1).
fn waits_for_leave(request: &RequestHeader) -> bool {
    let expected = request.headers.get(EXPECT);
    request.version == Version::HTTP_11
        && expected.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Whether the body says that it is JSON (RFC 9110 section 8.3).
fn is_json(request: &RequestHeader) -> bool {
    let value = request.headers.get(CONTENT_TYPE);
    let text = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = text.split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, System};

    fn parameters(more: &str) -> Parameters {
        let text = format!(
            "upstreams: {{a: {{url: 'http://a'}}}}\nfeeds: [{{path: '/{{id}}', upstream: a, {more}}}]"
        );
        let (config, _) = Config::parse(&text, &System::new("")).unwrap();
        config.feeds[0].parameters.clone().unwrap()
    }

    #[test]
    fn a_capture_is_decoded_once() {
        for (raw, value) in [
            ("a", "a"),
            ("a%62", "ab"),
            ("%252f", "%2f"),
            ("%25", "%"),
            ("%zz", "%zz"),
            ("%e4%bd%a0", "你"),
            ("...", "..."),
            ("a+b", "a+b"),
            (";x=1", ";x=1"),
        ] {
            assert_eq!(capture("id", raw).as_deref(), Ok(value), "{raw}");
        }
        assert!(capture("id", &"x".repeat(256)).is_ok());
    }

    #[test]
    fn what_could_leave_its_segment_is_no_capture() {
        for raw in [
            "",
            ".",
            "..",
            "%2e",
            "%2E%2e",
            ".%2e",
            "%2f",
            "a%2Fb",
            "%5c",
            "a\\b",
            "%00",
            "a%0d%0ab",
            "%0a",
            "%09",
            "%7f",
            "%c2%80",
            "%c0%ae",
            "%c0%af",
            "%ed%a0%80",
            "%ff",
            "%f8%88%80%80%80",
        ] {
            let refusal = capture("id", raw).unwrap_err();
            assert_eq!(refusal.status, 400, "{raw}");
        }
        assert!(capture("id", &"x".repeat(257)).is_err());
        assert!(capture("id", &"%c3%a9".repeat(129)).is_err());
    }

    #[test]
    fn forwarded_parameters_stand_in_the_configured_order_and_are_bounded() {
        let parameters = parameters("request: {forward_query: [b, a]}");
        let found = query(&parameters, "a=1&x=9&b=2&a=%33&A=0").unwrap();
        let found: Vec<_> = found.iter().map(|(n, v)| format!("{n}{v}")).collect();
        assert_eq!(found, ["b2", "a1", "a3"]);
        let longest = format!("a={}", "x".repeat(2047));
        assert!(query(&parameters, &longest).is_ok());
        let refusal = query(&parameters, &format!("{longest}x")).unwrap_err();
        assert_eq!(refusal.status, 400);
    }
}
