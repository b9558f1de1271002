//! Documents in pages.

use bytes::Bytes;
use pollcast::upstream::fuzz;

use super::split;
use crate::core::json::{Pointer, parse};

/// Bodies that a separator divides, with items where the first byte says: put together they are JSON
/// that has the items of all, and everything else of the first.
pub fn check(input: &[u8]) {
    let Some((choice, input)) = input.split_first() else {
        return;
    };
    let items = Pointer::parse(["", "/items", "/a/0"][usize::from(choice % 3)]).expect("a pointer");
    let pages: Vec<_> = split(input)
        .into_iter()
        .map(Bytes::copy_from_slice)
        .collect();
    let Some((whole, count)) = fuzz::whole(&pages, &items) else {
        return;
    };
    if pages.iter().any(|page| parse(page).is_err()) {
        // Deeper than documents may be, or not UTF-8: refused by the next reader.
        return;
    }
    assert!(parse(&whole).is_ok(), "{}", whole.escape_ascii());
    let again = fuzz::whole(std::slice::from_ref(&whole), &items);
    assert_eq!(again, Some((whole, count)));
}
