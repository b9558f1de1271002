//! Equality by meaning.

use super::super::number;
use super::lockstep::common;
use super::{Kind, Pair, Tape, Value, lex, pairs, write};

impl PartialEq for Tape {
    fn eq(&self, other: &Self) -> bool {
        self.root() == other.root()
    }
}

/// Numbers by value, strings by code points, objects without regard to the order of members.
impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.looks_like(*other)
            || match (self.kind(), other.kind()) {
                (Kind::Array, Kind::Array) => self.children().eq(other.children()),
                (Kind::Object, Kind::Object) => pairs(*self, *other).all(|pair| match pair {
                    Pair::Both(a, b) => a == b,
                    Pair::Gone(_) | Pair::New(_) => false,
                }),
                _ => false,
            }
    }
}

impl Value<'_> {
    /// Equality as far as it is seen without going inside: of scalars, and of arrays and objects
    /// that are written alike.
    pub(in crate::core) fn looks_like(self, other: Self) -> bool {
        let (raw, other_raw) = (self.raw(), other.raw());
        match (self.kind(), other.kind()) {
            (Kind::String, Kind::String) => strings(raw, other_raw),
            (Kind::Number, Kind::Number) => raw == other_raw || number::same(raw, other_raw),
            _ => self.is_written_like(other),
        }
    }
}

/// Whether two strings, as they are written, are the same.
pub(super) fn strings(a: &[u8], b: &[u8]) -> bool {
    let at = common(a, b);
    if a.len() == b.len() && at == a.len() {
        return true;
    }
    // Where they part they differ, unless one of them is within an escape there.
    let start = at.saturating_sub(lex::LONGEST_ESCAPE);
    let escaped = |raw: &[u8]| raw[start..raw.len().min(at + 1)].contains(&b'\\');
    (escaped(a) || escaped(b)) && write::shortest(a) == write::shortest(b)
}
