//! What clients make of a feed's events, by implementations of the standards that are not ours.

use std::collections::BTreeMap;

use serde_json::Value;

use super::client::Event;

/// The document, in every mode that conveys it.
#[derive(Debug, Default)]
pub struct Replica {
    pub document: Option<Value>,
    pub last_id: Option<String>,
}

impl Replica {
    /// Applies an event.
    ///
    /// # Panics
    /// If a patch does not fit.
    pub fn take(&mut self, event: &Event) {
        let held = self.document.as_mut();
        match event.name.as_str() {
            "snapshot" => self.document = Some(event.value.clone()),
            "patch" => patch(held.expect("a document before a patch"), &event.value),
            "merge" => {
                assert!(event.value.is_object(), "{}", event.data);
                json_patch::merge(held.expect("a document before a patch"), &event.value);
            }
            "status" | "reset" | "end" => {}
            name => panic!("an event that nobody announced: {name:?}"),
        }
        if event.id.is_some() {
            self.last_id.clone_from(&event.id);
        }
    }
}

/// The items of a document by key, as a client in mode `items` keeps them.
#[derive(Clone, Debug, PartialEq)]
pub struct Shelf {
    /// Where they are in the document.
    at: &'static str,
    /// The member that is the key of an element; of no use where the collection is an object.
    key: &'static str,
    /// By the text of the key.
    pub items: BTreeMap<String, Value>,
    /// The document without them.
    pub rest: Value,
}

impl Shelf {
    /// Nothing known yet of a collection at this pointer.
    pub fn new(at: &'static str, key: &'static str) -> Self {
        Self {
            at,
            key,
            items: BTreeMap::new(),
            rest: Value::Null,
        }
    }

    /// What a client holds that got this document.
    pub fn holding(mut self, document: &Value) -> Self {
        self.rest = document.clone();
        let items = self.rest.pointer_mut(self.at).map(Value::take);
        self.items = match items.unwrap_or_default() {
            Value::Object(members) => members
                .into_iter()
                .map(|(name, item)| (Value::from(name).to_string(), item))
                .collect(),
            Value::Array(items) => items
                .into_iter()
                .map(|item| (item[self.key].to_string(), item))
                .collect(),
            _ => BTreeMap::new(),
        };
        self
    }

    /// Applies an event. One that came before changes nothing.
    ///
    /// # Panics
    /// If the event does not fit what is held.
    pub fn take(&mut self, event: &Event) {
        let (key, item) = (event.value["key"].to_string(), event.value["item"].clone());
        match event.name.as_str() {
            "snapshot" => *self = self.clone().holding(&event.value),
            "added" => drop(self.items.insert(key, item)),
            "changed" => {
                let held = self.items.get_mut(&key).expect("what changes was there");
                if *held != item {
                    patch(held, &event.value["patch"]);
                }
                assert_eq!(*held, item, "the patch leads to the item");
            }
            "removed" => {
                let held = self.items.remove(&key);
                assert!(held.is_none_or(|held| held == item), "it goes as it was");
            }
            "status" | "reset" | "end" => {}
            name => panic!("an event that nobody announced: {name:?}"),
        }
    }
}

fn patch(document: &mut Value, operations: &Value) {
    let patch: json_patch::Patch =
        serde_json::from_value(operations.clone()).expect("an RFC 6902 array");
    json_patch::patch(document, &patch).expect("the patch fits");
}
