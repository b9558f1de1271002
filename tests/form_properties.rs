//! Properties of the forms of a change, from body to event data: whoever applies them holds the
//! new document, by implementations that are not ours; and a form is left out only where it must be.

use std::collections::BTreeMap;

use bytes::Bytes;
use pollcast::core::change::Change;
use pollcast::core::document::{Document, Observation, View};
use pollcast::core::event::{ItemKind, Mode};
use pollcast::core::json::Pointer;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// Anything, with nulls everywhere; small, so that two of them have much in common.
fn value() -> impl Strategy<Value = Value> {
    let leaf = select(vec![json!(null), json!(1), json!(2), json!("é\"~/")]);
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            members(inner),
        ]
    })
}

fn members(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let names = select(vec!["a", "b~/\"", ""]);
    prop::collection::btree_map(names, inner, 0..3).prop_map(|members| {
        let members = members.into_iter();
        Value::Object(members.map(|(name, value)| (name.into(), value)).collect())
    })
}

/// A collection: rows with keys in any order, now and then with one that cannot be; an object;
/// or anything.
fn collection() -> impl Strategy<Value = Value> {
    let cells = prop::collection::btree_map(0..6_u8, value(), 0..6);
    let rows = cells.prop_map(|cells| {
        let row = |(id, cell)| json!({"id": id, "cell": cell});
        cells.into_iter().map(row).collect::<Vec<_>>()
    });
    let odd = select(vec![
        json!(null),
        json!({"id": null}),
        json!({}),
        json!({"id": 0}),
    ]);
    let odd = prop::option::weighted(0.1, odd);
    prop_oneof![
        6 => (rows.prop_shuffle(), odd)
            .prop_map(|(rows, odd)| Value::Array(rows.into_iter().chain(odd).collect())),
        2 => members(value()),
        1 => value(),
    ]
}

/// A document with room for every form to be the smaller one.
fn document() -> impl Strategy<Value = Value> {
    let outside = select(vec![
        json!(1),
        json!(1),
        json!(1),
        json!({"n": null}),
        json!(null),
    ]);
    (collection(), outside).prop_map(|(rows, outside)| {
        json!({"x": [{"rows": rows}], "outside": outside, "text": "unchanged ".repeat(300)})
    })
}

/// The same with members of members.
fn tree() -> impl Strategy<Value = Value> {
    let inner = members(members(value()));
    inner.prop_map(|members| json!({"m": members, "text": "unchanged ".repeat(100)}))
}

const AT: &str = "/x/0/rows";

/// The change between two documents that differ.
fn change(old: &Value, new: &Value) -> Option<Change> {
    let mut document = Document::new(View {
        key: Some("id".to_owned()),
        items: Pointer::parse(AT).unwrap(),
        ..View::default()
    });
    document.want(Mode::ALL.into_iter().collect());
    document.observe(Bytes::from(old.to_string())).unwrap();
    match document.observe(Bytes::from(new.to_string())).unwrap() {
        Observation::Changed(change) => Some(change),
        Observation::Unchanged => None,
    }
}

fn read(data: &[u8]) -> Value {
    serde_json::from_slice(data).expect("event data is JSON")
}

/// The merge patch by the letter of RFC 7396; none where there is none.
fn merge(old: &Map<String, Value>, new: &Map<String, Value>) -> Option<Value> {
    let mut patch = Map::new();
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in new {
        let before = old.get(name);
        if before == Some(value) {
            continue;
        }
        let nothing = Map::new();
        let told = match (before.and_then(Value::as_object), value) {
            (_, Value::Null) => return None,
            (before, Value::Object(after)) => merge(before.unwrap_or(&nothing), after)?,
            (_, value) => value.clone(),
        };
        patch.insert(name.clone(), told);
    }
    Some(Value::Object(patch))
}

/// The items by key; none where there is no such collection.
fn shelf(document: &Value) -> Option<BTreeMap<String, Value>> {
    let mut shelf = BTreeMap::new();
    match document.pointer(AT)? {
        Value::Object(members) => {
            for (name, item) in members {
                shelf.insert(json!(name).to_string(), item.clone());
            }
        }
        Value::Array(items) => {
            for item in items {
                let key = item.get("id").filter(|key| key.is_number())?;
                let twice = shelf.insert(key.to_string(), item.clone()).is_some();
                (!twice).then_some(())?;
            }
        }
        _ => return None,
    }
    Some(shelf)
}

/// The document without its items, of which only the kind of collection is left.
fn rest(document: &Value) -> Value {
    let mut rest = document.clone();
    let items = rest.pointer_mut(AT).expect("a collection");
    *items = json!(items.is_array());
    rest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_merge_patch_leads_to_the_new_document(
        (old, new) in prop_oneof![(document(), document()), (tree(), tree())]
    ) {
        let Some(change) = change(&old, &new) else { return Ok(()) };
        let naive = merge(old.as_object().unwrap(), new.as_object().unwrap());
        prop_assert_eq!(change.merge.is_some(), naive.is_some(), "{:?}", naive);
        let Some(data) = change.merge else { return Ok(()) };
        prop_assert!(data.len() < change.snapshot.len());
        let mut merged = old.clone();
        json_patch::merge(&mut merged, &read(&data));
        prop_assert_eq!(merged, new);
        prop_assert_eq!(read(&data), naive.unwrap(), "and nothing besides");
    }

    #[test]
    fn events_of_items_lead_to_the_new_items(old in document(), new in document()) {
        let Some(change) = change(&old, &new) else { return Ok(()) };
        let both = shelf(&old).zip(shelf(&new)).filter(|_| rest(&old) == rest(&new));
        let smaller = |size: usize| size < change.snapshot.len();
        let Some(events) = &change.items else {
            // A collection is small in these documents.
            prop_assert!(both.is_none());
            return Ok(());
        };
        prop_assert!(smaller(events.iter().map(|event| event.data.len()).sum()));
        let (mut held, whole) = both.expect("only what can be told is told");
        let mut told = Vec::new();
        for event in events {
            let data = read(&event.data);
            let (key, item) = (data["key"].to_string(), data["item"].clone());
            match event.kind {
                ItemKind::Added => prop_assert_eq!(held.insert(key.clone(), item), None),
                ItemKind::Removed => prop_assert_eq!(held.remove(&key), Some(item)),
                ItemKind::Changed => {
                    let before = held.get_mut(&key).expect("it was there");
                    prop_assert_ne!(&*before, &item);
                    let patch: json_patch::Patch = serde_json::from_value(data["patch"].clone())
                        .expect("an RFC 6902 array");
                    json_patch::patch(before, &patch).expect("the patch fits");
                    prop_assert_eq!(&*before, &item);
                }
            }
            prop_assert_eq!(data.as_object().unwrap().len(), 2 + usize::from(event.kind == ItemKind::Changed));
            told.push(key);
        }
        prop_assert_eq!(held, whole);
        told.sort();
        told.dedup();
        prop_assert_eq!(told.len(), events.len(), "each item once");
    }

    #[test]
    fn a_patch_leads_to_the_new_document(old in document(), new in document()) {
        let Some(change) = change(&old, &new) else { return Ok(()) };
        prop_assert_eq!(read(&change.snapshot.encode()), new.clone());
        prop_assert_eq!(change.snapshot.encode().len(), change.snapshot.len());
        let data = change.patch.expect("smaller than the text");
        let patch: json_patch::Patch = serde_json::from_slice(&data).expect("an RFC 6902 array");
        let mut patched = old.clone();
        json_patch::patch(&mut patched, &patch).expect("the patch fits");
        prop_assert_eq!(patched, new);
    }
}
