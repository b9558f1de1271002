//! A cursor over the file as written, which collects every problem on its way.
//!
//! A [`Node`] knows its value and its place. Reading it gives a typed value, or notes a problem and
//! gives `None`; callers then go on with any stand-in, because a [`Sheet`] with problems never
//! becomes a configuration.

use std::cell::{OnceCell, RefCell};
use std::fmt::Display;

use serde_yaml::{Mapping, Value};

use super::expand::Surroundings;
use super::place::{Lines, Path};
use super::problem::{Problem, Problems, Warning};

/// What was found out about one configuration so far.
pub(super) struct Sheet<'a> {
    pub(super) around: &'a dyn Surroundings,
    problems: RefCell<Vec<Remark>>,
    warnings: RefCell<Vec<Remark>>,
}

struct Remark {
    path: Path,
    what: String,
    remedy: String,
}

impl<'a> Sheet<'a> {
    pub(super) fn new(around: &'a dyn Surroundings) -> Self {
        Self {
            around,
            problems: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    /// Gives out `found` with the warnings, unless there was a problem. `place` says how a path is
    /// shown, and on which line it is.
    pub(super) fn conclude<T>(
        self,
        found: T,
        place: impl Fn(&Path) -> (String, Option<usize>),
    ) -> Result<(T, Vec<Warning>), Problems> {
        let told = |remark: Remark| {
            let (shown, line) = place(&remark.path);
            Problem {
                place: shown,
                line,
                what: remark.what,
                remedy: remark.remedy,
            }
        };
        let problems: Vec<_> = self.problems.into_inner().into_iter().map(told).collect();
        if !problems.is_empty() {
            return Err(Problems::new(problems));
        }
        let warnings = self.warnings.into_inner().into_iter();
        Ok((
            found,
            warnings.map(|remark| Warning(told(remark))).collect(),
        ))
    }

    /// Whether a problem was noted.
    pub(super) fn is_spoilt(&self) -> bool {
        !self.problems.borrow().is_empty()
    }
}

/// Shows paths as they are, with their lines in `text`.
pub(super) fn in_file(text: &str) -> impl Fn(&Path) -> (String, Option<usize>) + '_ {
    let lines = OnceCell::new();
    move |path| {
        let lines = lines.get_or_init(|| Lines::of(text));
        (path.to_string(), lines.line(path))
    }
}

/// One value of the file, and where it stands.
#[derive(Clone)]
pub(super) struct Node<'a> {
    value: &'a Value,
    path: Path,
    sheet: &'a Sheet<'a>,
}

impl<'a> Node<'a> {
    pub(super) fn root(value: &'a Value, sheet: &'a Sheet<'a>) -> Self {
        Self {
            value,
            path: Path::default(),
            sheet,
        }
    }

    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    pub(super) fn sheet(&self) -> &'a Sheet<'a> {
        self.sheet
    }

    /// The value of a member of this mapping.
    pub(super) fn at(&self, key: &str, value: &'a Value) -> Self {
        Node {
            value,
            path: self.path.key(key),
            sheet: self.sheet,
        }
    }

    /// Notes what is wrong here.
    pub(super) fn problem(&self, what: impl Display, remedy: impl Display) {
        let (what, remedy) = (what.to_string(), remedy.to_string());
        let path = self.path.clone();
        self.sheet
            .problems
            .borrow_mut()
            .push(Remark { path, what, remedy });
    }

    /// Notes what may surprise here.
    pub(super) fn warning(&self, what: impl Display, remedy: impl Display) {
        let (what, remedy) = (what.to_string(), remedy.to_string());
        let path = self.path.clone();
        self.sheet
            .warnings
            .borrow_mut()
            .push(Remark { path, what, remedy });
    }

    pub(super) fn wrong_type(&self, wanted: &str, remedy: impl Display) {
        self.problem(
            format!("{wanted} is wanted here, not {}", kind(self.value)),
            remedy,
        );
    }

    /// Reads a mapping with free keys.
    pub(super) fn named(&self) -> Vec<(String, Node<'a>)> {
        match self.value {
            Value::Mapping(entries) => self.entries(Some(entries)),
            Value::Null => Vec::new(),
            _ => {
                self.wrong_type("a mapping", "write `name: value`");
                Vec::new()
            }
        }
    }

    /// Reads a list.
    pub(super) fn items(&self) -> Vec<Node<'a>> {
        let Value::Sequence(items) = self.value else {
            if !self.value.is_null() {
                self.wrong_type("a list", "write [ ] around it, or `- ` before each entry");
            }
            return Vec::new();
        };
        let node = |(index, value)| Node {
            value,
            path: self.path.index(index),
            sheet: self.sheet,
        };
        items.iter().enumerate().map(node).collect()
    }

    /// The entries of a mapping; a key that is no text is a problem.
    pub(super) fn entries(&self, entries: Option<&'a Mapping>) -> Vec<(String, Node<'a>)> {
        let mut named = Vec::new();
        for (key, value) in entries.into_iter().flatten() {
            if let Value::String(key) = key {
                let path = self.path.key(key);
                named.push((
                    key.clone(),
                    Node {
                        value,
                        path,
                        sheet: self.sheet,
                    },
                ));
            } else {
                self.problem(
                    format!("{} is no key", kind(key)),
                    "write keys as text, in quotes if need be",
                );
            }
        }
        named
    }
}

/// What a value is, in words.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "a mapping",
        Value::Tagged(_) => "a value with a !tag",
    }
}
