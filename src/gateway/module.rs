//! The client module, served to browsers as a file of the gateway's own.
//!
//! Promises one small answer that caches may keep and must ask for again, readable from any origin:
//! a module is fetched with CORS (WHATWG HTML section 8.1.4.2). Must never stand before a feed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderName, HeaderValue, Method, header};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;

use crate::core::accept;
use crate::core::sse::Coding;
use crate::core::tags::{self, Comparison};

/// What is served: `client/pollcast.js` without comments and with short names.
const SOURCE: &str = include_str!("../client/pollcast.min.js");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The module at its path, in both codings.
pub(super) struct Module {
    path: String,
    plain: (Bytes, HeaderValue),
    gzip: (Bytes, HeaderValue),
}

impl Module {
    pub(super) fn new(path: String) -> Self {
        let mut hasher = DefaultHasher::new();
        SOURCE.hash(&mut hasher);
        let hash = hasher.finish();
        let tag = |suffix: &str| {
            HeaderValue::try_from(format!("\"{hash:016x}{suffix}\""))
                .expect("invariant: hexadecimal digits may stand in a tag")
        };
        Self {
            path,
            plain: (Bytes::from_static(SOURCE.as_bytes()), tag("")),
            gzip: (compressed(), tag("-gzip")),
        }
    }

    /// Whether the request is for the module; other methods are not.
    pub(super) fn answers(&self, request: &RequestHeader) -> bool {
        request.uri.path() == self.path && matches!(request.method, Method::GET | Method::HEAD)
    }

    /// Answers a request for which [`Module::answers`] holds.
    pub(super) async fn answer(&self, session: &mut Session) -> Result<()> {
        let request = session.req_header();
        let coding = accept::coding(&request.headers);
        let (body, tag) = match coding {
            Coding::Identity => &self.plain,
            Coding::Gzip => &self.gzip,
        };
        let (headers, field) = (&request.headers, &header::IF_NONE_MATCH);
        let is_known = tags::names(headers, field, tag, Comparison::Weak) == Some(true);
        let is_head = request.method == Method::HEAD;

        let mut head = ResponseHeader::build(if is_known { 304 } else { 200 }, Some(9))?;
        head.insert_header(header::CACHE_CONTROL, "no-cache")?;
        head.insert_header(header::VARY, "accept-encoding")?;
        head.insert_header(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")?;
        head.insert_header(RESOURCE_POLICY, "cross-origin")?;
        head.insert_header(header::ETAG, tag.clone())?;
        if is_known {
            return session.write_response_header(Box::new(head), true).await;
        }
        head.insert_header(header::CONTENT_TYPE, "text/javascript; charset=utf-8")?;
        head.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
        head.insert_header(header::CONTENT_LENGTH, body.len())?;
        if coding == Coding::Gzip {
            head.insert_header(header::CONTENT_ENCODING, "gzip")?;
        }
        let body = body.clone();
        session
            .write_response_header(Box::new(head), is_head)
            .await?;
        match is_head {
            true => Ok(()),
            false => session.write_response_body(Some(body), true).await,
        }
    }
}

/// As small as it gets: it is done once, and events are compressed for speed.
fn compressed() -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(SOURCE.as_bytes());
    let bytes = written.and_then(|()| encoder.finish());
    bytes
        .expect("invariant: a vector takes whatever is written")
        .into()
}
