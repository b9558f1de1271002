//! Answers that say what went wrong (RFC 9457).

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use serde_json::json;

use super::identity::{REQUEST_ID, request_id};

/// Answers with `status` and a problem document whose `detail` is for people. It also says under which
/// id the request is in the log, as a member of its own (section 3.2).
pub async fn answer(
    session: &mut Session,
    status: u16,
    detail: &str,
    headers: &[(HeaderName, HeaderValue)],
) -> Result<()> {
    let title = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error");
    let mut body = json!({
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
    });
    let mut head = ResponseHeader::build(status, Some(headers.len() + 6))?;
    for (name, value) in headers {
        head.append_header(name, value.clone())?;
    }
    if let Some(id) = request_id(session.req_header()) {
        body["request_id"] = id.to_str().unwrap_or_default().into();
        head.insert_header(REQUEST_ID, id.clone())?;
    }
    let body = body.to_string();
    head.insert_header(header::CONTENT_TYPE, "application/problem+json")?;
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    session.write_response_header(Box::new(head), false).await?;
    session
        .write_response_body(Some(Bytes::from(body)), true)
        .await
}
