//! Lists of entity tags: `If-Match` and `If-None-Match` (RFC 9110 sections 8.8.3 and 13.1).
//!
//! Promises that what is no tag names nothing, whatever a client sends.

use std::iter;

use http::{HeaderMap, HeaderName, HeaderValue};

/// When two tags are the same (section 8.8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// If neither is weak: `If-Match`.
    Strong,
    /// Weak or not: `If-None-Match`.
    Weak,
}

/// Whether this field names the tag, which is a strong one with its quotes, or any (`*`); `None` if
/// there is no such field.
pub fn names(
    headers: &HeaderMap,
    field: &HeaderName,
    tag: &HeaderValue,
    by: Comparison,
) -> Option<bool> {
    let mut lines = headers.get_all(field).iter().map(HeaderValue::as_bytes);
    let is_it = |(is_weak, each): (bool, &[u8])| {
        each == tag.as_bytes() && !(is_weak && by == Comparison::Strong)
    };
    let is_in = |line: &[u8]| line.trim_ascii() == b"*" || list(line).any(is_it);
    let first = lines.next()?;
    Some(is_in(first) || lines.any(is_in))
}

/// The tags of a line, each with whether it is weak, as far as the line is a list.
fn list(line: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    let mut rest = line;
    iter::from_fn(move || {
        let is_between = |byte: &u8| matches!(byte, b' ' | b'\t' | b',');
        let begin = rest.iter().position(|byte| !is_between(byte))?;
        let weak = rest[begin..].strip_prefix(b"W/");
        let quoted = weak.unwrap_or(&rest[begin..]);
        let within = quoted.strip_prefix(b"\"")?;
        let end = within.iter().position(|byte| *byte == b'"')?;
        let (tag, after) = quoted.split_at(end + 2);
        rest = after;
        Some((weak.is_some(), tag))
    })
}

#[cfg(test)]
mod tests {
    use http::header::IF_MATCH;

    use super::*;

    #[test]
    fn a_tag_is_found_in_lists_and_what_is_none_names_nothing() {
        for (line, weakly, strongly) in [
            ("\"a\"", true, true),
            (" * ", true, true),
            ("W/\"a\"", true, false),
            ("\"b\", W/\"c,d\",, \"a\"", true, true),
            ("\"b\",\"a\"", true, true),
            ("\"a b\", \"a\"", true, true),
            ("\" a\"", false, false),
            ("\"a, \"b\"", false, false),
            ("a", false, false),
            ("\"a", false, false),
            ("w/\"a\"", false, false),
            ("W/", false, false),
            ("\"", false, false),
            (",", false, false),
            ("", false, false),
        ] {
            let headers = [(IF_MATCH, line.parse().unwrap())].into_iter().collect();
            let tag = HeaderValue::from_static("\"a\"");
            let found = |by| names(&headers, &IF_MATCH, &tag, by);
            assert_eq!(found(Comparison::Weak), Some(weakly), "{line}");
            assert_eq!(found(Comparison::Strong), Some(strongly), "{line}");
            let none = HeaderMap::new();
            assert_eq!(names(&none, &IF_MATCH, &tag, Comparison::Weak), None);
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        let mut headers = HeaderMap::new();
        for line in ["\"b\"", "\"a\""] {
            headers.append(IF_MATCH, HeaderValue::from_static(line));
        }
        let tag = HeaderValue::from_static("\"a\"");
        let found = names(&headers, &IF_MATCH, &tag, Comparison::Strong);
        assert_eq!(found, Some(true));
    }
}
