//! What became of each item of a keyed collection between two documents.

use std::collections::HashMap;

use super::between;
use super::key::{Id, Key, Keys};
use super::memory::Memory;
use crate::core::event::ItemKind;
use crate::core::json::{Copies, Kind, Pair, Pointer, Tape, Value, pairs};

/// Tells of one collection, from one document of a topic to the next.
#[derive(Debug)]
pub struct Items {
    /// Where it is.
    at: Pointer,
    /// Of arrays.
    key: Option<Key>,
    /// What was learnt of the arrays inside items.
    memory: Memory,
}

/// What is told of items: the kind, and the compact JSON text `{"key", "item"}`, with `"patch"`
/// (RFC 6902, inside the item) where it changed.
type Told = Vec<(ItemKind, Vec<u8>)>;

impl Items {
    /// The collection at this pointer: an object, whose member names are the keys, or an array of
    /// objects in which the member `key` is a scalar and unique. Without `key` an array cannot be
    /// told: a client could not know by what a key that was found tells items apart.
    pub fn new(at: Pointer, key: Option<&str>) -> Self {
        Self {
            at,
            key: key.map(Key::named),
            memory: Memory::new(key),
        }
    }

    /// What became of each item. Together the texts are shorter than `budget` bytes. Empty where
    /// items only stand in another order.
    ///
    /// None where there is no such collection on one of the sides, where the documents differ
    /// elsewhere, and where the texts would not be shorter.
    pub fn told(&mut self, old: &Tape, new: &Tape, copies: &Copies, budget: usize) -> Option<Told> {
        self.memory.begin();
        let (old, new) = only_inside(old.root(), new.root(), self.at.tokens())?;
        let mut teller = Teller {
            told: Vec::new(),
            copies,
            memory: &mut self.memory,
            left: budget.checked_sub(1)?,
        };
        match (old.kind(), new.kind()) {
            (Kind::Object, Kind::Object) => teller.members(old, new)?,
            (Kind::Array, Kind::Array) => teller.elements(old, new, self.key.as_ref()?)?,
            _ => return None,
        }
        Some(teller.told)
    }
}

/// The values at the pointer; none unless they are all that differs.
fn only_inside<'a>(
    old: Value<'a>,
    new: Value<'a>,
    tokens: &[String],
) -> Option<(Value<'a>, Value<'a>)> {
    let Some((token, rest)) = tokens.split_first() else {
        return Some((old, new));
    };
    let (inner_old, inner_new) = (old.child(token)?, new.child(token)?);
    let same_elsewhere = match (old.kind(), new.kind()) {
        (Kind::Object, Kind::Object) => pairs(old, new).all(|pair| match pair {
            Pair::Both(a, b) => a.is(inner_old) || a == b,
            Pair::Gone(_) | Pair::New(_) => false,
        }),
        (Kind::Array, Kind::Array) => {
            let mut pairs = old.children().zip(new.children());
            old.children().count() == new.children().count()
                && pairs.all(|(a, b)| a.is(inner_old) || a == b)
        }
        _ => false,
    };
    same_elsewhere.then_some(())?;
    only_inside(inner_old, inner_new, rest)
}

struct Teller<'a> {
    told: Told,
    copies: &'a Copies,
    memory: &'a mut Memory,
    /// How many bytes may still be told.
    left: usize,
}

impl Teller<'_> {
    fn members(&mut self, old: Value<'_>, new: Value<'_>) -> Option<()> {
        let all: Vec<Pair> = pairs(old, new).collect();
        for pair in &all {
            if let Pair::Gone(item) = pair {
                self.tell(ItemKind::Removed, &item.name().shortest(), *item, None)?;
            }
        }
        for pair in all {
            match pair {
                Pair::Gone(_) => {}
                Pair::Both(before, item) => {
                    self.compare(&item.name().shortest(), Some(before), item)?;
                }
                Pair::New(item) => self.compare(&item.name().shortest(), None, item)?,
            }
        }
        Some(())
    }

    fn elements(&mut self, old: Value<'_>, new: Value<'_>, key: &Key) -> Option<()> {
        let (olds, news) = (old.collect(), new.collect());
        let (old_ids, new_ids) = (ids(&olds, key)?, ids(&news, key)?);
        let mut places = HashMap::with_capacity(olds.len());
        places.extend(old_ids.iter().zip(&olds));
        for id in &new_ids {
            places.remove(id);
        }
        for (id, item) in old_ids.iter().zip(&olds) {
            if places.contains_key(id) {
                self.tell(ItemKind::Removed, &id.encode(), *item, None)?;
            }
        }
        places.clear();
        places.extend(old_ids.iter().zip(&olds));
        for (id, item) in new_ids.iter().zip(&news) {
            self.compare(&id.encode(), places.get(id).map(|before| **before), *item)?;
        }
        Some(())
    }

    fn compare(&mut self, key: &[u8], before: Option<Value<'_>>, item: Value<'_>) -> Option<()> {
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
        item: Value<'_>,
        before: Option<Value<'_>>,
    ) -> Option<()> {
        // Asked first, so that a large item is not written in vain.
        self.left.checked_sub(key.len() + item.len())?;
        let mut data = br#"{"key":"#.to_vec();
        data.extend_from_slice(key);
        data.extend_from_slice(br#","item":"#);
        item.encode_into(&mut data);
        if let Some(before) = before {
            data.extend_from_slice(br#","patch":"#);
            data.extend(between(before, item, self.copies, self.memory, usize::MAX)?);
        }
        data.push(b'}');
        self.left = self.left.checked_sub(data.len())?;
        self.told.push((kind, data));
        Some(())
    }
}

/// What identifies each element; none unless everyone has a key of its own.
fn ids<'a>(items: &[Value<'a>], key: &Key) -> Option<Vec<Id<'a>>> {
    let mut keys = Keys::new(key);
    let ids: Option<Vec<Id>> = items.iter().map(|item| keys.id(*item)).collect();
    let ids = ids?;
    let different: std::collections::HashSet<&Id> = ids.iter().collect();
    (different.len() == ids.len()).then_some(ids)
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
    fn without_a_named_key_arrays_cannot_be_told() {
        let mut document = Document::new(View::default());
        document.want([Mode::Items, Mode::Patch].into_iter().collect());
        for n in 1..20 {
            let body = format!(r#"[{STAYS},{{"id":{n}}},{{"id":"x","n":{n}}}]"#);
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
