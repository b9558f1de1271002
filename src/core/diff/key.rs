//! What tells the elements of an array apart, as tokens: equal tokens, probably equal keys.

use std::borrow::Cow;
use std::hash::{BuildHasher as _, Hash, Hasher};

use foldhash::quality::RandomState;

use crate::core::json::{Kind, Lookup, Number, Value, member_name, quoted};

/// A token of a value or of some values. No answer depends on tokens of different things being
/// different: what they pair is compared all the same.
pub(super) type Token = u64;

/// The members that together identify an element, by their names in the shortest writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key(Box<[Box<[u8]>]>);

impl Key {
    /// The key that is this member.
    pub(super) fn named(name: &str) -> Self {
        Self([quoted(name).into()].into())
    }

    pub(super) fn of(names: impl Iterator<Item = Box<[u8]>>) -> Self {
        Self(names.collect())
    }

    /// The members' names, unescaped.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().filter_map(|name| member_name(name)).collect()
    }
}

/// What identifies an element: the values of its key, by meaning.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id<'a>(Vec<Scalar<'a>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Scalar<'a> {
    Bool(bool),
    Number(Number),
    String(Cow<'a, [u8]>),
}

impl<'a> Id<'a> {
    /// As JSON: the value, or an array of them where there are several.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (i, scalar) in self.0.iter().enumerate() {
            out.push(if i == 0 { b'[' } else { b',' });
            out.extend_from_slice(match scalar {
                Scalar::Bool(true) => b"true",
                Scalar::Bool(false) => b"false",
                Scalar::Number(number) => number.as_str().as_bytes(),
                Scalar::String(string) => string,
            });
        }
        if self.0.len() == 1 {
            out.split_off(1)
        } else {
            out.push(b']');
            out
        }
    }
}

impl<'a> Scalar<'a> {
    fn of(value: Value<'a>) -> Option<Self> {
        match value.kind() {
            Kind::Bool => Some(Scalar::Bool(value.raw() == b"true")),
            Kind::Number => Some(Scalar::Number(value.number()?)),
            Kind::String => Some(Scalar::String(value.shortest())),
            Kind::Null | Kind::Array | Kind::Object => None,
        }
    }
}

/// Makes tokens under one random seed, so that an upstream cannot aim for equal ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Tokens {
    state: RandomState,
}

impl Tokens {
    /// Of the text as it is written.
    pub(super) fn content(&self, value: Value<'_>) -> Token {
        self.state.hash_one(value.raw())
    }

    /// Of a scalar that can identify something: not `null`, and no array or object. By meaning,
    /// as far as that is cheap.
    pub(super) fn scalar(&self, value: Value<'_>) -> Option<Token> {
        match value.kind() {
            Kind::Bool | Kind::Number => Some(self.state.hash_one(value.raw())),
            Kind::String => Some(self.state.hash_one(value.shortest())),
            Kind::Null | Kind::Array | Kind::Object => None,
        }
    }

    /// Of several tokens in order.
    pub(super) fn joined(&self, tokens: impl Iterator<Item = Token>) -> Token {
        let mut hasher = self.state.build_hasher();
        tokens.for_each(|token| token.hash(&mut hasher));
        hasher.finish()
    }
}

/// Whether a value can identify something.
fn identifies(value: Value<'_>) -> bool {
    !matches!(value.kind(), Kind::Null | Kind::Array | Kind::Object)
}

/// Finds the keys of elements.
pub(super) struct Keys<'a> {
    columns: Vec<Column<'a>>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(key: &'a Key) -> Self {
        let columns = key.0.iter().map(|name| Column { name, hint: 0 });
        Self {
            columns: columns.collect(),
        }
    }

    /// Puts the values of an element's key into `parts`; false where one is missing or identifies
    /// nothing.
    pub(super) fn parts<'v>(&mut self, item: Value<'v>, parts: &mut Vec<Value<'v>>) -> bool {
        parts.clear();
        let part = |column: &mut Column| column.find(item).filter(|part| identifies(*part));
        parts.extend(self.columns.iter_mut().map_while(part));
        parts.len() == self.columns.len()
    }

    /// Whether an element has its key from this old one as a copy.
    pub(super) fn is_copied(
        &mut self,
        item: Value<'_>,
        copies: &mut Lookup<'_>,
        old: Value<'_>,
    ) -> bool {
        self.columns.iter_mut().all(|column| {
            let part = column.find(item).filter(|part| identifies(*part));
            part.is_some_and(|part| copies.is_from(part, old))
        })
    }

    /// Whether two elements have the same key, written alike.
    pub(super) fn same(
        &mut self,
        item: Value<'_>,
        others: &mut Keys<'_>,
        other: Value<'_>,
    ) -> bool {
        let mut columns = self.columns.iter_mut().zip(&mut others.columns);
        columns.all(
            |(column, other_column)| match (column.find(item), other_column.find(other)) {
                (Some(part), Some(other)) => part.raw() == other.raw() && identifies(part),
                _ => false,
            },
        )
    }

    /// What identifies an element, none where a part of its key is missing.
    pub(super) fn id<'v>(&mut self, item: Value<'v>) -> Option<Id<'v>> {
        let part = |column: &mut Column| Scalar::of(column.find(item)?);
        self.columns
            .iter_mut()
            .map(part)
            .collect::<Option<_>>()
            .map(Id)
    }

    /// The token of an element's key, none where a part is missing.
    pub(super) fn token(&mut self, item: Value<'_>, tokens: &Tokens) -> Option<Token> {
        if let [column] = &mut self.columns[..] {
            return tokens.scalar(column.find(item)?);
        }
        let mut complete = true;
        let parts = self.columns.iter_mut().map_while(|column| {
            let part = column.find(item).and_then(|value| tokens.scalar(value));
            complete &= part.is_some();
            part
        });
        let token = tokens.joined(parts);
        complete.then_some(token)
    }
}

/// A member of each element; mostly it has the same place in all.
struct Column<'a> {
    name: &'a [u8],
    hint: usize,
}

impl Column<'_> {
    fn find<'v>(&mut self, item: Value<'v>) -> Option<Value<'v>> {
        if item.kind() != Kind::Object {
            return None;
        }
        let is_it = |value: &Value| value.name().matches(self.name);
        let there = item.children().nth(self.hint).filter(is_it);
        if there.is_some() {
            return there;
        }
        let mut places = item.children().enumerate();
        let (place, value) = places.find(|(_, value)| is_it(value))?;
        self.hint = place;
        Some(value)
    }
}
