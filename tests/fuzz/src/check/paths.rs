//! What picks parts of a document, as a configuration writes it.

use bytes::Bytes;
use pollcast::formats::jq::Filter;

use super::split;
use crate::core::json::{Path, Pattern, Pointer, parse};

/// A text and, after a separator, a document. What parses is written as it was, and what it cuts out
/// is JSON within its bound.
pub fn check(input: &[u8]) {
    let mut parts = split(input).into_iter();
    let Some(Ok(text)) = parts.next().map(std::str::from_utf8) else {
        return;
    };
    let document = Bytes::copy_from_slice(parts.next().unwrap_or_default());
    if let Ok(pointer) = Pointer::parse(text) {
        assert_eq!(Pointer::parse(&pointer.to_string()), Ok(pointer));
    }
    if let Ok(pattern) = Pattern::parse(text) {
        assert_eq!(Pattern::parse(&pattern.to_string()), Ok(pattern));
    }
    if let Ok(path) = Path::parse(text)
        && !path.is_steep()
    {
        let limit = 1 << 12;
        let cut = path.cut(document.clone(), limit);
        assert_eq!(cut, path.cut(document.clone(), limit));
        if let Ok(cut) = cut {
            assert!(cut.len() <= limit);
            assert!(parse(&cut).is_ok(), "{}", cut.escape_ascii());
        }
    }
    // A filter may run for ever, so that none is run here; reading one takes a thousand times as
    // long as all else, so that what is for the others is none.
    if text.len() < 256
        && !text.starts_with(['/', '$'])
        && let Err(error) = Filter::parse(text)
    {
        assert!(error.line > 0 && error.column > 0 && !error.problem.is_empty());
    }
}
