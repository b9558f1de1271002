//! Who turns bodies into patches here, in this process: pollcast, and the library that a Rust
//! program would take.

use bytes::Bytes;
use pollcast::core::document::{Document, Observation, View};
use serde_json::Value;

/// Takes in one body after the other and keeps what the next is compared with.
pub trait Contender {
    /// The body's patch from the one before, as text; None for the first body, and where the
    /// whole document is to be sent instead.
    fn take_in(&mut self, body: Bytes) -> Option<Bytes>;
}

/// Makes a contender that has seen nothing.
pub type Fresh = fn() -> Box<dyn Contender>;

/// pollcast with nothing configured.
pub fn pollcast() -> Box<dyn Contender> {
    Box::new(Document::new(View::default()))
}

/// `serde_json::Value` and `json_patch::diff`.
pub fn json_patch() -> Box<dyn Contender> {
    Box::new(Values { old: None })
}

/// pollcast asked one question: is this body what it holds?
pub struct Held(Document);

impl Held {
    pub fn new(body: Bytes) -> Self {
        let mut document = Document::new(View::default());
        document.observe(body).expect("every body here is JSON");
        Self(document)
    }

    pub fn is(&mut self, body: Bytes) -> bool {
        matches!(self.0.observe(body), Ok(Observation::Unchanged))
    }
}

impl Contender for Document {
    fn take_in(&mut self, body: Bytes) -> Option<Bytes> {
        match self.observe(body).expect("every body here is JSON") {
            Observation::Unchanged => Some(Bytes::from_static(b"[]")),
            Observation::Changed(change) => change.patch,
        }
    }
}

struct Values {
    old: Option<Value>,
}

impl Contender for Values {
    fn take_in(&mut self, body: Bytes) -> Option<Bytes> {
        let new: Value = serde_json::from_slice(&body).expect("every body here is JSON");
        let patch = self.old.as_ref().map(|old| {
            let patch = json_patch::diff(old, &new);
            Bytes::from(serde_json::to_vec(&patch).expect("a patch is JSON"))
        });
        self.old = Some(new);
        patch
    }
}

/// Whether `Value` is the plain one: other crates of a build can turn its features on for all.
pub fn value_is_default() -> bool {
    let text = r#"{"b":1.10,"a":2}"#;
    let value: Value = serde_json::from_str(text).expect("JSON");
    let written = value.to_string();
    written == r#"{"a":2,"b":1.1}"#
}
