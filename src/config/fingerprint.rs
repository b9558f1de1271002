//! What makes the document of a feed: whether ids that clients hold still say something.

use std::fmt;

use serde_json::{Value as Json, json};

use super::shown::digest;

/// Keys of a feed that decide which document it has, and how its events are told.
const MEANING: [&str; 5] = ["path", "request", "document", "share", "names"];
/// Keys among those that bound only what may be read.
const BOUNDS: [&str; 3] = [
    "/document/max_bytes",
    "/document/transform/max_bytes",
    "/document/transform/timeout",
];
/// Keys of an upstream that decide whom a feed asks. Servers that stand side by side give the same
/// answers, whichever there are.
const WHOM: [&str; 2] = ["url", "host"];

/// What a feed means: equal for two feeds whose documents are the same one, so that an event of one
/// can follow an event of the other. Stays the same from one process to the next.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Fingerprint(String);

impl fmt::Debug for Fingerprint {
    /// Short secrets can be guessed from it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(***)")
    }
}

impl Fingerprint {
    /// That of a feed and its upstream, defaults filled in, veiled values marked.
    pub(super) fn of(feed: &Json, upstream: &Json) -> Self {
        let mut feed = feed.clone();
        for at in BOUNDS {
            if let Some(bound) = feed.pointer_mut(at) {
                *bound = Json::Null;
            }
        }
        feed["names"] = feed["events"]["names"].take();
        let meaning = MEANING.map(|key| &feed[key]);
        let whom = WHOM.map(|key| &upstream[key]);
        Self(digest(&json!([meaning, whom]).to_string()))
    }

    /// As text: 32 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
