//! Where events are kept, as it is written in a configuration.

use std::path::PathBuf;
use std::time::Duration;

use super::keys::{BACKPLANE, STORE};
use super::section::Section;
use super::sheet::Node;

/// Where events are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Backplane {
    /// In this process only.
    #[default]
    Memory,
    /// In a file as well, from which the next process goes on.
    File(Store),
}

/// The store: a file of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The folder it lies in.
    pub path: PathBuf,
    /// When what was written reaches the disk itself.
    pub sync: Synced,
    /// Whether documents that are for some clients only are written, too.
    pub private: bool,
}

/// When what was written reaches the disk itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synced {
    /// Before anybody gets the event.
    Always,
    /// So long after it was written, at most.
    Every(Duration),
}

impl Default for Synced {
    fn default() -> Self {
        Synced::Every(Duration::from_secs(1))
    }
}

const REMEDY: &str = "write `memory`, or `{file: {path: /var/lib/pollcast}}`";

/// Reads the section `backplane`.
pub(super) fn backplane(top: &Section<'_>) -> Backplane {
    let store = top.find("backplane").and_then(|node| store(&node));
    store.map_or(Backplane::Memory, Backplane::File)
}

fn store(node: &Node<'_>) -> Option<Store> {
    if node.value().is_string() {
        if node.text()?.text != "memory" {
            node.problem("there is no such backplane", REMEDY);
        }
        return None;
    }
    let section = node.section(&BACKPLANE);
    let file = section.require("file", REMEDY)?.section(&STORE);
    let path = file
        .require(
            "path",
            "name a folder of pollcast's own, such as /var/lib/pollcast",
        )
        .and_then(|node| folder(&node));
    let sync = file.find("sync").and_then(|node| sync(&node));
    let private = file.find("private").and_then(|node| node.flag());
    Some(Store {
        path: path?,
        sync: sync.unwrap_or_default(),
        private: private.unwrap_or(false),
    })
}

fn folder(node: &Node<'_>) -> Option<PathBuf> {
    let scalar = node.text()?;
    if scalar.text.is_empty() {
        node.problem(
            "this names no folder",
            "name a folder of pollcast's own, such as /var/lib/pollcast",
        );
        return None;
    }
    Some(node.sheet().around.locate(&scalar.text))
}

fn sync(node: &Node<'_>) -> Option<Synced> {
    if node.value().is_string() && node.text()?.text == "always" {
        return Some(Synced::Always);
    }
    node.duration(Duration::from_millis(10)).map(Synced::Every)
}

#[cfg(test)]
mod tests {
    use super::super::{Config, System};
    use super::*;

    #[test]
    fn the_store_is_the_same_from_wherever_pollcast_is_started() {
        for (written, found) in [
            ("store", "/etc/pollcast/store"),
            ("/var/lib/p", "/var/lib/p"),
        ] {
            let text = format!(
                "backplane: {{ file: {{ path: {written} }} }}\nupstreams: {{ shop: {{ url: 'http://10.0.0.1' }} }}\n"
            );
            let (config, _) = Config::parse(&text, &System::new("/etc/pollcast")).unwrap();
            let Backplane::File(store) = config.backplane else {
                panic!("a store");
            };
            assert_eq!(store.path, PathBuf::from(found));
        }
    }
}
