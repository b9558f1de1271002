//! JSON Patch (RFC 6902): its effect.

use super::{Json, MAX_DEPTH, Operation, Patch, Pointer, array_index};

/// Why a patch does not fit a document; the document is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("operation {index} ({name} \"{path}\"): {refusal}")]
pub struct ApplyError {
    /// Which operation, from 0.
    pub index: usize,
    /// Its `op`.
    pub name: &'static str,
    /// Its `path`.
    pub path: String,
    /// What is wrong with it.
    pub refusal: Refusal,
}

/// Why one operation cannot be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing is there, or the place to add it to is absent.
    #[error("nothing there")]
    Absent,
    /// Nothing is at `from`.
    #[error("nothing at its \"from\"")]
    Source,
    /// The token is no index of RFC 6901, or beyond the end of the array.
    #[error("no such index")]
    Index,
    /// RFC 6902 section 4.4: a value cannot move into itself.
    #[error("a value cannot move into itself")]
    IntoItself,
    /// A document without a root is none.
    #[error("the whole document cannot be removed")]
    Root,
    /// RFC 6902 section 4.6.
    #[error("the value there is another one")]
    TestFailed,
    /// The result would be nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// The copies of one patch sum up to more than 64 MiB.
    #[error("copies more than 64 MiB")]
    TooMuch,
}

/// A few bytes of `copy` could otherwise double the document time and again.
const MAX_COPIED: usize = 64 << 20;

impl Patch {
    /// Carries out every operation in order, RFC 6902 section 5. Equality in `test` is that of
    /// [`Json`].
    ///
    /// # Errors
    /// [`ApplyError`] for the first operation that cannot be carried out; then `document` is left
    /// as it was.
    pub fn apply(&self, document: &mut Json) -> Result<(), ApplyError> {
        self.apply_watched(document, |_, _| {})
    }

    /// As [`Patch::apply`], and shows each operation with the document as it is before it.
    ///
    /// # Errors
    /// As [`Patch::apply`].
    pub fn apply_watched(
        &self,
        document: &mut Json,
        mut watch: impl FnMut(&Operation, &Json),
    ) -> Result<(), ApplyError> {
        let mut target = Target {
            root: document.clone(),
            copied: 0,
        };
        for (index, operation) in self.0.iter().enumerate() {
            watch(operation, &target.root);
            target.apply(operation).map_err(|refusal| ApplyError {
                index,
                name: operation.name(),
                path: operation.path().to_string(),
                refusal,
            })?;
        }
        *document = target.root;
        Ok(())
    }
}

/// The document under change.
struct Target {
    root: Json,
    copied: usize,
}

impl Target {
    fn apply(&mut self, operation: &Operation) -> Result<(), Refusal> {
        match operation {
            Operation::Add { path, value } => self.add(path, value.clone()),
            Operation::Remove { path } => self.remove(path).map(drop),
            Operation::Replace { path, value } => {
                check_depth(path, value)?;
                *self.root.select_mut(path).ok_or(Refusal::Absent)? = value.clone();
                Ok(())
            }
            Operation::Move { from, path } => self.shift(from, path),
            Operation::Copy { from, path } => {
                let value = self.root.select(from).ok_or(Refusal::Source)?;
                let length = value.encoded_len(MAX_COPIED - self.copied);
                self.copied += length.ok_or(Refusal::TooMuch)?;
                self.add(path, value.clone())
            }
            Operation::Test { path, value } => match self.root.select(path) {
                Some(found) if found == value => Ok(()),
                Some(_) => Err(Refusal::TestFailed),
                None => Err(Refusal::Absent),
            },
        }
    }

    fn add(&mut self, path: &Pointer, value: Json) -> Result<(), Refusal> {
        check_depth(path, &value)?;
        let Some((last, parent)) = path.tokens().split_last() else {
            self.root = value;
            return Ok(());
        };
        match self.root.walk_mut(parent) {
            Some(Json::Object(members)) => {
                members.insert(last.as_str().into(), value);
            }
            Some(Json::Array(items)) if last == "-" => items.push(value),
            Some(Json::Array(items)) => {
                let index = array_index(last).filter(|index| *index <= items.len());
                items.insert(index.ok_or(Refusal::Index)?, value);
            }
            _ => return Err(Refusal::Absent),
        }
        Ok(())
    }

    fn remove(&mut self, path: &Pointer) -> Result<Json, Refusal> {
        let (last, parent) = path.tokens().split_last().ok_or(Refusal::Root)?;
        match self.root.walk_mut(parent) {
            Some(Json::Object(members)) => {
                members.shift_remove(last.as_str()).ok_or(Refusal::Absent)
            }
            Some(Json::Array(items)) => {
                let index = array_index(last).filter(|index| *index < items.len());
                Ok(items.remove(index.ok_or(Refusal::Index)?))
            }
            _ => Err(Refusal::Absent),
        }
    }

    fn shift(&mut self, from: &Pointer, path: &Pointer) -> Result<(), Refusal> {
        if from == path {
            return self.root.select(from).map(drop).ok_or(Refusal::Source);
        }
        if path.tokens().starts_with(from.tokens()) {
            return Err(Refusal::IntoItself);
        }
        let value = self.remove(from).map_err(|_| Refusal::Source)?;
        self.add(path, value)
    }
}

/// Keeps what walks over the result from running out of stack.
fn check_depth(path: &Pointer, value: &Json) -> Result<(), Refusal> {
    let fits = MAX_DEPTH
        .checked_sub(path.tokens().len())
        .is_some_and(|left| fits(value, left));
    if fits { Ok(()) } else { Err(Refusal::TooDeep) }
}

fn fits(value: &Json, levels: usize) -> bool {
    match value {
        Json::Array(items) => levels > 0 && items.iter().all(|item| fits(item, levels - 1)),
        Json::Object(members) => {
            levels > 0 && members.values().all(|value| fits(value, levels - 1))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::json::parse;

    fn applied(document: &str, patch: &str) -> Result<String, ApplyError> {
        let mut document = parse(document.as_bytes()).unwrap();
        let before = document.clone();
        let result = Patch::parse(patch.as_bytes()).unwrap().apply(&mut document);
        if result.is_err() {
            assert_eq!(document.encode(), before.encode(), "unchanged on error");
        }
        result.map(|()| String::from_utf8(document.encode()).unwrap())
    }

    #[test]
    fn the_examples_of_rfc_6902_appendix_a_hold() {
        let cases = [
            (
                r#"{"foo":"bar"}"#,
                r#"[{"op":"add","path":"/baz","value":"qux"}]"#,
                r#"{"foo":"bar","baz":"qux"}"#,
            ),
            (
                r#"{"foo":["bar","baz"]}"#,
                r#"[{"op":"add","path":"/foo/1","value":"qux"}]"#,
                r#"{"foo":["bar","qux","baz"]}"#,
            ),
            (
                r#"{"baz":"qux","foo":"bar"}"#,
                r#"[{"op":"remove","path":"/baz"}]"#,
                r#"{"foo":"bar"}"#,
            ),
            (
                r#"{"foo":["bar","qux","baz"]}"#,
                r#"[{"op":"remove","path":"/foo/1"}]"#,
                r#"{"foo":["bar","baz"]}"#,
            ),
            (
                r#"{"baz":"qux","foo":"bar"}"#,
                r#"[{"op":"replace","path":"/baz","value":"boo"}]"#,
                r#"{"baz":"boo","foo":"bar"}"#,
            ),
            (
                r#"{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}"#,
                r#"[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]"#,
                r#"{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}"#,
            ),
            (
                r#"{"foo":["all","grass","cows","eat"]}"#,
                r#"[{"op":"move","from":"/foo/1","path":"/foo/3"}]"#,
                r#"{"foo":["all","cows","eat","grass"]}"#,
            ),
            (
                r#"{"baz":"qux","foo":["a",2,"c"]}"#,
                r#"[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]"#,
                r#"{"baz":"qux","foo":["a",2,"c"]}"#,
            ),
            (
                r#"{"foo":"bar"}"#,
                r#"[{"op":"add","path":"/child","value":{"grandchild":{}}}]"#,
                r#"{"foo":"bar","child":{"grandchild":{}}}"#,
            ),
            (
                r#"{"foo":"bar"}"#,
                r#"[{"op":"add","path":"/baz","value":"qux","xyz":123}]"#,
                r#"{"foo":"bar","baz":"qux"}"#,
            ),
            (
                r#"{"/":9,"~1":10}"#,
                r#"[{"op":"test","path":"/~01","value":10}]"#,
                r#"{"/":9,"~1":10}"#,
            ),
            (
                r#"{"foo":["bar"]}"#,
                r#"[{"op":"add","path":"/foo/-","value":["abc","def"]}]"#,
                r#"{"foo":["bar",["abc","def"]]}"#,
            ),
        ];
        for (document, patch, expected) in cases {
            assert_eq!(applied(document, patch).as_deref(), Ok(expected), "{patch}");
        }
    }

    #[test]
    fn the_errors_of_rfc_6902_appendix_a_are_errors() {
        let refused = |document, patch| applied(document, patch).unwrap_err().refusal;
        assert_eq!(
            refused(
                r#"{"baz":"qux"}"#,
                r#"[{"op":"test","path":"/baz","value":"bar"}]"#
            ),
            Refusal::TestFailed
        );
        assert_eq!(
            refused(
                r#"{"foo":"bar"}"#,
                r#"[{"op":"add","path":"/baz/bat","value":"qux"}]"#
            ),
            Refusal::Absent
        );
        assert_eq!(
            refused(
                r#"{"foo":"bar"}"#,
                r#"[{"op":"add","path":"/baz","value":"qux","op":"remove"}]"#
            ),
            Refusal::Absent
        );
        assert_eq!(
            refused(
                r#"{"/":9,"~1":10}"#,
                r#"[{"op":"test","path":"/~01","value":"10"}]"#
            ),
            Refusal::TestFailed
        );
    }

    #[test]
    fn operations_that_do_not_fit_leave_the_document_alone() {
        let cases = [
            (r#"{"op":"remove","path":"/a/2"}"#, Refusal::Index),
            (r#"{"op":"remove","path":"/a/-"}"#, Refusal::Index),
            (r#"{"op":"add","path":"/a/01","value":0}"#, Refusal::Index),
            (r#"{"op":"add","path":"/a/3","value":0}"#, Refusal::Index),
            (r#"{"op":"replace","path":"/b","value":0}"#, Refusal::Absent),
            (r#"{"op":"remove","path":""}"#, Refusal::Root),
            (
                r#"{"op":"move","from":"/a","path":"/a/0"}"#,
                Refusal::IntoItself,
            ),
            (r#"{"op":"copy","from":"/x","path":"/y"}"#, Refusal::Source),
            (r#"{"op":"add","path":"/a/0/x","value":0}"#, Refusal::Absent),
        ];
        for (operation, refusal) in cases {
            let patch = format!(r#"[{{"op":"add","path":"/new","value":1}},{operation}]"#);
            let error = applied(r#"{"a":[1,2]}"#, &patch).unwrap_err();
            assert_eq!((error.index, error.refusal), (1, refusal), "{operation}");
        }
    }

    #[test]
    fn the_root_can_be_replaced_and_copied_into_itself() {
        assert_eq!(
            applied("[1]", r#"[{"op":"replace","path":"","value":2}]"#).as_deref(),
            Ok("2")
        );
        assert_eq!(
            applied("[1]", r#"[{"op":"add","path":"","value":{}}]"#).as_deref(),
            Ok("{}")
        );
        assert_eq!(
            applied("[1]", r#"[{"op":"copy","from":"","path":"/0"}]"#).as_deref(),
            Ok("[[1],1]")
        );
        assert_eq!(
            applied("[1]", r#"[{"op":"move","from":"/0","path":"/0"}]"#).as_deref(),
            Ok("[1]")
        );
    }

    #[test]
    fn a_patch_cannot_blow_the_document_up() {
        let document = format!("[\"{}\"]", "x".repeat(100_000));
        let double = vec![r#"{"op":"copy","from":"","path":"/-"}"#; 60].join(",");
        let error = applied(&document, &format!("[{double}]")).unwrap_err();
        assert_eq!(error.refusal, Refusal::TooMuch);
        let deep = "[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH);
        let patch = |path| format!(r#"[{{"op":"add","path":"{path}","value":{deep}}}]"#);
        assert_eq!(applied("1", &patch("")), Ok(deep.clone()));
        let error = applied("[]", &patch("/0"));
        assert_eq!(error.unwrap_err().refusal, Refusal::TooDeep);
    }
}
