//! Reading a text into a tree, and saying what is wrong with one that is no JSON.
//!
//! serde_json decides what is JSON, over the whole body and without recursion; then one walk over
//! the text, now known to be well formed, builds the tree. So numbers keep their text, the depth
//! is ours to bound, and no member name has a meaning of its own.

use serde::de::IgnoredAny;

use super::{Json, Number, Object};

/// How many arrays and objects may stand inside one another.
pub const MAX_DEPTH: usize = 128;

/// Why a text is no document. Reads on after "the answer is" or "the patch is".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Nothing but white space.
    #[error("empty")]
    Empty,
    /// The first character is `<`: an error page, a log-in form.
    #[error("HTML, not JSON")]
    Html,
    /// RFC 8259 section 8.1.
    #[error("not UTF-8 at byte {byte}")]
    NotUtf8 {
        /// The offset of the first wrong byte, from 0.
        byte: usize,
    },
    /// Not the grammar of RFC 8259.
    #[error("invalid JSON at line {line} column {column}: {problem}")]
    Syntax {
        /// From 1.
        line: usize,
        /// In bytes, from 1; 0 for the end of the line before.
        column: usize,
        /// What is wrong there.
        problem: String,
    },
    /// 2 GiB or more.
    #[error("larger than 2 GiB")]
    TooLarge,
    /// More than [`MAX_DEPTH`] arrays and objects inside one another.
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

impl ParseError {
    /// A short word for a metric's label; one of a fixed few.
    pub const fn reason(&self) -> &'static str {
        match self {
            ParseError::Empty => "empty",
            ParseError::Html => "html",
            ParseError::NotUtf8 { .. } => "not_utf8",
            ParseError::Syntax { .. } => "invalid_json",
            ParseError::TooDeep => "too_deep",
            ParseError::TooLarge => "too_large",
        }
    }
}

/// Reads one JSON text, RFC 8259, in UTF-8; a byte order mark before it is skipped.
///
/// Accepts what serde_json accepts, and numbers of any size besides.
///
/// # Errors
/// [`ParseError`] says what is wrong and where.
pub fn parse(body: &[u8]) -> Result<Json, ParseError> {
    parse_within(body, MAX_DEPTH)
}

/// As [`parse`], with another bound on the depth.
pub(super) fn parse_within(body: &[u8], max_depth: usize) -> Result<Json, ParseError> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    match body.iter().find(|byte| !is_space(**byte)) {
        None => return Err(ParseError::Empty),
        Some(b'<') => return Err(ParseError::Html),
        Some(_) => {}
    }
    let text = std::str::from_utf8(body).map_err(|e| ParseError::NotUtf8 {
        byte: e.valid_up_to(),
    })?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|e| syntax(&e, 0, 0))?;
    Walk { text, at: 0 }.value(max_depth)
}

/// A walk over a text that follows the grammar.
struct Walk<'a> {
    text: &'a str,
    at: usize,
}

impl Walk<'_> {
    /// `levels` more arrays and objects may open.
    fn value(&mut self, levels: usize) -> Result<Json, ParseError> {
        match self.peek() {
            b'[' | b'{' if levels == 0 => Err(ParseError::TooDeep),
            b'[' => self.array(levels - 1),
            b'{' => self.object(levels - 1),
            b'"' => self.string().map(Json::String),
            b't' => Ok(self.word("true", Json::Bool(true))),
            b'f' => Ok(self.word("false", Json::Bool(false))),
            b'n' => Ok(self.word("null", Json::Null)),
            _ => Ok(self.number()),
        }
    }

    fn array(&mut self, levels: usize) -> Result<Json, ParseError> {
        let mut items = Vec::new();
        self.at += 1;
        while !self.ends(b']') {
            items.push(self.value(levels)?);
        }
        items.shrink_to_fit();
        Ok(Json::Array(items))
    }

    fn object(&mut self, levels: usize) -> Result<Json, ParseError> {
        let mut written = Vec::new();
        self.at += 1;
        while !self.ends(b'}') {
            self.peek();
            let name = self.string()?;
            self.peek();
            self.at += 1; // the colon
            written.push((name, self.value(levels)?));
        }
        // Of members with the same name the last one counts, in its own place.
        let mut members = Object::with_capacity(written.len());
        for (name, value) in written.into_iter().rev() {
            members.entry(name).or_insert(value);
        }
        members.reverse();
        Ok(Json::Object(Box::new(members)))
    }

    /// Passes a comma; says whether the array or object ends instead.
    fn ends(&mut self, bracket: u8) -> bool {
        let next = self.peek();
        if next == bracket || next == b',' {
            self.at += 1;
        }
        next == bracket
    }

    fn string(&mut self) -> Result<Box<str>, ParseError> {
        let rest = &self.text.as_bytes()[self.at..];
        let (mut end, mut escaped) = (1, false);
        while rest[end] != b'"' {
            let backslash = rest[end] == b'\\';
            escaped |= backslash;
            end += 1 + usize::from(backslash);
        }
        let quoted = &self.text[self.at..=self.at + end];
        let start = self.at;
        self.at += end + 1;
        if !escaped {
            return Ok(quoted[1..end].into());
        }
        serde_json::from_str(quoted).map_err(|e| {
            let before = &self.text[..start];
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            syntax(&e, before.matches('\n').count(), start - line_start)
        })
    }

    fn number(&mut self) -> Json {
        let rest = &self.text[self.at..];
        let part = |b: u8| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let end = rest.bytes().position(|b| !part(b)).unwrap_or(rest.len());
        self.at += end;
        Json::Number(Number::from_checked(&rest[..end]))
    }

    fn word(&mut self, word: &str, value: Json) -> Json {
        self.at += word.len();
        value
    }

    fn peek(&mut self) -> u8 {
        let text = self.text.as_bytes();
        while is_space(text[self.at]) {
            self.at += 1;
        }
        text[self.at]
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// serde_json's error, `lines` and `columns` after the start of the text it was given.
fn syntax(error: &serde_json::Error, lines: usize, columns: usize) -> ParseError {
    let text = error.to_string();
    let problem = text
        .rsplit_once(" at line ")
        .map_or(&*text, |(problem, _)| problem);
    ParseError::Syntax {
        line: error.line() + lines,
        column: error.column() + columns,
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &[u8]) -> String {
        parse(body).unwrap_err().to_string()
    }

    fn written(body: &str) -> String {
        String::from_utf8(parse(body.as_bytes()).unwrap().encode()).unwrap()
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        assert_eq!(message(b""), "empty");
        assert_eq!(message(b"\xEF\xBB\xBF \r\n"), "empty");
        assert_eq!(message(b"\n<!doctype html>\xff"), "HTML, not JSON");
        assert_eq!(message(b"[\"\xff\"]"), "not UTF-8 at byte 2");
        assert_eq!(
            message(b"{\n \"a\": 1,\n \"b\" 2}"),
            "invalid JSON at line 3 column 6: expected `:`"
        );
        assert_eq!(
            message(b"[1, 2"),
            "invalid JSON at line 1 column 5: EOF while parsing a list"
        );
        assert_eq!(
            message(b"[1] x"),
            "invalid JSON at line 1 column 5: trailing characters"
        );
        assert_eq!(
            message(b"[\n 1, \"\\ud800\"]"),
            "invalid JSON at line 2 column 12: unexpected end of hex escape"
        );
    }

    #[test]
    fn nesting_is_bounded_and_never_overflows_the_stack() {
        let nested = |n: usize| [vec![b'['; n], vec![b']'; n]].concat();
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(parse(&nested(MAX_DEPTH + 1)), Err(ParseError::TooDeep));
        assert_eq!(parse(&nested(1_000_000)), Err(ParseError::TooDeep));
        assert!(matches!(
            parse(&vec![b'['; 1_000_000]),
            Err(ParseError::Syntax { .. })
        ));
    }

    #[test]
    fn numbers_keep_their_text_and_members_their_order() {
        let text = r#"{"z":1.10,"a":[1e400,-0,123456789012345678901234567890,1E+2],"m":{}}"#;
        assert_eq!(written(text), text);
        assert_eq!(
            written("\u{feff} { \"z\" : 1.10 ,\t\"a\":\r\n[ ] } "),
            r#"{"z":1.10,"a":[]}"#
        );
    }

    #[test]
    fn the_last_of_equal_names_wins_in_its_own_place() {
        assert_eq!(written(r#"{"a":1,"b":2,"\u0061":3}"#), r#"{"b":2,"a":3}"#);
    }

    #[test]
    fn serde_jsons_magic_names_are_plain_members() {
        for name in [
            "$serde_json::private::Number",
            "$serde_json::private::RawValue",
        ] {
            let text = format!(r#"{{"{name}":"[1,2"}}"#);
            assert_eq!(written(&text), text);
        }
    }

    #[test]
    fn strings_come_back_in_their_shortest_form() {
        assert_eq!(
            written(r#"["\u00e9\/\ud83d\ude00\"\\\u000A\u0001\u007f","é"]"#),
            "[\"é/😀\\\"\\\\\\n\\u0001\u{7f}\",\"é\"]"
        );
    }
}
