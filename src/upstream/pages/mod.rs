//! Documents that come in pages.
//!
//! Owns where the next page is, when there is none, and what the pages become together. Pure: the
//! requests are made by `upstream::poll`. Promises a whole document or a reason: whatever would cut
//! it short in silence is an error.

mod link;
mod splice;
#[cfg(test)]
mod tests;
mod walk;

use crate::core::json::Pointer;

pub(super) use walk::Walk;

/// The target of the first link to a next page; for `fuzz`.
pub(super) fn next_target(head: &http::HeaderMap) -> Result<Option<String>, PagesError> {
    link::target(head, "next").map_err(|link::Unreadable| PagesError::Link(1))
}

/// Pages put together, and how many items there are; for `fuzz`.
pub(super) fn spliced(pages: &[bytes::Bytes], items: &Pointer) -> Option<(bytes::Bytes, u64)> {
    let read = |body: &bytes::Bytes| splice::Page::read(body.clone(), items).ok();
    let (first, more) = pages.split_first()?;
    let first = read(first)?;
    let mut count = first.count();
    let mut whole = splice::Whole::new(first);
    for page in more {
        let page = read(page)?;
        count += page.count();
        whole.append(&page);
    }
    Some((whole.finish(), count))
}

/// Why a document in pages could not be put together. Pages count from 1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PagesError {
    /// A page is no JSON.
    #[error("page {page} is no JSON (line {line}, column {column})")]
    Syntax {
        /// Which one.
        page: usize,
        /// Where that shows.
        line: usize,
        /// Where that shows, in bytes.
        column: usize,
    },
    /// A page has no array where the items should be.
    #[error("page {0} has no array where request.pages.items says")]
    NoItems(usize),
    /// A `Link` header that cannot be read.
    #[error("page {0} has a Link header that RFC 8288 does not allow")]
    Link(usize),
    /// The next page is nowhere.
    #[error("page {0} names a next page that is no URL")]
    NoUrl(usize),
    /// The next page is at another origin.
    #[error("page {0} names a next page outside the upstream's origin")]
    Elsewhere(usize),
    /// What should be a cursor is neither text nor a number.
    #[error("page {0} has no text and no number where request.pages.cursor.next says")]
    NoCursor(usize),
    /// The next page was read already.
    #[error("page {0} leads back to a page that was read before")]
    Circle(usize),
    /// The items are those of the page before.
    #[error(
        "page {0} brings the same items as the one before; does the upstream know the parameter of request.pages?"
    )]
    Same(usize),
    /// There may be more pages than are read.
    #[error("page {0} is not the last one; raise request.pages.max_pages")]
    TooMany(usize),
}
