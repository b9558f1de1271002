//! What people recognise in a document: rows by their keys, and what became another.

use crate::core::diff::{self, Memory};
use crate::core::json::{Json, Patch, Pointer, Rules, Tape};

/// Members by which people recognise a row, the likeliest first.
const KEYS: [&str; 10] = [
    "id", "_id", "key", "uuid", "uid", "ID", "Id", "code", "slug", "name",
];

/// Compact JSON.
pub fn text(value: &Json) -> String {
    String::from_utf8_lossy(&value.encode()).into_owned()
}

/// In characters.
pub fn length(text: &str) -> usize {
    text.chars().count()
}

/// As people read it.
pub fn size(bytes: usize) -> String {
    match bytes {
        0..1000 => format!("{bytes} bytes"),
        _ => bytesize::ByteSize(bytes as u64).display().si().to_string(),
    }
}

/// The member by which people would recognise this row, if it has one.
pub fn key(value: &Json) -> Option<(&'static str, &Json)> {
    let Json::Object(members) = value else {
        return None;
    };
    let named = |name: &&'static str| Some((*name, members.get(*name)?));
    let keys = KEYS.iter().filter_map(named);
    keys.into_iter()
        .find(|(_, value)| matches!(value, Json::String(_) | Json::Number(_)))
}

/// The key of the innermost row in which `path` leads somewhere.
pub fn row(document: &Json, path: &Pointer) -> Option<(&'static str, Json)> {
    let mut at = document;
    let mut found = None;
    let tokens = path.tokens();
    for (index, token) in tokens.iter().enumerate() {
        let inside = at.child(token)?;
        if matches!(at, Json::Array(_)) && index + 1 < tokens.len() {
            found = key(inside).map(|(name, key)| (name, key.clone())).or(found);
        }
        at = inside;
    }
    found
}

/// What leads from one document to another; none where that is no shorter than the other.
pub fn between(before: &Json, after: &Json) -> Option<Patch> {
    let rules = Rules::default();
    let (before, _) = Tape::read_after(before.encode().into(), None, &rules).ok()?;
    let (after, copies) = Tape::read_after(after.encode().into(), Some(&before), &rules).ok()?;
    let budget = after.encoded_len().max(3);
    let patch = diff::diff(&before, &after, &copies, &mut Memory::new(None), budget)?;
    Patch::parse(&patch).ok()
}
