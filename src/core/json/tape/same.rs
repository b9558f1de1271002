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
        self.raw() == other.raw() || self.means(*other)
    }
}

impl Value<'_> {
    /// As `==`, for values that are written differently.
    pub(in crate::core) fn means(self, other: Self) -> bool {
        match (self.kind(), other.kind()) {
            (Kind::Number, Kind::Number) => number::same(self.raw(), other.raw()),
            (Kind::String, Kind::String) => strings(self.raw(), other.raw()),
            (Kind::Array, Kind::Array) => self.children().eq(other.children()),
            (Kind::Object, Kind::Object) => objects(self, other),
            _ => false,
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

fn objects(a: Value<'_>, b: Value<'_>) -> bool {
    pairs(a, b).all(|pair| match pair {
        Pair::Both(a, b) => a == b,
        Pair::Gone(_) | Pair::New(_) => false,
    })
}
