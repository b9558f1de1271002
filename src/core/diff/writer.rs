//! The patch under construction, as text, with a bound on its length.

use crate::core::json::{Name, Value};

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
    /// An empty patch of at most `limit` bytes, its closing bracket not counted. `likely` is how
    /// many it will probably have.
    pub(super) fn new(limit: usize, likely: usize) -> Self {
        let mut out = Vec::with_capacity(limit.min(likely + ROOM));
        out.push(b'[');
        Self {
            out,
            path: Vec::with_capacity(64),
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
    pub(super) fn enter(&mut self, name: Name<'_>) -> Parent {
        let parent = Parent(self.path.len());
        self.path.push(b'/');
        let name = name.shortest();
        let name = &name[1..name.len() - 1];
        if !name.contains(&b'~') && !name.contains(&b'/') {
            self.path.extend_from_slice(name);
            return parent;
        }
        for byte in name {
            match byte {
                b'~' => self.path.extend_from_slice(b"~0"),
                b'/' => self.path.extend_from_slice(b"~1"),
                byte => self.path.push(*byte),
            }
        }
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
    pub(super) fn add(&mut self, value: Value<'_>) -> Result<(), Full> {
        self.begin(br#"{"op":"add","path":""#);
        self.end_with(value)
    }

    /// Puts `value` in the place of what is at the path.
    pub(super) fn replace(&mut self, value: Value<'_>) -> Result<(), Full> {
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
    pub(super) fn len_after_replace(&self, value: Value<'_>) -> Option<usize> {
        let comma = usize::from(self.out.len() > 1);
        let fixed = comma + REPLACE.len() + self.path.len() + VALUE.len() + 1;
        let len = self.out.len() + fixed + value.len();
        (len <= self.limit).then_some(len)
    }

    fn begin(&mut self, head: &[u8]) {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        self.out.extend_from_slice(head);
        self.out.extend_from_slice(&self.path);
    }

    fn end_with(&mut self, value: Value<'_>) -> Result<(), Full> {
        self.out.extend_from_slice(VALUE);
        // Asked first, so that a large value is not written only to be rewound.
        let len = value.len();
        if self.out.len() + len + 1 > self.limit {
            return Err(Full);
        }
        value.put(len, &mut self.out);
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

/// What most patches of one feed differ in length, in bytes.
const ROOM: usize = 1024;

const REPLACE: &[u8] = br#"{"op":"replace","path":""#;
const VALUE: &[u8] = br#"","value":"#;

/// Appends a pointer's step to an element.
fn number(out: &mut Vec<u8>, index: usize) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = index;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.push(b'/');
    out.extend_from_slice(&digits[at..]);
}
