//! A mapping whose keys are fixed.
//!
//! Promises that a key nobody reads is a problem: unknown keys are refused on entry, and the tests
//! of `keys` hold every known key to be read.

use std::fmt::Display;

use serde_yaml::{Mapping, Value};

use super::keys::Keys;
use super::sheet::Node;

/// A mapping with fixed keys.
pub(super) struct Section<'a> {
    pub(super) node: Node<'a>,
    entries: Option<&'a Mapping>,
    keys: &'static Keys,
}

impl<'a> Section<'a> {
    /// The value under `key`; a key without a value counts as absent.
    pub(super) fn find(&self, key: &'static str) -> Option<Node<'a>> {
        let named = self.keys.known.contains(&key) || self.keys.later.contains(&key);
        debug_assert!(named, "{key} is missing in keys.rs");
        let value = self.entries?.get(key)?;
        (!value.is_null()).then(|| self.place(key, value))
    }

    /// Whether `key` stands there without a value.
    pub(super) fn is_blank(&self, key: &str) -> bool {
        let value = self.entries.and_then(|entries| entries.get(key));
        value.is_some_and(Value::is_null)
    }

    /// As [`Section::find`]; absence is a problem.
    pub(super) fn require(&self, key: &'static str, remedy: impl Display) -> Option<Node<'a>> {
        let found = self.find(key);
        // What is no mapping was refused already; its keys are not missing besides.
        let readable = self.entries.is_some() || self.node.value().is_null();
        if found.is_none() && readable {
            self.place(key, &Value::Null).problem("missing", remedy);
        }
        found
    }

    /// The mapping under `key`, an empty one if there is none.
    pub(super) fn section(&self, key: &'static str, keys: &'static Keys) -> Section<'a> {
        let absent = || self.place(key, &Value::Null);
        self.find(key).unwrap_or_else(absent).section(keys)
    }

    fn place(&self, key: &str, value: &'a Value) -> Node<'a> {
        self.node.at(key, value)
    }
}

impl<'a> Node<'a> {
    /// Reads a mapping with fixed keys; every other key is a problem. Never fails: a value that is
    /// no mapping is a problem, and reads as an empty one.
    pub(super) fn section(&self, keys: &'static Keys) -> Section<'a> {
        let entries = match self.value() {
            Value::Mapping(entries) => Some(entries),
            Value::Null => None,
            _ => {
                let remedy = format!("known keys: {}", keys.known.join(", "));
                self.wrong_type("a mapping", remedy);
                None
            }
        };
        for (key, node) in self.entries(entries) {
            if let Some((what, remedy)) = keys.refusal(&key) {
                node.problem(what, remedy);
            }
        }
        Section {
            node: self.clone(),
            entries,
            keys,
        }
    }
}
