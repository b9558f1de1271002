//! What serde_json says of a text.
//!
//! Not its `Value`, which refuses numbers beyond an `f64` and a 128th level, and takes some names
//! for its own: `IgnoredAny` judges the grammar, `String` each string, and the depth is counted.

use serde::de::IgnoredAny;

/// As our reader promises it: what serde_json accepts, after a byte order mark, up to 128 levels.
pub fn accepts(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let Ok(text) = std::str::from_utf8(body) else {
        return false;
    };
    serde_json::from_str::<IgnoredAny>(text).is_ok() && holds(text)
}

/// Of a text that follows the grammar: its strings are strings and its depth is bounded.
fn holds(text: &str) -> bool {
    let (mut depth, mut at) = (0, 0);
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b'"' => {
                let end = at + string_length(&text.as_bytes()[at..]);
                if serde_json::from_str::<String>(&text[at..end]).is_err() {
                    return false;
                }
                at = end;
                continue;
            }
            _ => {}
        }
        if depth > 128 {
            return false;
        }
        at += 1;
    }
    true
}

/// Of the string that begins here, quotes included.
fn string_length(rest: &[u8]) -> usize {
    let mut end = 1;
    while rest[end] != b'"' {
        end += if rest[end] == b'\\' { 2 } else { 1 };
    }
    end + 1
}
