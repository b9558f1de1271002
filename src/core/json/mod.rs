//! JSON as the upstream wrote it.
//!
//! Owns two forms of it, pointers into both, and RFC 6902 patches. A [`Tape`] is the upstream's own
//! bytes and the places of the values in them: what is polled, compared and sent. [`Json`] is a
//! tree that can be changed: for whoever applies patches. Promises that a number leaves as it came,
//! byte for byte, that members keep their order, and that two values are equal exactly when they
//! mean the same: `1` and `1.0` are equal, the order of members makes no difference. Must never
//! hand a body to a reader that knows magic member names, and never recurse deeper than
//! [`MAX_DEPTH`] on a body's behalf.
mod apply;
mod encode;
mod number;
mod parse;
mod patch;
mod path;
mod pointer;
mod tape;

pub use apply::{ApplyError, Refusal};
pub use number::Number;
pub use parse::{MAX_DEPTH, ParseError, parse};
pub use patch::{Operation, Patch, PatchError};
pub use path::{CutError, Path, PathError};
pub(super) use pointer::escape;
pub use pointer::{Pattern, PatternToken, Pointer, PointerError};

pub(super) use encode::{member_name, quoted, text};
pub(super) use tape::{Abreast, Kind, Lookup, Name, Pair, Value, pairs};
pub use tape::{Copies, Rules, Tape};

use indexmap::IndexMap;

/// The members of an object in the order in which the upstream wrote them.
pub type Object = IndexMap<Box<str>, Json>;

/// A JSON value, RFC 8259.
///
/// `==` compares by meaning: numbers by value, strings by code points, objects without regard to
/// the order of their members.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, with the text it was written with.
    Number(Number),
    /// A string, unescaped.
    String(Box<str>),
    /// An array.
    Array(Vec<Json>),
    /// An object. Of members with the same name only the last is kept.
    // Boxed: a map is three times the size of any other value.
    Object(Box<Object>),
}

impl Json {
    /// The value at `pointer`, RFC 6901 section 4; none where a step leads nowhere.
    pub fn select(&self, pointer: &Pointer) -> Option<&Json> {
        pointer
            .tokens()
            .iter()
            .try_fold(self, |at, token| at.child(token))
    }

    /// As [`Json::select`], to change it in place.
    pub fn select_mut(&mut self, pointer: &Pointer) -> Option<&mut Json> {
        self.walk_mut(pointer.tokens())
    }

    /// The member of this name, or the element at this index, RFC 6901 section 4.
    pub fn child(&self, token: &str) -> Option<&Json> {
        match self {
            Json::Object(members) => members.get(token),
            Json::Array(items) => items.get(array_index(token)?),
            _ => None,
        }
    }

    fn walk_mut(&mut self, tokens: &[String]) -> Option<&mut Json> {
        tokens.iter().try_fold(self, |at, token| match at {
            Json::Object(members) => members.get_mut(token.as_str()),
            Json::Array(items) => items.get_mut(array_index(token)?),
            _ => None,
        })
    }
}

/// An array index, RFC 6901 section 4: decimal digits without a leading zero.
fn array_index(token: &str) -> Option<usize> {
    let digits = token.bytes().all(|b| b.is_ascii_digit());
    let canonical = token == "0" || !token.starts_with('0');
    if digits && canonical {
        token.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json {
        parse(text.as_bytes()).unwrap()
    }

    fn at<'a>(document: &'a Json, pointer: &str) -> Option<&'a Json> {
        document.select(&Pointer::parse(pointer).unwrap())
    }

    #[test]
    fn the_evaluations_of_rfc_6901_section_5_hold() {
        let document = json(
            r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#,
        );
        assert_eq!(at(&document, ""), Some(&document));
        assert_eq!(at(&document, "/foo"), Some(&json(r#"["bar","baz"]"#)));
        assert_eq!(at(&document, "/foo/0"), Some(&json(r#""bar""#)));
        let names = [
            "/", "/a~1b", "/c%d", "/e^f", "/g|h", "/i\\j", "/k\"l", "/ ", "/m~0n",
        ];
        for (value, name) in names.into_iter().enumerate() {
            assert_eq!(
                at(&document, name),
                Some(&json(&value.to_string())),
                "{name}"
            );
        }
    }

    #[test]
    fn a_pointer_that_leads_nowhere_selects_nothing() {
        let document = json(r#"{"a":[1,2],"b":3}"#);
        for pointer in [
            "/c",
            "/a/2",
            "/a/-",
            "/a/01",
            "/a/+1",
            "/a/",
            "/b/0",
            "/a/99999999999999999999",
        ] {
            assert_eq!(at(&document, pointer), None, "{pointer}");
        }
    }

    #[test]
    fn the_order_of_members_makes_no_difference() {
        assert_eq!(json(r#"{"a":1,"b":[2]}"#), json(r#"{"b":[2.0],"a":1e0}"#));
        assert_ne!(json("[1,2]"), json("[2,1]"));
        assert_ne!(json(r#"{"a":1}"#), json(r#"{"a":1,"b":null}"#));
    }
}
