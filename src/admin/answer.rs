//! Answers that are whole before they are sent.
//!
//! Promises what every answer of the private listener has: a policy that lets its page load nothing
//! of others, and no other page frame it or guess its type; nothing keeps it unless it says so.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use tokio::task::block_in_place;

use super::asked::Refusal;
use super::assets::Asset;
use crate::core::sse::{Coding, gzip};
use crate::core::tags::{self, Comparison};

pub(super) const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
/// The Prometheus text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Scripts, styles and data from here, and nothing else from anywhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// What the page never asks a browser for.
const FEATURES: &str = "camera=(), geolocation=(), microphone=(), payment=(), usb=()";

/// How long one write may take, and how much more of it for each second on top.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
const BYTES_PER_SECOND: usize = 16 << 10;

/// A status, headers and a body.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    media_type: &'static str,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn new(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            media_type,
            headers: HeaderMap::new(),
            body: body.into(),
        }
    }

    /// What is true for this moment only.
    pub(super) fn json(status: StatusCode, text: String) -> Self {
        Self::new(status, JSON, text)
    }

    /// A line for people.
    pub(super) fn text(status: StatusCode, line: &str) -> Self {
        Self::new(status, TEXT, format!("{line}\n"))
    }

    /// A page for Prometheus.
    pub(super) fn metrics(page: &str, coding: Coding) -> Self {
        let vary = HeaderValue::from_static("accept-encoding");
        let new = |body: Vec<u8>| Self::new(StatusCode::OK, METRICS, body);
        let answer = match coding {
            Coding::Identity => new(page.into()),
            Coding::Gzip => {
                let name = HeaderValue::from_static(coding.name());
                let body = block_in_place(|| gzip::file(page.as_bytes()));
                new(body).with(header::CONTENT_ENCODING, name)
            }
        };
        answer.with(header::VARY, vary)
    }

    /// Another method is wanted.
    pub(super) fn not_allowed(allowed: &'static str) -> Self {
        let line = format!("only {}", allowed.replace(", ", " and "));
        let allowed = HeaderValue::from_static(allowed);
        Self::text(StatusCode::METHOD_NOT_ALLOWED, &line).with(header::ALLOW, allowed)
    }

    /// No more than a status.
    pub(super) fn empty(status: StatusCode) -> Self {
        Self::new(status, "", Bytes::new())
    }

    /// A file of the page, unless the client has it already (RFC 9110 section 13.1.2).
    pub(super) fn asset(asset: &Asset, asked: &HeaderMap) -> Self {
        let named = tags::names(asked, &header::IF_NONE_MATCH, &asset.tag, Comparison::Weak);
        let is_known = named == Some(true);
        let mut answer = match is_known {
            true => Self::empty(StatusCode::NOT_MODIFIED),
            false => Self::new(
                StatusCode::OK,
                asset.media_type,
                Bytes::from_static(asset.body),
            ),
        };
        answer.headers.insert(header::ETAG, asset.tag.clone());
        answer.with(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))
    }

    /// One header more.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// One header more, besides others of its name.
    pub(super) fn also(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Sends it; to HEAD without its body.
    pub(super) async fn send(self, session: &mut ServerSession) -> Result<()> {
        let slow = Duration::from_secs((self.body.len() / BYTES_PER_SECOND) as u64);
        session.set_write_timeout(Some(PATIENCE + slow));
        let mut head = head(self.status)?;
        for name in self.headers.keys() {
            head.remove_header(name);
            for value in self.headers.get_all(name) {
                head.append_header(name, value.clone())?;
            }
        }
        if !matches!(
            self.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        ) {
            head.insert_header(header::CONTENT_TYPE, self.media_type)?;
            head.insert_header(header::CONTENT_LENGTH, self.body.len())?;
        }
        let is_asked_for = session.req_header().method != Method::HEAD;
        session.write_response_header(Box::new(head)).await?;
        if is_asked_for && !self.body.is_empty() {
            session.write_response_body(self.body, true).await?;
        }
        Ok(())
    }
}

impl From<Refusal> for Answer {
    fn from((status, why): Refusal) -> Self {
        Self::text(status, why)
    }
}

/// Answers what cannot be read as a request; there is none to be found in the session.
pub(super) async fn malformed(session: &mut ServerSession) -> Result<()> {
    const LINE: &str = "the request is malformed\n";
    let mut head = head(StatusCode::BAD_REQUEST)?;
    head.insert_header(header::CONTENT_TYPE, TEXT)?;
    head.insert_header(header::CONTENT_LENGTH, LINE.len())?;
    session.set_write_timeout(Some(PATIENCE));
    session
        .write_error_response(head, Bytes::from_static(LINE.as_bytes()))
        .await
}

/// What every answer begins with.
pub(super) fn head(status: StatusCode) -> Result<ResponseHeader> {
    let mut head = ResponseHeader::build(status, Some(14))?;
    head.insert_header(header::CONTENT_SECURITY_POLICY, POLICY)?;
    head.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
    head.insert_header(header::REFERRER_POLICY, "no-referrer")?;
    head.insert_header(header::X_FRAME_OPTIONS, "DENY")?;
    head.insert_header("cross-origin-resource-policy", "same-origin")?;
    head.insert_header("cross-origin-opener-policy", "same-origin")?;
    head.insert_header("permissions-policy", FEATURES)?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    Ok(head)
}
