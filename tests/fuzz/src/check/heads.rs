//! Heads of answers, and what else has a syntax of its own in a header.

use http::{HeaderMap, HeaderName, HeaderValue};
use pollcast::upstream::fuzz;

use crate::core::event::Timestamp;
use crate::core::id::EventId;
use crate::core::trace::{Parent, is_state};

/// Lines of `name: value`. Nobody fails, and what is read reads back the same.
pub fn check(input: &[u8]) {
    let head = fields(input);
    let now = Timestamp(1_800_000_000_000);
    let hints = fuzz::hints(&head, now);
    assert_eq!(hints, fuzz::hints(&head, now));
    if let Ok(Some(target)) = fuzz::next_page(&head) {
        assert!(!target.contains('>'), "{target:?}");
        assert!(head.contains_key("link"));
    }
    for line in input.split(|byte| *byte == b'\n') {
        if let Some(parent) = Parent::parse(line) {
            assert_eq!(Parent::parse(parent.to_string().as_bytes()), Some(parent));
        }
        if is_state([line].into_iter()) {
            assert!(
                line.iter()
                    .all(|byte| (0x20..0x7f).contains(byte) || *byte == b'\t')
            );
        }
        if let Some(id) = EventId::parse(line) {
            assert_eq!(EventId::parse(id.to_string().as_bytes()), Some(id));
        }
    }
}

/// The fields of these lines that can be ones.
pub fn fields(lines: &[u8]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n').take(64) {
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            fields.append(name, value);
        }
    }
    fields
}
