//! JSON Patch ([RFC 6902]): its text.
//!
//! [RFC 6902]: https://www.rfc-editor.org/rfc/rfc6902

use super::parse::parse_within;
use super::{Json, MAX_DEPTH, Object, ParseError, Pointer, PointerError, text};

/// One operation, RFC 6902 section 4.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Section 4.1: sets a member, or inserts an element before the index or, for `-`, at the end.
    Add {
        /// Where the value will be.
        path: Pointer,
        /// What will be there.
        value: Json,
    },
    /// Section 4.2: removes what is there.
    Remove {
        /// What goes.
        path: Pointer,
    },
    /// Section 4.3: puts another value in the place of one that is there.
    Replace {
        /// Where the value is.
        path: Pointer,
        /// What will be there.
        value: Json,
    },
    /// Section 4.4: removes at `from`, then adds at `path`.
    Move {
        /// Where the value is.
        from: Pointer,
        /// Where it will be, counted after the removal.
        path: Pointer,
    },
    /// Section 4.5: adds at `path` what is at `from`.
    Copy {
        /// Where the value is.
        from: Pointer,
        /// Where it will be as well.
        path: Pointer,
    },
    /// Section 4.6: goes on only if the value there equals this one.
    Test {
        /// Where to look.
        path: Pointer,
        /// What must be there.
        value: Json,
    },
}

/// A JSON Patch document: operations in the order in which they are applied.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Patch(pub Vec<Operation>);

/// Why a text is no JSON Patch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// Not JSON at all.
    #[error("the patch is {0}")]
    Json(#[from] ParseError),
    /// RFC 6902 section 3.
    #[error("the patch is no array of operations")]
    NoArray,
    /// The operation is no object or lacks a member that its `op` requires.
    #[error("operation {index} has no usable \"{member}\"")]
    Member {
        /// Which operation, from 0.
        index: usize,
        /// The member that is absent or of the wrong type.
        member: &'static str,
    },
    /// RFC 6902 section 4 knows six operations.
    #[error("operation {index} is \"{op}\", none of RFC 6902")]
    Unknown {
        /// Which operation, from 0.
        index: usize,
        /// Its `op`.
        op: String,
    },
    /// A `path` or `from` is no JSON Pointer.
    #[error("operation {index}: {source}")]
    Pointer {
        /// Which operation, from 0.
        index: usize,
        /// What is wrong with it.
        source: PointerError,
    },
}

impl Patch {
    /// Reads a JSON Patch document, RFC 6902 section 3. Unknown members are passed over.
    ///
    /// # Errors
    /// [`PatchError`] names the first operation that is wrong.
    pub fn parse(body: &[u8]) -> Result<Self, PatchError> {
        // A value as deep as a document may be stands inside an operation, inside the array.
        let Json::Array(items) = parse_within(body, MAX_DEPTH + 2)? else {
            return Err(PatchError::NoArray);
        };
        let operations = items
            .into_iter()
            .enumerate()
            .map(|(index, item)| match item {
                Json::Object(members) => Reader { index, members }.operation(),
                _ => Err(PatchError::Member {
                    index,
                    member: "op",
                }),
            });
        operations.collect::<Result<_, _>>().map(Patch)
    }

    /// The compact text, on one line.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![b'['];
        for (i, operation) in self.0.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            operation.encode_into(&mut out);
        }
        out.push(b']');
        out
    }
}

impl Operation {
    /// The value of `op`.
    pub fn name(&self) -> &'static str {
        match self {
            Operation::Add { .. } => "add",
            Operation::Remove { .. } => "remove",
            Operation::Replace { .. } => "replace",
            Operation::Move { .. } => "move",
            Operation::Copy { .. } => "copy",
            Operation::Test { .. } => "test",
        }
    }

    /// Where it acts.
    pub fn path(&self) -> &Pointer {
        match self {
            Operation::Add { path, .. }
            | Operation::Remove { path }
            | Operation::Replace { path, .. }
            | Operation::Move { path, .. }
            | Operation::Copy { path, .. }
            | Operation::Test { path, .. } => path,
        }
    }

    fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"op":""#);
        out.extend_from_slice(self.name().as_bytes());
        if let Operation::Move { from, .. } | Operation::Copy { from, .. } = self {
            out.extend_from_slice(br#"","from":"#);
            text(&from.to_string(), out);
            out.extend_from_slice(br#","path":"#);
        } else {
            out.extend_from_slice(br#"","path":"#);
        }
        text(&self.path().to_string(), out);
        if let Operation::Add { value, .. }
        | Operation::Replace { value, .. }
        | Operation::Test { value, .. } = self
        {
            out.extend_from_slice(br#","value":"#);
            value.encode_into(out);
        }
        out.push(b'}');
    }
}

/// One operation's members.
struct Reader {
    index: usize,
    members: Box<Object>,
}

impl Reader {
    fn operation(mut self) -> Result<Operation, PatchError> {
        let op = self.string("op")?;
        let path = self.pointer("path")?;
        Ok(match &*op {
            "add" => Operation::Add {
                path,
                value: self.value()?,
            },
            "remove" => Operation::Remove { path },
            "replace" => Operation::Replace {
                path,
                value: self.value()?,
            },
            "move" => Operation::Move {
                from: self.pointer("from")?,
                path,
            },
            "copy" => Operation::Copy {
                from: self.pointer("from")?,
                path,
            },
            "test" => Operation::Test {
                path,
                value: self.value()?,
            },
            _ => {
                return Err(PatchError::Unknown {
                    index: self.index,
                    op: op.into(),
                });
            }
        })
    }

    fn value(&mut self) -> Result<Json, PatchError> {
        let (index, member) = (self.index, "value");
        self.members
            .swap_remove(member)
            .ok_or(PatchError::Member { index, member })
    }

    fn string(&self, member: &'static str) -> Result<Box<str>, PatchError> {
        match self.members.get(member) {
            Some(Json::String(string)) => Ok(string.clone()),
            _ => Err(PatchError::Member {
                index: self.index,
                member,
            }),
        }
    }

    fn pointer(&self, member: &'static str) -> Result<Pointer, PatchError> {
        let index = self.index;
        Pointer::parse(&self.string(member)?)
            .map_err(|source| PatchError::Pointer { index, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_written_as_it_was_read() {
        let text = r#"[{"op":"add","path":"/a~1b/-","value":1.10},{"op":"remove","path":"/~0"},{"op":"replace","path":"","value":{"x":null}},{"op":"move","from":"/a\"","path":"/b"},{"op":"copy","from":"/b","path":"/"},{"op":"test","path":"/c","value":[]}]"#;
        let patch = Patch::parse(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(patch.encode()).unwrap(), text);
    }

    #[test]
    fn what_is_no_patch_is_refused_with_the_operation() {
        let message = |text: &str| Patch::parse(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(message("{}"), "the patch is no array of operations");
        assert_eq!(message(""), "the patch is empty");
        assert_eq!(message("[1]"), r#"operation 0 has no usable "op""#);
        assert_eq!(
            message(r#"[{"op":"add","path":"/a"}]"#),
            r#"operation 0 has no usable "value""#
        );
        assert_eq!(
            message(r#"[{"op":"move","path":"/a"}]"#),
            r#"operation 0 has no usable "from""#
        );
        assert_eq!(
            message(r#"[{"op":"grow","path":""}]"#),
            r#"operation 0 is "grow", none of RFC 6902"#
        );
        assert!(
            message(r#"[{"op":"remove","path":"a"}]"#).starts_with("operation 0: a JSON Pointer")
        );
    }
}
