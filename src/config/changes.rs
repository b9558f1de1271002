//! What is different between two configurations.
//!
//! Promises that nothing that means the same is a difference, however it is written, and that
//! nothing of a secret is told but that it is another one.

#[cfg(test)]
mod tests;

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::Config;
use super::shown::unmarked;

/// Keys that only a new process follows.
const RESTART: [&str; 4] = ["server.threads", "logs.format", "traces", "backplane"];
/// Keys of an upstream that its feeds are not touched by: what it bears of polls.
const PACE: [&str; 4] = [
    "max_in_flight",
    "max_requests_per_second",
    "budget",
    "circuit_breaker",
];

/// Everything that is different.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Changes {
    /// By path.
    pub feeds: Entries,
    /// By path.
    pub routes: Entries,
    /// By name.
    pub upstreams: Entries,
    /// Everything else: `server.drain`, `admin.listen`.
    pub settings: Vec<Change>,
    /// Those of the settings that only a new process follows.
    pub restart: Vec<String>,
}

/// What is different among entries that have names.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Entries {
    /// There were none of these names.
    pub added: Vec<String>,
    /// There are none any more.
    pub removed: Vec<String>,
    /// Not the same as before.
    pub changed: Vec<Changed>,
}

/// An entry that is not the same as before.
#[derive(Debug, PartialEq, Serialize)]
pub struct Changed {
    /// Which one.
    pub name: String,
    /// In what.
    pub keys: Vec<Change>,
}

/// A key that has another value.
#[derive(Debug, PartialEq, Serialize)]
pub struct Change {
    /// Where, below the entry: `poll.interval`.
    pub key: String,
    /// What it was, as it may be shown; null if there was none. A value that is not shown, or comes
    /// from outside of the file, may look the same before and after.
    pub old: Json,
    /// What it is.
    pub new: Json,
}

impl Changes {
    /// Those from one configuration to the other.
    pub fn between(old: &Config, new: &Config) -> Self {
        let (mut old_tree, mut new_tree) = (old.marked(), new.marked());
        let (feeds, upstreams, routes) = (
            Entries::between(
                by("path", &mut old_tree, "feeds"),
                by("path", &mut new_tree, "feeds"),
            ),
            Entries::between(named(&mut old_tree), named(&mut new_tree)),
            Entries::between(
                by("path", &mut old_tree, "proxy"),
                by("path", &mut new_tree, "proxy"),
            ),
        );
        let mut settings = Vec::new();
        compare(&old_tree, &new_tree, "", &mut settings);
        let restart = settings.iter().map(|change| &change.key);
        let restart = restart.filter(|key| RESTART.iter().any(|it| is_below(key, it)));
        Self {
            restart: restart.cloned().collect(),
            feeds,
            routes,
            upstreams,
            settings,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        let lists = [&self.feeds, &self.routes, &self.upstreams];
        self.settings.is_empty() && lists.iter().all(|list| list.is_empty())
    }
}

impl Entries {
    fn between(old: Vec<(String, Json)>, new: Vec<(String, Json)>) -> Self {
        let mut old: Map<String, Json> = old.into_iter().collect();
        let mut entries = Self::default();
        for (name, new) in new {
            let Some(old) = old.shift_remove(&name) else {
                entries.added.push(name);
                continue;
            };
            let mut keys = Vec::new();
            compare(&old, &new, "", &mut keys);
            if !keys.is_empty() {
                entries.changed.push(Changed { name, keys });
            }
        }
        entries.removed = old.into_iter().map(|(name, _)| name).collect();
        entries
    }

    /// Whether there is no difference.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// In what this entry is not the same as before.
    pub fn of(&self, name: &str) -> &[Change] {
        let entry = self.changed.iter().find(|entry| entry.name == name);
        entry.map_or(&[], |entry| &entry.keys)
    }
}

impl Change {
    /// Whether the key of an upstream only says what it bears of polls.
    pub fn is_pace(&self) -> bool {
        PACE.iter().any(|key| is_below(&self.key, key))
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key, old, new } = self;
        match old == new {
            true => write!(f, "{key}: another value, which is not shown"),
            false => write!(f, "{key}: {old} -> {new}"),
        }
    }
}

fn is_below(key: &str, above: &str) -> bool {
    let rest = key.strip_prefix(above);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Takes a list out of the tree: its entries by what stands at `key` in each.
fn by(key: &str, tree: &mut Json, list: &str) -> Vec<(String, Json)> {
    let Json::Array(items) = tree[list].take() else {
        return Vec::new();
    };
    let entry = |item: Json| {
        let name = unmarked(&item[key]);
        (name.as_str().unwrap_or_default().to_owned(), item)
    };
    items.into_iter().map(entry).collect()
}

/// Takes the upstreams out of the tree.
fn named(tree: &mut Json) -> Vec<(String, Json)> {
    match tree["upstreams"].take() {
        Json::Object(upstreams) => upstreams.into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Notes the keys with another value; a list is one value.
fn compare(old: &Json, new: &Json, at: &str, changes: &mut Vec<Change>) {
    if old == new {
        return;
    }
    let below = |key: &str| match at {
        "" => key.to_owned(),
        at => format!("{at}.{key}"),
    };
    let (Json::Object(olds), Json::Object(news)) = (old, new) else {
        changes.push(Change {
            key: at.to_owned(),
            old: unmarked(old),
            new: unmarked(new),
        });
        return;
    };
    for (key, old) in olds {
        let new = news.get(key).unwrap_or(&Json::Null);
        compare(old, new, &below(key), changes);
    }
    for (key, new) in news.iter().filter(|(key, _)| !olds.contains_key(*key)) {
        compare(&Json::Null, new, &below(key), changes);
    }
}
