//! A document as the upstream's own bytes and the places of the values in them.
//!
//! Owns the form in which documents are kept, compared and written. Promises that numbers are
//! never touched, that a body which is nearly the one before is read at the cost of comparing the
//! two, and 12 bytes beside the text for a scalar,
//! 20 for an array or object.
mod abreast;
mod beginnings;
mod beside;
mod copies;
mod lex;
mod lockstep;
mod names;
mod nodes;
mod read;
mod rules;
mod same;
mod search;
mod write;

use std::borrow::Cow;

use bytes::Bytes;

pub(in crate::core) use abreast::{Abreast, Pair, pairs};
pub use copies::Copies;
pub(in crate::core) use copies::Lookup;
pub use rules::Rules;

use super::{Number, Pointer};
use nodes::Nodes;

/// A name within so many bytes of its value is looked at more than once.
const NEAR: usize = 256;

/// Room is made for so many children before they are counted.
const MOST_AT_ONCE: u32 = 1024;

/// A JSON text, RFC 8259, that was read.
#[derive(Clone, Debug)]
pub struct Tape {
    text: Bytes,
    nodes: Nodes,
    root: Root,
    /// Whether there were members with the same name.
    has_doubles: bool,
    /// Whether elements may have been ignored for their index: the same text elsewhere may then
    /// hold something else.
    by_index: bool,
}

/// Which value is the document.
#[derive(Clone, Copy, Debug, Default)]
struct Root {
    node: u32,
    /// Whether it is a member of an object.
    named: bool,
}

/// A value of a document.
#[derive(Clone, Copy, Debug)]
pub(in crate::core) struct Value<'a> {
    tape: &'a Tape,
    at: u32,
    /// Whether it is a member of an object.
    named: bool,
}

/// A member's name as it is written, quotes included.
#[derive(Clone, Copy, Debug)]
pub(in crate::core) struct Name<'a>(&'a [u8]);

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::core) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl Tape {
    /// The document.
    pub(in crate::core) fn root(&self) -> Value<'_> {
        Value {
            tape: self,
            at: self.root.node,
            named: self.root.named,
        }
    }

    /// The text that it was read from.
    pub fn text(&self) -> &Bytes {
        &self.text
    }

    /// Bytes held beside the text.
    pub fn overhead(&self) -> usize {
        self.nodes.bytes()
    }

    /// The memory that it takes, in bytes.
    pub fn weight(&self) -> usize {
        self.text.len() + self.overhead()
    }

    /// How many values it has: scalars, arrays and objects.
    pub fn values(&self) -> usize {
        self.nodes.len()
    }

    /// Makes the value at `pointer` the document; false where there is none.
    pub(in crate::core) fn select(&mut self, pointer: &Pointer) -> bool {
        let found = pointer
            .tokens()
            .iter()
            .try_fold(self.root(), |value, token| value.child(token));
        let root = found.map(|value| Root {
            node: value.at,
            named: value.named,
        });
        self.root = root.unwrap_or(self.root);
        root.is_some()
    }
}

impl<'a> Value<'a> {
    pub(in crate::core) fn kind(self) -> Kind {
        match self.tape.text[self.start()] {
            b'n' => Kind::Null,
            b't' | b'f' => Kind::Bool,
            b'"' => Kind::String,
            b'[' => Kind::Array,
            b'{' => Kind::Object,
            _ => Kind::Number,
        }
    }

    pub(in crate::core) fn is_scalar(self) -> bool {
        !matches!(self.kind(), Kind::Array | Kind::Object)
    }

    /// Its text as it is written.
    pub(in crate::core) fn raw(self) -> &'a [u8] {
        &self.tape.text[self.start()..self.end()]
    }

    /// Whether the two are the same for having the same text.
    pub(in crate::core) fn is_written_like(self, other: Self) -> bool {
        self.raw() == other.raw() && (!self.tape.by_index || self.is_scalar())
    }

    /// The shortest writing of a scalar.
    pub(in crate::core) fn shortest(self) -> Cow<'a, [u8]> {
        write::shortest(self.raw())
    }

    /// The number that it is.
    pub(in crate::core) fn number(self) -> Option<Number> {
        let text = std::str::from_utf8(self.raw()).ok()?;
        (self.kind() == Kind::Number).then(|| Number::from_checked(text))
    }

    /// Whether the two are the very same place of the same document.
    pub(in crate::core) fn is(self, other: Value<'_>) -> bool {
        std::ptr::eq(self.tape, other.tape) && self.at == other.at
    }

    /// The elements of an array, the values of an object.
    pub(in crate::core) fn children(self) -> Children<'a> {
        Children {
            tape: self.tape,
            at: self.at + 1,
            end: self.at + self.size(),
            named: self.kind() == Kind::Object,
        }
    }

    /// [`Value::children`] at hand.
    pub(in crate::core) fn collect(self) -> Vec<Value<'a>> {
        let children = self.children();
        // Mostly they are of one size.
        let first = children.clone().next();
        let count = first.map_or(0, |first| self.size() / first.size());
        let mut all = Vec::with_capacity(count.min(MOST_AT_ONCE) as usize + 1);
        all.extend(children);
        all
    }

    /// The value of the member with this name.
    pub(in crate::core) fn member(self, name: &str) -> Option<Value<'a>> {
        self.children().find(|value| value.name().is(name))
    }

    /// The member or element that a pointer's token leads to.
    pub(in crate::core) fn child(self, token: &str) -> Option<Value<'a>> {
        match self.kind() {
            Kind::Object => self.member(token),
            Kind::Array => self.children().nth(super::array_index(token)?),
            _ => None,
        }
    }

    /// The name of a value that is a member.
    pub(in crate::core) fn name(self) -> Name<'a> {
        Name::before(&self.tape.text, self.start())
    }

    /// The length of its compact text, in bytes.
    pub(in crate::core) fn len(self) -> usize {
        let len = self.added();
        if self.named {
            len - self.name().len() - 1
        } else {
            len
        }
    }

    /// What it adds to the compact text of what it is in, in bytes.
    fn added(self) -> usize {
        self.tape.nodes.get(self.at).len as usize
    }

    fn size(self) -> u32 {
        self.tape.nodes.size(self.at)
    }

    fn start(self) -> usize {
        self.tape.nodes.start(self.at)
    }

    fn end(self) -> usize {
        self.tape.nodes.end(self.at)
    }
}

/// Goes over the children of an array or object.
#[derive(Clone, Debug)]
pub(in crate::core) struct Children<'a> {
    tape: &'a Tape,
    at: u32,
    end: u32,
    named: bool,
}

impl Children<'_> {
    fn is_over(&self) -> bool {
        self.at >= self.end
    }
}

impl<'a> Iterator for Children<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        if self.is_over() {
            return None;
        }
        let value = Value {
            tape: self.tape,
            at: self.at,
            named: self.named,
        };
        self.at += value.size();
        Some(value)
    }
}

impl<'a> Name<'a> {
    /// The name of the member whose value starts at `at`.
    fn before(text: &'a [u8], at: usize) -> Self {
        // Backwards over the colon and white space to the closing quote.
        let mut end = at;
        while text[end - 1] != b'"' {
            end -= 1;
        }
        // A quote inside the name has a backslash before it, and none stands before the first one.
        let mut start = end - 2;
        while text[start] != b'"' || text[start - 1] == b'\\' {
            start -= 1;
        }
        Name(&text[start..end])
    }

    /// The name of the member whose value starts at `at`, if it is not far and not long.
    fn near(text: &'a [u8], at: usize) -> Option<Self> {
        let start = at.saturating_sub(NEAR);
        let mut quotes = text[start..at].iter().enumerate().rev();
        quotes.find(|(_, byte)| **byte == b'"')?;
        let is_opening = |at: usize| at > 0 && text[start + at - 1] != b'\\';
        quotes.find(|(at, byte)| **byte == b'"' && is_opening(*at))?;
        Some(Self::before(text, at))
    }

    /// As it is written, quotes included.
    pub(in crate::core) fn raw(self) -> &'a [u8] {
        self.0
    }

    /// Its shortest writing, quotes included.
    pub(in crate::core) fn shortest(self) -> Cow<'a, [u8]> {
        write::shortest(self.0)
    }

    fn len(self) -> usize {
        self.shortest().len()
    }

    /// Whether this is its shortest writing.
    pub(in crate::core) fn matches(self, shortest: &[u8]) -> bool {
        self.0 == shortest || (self.0.contains(&b'\\') && *self.shortest() == *shortest)
    }

    /// Whether it is `text`, unescaped.
    pub(in crate::core) fn is(self, text: &str) -> bool {
        if self.0.contains(&b'\\') {
            *self.shortest() == *super::quoted(text)
        } else {
            // The few characters that need an escape are not in a name without any.
            self.0[1..self.0.len() - 1] == *text.as_bytes()
        }
    }
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || same::strings(self.0, other.0)
    }
}
