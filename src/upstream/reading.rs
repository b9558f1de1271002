//! From an answer's bytes to the JSON text that is observed: format, transform, JSONPath.
//!
//! Promises that the bytes of the last accepted answer are neither converted nor transformed again.

use bytes::Bytes;
use openssl::sha::sha256;

use super::transform::{TransformError, Transformer, Workers};
use crate::config::Feed;
use crate::core::json::{CutError, ParseError, Path, Tape};
use crate::formats::{Format, FormatError};

/// Bodies from this length on are read apart from the event loop.
const INLINE_BYTES: usize = 64 * 1024;

/// How the answers to one topic's polls are read.
pub(super) struct Reading {
    format: Format,
    transformer: Option<Transformer>,
    path: Option<Path>,
    limit: usize,
    /// SHA-256 of the last answer that was accepted, and of the one read after it.
    accepted: Option<[u8; 32]>,
    latest: Option<[u8; 32]>,
}

/// Why an answer has no JSON text to observe.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("the answer is {0}")]
    Format(#[from] FormatError),
    #[error("the answer is {0}")]
    Parse(#[from] ParseError),
    #[error(transparent)]
    Transform(#[from] TransformError),
    #[error(transparent)]
    Cut(#[from] CutError),
}

impl Unreadable {
    /// A short word for a metric's label; one of a fixed few.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Unreadable::Format(error) => error.reason(),
            Unreadable::Parse(error) => error.reason(),
            Unreadable::Transform(error) => error.reason(),
            Unreadable::Cut(error) => error.reason(),
        }
    }
}

impl Reading {
    /// To be called within a runtime.
    pub(super) fn new(feed: &Feed, workers: &Workers) -> Self {
        Self {
            format: feed.document.format.clone(),
            transformer: workers.of(feed),
            path: feed.document.path.clone(),
            limit: feed.document.max_bytes,
            accepted: None,
            latest: None,
        }
    }

    /// The JSON text that `body` means; none if it is the last accepted one.
    pub(super) async fn read(&mut self, body: Bytes) -> Result<Option<Bytes>, Unreadable> {
        if self.is_plain() {
            return Ok(Some(body));
        }
        let digest = apart(body.len(), || sha256(&body));
        if self.accepted == Some(digest) {
            return Ok(None);
        }
        self.latest = Some(digest);
        let mut json = apart(body.len(), || self.format.convert(body, self.limit))?;
        if let Some(transformer) = &self.transformer {
            // What is no JSON is told as for every other feed, and nests no deeper.
            apart(json.len(), || Tape::read(json.clone()))?;
            json = transformer.transform(json).await?;
        }
        if let Some(path) = &self.path {
            let bytes = match path.is_steep() {
                true => INLINE_BYTES,
                false => json.len(),
            };
            json = apart(bytes, || path.cut(json, self.limit))?;
        }
        Ok(Some(json))
    }

    /// The document took what was read last.
    pub(super) fn accepted(&mut self) {
        self.accepted = self.latest.take();
    }

    /// Whether answers are observed as they are.
    fn is_plain(&self) -> bool {
        self.format == Format::Json && self.transformer.is_none() && self.path.is_none()
    }
}

/// Does what takes as long as so many bytes are to be read; apart from this thread's other tasks if that may
/// be long enough to starve them.
pub(super) fn apart<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    match bytes {
        0..INLINE_BYTES => work(),
        _ => tokio::task::block_in_place(work),
    }
}
