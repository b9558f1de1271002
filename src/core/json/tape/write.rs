//! Writing compact JSON on one line.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Kind, Tape, Value, lex};

impl Tape {
    /// The document's compact text: no white space, no line break, numbers as they came, strings
    /// in their shortest writing. Shares the text it was read from if that is so already.
    pub fn encode(&self) -> Bytes {
        let root = self.root();
        let raw = root.raw();
        if raw.len() == root.len() {
            return self.text.slice_ref(raw);
        }
        let mut out = Vec::with_capacity(root.len());
        root.encode_into(&mut out);
        out.into()
    }

    /// The length of [`Tape::encode`] in bytes.
    pub fn encoded_len(&self) -> usize {
        self.root().len()
    }
}

impl Value<'_> {
    /// Appends its compact text.
    pub(in crate::core) fn encode_into(self, out: &mut Vec<u8>) {
        self.put(self.len(), out);
    }

    /// As [`Value::encode_into`], where the length of the compact text is at hand.
    // As long as the text that it was read from only if it is that.
    pub(in crate::core) fn put(self, len: usize, out: &mut Vec<u8>) {
        let raw = self.raw();
        if raw.len() == len {
            return out.extend_from_slice(raw);
        }
        match self.kind() {
            Kind::Object => {
                out.push(b'{');
                for (i, value) in self.children().enumerate() {
                    separate(i, out);
                    let start = out.len();
                    out.extend_from_slice(&value.name().shortest());
                    out.push(b':');
                    let named = out.len() - start;
                    value.put(value.added() - named, out);
                }
                out.push(b'}');
            }
            Kind::Array => {
                out.push(b'[');
                for (i, item) in self.children().enumerate() {
                    separate(i, out);
                    item.put(item.added(), out);
                }
                out.push(b']');
            }
            _ => out.extend_from_slice(&shortest(raw)),
        }
    }
}

/// The shortest writing of a string, quotes included.
pub(super) fn shortest(raw: &[u8]) -> Cow<'_, [u8]> {
    let Some(mut at) = backslash(raw, 0) else {
        return Cow::Borrowed(raw);
    };
    let mut out = Vec::with_capacity(raw.len());
    let mut copied = 0;
    loop {
        out.extend_from_slice(&raw[copied..at]);
        let escape = lex::escape(raw, at).expect("invariant: it was read before");
        escape.write_shortest(&mut out);
        copied = at + escape.raw;
        match backslash(raw, copied) {
            Some(next) => at = next,
            None => break,
        }
    }
    out.extend_from_slice(&raw[copied..]);
    Cow::Owned(out)
}

fn backslash(raw: &[u8], from: usize) -> Option<usize> {
    let at = memchr::memchr(b'\\', &raw[from..])?;
    Some(from + at)
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}
