//! Writing compact JSON on one line.

use super::Json;

impl Json {
    /// The compact text: no white space, no line break, numbers as they came, strings in their
    /// shortest escaping.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        out
    }

    /// Appends what [`Json::encode`] returns to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        match self {
            Json::Null => out.extend_from_slice(b"null"),
            Json::Bool(true) => out.extend_from_slice(b"true"),
            Json::Bool(false) => out.extend_from_slice(b"false"),
            Json::Number(number) => out.extend_from_slice(number.as_str().as_bytes()),
            Json::String(string) => text(string, out),
            Json::Array(items) => {
                out.push(b'[');
                for (i, item) in items.iter().enumerate() {
                    separate(i, out);
                    item.encode_into(out);
                }
                out.push(b']');
            }
            Json::Object(members) => {
                out.push(b'{');
                for (i, (name, value)) in members.iter().enumerate() {
                    separate(i, out);
                    text(name, out);
                    out.push(b':');
                    value.encode_into(out);
                }
                out.push(b'}');
            }
        }
    }

    /// The length of [`Json::encode`] in bytes if it is at most `limit`. Allocates nothing and
    /// stops as soon as the limit is passed.
    pub fn encoded_len(&self, limit: usize) -> Option<usize> {
        let mut left = limit;
        self.spend(&mut left)?;
        Some(limit - left)
    }

    fn spend(&self, left: &mut usize) -> Option<()> {
        let own = match self {
            Json::Null | Json::Bool(true) => 4,
            Json::Bool(false) => 5,
            Json::Number(number) => number.as_str().len(),
            Json::String(string) => text_len(string),
            // Brackets, and a comma after each but the last.
            Json::Array(items) => 2 + items.len().saturating_sub(1),
            // Brackets, colons, and a comma after each but the last.
            Json::Object(members) => 2 + (2 * members.len()).saturating_sub(1),
        };
        *left = left.checked_sub(own)?;
        match self {
            Json::Array(items) => items.iter().try_for_each(|item| item.spend(left)),
            Json::Object(members) => members.iter().try_for_each(|(name, value)| {
                *left = left.checked_sub(text_len(name))?;
                value.spend(left)
            }),
            _ => Some(()),
        }
    }
}

/// Appends `string` as a JSON string, quotes included.
pub(in crate::core) fn text(string: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, string)
        .expect("invariant: a string has a JSON form and a Vec grows");
}

/// `string` as a JSON string, quotes included.
pub(in crate::core) fn quoted(string: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(string.len() + 2);
    text(string, &mut out);
    out
}

/// The length of what [`text`] appends.
fn text_len(string: &str) -> usize {
    let escapes = string.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0C => 1,
        0x00..0x20 => 5,
        _ => 0,
    });
    2 + string.len() + escapes.sum::<usize>()
}

/// The text that a string says, which is written in quotes.
pub(in crate::core) fn member_name(quoted: &[u8]) -> Option<String> {
    serde_json::from_slice(quoted).ok()
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

#[cfg(test)]
mod tests {
    use crate::core::json::parse;

    #[test]
    fn the_length_is_known_without_writing() {
        let controls: String = (0..0x21u8).map(char::from).collect();
        let texts = [
            "null".into(),
            "[true,false,1.50,[],{},\"\"]".into(),
            r#"{"a":{"b":[1,2,"é\"\\"],"":null},"c":0}"#.into(),
            serde_json::to_string(&controls).unwrap(),
        ];
        for text in texts {
            let document = parse(text.as_bytes()).unwrap();
            let written = document.encode();
            assert_eq!(String::from_utf8(written).unwrap(), text);
            assert_eq!(document.encoded_len(usize::MAX), Some(text.len()));
            assert_eq!(document.encoded_len(text.len()), Some(text.len()));
            assert_eq!(document.encoded_len(text.len() - 1), None);
        }
    }
}
