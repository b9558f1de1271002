//! What is at the same place in two documents.

use crate::core::diff::Known;
use crate::core::json::{Kind, Pair, PatternToken, Value, member_name, pairs};

/// The longest name of a member on the way, in bytes.
const MAX_NAME: usize = 256;

/// An object with more members is a table: its rows are alike, and their names are data. So is one
/// with enough members that are all objects.
const MAX_MEMBERS: usize = 64;
const FEW_ROWS: usize = 8;

/// An array of at most so many scalars has a place for each; elements of others that are scalars
/// cannot be told apart.
const MAX_TUPLE: usize = 8;

/// Children at the same place on both sides, with the last step to it.
pub(super) type Alike<'a> = Vec<(PatternToken, Value<'a>, Value<'a>)>;

/// The children that are written differently, of tables only some.
pub(super) fn alike<'a>(old: Value<'a>, new: Value<'a>, known: Known<'_>) -> Alike<'a> {
    match (old.kind(), new.kind()) {
        (Kind::Object, Kind::Object) if !is_table(new) => named(old, new),
        (Kind::Array, Kind::Array) if are_tuples(old, new) => numbered(old, new),
        _ => rows(old, new, known),
    }
}

fn is_table(object: Value<'_>) -> bool {
    let mut members = object.children().take(MAX_MEMBERS + 1);
    let rows = members.clone().count();
    rows > MAX_MEMBERS || (rows >= FEW_ROWS && members.all(|member| member.kind() == Kind::Object))
}

fn are_tuples(old: Value<'_>, new: Value<'_>) -> bool {
    let is_short = |array: Value<'_>| {
        let mut items = array.children().take(MAX_TUPLE + 1);
        items.clone().count() <= MAX_TUPLE && items.all(Value::is_scalar)
    };
    is_short(old) && is_short(new) && old.children().count() == new.children().count()
}

/// The members that are written differently.
fn named<'a>(old: Value<'a>, new: Value<'a>) -> Alike<'a> {
    let differing = pairs(old, new).filter_map(|pair| match pair {
        Pair::Both(old, new) if old.raw() != new.raw() => {
            Some((PatternToken::Name(name(new)?), old, new))
        }
        _ => None,
    });
    differing.collect()
}

/// The elements of a tuple that are written differently. Where all of them are, it may as well be a
/// list that moved on by one.
fn numbered<'a>(old: Value<'a>, new: Value<'a>) -> Alike<'a> {
    let both = old.children().zip(new.children()).enumerate();
    let differing = both.filter(|(_, (old, new))| old.raw() != new.raw());
    let mut differing: Alike = differing
        .map(|(i, (old, new))| (PatternToken::Name(i.to_string()), old, new))
        .collect();
    if differing.len() == new.children().count() {
        differing.clear();
    }
    differing
}

/// Some rows of a table.
fn rows<'a>(old: Value<'a>, new: Value<'a>, known: Known<'_>) -> Alike<'a> {
    let same = known.same(old, new).unwrap_or_default();
    let is_array = new.kind() == Kind::Array;
    let rows = same
        .pairs
        .into_iter()
        .filter(|(_, old, new)| old.raw() != new.raw() && !(is_array && new.is_scalar()));
    rows.map(|(_, old, new)| (PatternToken::Any, old, new))
        .collect()
}

/// The name of a member as `document.ignore` can say it.
fn name(member: Value<'_>) -> Option<String> {
    let raw = member.name().raw();
    let name = member_name(raw).filter(|_| raw.len() <= MAX_NAME)?;
    (name != "*").then_some(name)
}
