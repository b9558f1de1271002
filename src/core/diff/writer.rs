//! The patch under construction, as text, with a bound on its length.

use std::io::Write as _;

use crate::core::json::{Json, text};

/// The patch has reached its limit. What was written since the last mark is to be rewound.
#[derive(Debug)]
pub(super) struct Full;

/// Writes operations at a current path.
pub(super) struct Writer {
    /// `[` and the operations so far, separated by commas.
    out: Vec<u8>,
    /// The pointer to where we are, as it stands between quotes.
    path: Vec<u8>,
    /// The most bytes that `out` may have.
    limit: usize,
}

/// A state to go back to.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    out: usize,
    path: usize,
}

/// The path to go back to.
#[must_use]
pub(super) struct Parent(usize);

impl Writer {
    /// An empty patch of at most `limit` bytes, its closing bracket not counted.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            out: vec![b'['],
            path: Vec::new(),
            limit,
        }
    }

    /// The whole patch.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.out.push(b']');
        self.out
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            out: self.out.len(),
            path: self.path.len(),
        }
    }

    /// Forgets what was written since `mark`.
    pub(super) fn rewind(&mut self, mark: Mark) {
        self.out.truncate(mark.out);
        self.path.truncate(mark.path);
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Goes down to a member; the name is escaped by RFC 6901 section 3 and as a JSON string.
    pub(super) fn enter(&mut self, name: &str) -> Parent {
        let parent = Parent(self.path.len());
        if name.contains(['~', '/']) {
            text(&name.replace('~', "~0").replace('/', "~1"), &mut self.path);
        } else {
            text(name, &mut self.path);
        }
        // The opening quote becomes the slash, the closing quote goes.
        self.path[parent.0] = b'/';
        self.path.pop();
        parent
    }

    /// Goes down to an element.
    pub(super) fn enter_index(&mut self, index: usize) -> Parent {
        let parent = Parent(self.path.len());
        number(&mut self.path, index);
        parent
    }

    pub(super) fn leave(&mut self, parent: Parent) {
        self.path.truncate(parent.0);
    }

    /// Inserts `value` at the path.
    pub(super) fn add(&mut self, value: &Json) -> Result<(), Full> {
        self.begin(br#"{"op":"add","path":""#);
        self.end_with(value)
    }

    /// Puts `value` in the place of what is at the path.
    pub(super) fn replace(&mut self, value: &Json) -> Result<(), Full> {
        self.begin(REPLACE);
        self.end_with(value)
    }

    /// Removes what is at the path.
    pub(super) fn remove(&mut self) -> Result<(), Full> {
        self.begin(br#"{"op":"remove","path":""#);
        self.out.extend_from_slice(br#""}"#);
        self.check()
    }

    /// Moves an element of the array at the path; `to` is counted after its removal.
    pub(super) fn shift(&mut self, from: usize, to: usize) -> Result<(), Full> {
        self.begin(br#"{"op":"move","from":""#);
        number(&mut self.out, from);
        self.out.extend_from_slice(br#"","path":""#);
        self.out.extend_from_slice(&self.path);
        number(&mut self.out, to);
        self.out.extend_from_slice(br#""}"#);
        self.check()
    }

    /// The length after [`Writer::replace`] with `value`, if that is within the limit.
    pub(super) fn len_after_replace(&self, value: &Json) -> Option<usize> {
        let comma = usize::from(self.out.len() > 1);
        let fixed = comma + REPLACE.len() + self.path.len() + VALUE.len() + 1;
        let len = self.out.len() + fixed;
        Some(len + value.encoded_len(self.limit.checked_sub(len)?)?)
    }

    fn begin(&mut self, head: &[u8]) {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        self.out.extend_from_slice(head);
        self.out.extend_from_slice(&self.path);
    }

    fn end_with(&mut self, value: &Json) -> Result<(), Full> {
        self.out.extend_from_slice(VALUE);
        // Asked first, so that a large value is not written only to be rewound.
        let room = self.limit.saturating_sub(self.out.len() + 1);
        value.encoded_len(room).ok_or(Full)?;
        value.encode_into(&mut self.out);
        self.out.push(b'}');
        self.check()
    }

    fn check(&self) -> Result<(), Full> {
        if self.out.len() > self.limit {
            Err(Full)
        } else {
            Ok(())
        }
    }
}

const REPLACE: &[u8] = br#"{"op":"replace","path":""#;
const VALUE: &[u8] = br#"","value":"#;

fn number(out: &mut Vec<u8>, index: usize) {
    write!(out, "/{index}").expect("invariant: a Vec grows");
}
