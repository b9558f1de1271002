//! Answers that are not one JSON text, turned into one.
//!
//! Owns what each format means as JSON. Pure: bytes in, JSON text out. Promises that the same bytes
//! always become the same text, that a number keeps its writing where the format has numbers of
//! its own, that whatever cannot be read is refused with its line, and that neither nesting nor
//! length gets out of bounds. Must never look anything up outside of the bytes.

mod csv;
pub mod jq;
mod ndjson;
mod prometheus;
mod text;
mod xml;

pub use csv::Csv;
pub use xml::Xml;

use bytes::Bytes;

use text::Full;

/// What an upstream's answers are written in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON text, RFC 8259.
    #[default]
    Json,
    /// A JSON text on each line, as ndjson.org and jsonlines.org have it: an array of them.
    Ndjson,
    /// Comma-separated values, RFC 4180: an array of its rows.
    Csv(Csv),
    /// XML 1.0: an object with the root element as its only member.
    Xml(Xml),
    /// Prometheus' text exposition format 0.0.4, and OpenMetrics 1.0: an object of its families.
    Prometheus,
}

/// Why an answer is not of its format. Reads on after "the answer is".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Nothing but white space.
    #[error("empty")]
    Empty,
    /// Formats that are UTF-8 by definition, or by default.
    #[error("not UTF-8 at byte {byte}")]
    NotUtf8 {
        /// The offset of the first wrong byte, from 0.
        byte: usize,
    },
    /// Something is wrong at a place.
    #[error("no {format}: line {line}: {problem}")]
    Syntax {
        /// The format's name.
        format: &'static str,
        /// From 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// The JSON text would be too long.
    #[error("longer than {limit} bytes as JSON (document.max_bytes)")]
    TooLong {
        /// The bound, in bytes.
        limit: usize,
    },
}

impl Format {
    /// The word for it in a configuration.
    pub const fn name(&self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Ndjson => "ndjson",
            Format::Csv(_) => "csv",
            Format::Xml(_) => "xml",
            Format::Prometheus => "prometheus",
        }
    }

    /// What upstreams are asked for (RFC 9110 section 12.5.1); one that only knows another type may
    /// still answer. Of a metrics page the older format, whose families are named as its samples.
    pub const fn accept(&self) -> &'static str {
        match self {
            Format::Json => "application/json, */*;q=0.5",
            Format::Ndjson => "application/x-ndjson, application/jsonl, */*;q=0.5",
            Format::Csv(_) => "text/csv, */*;q=0.5",
            Format::Xml(_) => "application/xml, text/xml, */*;q=0.5",
            Format::Prometheus => "text/plain;version=0.0.4, */*;q=0.5",
        }
    }

    /// `body` as JSON text of at most `limit` bytes. JSON itself comes back as it is, unread.
    ///
    /// # Errors
    /// [`FormatError`] says what is wrong and where.
    pub fn convert(&self, body: Bytes, limit: usize) -> Result<Bytes, FormatError> {
        let json = match self {
            Format::Json => return Ok(body),
            Format::Ndjson => ndjson::convert(utf8(&body)?, limit),
            Format::Csv(csv) => csv.convert(utf8(&body)?, limit),
            Format::Xml(xml) => xml.convert(&body, limit),
            Format::Prometheus => prometheus::convert(utf8(&body)?, limit),
        }?;
        Ok(json.into())
    }
}

impl FormatError {
    /// A short word for a metric's label; one of a fixed few.
    pub const fn reason(&self) -> &'static str {
        match self {
            FormatError::Empty => "empty",
            FormatError::NotUtf8 { .. } => "not_utf8",
            FormatError::Syntax { .. } => "invalid_format",
            FormatError::TooLong { .. } => "too_large",
        }
    }
}

impl From<Full> for FormatError {
    fn from(Full { limit }: Full) -> Self {
        FormatError::TooLong { limit }
    }
}

/// The text without its byte order mark, unless it is blank.
fn utf8(body: &[u8]) -> Result<&str, FormatError> {
    let text = std::str::from_utf8(body).map_err(|error| FormatError::NotUtf8 {
        byte: error.valid_up_to(),
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match text.trim().is_empty() {
        true => Err(FormatError::Empty),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::json::parse;

    fn formats() -> Vec<Format> {
        let bare = Csv {
            delimiter: b'\t',
            header: false,
            numbers: false,
        };
        let arrays = Xml {
            arrays: ["a".to_owned()].into(),
            numbers: true,
        };
        vec![
            Format::Ndjson,
            Format::Csv(Csv::default()),
            Format::Csv(bare),
            Format::Xml(Xml::default()),
            Format::Xml(arrays),
            Format::Prometheus,
        ]
    }

    /// Whatever the bytes are, the outcome is JSON within the limit, or an error.
    fn is_sound(body: &[u8]) {
        for format in formats() {
            let converted = format.convert(Bytes::copy_from_slice(body), 200);
            if let Ok(json) = &converted {
                assert!(json.len() <= 200);
                assert!(parse(json).is_ok(), "{format:?}: {json:?}");
            }
            assert_eq!(format.convert(Bytes::copy_from_slice(body), 200), converted);
        }
    }

    /// Texts that look like one of the formats.
    fn alike() -> impl Strategy<Value = String> {
        const PIECES: &[&str] = &[
            "<a>",
            "</a>",
            "<b x='1'>",
            "</b>",
            "<c/>",
            "&amp;",
            "&#65;",
            "&no;",
            "<![CDATA[",
            "]]>",
            "<!--",
            "-->",
            "<?xml?>",
            "# TYPE a counter\n",
            "# HELP a b\n",
            "a_total",
            "{a=\"b\"}",
            "{",
            "}",
            "\"",
            "\\",
            "1",
            "-0.5e9",
            "NaN",
            " ",
            "\n",
            ",",
            "\t",
            "[",
            "]",
            "null",
            ":",
            "\u{feff}",
            "é",
            "\u{1}",
            "# EOF",
        ];
        proptest::collection::vec(prop::sample::select(PIECES), 0..20)
            .prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_become_json_or_an_error(body: Vec<u8>) {
            is_sound(&body);
        }

        #[test]
        fn any_text_that_looks_right_becomes_json_or_an_error(body in alike()) {
            is_sound(body.as_bytes());
        }
    }

    #[test]
    fn json_is_left_alone() {
        let body = Bytes::from_static(b"\xff no JSON at all");
        assert_eq!(Format::Json.convert(body.clone(), 1), Ok(body));
    }
}
