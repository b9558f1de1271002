//! Newline-delimited JSON: a JSON text on each line.

use serde::de::IgnoredAny;

use super::FormatError;
use super::text::Text;

/// The array of the lines' values, each as it is written; blank lines are passed over.
pub(super) fn convert(body: &str, limit: usize) -> Result<Vec<u8>, FormatError> {
    let mut out = Text::new(limit);
    out.raw("[")?;
    let mut is_first = true;
    for (index, line) in body.lines().enumerate() {
        let value = line.trim_matches([' ', '\t', '\r']);
        if value.is_empty() {
            continue;
        }
        serde_json::from_str::<IgnoredAny>(value).map_err(|error| FormatError::Syntax {
            format: "NDJSON",
            line: index + 1,
            problem: problem(&error),
        })?;
        out.comma(is_first)?;
        out.raw(value)?;
        is_first = false;
    }
    out.raw("]")?;
    Ok(out.finish())
}

/// What serde_json says, without the line, which is always its first.
fn problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let what = text.strip_suffix(&place).unwrap_or(&text);
    format!("{what} at column {}", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(body: &str) -> Result<String, String> {
        convert(body, 1000)
            .map(|json| String::from_utf8(json).unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn each_line_is_an_element_as_it_is_written() {
        assert_eq!(
            converted("{\"a\": 1.50}\r\n\n  [1e400, \"\\u00e9\"]\t\nnull").unwrap(),
            r#"[{"a": 1.50},[1e400, "\u00e9"],null]"#
        );
    }

    #[test]
    fn the_wrong_line_is_named() {
        assert_eq!(
            converted("{}\n\n{\"a\":}\n").unwrap_err(),
            "no NDJSON: line 3: expected value at column 6"
        );
        assert_eq!(
            converted("{} {}").unwrap_err(),
            "no NDJSON: line 1: trailing characters at column 4"
        );
        assert_eq!(
            converted("[1,\n2]").unwrap_err(),
            "no NDJSON: line 1: EOF while parsing a value at column 3"
        );
    }
}
