//! One document out of several pages, put together on their bytes.
//!
//! Promises that whatever is kept of a page stays as the upstream wrote it: numbers, the order of
//! members, escapes.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::core::json::Pointer;

/// Why a body is no page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is no JSON; where that shows.
    Syntax { line: usize, column: usize },
    /// There is no array where the items should be.
    NoItems,
}

/// One page: a JSON text with an array of items.
#[derive(Clone, Debug)]
pub(super) struct Page {
    body: Bytes,
    /// What stands between the array's brackets.
    items: Range<usize>,
    /// How many items there are.
    count: u64,
}

impl Page {
    /// Finds the items of a page. A byte order mark is skipped.
    pub(super) fn read(body: Bytes, items: &Pointer) -> Result<Self, Unfit> {
        let body = match body.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) => body.slice_ref(rest),
            None => body,
        };
        let whole: &RawValue = serde_json::from_slice(&body).map_err(|error| Unfit::Syntax {
            line: error.line(),
            column: error.column(),
        })?;
        let array = find(whole, items).ok_or(Unfit::NoItems)?;
        let count = array.deserialize_seq(Count).map_err(|_| Unfit::NoItems)?;
        let start = array.get().as_ptr().addr() - body.as_ptr().addr();
        let items = start + 1..start + array.get().len() - 1;
        Ok(Self { body, items, count })
    }

    /// How many items it has.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The items as they are written.
    pub(super) fn items(&self) -> &[u8] {
        &self.body[self.items.clone()]
    }

    /// The JSON text of the value at this place.
    pub(super) fn value(&self, at: &Pointer) -> Option<&str> {
        let whole: &RawValue = serde_json::from_slice(&self.body).ok()?;
        find(whole, at).map(RawValue::get)
    }
}

/// The first page with the items of later ones behind its own.
#[derive(Debug)]
pub(super) struct Whole {
    first: Page,
    more: Vec<u8>,
}

impl Whole {
    pub(super) fn new(first: Page) -> Self {
        Self {
            first,
            more: Vec::new(),
        }
    }

    /// Appends the items of the next page.
    pub(super) fn append(&mut self, page: &Page) {
        if page.count == 0 {
            return;
        }
        if self.first.count > 0 || !self.more.is_empty() {
            self.more.push(b',');
        }
        self.more.extend_from_slice(page.items());
    }

    /// The document.
    pub(super) fn finish(self) -> Bytes {
        if self.more.is_empty() {
            return self.first.body;
        }
        let (before, after) = self.first.body.split_at(self.first.items.end);
        Bytes::from([before, &self.more, after].concat())
    }
}

/// The value at a place (RFC 6901); of members with the same name, the last.
fn find<'a>(whole: &'a RawValue, at: &Pointer) -> Option<&'a RawValue> {
    at.tokens().iter().try_fold(whole, |value, token| {
        let mut text = serde_json::Deserializer::from_str(value.get());
        text.deserialize_any(Child(token)).ok().flatten()
    })
}

/// Finds the member or the element that a token names.
struct Child<'t>(&'t str);

impl<'de> Visitor<'de> for Child<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<String>()? {
            match name == self.0 {
                true => found = Some(map.next_value()?),
                false => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let is_index = self.0 == "0" || !self.0.starts_with(['0', '+']);
        let index = self.0.parse::<usize>().ok().filter(|_| is_index);
        let (mut found, mut at) = (None, 0);
        while let Some(element) = seq.next_element()? {
            if index == Some(at) {
                found = Some(element);
            }
            at += 1;
        }
        Ok(found)
    }
}

/// Counts the elements of an array.
struct Count;

impl<'de> Visitor<'de> for Count {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<u64, A::Error> {
        let mut count = 0;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(text: &str) -> Pointer {
        Pointer::parse(text).unwrap()
    }

    fn page(text: &str, at: &str) -> Page {
        Page::read(Bytes::copy_from_slice(text.as_bytes()), &pointer(at)).unwrap()
    }

    fn merged(at: &str, pages: &[&str]) -> String {
        let mut whole = Whole::new(page(pages[0], at));
        for text in &pages[1..] {
            whole.append(&page(text, at));
        }
        String::from_utf8(whole.finish().to_vec()).unwrap()
    }

    #[test]
    fn items_follow_each_other_as_they_were_written() {
        assert_eq!(
            merged("", &["[1.10, 1e400]", "[ ]", " [ {\"a\":1,\"a\":2} ]\n"]),
            "[1.10, 1e400, {\"a\":1,\"a\":2} ]"
        );
        assert_eq!(merged("", &["[]", "[1]", "[]", "[2]"]), "[1,2]");
        assert_eq!(merged("", &["[ ]", "[ ]"]), "[ ]");
    }

    #[test]
    fn the_first_page_gives_everything_else() {
        assert_eq!(
            merged(
                "/d/0/~1",
                &[
                    r#"{"z":1.0,"d":[{"/":[1]},[9]],"\u0061":"]"}"#,
                    r#"{"d":[{"/":[2,"]"]}],"z":2}"#
                ]
            ),
            r#"{"z":1.0,"d":[{"/":[1,2,"]"]},[9]],"\u0061":"]"}"#
        );
    }

    #[test]
    fn private_names_of_the_library_are_plain_names() {
        let odd = r#"[{"$serde_json::private::RawValue":"[]"}]"#;
        assert_eq!(page(odd, "").count(), 1);
        assert!(page(odd, "").value(&pointer("/0/a")).is_none());
    }

    #[test]
    fn values_are_found_by_name_and_index_the_last_of_equal_names() {
        let page = page(r#"{"a":[],"n":{"c":"x"},"n":{"c":null},"l":[1,[2]]}"#, "/a");
        let value = |at: &str| page.value(&pointer(at));
        assert_eq!(value("/n/c"), Some("null"));
        assert_eq!(value("/l/1/0"), Some("2"));
        for nowhere in ["/x", "/n/c/d", "/l/2", "/l/01", "/l/-", "/l/+1", "/l/a"] {
            assert_eq!(value(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert_eq!(merged("", &["\u{feff}[1]", "\u{feff}[2]"]), "[1,2]");
    }

    #[test]
    fn what_is_no_page_is_refused() {
        let unfit = |text: &str, at: &str| {
            let body = Bytes::copy_from_slice(text.as_bytes());
            Page::read(body, &pointer(at)).unwrap_err()
        };
        let syntax = |line, column| Unfit::Syntax { line, column };
        assert_eq!(unfit("<html>", ""), syntax(1, 1));
        assert_eq!(unfit("[1]\n]", ""), syntax(2, 1));
        assert_eq!(unfit("", ""), syntax(1, 0));
        for (text, at) in [
            ("{}", ""),
            ("{}", "/a"),
            (r#"{"a":"[]"}"#, "/a"),
            ("[1]", "/0"),
        ] {
            assert_eq!(unfit(text, at), Unfit::NoItems, "{text}");
        }
    }
}
