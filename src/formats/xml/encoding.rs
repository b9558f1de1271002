//! Which characters a document's bytes are.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};

use super::syntax;
use crate::formats::FormatError;

/// The text, by its byte order mark, else by the encoding that the XML declaration names, else as
/// UTF-8.
pub(super) fn decoded(body: &[u8]) -> Result<Cow<'_, str>, FormatError> {
    let (encoding, mark) = match Encoding::for_bom(body) {
        Some(found) => found,
        None => (declared(body)?, 0),
    };
    let body = &body[mark..];
    if encoding == UTF_8 {
        let text = std::str::from_utf8(body).map_err(|error| FormatError::NotUtf8 {
            byte: mark + error.valid_up_to(),
        })?;
        return Ok(text.into());
    }
    let decoded = encoding.decode_without_bom_handling_and_without_replacement(body);
    decoded.ok_or_else(|| syntax("", 0, format!("it is not {}", encoding.name())))
}

/// The encoding that the XML declaration names (XML 1.0 section 4.3.3); UTF-8 without one.
fn declared(body: &[u8]) -> Result<&'static Encoding, FormatError> {
    let Some(rest) = body.strip_prefix(b"<?xml") else {
        return Ok(UTF_8);
    };
    let end = rest.iter().position(|byte| *byte == b'>').unwrap_or(0);
    let declaration = String::from_utf8_lossy(&rest[..end]);
    let Some((_, rest)) = declaration.split_once("encoding") else {
        return Ok(UTF_8);
    };
    let mut parts = rest.split(['"', '\'']);
    let label = parts.nth(1).unwrap_or_default();
    let encoding = Encoding::for_label(label.as_bytes());
    encoding.ok_or_else(|| syntax("", 0, format!("the encoding {label:?} is not known")))
}
