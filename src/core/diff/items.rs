//! What became of each item of a keyed collection between two documents.

use std::collections::HashMap;

use super::diff;
use super::keyed::{Identity, identities};
use crate::core::event::ItemKind;
use crate::core::json::{Json, Object, Pointer, text};

/// What became of each item of the collection at `at`: the kind and the compact JSON text
/// `{"key", "item"}`, with `"patch"` (RFC 6902, inside the item) where it changed. Together the
/// texts are shorter than `budget` bytes. Empty where items only stand in another order.
///
/// The collection is an object, whose member names are the keys, or an array of objects in which
/// the member `key` is a scalar and unique. None where it is neither on one of the sides, where the
/// documents differ elsewhere, and where the texts would not be shorter.
pub fn items(
    old: &Json,
    new: &Json,
    at: &Pointer,
    key: Option<&str>,
    budget: usize,
) -> Option<Vec<(ItemKind, Vec<u8>)>> {
    let (old, new) = only_inside(old, new, at.tokens())?;
    let mut teller = Teller {
        told: Vec::new(),
        key,
        left: budget.checked_sub(1)?,
    };
    match (old, new) {
        (Json::Object(old), Json::Object(new)) => teller.members(old, new)?,
        (Json::Array(old), Json::Array(new)) => teller.elements(old, new)?,
        _ => return None,
    }
    Some(teller.told)
}

/// The values at the pointer; none unless they are all that differs.
fn only_inside<'a>(
    old: &'a Json,
    new: &'a Json,
    tokens: &[String],
) -> Option<(&'a Json, &'a Json)> {
    let Some((token, rest)) = tokens.split_first() else {
        return Some((old, new));
    };
    let (inner_old, inner_new) = (old.child(token)?, new.child(token)?);
    let same_elsewhere = match (old, new) {
        (Json::Object(old), Json::Object(new)) => {
            let mut others = old.iter().filter(|(name, _)| ***name != *token.as_str());
            old.len() == new.len() && others.all(|(name, value)| new.get(name) == Some(value))
        }
        (Json::Array(old), Json::Array(new)) => {
            let mut pairs = old.iter().zip(new);
            old.len() == new.len() && pairs.all(|(a, b)| a == b || std::ptr::eq(a, inner_old))
        }
        _ => false,
    };
    same_elsewhere.then_some(())?;
    only_inside(inner_old, inner_new, rest)
}

struct Teller<'a> {
    told: Vec<(ItemKind, Vec<u8>)>,
    /// Of arrays of objects; of those inside items, too.
    key: Option<&'a str>,
    /// How many bytes may still be told.
    left: usize,
}

impl Teller<'_> {
    fn members(&mut self, old: &Object, new: &Object) -> Option<()> {
        let quoted = |name: &str| {
            let mut key = Vec::new();
            text(name, &mut key);
            key
        };
        for (name, item) in old {
            if !new.contains_key(name) {
                self.tell(ItemKind::Removed, &quoted(name), item, None)?;
            }
        }
        for (name, item) in new {
            self.compare(&quoted(name), old.get(name), item)?;
        }
        Some(())
    }

    fn elements(&mut self, old: &[Json], new: &[Json]) -> Option<()> {
        let key = self.key?;
        let (olds, news) = (identities(old, key)?, identities(new, key)?);
        let known = |item, by: &HashMap<Identity<'_>, usize>| by.get(&identity(item, key)).copied();
        for item in old {
            if known(item, &news).is_none() {
                self.tell(ItemKind::Removed, &written(item, key), item, None)?;
            }
        }
        for item in new {
            let before = known(item, &olds).map(|index| &old[index]);
            self.compare(&written(item, key), before, item)?;
        }
        Some(())
    }

    fn compare(&mut self, key: &[u8], before: Option<&Json>, item: &Json) -> Option<()> {
        match before {
            None => self.tell(ItemKind::Added, key, item, None),
            Some(before) if before == item => Some(()),
            Some(before) => self.tell(ItemKind::Changed, key, item, Some(before)),
        }
    }

    /// None when too much was told.
    fn tell(
        &mut self,
        kind: ItemKind,
        key: &[u8],
        item: &Json,
        before: Option<&Json>,
    ) -> Option<()> {
        let mut data = br#"{"key":"#.to_vec();
        data.extend_from_slice(key);
        data.extend_from_slice(br#","item":"#);
        item.encode_into(&mut data);
        if let Some(before) = before {
            data.extend_from_slice(br#","patch":"#);
            data.extend(diff(before, item, self.key, usize::MAX)?);
        }
        data.push(b'}');
        self.left = self.left.checked_sub(data.len())?;
        self.told.push((kind, data));
        Some(())
    }
}

fn identity<'a>(item: &'a Json, key: &str) -> Identity<'a> {
    let value = member(item, key);
    Identity::of(value).expect("invariant: every element was found to have an identity")
}

fn written(item: &Json, key: &str) -> Vec<u8> {
    member(item, key).encode()
}

fn member<'a>(item: &'a Json, key: &str) -> &'a Json {
    item.child(key)
        .expect("invariant: every element was found to have the key")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::core::document::{Document, Observation, View};
    use crate::core::event::{Mode, Modes};
    use crate::core::json::Pointer;

    /// Kept in every document, so that telling a few items is the smaller choice.
    const STAYS: &str = r#"{"id":"stays","text":"an item that stays as it is and is long enough to make telling others pay, because the whole document is longer than what is told of them, whatever that may be in these tests"}"#;

    /// What is told of the items at `at`, an event a line.
    fn between(at: &str, old: &str, new: &str) -> Option<String> {
        let mut document = Document::new(View {
            key: Some("id".to_owned()),
            items: Pointer::parse(at).unwrap(),
            ..View::default()
        });
        document.want(Modes::NONE.with(Mode::Items));
        document.observe(Bytes::from(old.to_owned())).unwrap();
        let Observation::Changed(change) = document.observe(Bytes::from(new.to_owned())).unwrap()
        else {
            panic!("no change");
        };
        let line = |kind, data: &[u8]| format!("{kind:?} {}", String::from_utf8_lossy(data));
        let events = change.items?;
        let lines: Vec<_> = events.iter().map(|e| line(e.kind, &e.data)).collect();
        Some(lines.join("\n"))
    }

    /// The same for arrays with these elements and one more.
    fn rows(old: &str, new: &str) -> Option<String> {
        let array = |rows: &str| match rows {
            "" => format!("[{STAYS}]"),
            rows => format!("[{STAYS},{rows}]"),
        };
        between("", &array(old), &array(new))
    }

    #[test]
    fn rows_come_change_and_go() {
        assert_eq!(
            rows(
                r#"{"id":1,"n":1.0},{"id":2,"n":2}"#,
                r#"{"id":3,"n":3},{"id":1,"n":1.50}"#
            )
            .unwrap(),
            "Removed {\"key\":2,\"item\":{\"id\":2,\"n\":2}}\n\
             Added {\"key\":3,\"item\":{\"id\":3,\"n\":3}}\n\
             Changed {\"key\":1,\"item\":{\"id\":1,\"n\":1.50},\
             \"patch\":[{\"op\":\"replace\",\"path\":\"/n\",\"value\":1.50}]}"
        );
    }

    #[test]
    fn members_of_an_object_are_items_by_name() {
        let object = |members: &str| format!(r#"{{"stays":{STAYS}{members}}}"#);
        let told = between("", &object(r#","a\"":1,"b":[2]"#), &object(r#","b":[3]"#));
        assert_eq!(
            told.unwrap(),
            "Removed {\"key\":\"a\\\"\",\"item\":1}\n\
             Changed {\"key\":\"b\",\"item\":[3],\
             \"patch\":[{\"op\":\"replace\",\"path\":\"\",\"value\":[3]}]}"
        );
    }

    #[test]
    fn another_order_alone_is_told_by_no_event() {
        let (one, two) = (r#"{"id":1,"n":1},{"id":2}"#, r#"{"id":2},{"n":1,"id":1.0}"#);
        assert_eq!(rows(one, two).as_deref(), Some(""));
        let told = rows(one, r#"{"id":2},{"id":1,"n":1},{"id":3}"#);
        assert_eq!(
            told.as_deref(),
            Some(r#"Added {"key":3,"item":{"id":3}}"#),
            "and beside events by none either"
        );
    }

    #[test]
    fn keys_of_every_scalar_type_are_told_as_they_are_written() {
        let told = rows("", r#"{"id":1.10},{"id":"1.1"},{"id":true}"#).unwrap();
        let keys: Vec<_> = told.lines().map(|line| &line[..18]).collect();
        assert_eq!(
            keys,
            [
                r#"Added {"key":1.10,"#,
                r#"Added {"key":"1.1""#,
                r#"Added {"key":true,"#
            ]
        );
    }

    #[test]
    fn rows_without_a_key_of_their_own_cannot_be_told() {
        for wrong in [
            r#"{"id":1},{"id":1}"#,
            r#"{"id":1},{"id":1.0}"#,
            r#"{"id":1},{"n":2}"#,
            r#"{"id":null}"#,
            r#"{"id":[1]}"#,
            r#"{"id":{}}"#,
            "7",
            "[1]",
            "null",
        ] {
            assert_eq!(rows("", wrong), None, "came: {wrong}");
            assert_eq!(rows(wrong, ""), None, "went: {wrong}");
        }
    }

    #[test]
    fn the_items_may_be_deep_inside_as_long_as_the_rest_stays() {
        let whole =
            |total: u8, rows: &str| format!(r#"[{{"total":{total},"a/b":[{STAYS}{rows}]}},8]"#);
        let (old, new) = (whole(1, ""), whole(1, r#",{"id":1}"#));
        let told = between("/0/a~1b", &old, &new);
        assert_eq!(told.as_deref(), Some(r#"Added {"key":1,"item":{"id":1}}"#));
        let others = [
            whole(2, r#",{"id":1}"#),
            new.replace("8]", "9]"),
            new.replace(",8]", "]"),
            new.replace(",8]", ",8,8]"),
            new.replace("\"total\":1,", ""),
            new.replace("total", "sum"),
            new.replace("a/b", "c"),
            new.replace("[{\"total\"", "[7,{\"total\""),
            "[[]]".to_owned(),
            "7".to_owned(),
        ];
        for other in &others {
            assert_eq!(between("/0/a~1b", &old, other), None, "{other}");
            assert_eq!(between("/0/a~1b", other, &new), None, "{other}");
        }
    }

    #[test]
    fn a_collection_that_is_none_or_becomes_another_kind_cannot_be_told() {
        let whole = |items: &str| format!(r#"{{"x":{items},"y":{STAYS}}}"#);
        let values = ["[]", "{}", "7", "null"].map(whole);
        for (old, new) in values
            .iter()
            .flat_map(|old| values.iter().map(move |new| (old, new)))
        {
            if old != new {
                assert_eq!(between("/x", old, new), None, "{old} -> {new}");
            }
        }
    }

    #[test]
    fn without_a_key_arrays_cannot_be_told() {
        let mut document = Document::new(View::default());
        document.want(Modes::NONE.with(Mode::Items));
        for n in 1..3 {
            let body = format!(r#"[{STAYS},{{"id":{n}}}]"#);
            let Observation::Changed(change) = document.observe(body.into()).unwrap() else {
                panic!("no change");
            };
            assert_eq!(change.items, None);
        }
    }

    #[test]
    fn events_that_are_no_smaller_than_the_document_are_left_out() {
        assert_eq!(between("", r#"[{"id":1}]"#, r#"[{"id":2}]"#), None);
        assert_eq!(between("", "[]", r#"[{"id":1}]"#), None);
    }
}
