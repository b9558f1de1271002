//! One topic's document: what the last good answer said.
//!
//! Promises that a bad answer never disturbs the good one before it, and that the same answer
//! twice costs one comparison of bytes.

use std::sync::Arc;

use bytes::Bytes;

use super::change::{Change, ItemEvent};
use super::diff::{InferredKey, Items, Memory, diff, merge};
use super::event::{Mode, Modes};
use super::json::{Copies, ParseError, Pattern, Pointer, Rules, Tape};
use super::noise::{Finding, Survey};

/// Which part of the answers is the document, and how its arrays are matched.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct View {
    /// The part that is the document; the root for all of it.
    pub select: Pointer,
    /// What is dropped from it before comparing, seen from the selected part.
    pub ignore: Vec<Pattern>,
    /// The member that identifies the elements of arrays of objects.
    pub key: Option<String>,
    /// Where in the document the items are that mode `items` tells of: an array or an object.
    pub items: Pointer,
}

/// The document as of the last accepted answer; nothing before the first.
#[derive(Debug)]
pub struct Document {
    select: Pointer,
    /// What is ignored in the whole answer.
    rules: Rules,
    wanted: Modes,
    /// The last accepted answer.
    current: Option<Arc<Tape>>,
    /// What the document was in another life, until an answer is accepted.
    before: Option<Arc<Tape>>,
    memory: Memory,
    items: Items,
    noise: Survey,
}

/// The patch between equal documents.
const NO_CHANGE: &[u8] = b"[]";

/// What an accepted answer meant.
#[derive(Clone, Debug)]
pub enum Observation {
    /// The document is the one we hold.
    Unchanged,
    /// The document is another one, or the first.
    Changed(Change),
}

/// Why an answer cannot become the document. Reads as a sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The answer is no JSON that we can take.
    #[error("the answer is {0}")]
    Parse(#[from] ParseError),
    /// The answer is JSON, but has nothing where the document should be.
    #[error("nothing at \"{select}\" (document.select)")]
    NotFound {
        /// Where the document should be.
        select: Pointer,
    },
}

impl Rejected {
    /// A short word for a metric's label; one of a fixed few.
    pub const fn reason(&self) -> &'static str {
        match self {
            Rejected::Parse(error) => error.reason(),
            Rejected::NotFound { .. } => "select",
        }
    }
}

impl Document {
    /// Nothing observed yet.
    pub fn new(view: View) -> Self {
        Self {
            rules: Rules::new(&view.select, &view.ignore),
            memory: Memory::new(view.key.as_deref()),
            items: Items::new(view.items, view.key.as_deref()),
            select: view.select,
            wanted: Modes::NONE.with(Mode::Patch),
            current: None,
            before: None,
            noise: Survey::default(),
        }
    }

    /// The first answer is compared with this document, compact JSON, as it was made in another life.
    /// What is no JSON is left out: then the first answer is told whole.
    pub fn go_on_from(&mut self, document: Bytes) {
        self.before = Tape::read(document).ok().map(Arc::new);
    }

    /// Takes back what [`Self::go_on_from`] said.
    pub fn forget_before(&mut self) {
        self.before = None;
    }

    /// From now on changes are encoded in the forms of these modes; until then in that of `patch`.
    pub fn want(&mut self, modes: Modes) {
        self.wanted = modes;
    }

    /// Takes in an answer's body, decoded. The same bytes as last time are not even read.
    ///
    /// # Errors
    /// [`Rejected`] where the body holds no document; the one we hold stays.
    pub fn observe(&mut self, body: Bytes) -> Result<Observation, Rejected> {
        let old = self.current.as_deref();
        if old.is_some_and(|old| *old.text() == body) {
            self.noise.rested();
            return Ok(Observation::Unchanged);
        }
        let (mut new, copies) = Tape::read_after(body, old, &self.rules)?;
        if !new.select(&self.select) {
            return Err(Rejected::NotFound {
                select: self.select.clone(),
            });
        }
        let new = Arc::new(new);
        let before = self.before.take();
        let Some(old) = self.current.replace(Arc::clone(&new)).or(before) else {
            return Ok(Observation::Changed(Change::of_snapshot(new.into())));
        };
        Ok(match self.change(&old, &new, &copies) {
            Some(change) => {
                let (old, new) = (old.root(), new.root());
                self.noise.changed(old, new, &self.memory, &change);
                Observation::Changed(change)
            }
            None => {
                self.noise.rested();
                Observation::Unchanged
            }
        })
    }

    /// The change in the forms that are wanted; none if there is none.
    fn change(&mut self, old: &Tape, new: &Arc<Tape>, copies: &Copies) -> Option<Change> {
        let budget = new.encoded_len();
        let mut change = Change::of_snapshot(Arc::clone(new).into());
        if self.wanted.contains(Mode::Patch) {
            let patch = diff(
                old,
                new,
                copies,
                &mut self.memory,
                budget.max(NO_CHANGE.len() + 1),
            );
            if patch.as_deref() == Some(NO_CHANGE) {
                return None;
            }
            change.patch = patch.map(exactly);
        } else if old == &**new {
            return None;
        }
        if self.wanted.contains(Mode::Merge) {
            change.merge = merge(old, new, budget).map(exactly);
        }
        if self.wanted.contains(Mode::Items) {
            let events = self.items.told(old, new, copies, budget);
            change.items = events.map(|events| events.into_iter().map(ItemEvent::from).collect());
        }
        Some(change)
    }

    /// A poll said that the answer is still the last accepted one.
    pub fn not_modified(&mut self) {
        self.noise.rested();
    }

    /// The places whose value changes at every poll.
    pub fn findings(&self) -> Vec<Finding> {
        self.noise.findings()
    }

    /// The bytes of events that such places have cost since this was last asked.
    pub fn take_wasted(&mut self) -> u64 {
        self.noise.take_wasted()
    }

    /// The keys that were found for arrays, by place.
    pub fn keys(&self) -> Vec<InferredKey> {
        self.memory.keys()
    }

    /// The last accepted answer; none before the first. The same as before if not even a byte of it
    /// changed.
    pub fn current(&self) -> Option<&Arc<Tape>> {
        self.current.as_ref()
    }

    /// The document with everything in it, whether it is ignored or not; none before the first.
    pub fn whole(&self) -> Option<Arc<Tape>> {
        let current = self.current.as_ref()?;
        if self.rules.is_empty() {
            return Some(Arc::clone(current));
        }
        let mut whole = Tape::read(current.text().clone()).ok()?;
        whole.select(&self.select).then(|| Arc::new(whole))
    }

    /// The length of the last accepted answer; 0 before the first.
    pub fn body_len(&self) -> usize {
        self.current.as_ref().map_or(0, |tape| tape.text().len())
    }
}

/// The log counts what a text is long, so it holds no more.
fn exactly(text: Vec<u8>) -> Bytes {
    Bytes::from(text.into_boxed_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::json::{Patch, parse};

    fn observe(document: &mut Document, body: &'static str) -> Option<(String, Option<String>)> {
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        match document
            .observe(Bytes::from_static(body.as_bytes()))
            .unwrap()
        {
            Observation::Unchanged => None,
            Observation::Changed(change) => {
                Some((text(change.snapshot.encode()), change.patch.map(text)))
            }
        }
    }

    /// The document that the next one will be compared with.
    fn held(document: &Document) -> Option<String> {
        let text = document.current.as_ref()?.encode();
        Some(String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn the_first_document_has_no_patch_and_the_next_has_one() {
        let mut document = Document::new(View::default());
        assert_eq!(held(&document), None);
        let first = observe(
            &mut document,
            r#" {"a": "a long enough text to be worth a patch", "b": 1.0}"#,
        );
        assert_eq!(
            first,
            Some((
                r#"{"a":"a long enough text to be worth a patch","b":1.0}"#.into(),
                None
            ))
        );
        let next = observe(
            &mut document,
            r#"{"a": "a long enough text to be worth a patch", "b": 2.50}"#,
        );
        let patch = r#"[{"op":"replace","path":"/b","value":2.50}]"#;
        assert_eq!(next.unwrap().1.as_deref(), Some(patch));
    }

    #[test]
    fn a_patch_that_would_not_be_smaller_is_left_out() {
        let mut document = Document::new(View::default());
        observe(&mut document, "[1]");
        assert_eq!(observe(&mut document, "[2]"), Some(("[2]".into(), None)));
        assert_eq!(observe(&mut document, "{}"), Some(("{}".into(), None)));
    }

    #[test]
    fn only_the_forms_that_are_wanted_are_made() {
        let mut document = Document::new(View::default());
        let forms = |document: &mut Document, n: u8| {
            let body = format!(
                r#"{{"n":{n},"text":"long enough for every form to pay, whatever is told of n"}}"#
            );
            match document.observe(body.into()).unwrap() {
                Observation::Changed(change) => change.forms(),
                Observation::Unchanged => unreachable!("another number"),
            }
        };
        assert_eq!(forms(&mut document, 0), Modes::NONE, "the first");
        assert_eq!(forms(&mut document, 1), Modes::NONE.with(Mode::Patch));
        let all: Modes = [Mode::Patch, Mode::Merge, Mode::Items]
            .into_iter()
            .collect();
        for (n, wanted) in [
            Modes::NONE,
            Modes::NONE.with(Mode::Merge),
            Modes::NONE.with(Mode::Items),
            all,
        ]
        .into_iter()
        .enumerate()
        {
            document.want(wanted.with(Mode::Snapshot));
            assert_eq!(forms(&mut document, n as u8 + 2), wanted);
        }
    }

    #[test]
    fn another_writing_of_the_same_document_is_no_change() {
        let mut document = Document::new(View::default());
        observe(&mut document, r#"{"a":1,"b":"é"}"#);
        for same in [
            r#"{"a":1,"b":"é"}"#,
            r#"{"b":"\u00e9","a":1.0}"#,
            "\u{feff}{\"a\":10e-1,\n\"b\":\"é\"}",
        ] {
            assert_eq!(observe(&mut document, same), None, "{same}");
        }
        assert_eq!(held(&document).unwrap(), r#"{"a":10e-1,"b":"é"}"#);
    }

    #[test]
    fn only_the_selected_part_without_what_is_ignored_counts() {
        let mut document = Document::new(View {
            select: Pointer::parse("/data").unwrap(),
            ignore: vec![Pattern::parse("/*/age").unwrap()],
            ..View::default()
        });
        let first = observe(&mut document, r#"{"at":1,"data":[{"id":1,"age":5}]}"#);
        assert_eq!(first, Some((r#"[{"id":1}]"#.into(), None)));
        assert_eq!(
            observe(&mut document, r#"{"at":2,"data":[{"id":1,"age":6}]}"#),
            None
        );
    }

    #[test]
    fn the_same_text_elsewhere_may_hold_something_else() {
        let mut document = Document::new(View {
            ignore: vec![Pattern::parse("/0/ts").unwrap()],
            ..View::default()
        });
        let rest = r#""a text that is long enough to make any patch the smaller choice, as it is""#;
        let body = |rows: &str| Bytes::from(format!("[{rows},{rest}]"));
        document
            .observe(body(r#"{"id":9,"ts":1},{"id":1,"ts":5}"#))
            .unwrap();
        let Observation::Changed(change) = document.observe(body(r#"{"id":1,"ts":5}"#)).unwrap()
        else {
            panic!("no change");
        };
        let patch = Patch::parse(&change.patch.unwrap()).unwrap();
        let mut held = parse(&body(r#"{"id":9},{"id":1,"ts":5}"#)).unwrap();
        patch.apply(&mut held).unwrap();
        assert_eq!(held.encode(), body(r#"{"id":1}"#));
    }

    #[test]
    fn the_first_answer_is_compared_with_the_document_of_another_life() {
        let view = || View {
            select: Pointer::parse("/a").unwrap(),
            ignore: vec![Pattern::parse("/at").unwrap()],
            ..View::default()
        };
        let held = r#"{"a":{"n":1},"text":"long enough for a patch to be the smaller one"}"#;
        let answer = |n: u8, at: u8| {
            let n = format!(r#"{{"a":{{"n":{n}}}"#);
            let text = r#""text":"long enough for a patch to be the smaller one""#;
            format!(r#"{{"a":{n},{text},"at":{at}}},"z":{at}}}"#)
        };
        let go_on = |body: String| {
            let mut document = Document::new(view());
            document.go_on_from(Bytes::from_static(held.as_bytes()));
            document.observe(body.into()).unwrap()
        };
        assert!(matches!(go_on(answer(1, 7)), Observation::Unchanged));
        let Observation::Changed(change) = go_on(answer(2, 7)) else {
            panic!("another number is a change");
        };
        let patch = r#"[{"op":"replace","path":"/a/n","value":2}]"#;
        assert_eq!(change.patch.unwrap(), patch);
        // The text of the document, but as an answer it holds another one.
        let Observation::Changed(change) = go_on(held.to_owned()) else {
            panic!("the answer's own part is another document");
        };
        assert_eq!(change.snapshot.encode(), r#"{"n":1}"#);
    }

    #[test]
    fn a_bad_answer_leaves_the_document_of_another_life_in_place() {
        let mut document = Document::new(View::default());
        document.go_on_from(Bytes::from_static(b"[1]"));
        document.observe(Bytes::from_static(b"<html>")).unwrap_err();
        assert_eq!(observe(&mut document, "[1]"), None);
    }

    #[test]
    fn a_bad_answer_is_named_and_leaves_the_document_alone() {
        let mut document = Document::new(View {
            select: Pointer::parse("/data").unwrap(),
            ..View::default()
        });
        observe(&mut document, r#"{"data":[1]}"#);
        let deep = "[".repeat(200) + &"]".repeat(200);
        let cases: [(&[u8], &str, &str); 6] = [
            (b"", "the answer is empty", "empty"),
            (b"<html>", "the answer is HTML, not JSON", "html"),
            (b"\xff", "the answer is not UTF-8 at byte 0", "not_utf8"),
            (
                b"{\"data\":",
                "the answer is invalid JSON at line 1 column 8: EOF while parsing a value",
                "invalid_json",
            ),
            (
                deep.as_bytes(),
                "the answer is nested deeper than 128 levels",
                "too_deep",
            ),
            (b"{}", "nothing at \"/data\" (document.select)", "select"),
        ];
        for (body, message, reason) in cases {
            let rejected = document.observe(Bytes::copy_from_slice(body)).unwrap_err();
            assert_eq!(
                (&*rejected.to_string(), rejected.reason()),
                (message, reason)
            );
            assert_eq!(held(&document).unwrap(), "[1]");
        }
    }
}
