//! Where what is shown is not what is meant: references, and what is hidden.
//!
//! Promises that two configurations can be compared by what they mean, without keeping a value that
//! must not be shown: of each there is a digest, which is shown to nobody either.

use std::fmt;

use openssl::sha::sha256;
use serde_json::Value as Json;
use serde_yaml::Value;

use super::scalar;
use crate::config::expand::{Surroundings, expand};

/// Stands between what is shown and the digest of what is meant; in no text that is shown.
const MARK: char = '\0';

/// The veiled values of one configuration: where they stand (RFC 6901), and a digest of each.
#[derive(Clone, Default)]
pub(in crate::config) struct Veils(Vec<(String, String)>);

impl Veils {
    /// Those of a file that is shown as `shown`.
    pub(in crate::config) fn of(file: &Value, shown: &Json, around: &dyn Surroundings) -> Self {
        let mut veils = Self::default();
        veils.walk(file, shown, around, &mut String::new());
        veils
    }

    fn walk(&mut self, value: &Value, shown: &Json, around: &dyn Surroundings, at: &mut String) {
        match (value, shown) {
            (Value::Mapping(entries), Json::Object(members)) => {
                for (key, value) in entries {
                    let key = key.as_str().unwrap_or_default();
                    if let Some(shown) = members.get(key) {
                        let length = at.len();
                        at.push('/');
                        at.push_str(&key.replace('~', "~0").replace('/', "~1"));
                        self.walk(value, shown, around, at);
                        at.truncate(length);
                    }
                }
            }
            (Value::Sequence(items), Json::Array(members)) if items.len() == members.len() => {
                for (index, (value, shown)) in items.iter().zip(members).enumerate() {
                    let length = at.len();
                    at.push_str(&format!("/{index}"));
                    self.walk(value, shown, around, at);
                    at.truncate(length);
                }
            }
            _ => {
                let meant = meant(value, around);
                if meant != *shown {
                    self.0.push((at.clone(), digest(&meant.to_string())));
                }
            }
        }
    }

    /// Marks the veiled values of a tree, so that it equals another one only if both mean the same.
    pub(in crate::config) fn mark(&self, tree: &mut Json) {
        for (at, digest) in &self.0 {
            if let Some(value) = tree.pointer_mut(at) {
                let shown = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                *value = format!("{shown}{MARK}{digest}").into();
            }
        }
    }
}

impl fmt::Debug for Veils {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Veils(***)")
    }
}

/// A marked tree as it may be shown.
pub(in crate::config) fn unmarked(tree: &Json) -> Json {
    match tree {
        Json::String(text) => text.split(MARK).next().unwrap_or_default().into(),
        Json::Array(items) => items.iter().map(unmarked).collect(),
        Json::Object(members) => {
            let members = members.iter();
            Json::Object(
                members
                    .map(|(key, value)| (key.clone(), unmarked(value)))
                    .collect(),
            )
        }
        other => other.clone(),
    }
}

/// The first half of SHA-256, in hexadecimal digits.
pub(in crate::config) fn digest(text: &str) -> String {
    let digest = sha256(text.as_bytes());
    digest[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A value with everything put in. What cannot be put in is a problem of the file, told elsewhere.
fn meant(value: &Value, around: &dyn Surroundings) -> Json {
    match value {
        Value::String(text) => {
            expand(text, around).map_or_else(|_| text.as_str().into(), |it| it.text.into())
        }
        Value::Sequence(items) => items.iter().map(|item| meant(item, around)).collect(),
        Value::Mapping(entries) => {
            let member = |(key, value): (&Value, &Value)| {
                Some((key.as_str()?.to_owned(), meant(value, around)))
            };
            Json::Object(entries.iter().filter_map(member).collect())
        }
        other => scalar(other),
    }
}
