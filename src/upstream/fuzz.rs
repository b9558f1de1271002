//! What reads an upstream's bytes here, for whoever tries all kinds of them (`tests/fuzz`).

use bytes::Bytes;
use http::HeaderMap;

use crate::core::event::Timestamp;
use crate::core::json::Pointer;
use crate::core::schedule::Hints;

use super::hints;
use super::pages::{PagesError, next_target, spliced};

/// What an answer's head asks of later polls.
pub fn hints(head: &HeaderMap, now: Timestamp) -> Hints {
    hints::read(head, now)
}

/// The next page by the answer's `Link` headers; an error where they cannot be read.
///
/// # Errors
/// What RFC 8288 does not allow.
pub fn next_page(head: &HeaderMap) -> Result<Option<String>, PagesError> {
    next_target(head)
}

/// Pages as one document, and how many items they have together; none if one is no page.
pub fn whole(pages: &[Bytes], items: &Pointer) -> Option<(Bytes, u64)> {
    spliced(pages, items)
}
