//! The document as the events tell it.
//!
//! Promises that it is never wrong: what does not fit is a [`Misfit`], after which only a whole
//! document is believed.

use std::sync::Arc;

use super::parser::Event;
use crate::core::json::{self, Json, Object, Operation, Patch, Pointer};

/// What one event did to the document.
#[derive(Clone, Debug)]
pub enum Change {
    /// It is this one now.
    Whole {
        /// What it was, if anything was known.
        before: Option<Arc<Json>>,
        /// What it is.
        after: Arc<Json>,
    },
    /// It was changed in these places.
    Patched {
        /// What it was.
        before: Arc<Json>,
        /// What was done to it, in this order.
        operations: Vec<Operation>,
        /// What it is.
        after: Arc<Json>,
    },
    /// Something changed in a document that we never had.
    Blind(Vec<Operation>),
    /// An item came, changed or went: `{"key", "item", "patch"}`.
    Item(Json),
    /// `status`, `reset` or `end`, with its members.
    Word(Json),
    /// Nothing that we know of: another kind of stream, or a name that somebody chose.
    Other,
}

/// Why an event cannot be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {name} {id} does not fit: {why}")]
pub struct Misfit {
    name: String,
    id: String,
    why: String,
}

/// Follows a document from event to event.
#[derive(Debug, Default)]
pub struct Replica {
    document: Option<Arc<Json>>,
    /// After a reset the next document has nothing to do with the one we hold.
    lost: bool,
}

impl Replica {
    /// What `event` does to the document.
    ///
    /// # Errors
    /// [`Misfit`]; from then on nothing but a snapshot counts.
    pub fn take(&mut self, event: &Event) -> Result<Change, Misfit> {
        self.taken(event).map_err(|why| {
            self.lost = true;
            Misfit {
                name: event.name.clone(),
                id: event.id.clone(),
                why,
            }
        })
    }

    fn taken(&mut self, event: &Event) -> Result<Change, String> {
        let read = || json::parse(event.data.as_bytes());
        match event.name.as_str() {
            "snapshot" => match read() {
                Ok(after) => Ok(self.whole(after)),
                Err(_) => {
                    // What changes from here on is not the document that is held.
                    self.document = None;
                    Ok(Change::Other)
                }
            },
            "patch" => {
                let patch = Patch::parse(event.data.as_bytes());
                self.patched(patch.map_err(|error| error.to_string())?)
            }
            "merge" => {
                let merge = read().map_err(|error| error.to_string())?;
                let Some(document) = &self.document else {
                    return Ok(Change::Other);
                };
                let mut operations = Vec::new();
                merged(&merge, Some(document), &mut Vec::new(), &mut operations);
                self.patched(Patch(operations))
            }
            "added" | "changed" | "removed" => {
                // Their order is not told, so that the document is not known any more.
                self.document = None;
                Ok(read().map_or(Change::Other, Change::Item))
            }
            name @ ("status" | "reset" | "end") => {
                self.lost |= name == "reset";
                match read() {
                    Ok(members @ Json::Object(_)) => Ok(Change::Word(members)),
                    _ => Ok(Change::Other),
                }
            }
            _ => Ok(Change::Other),
        }
    }

    fn whole(&mut self, after: Json) -> Change {
        let after = Arc::new(after);
        self.lost = false;
        Change::Whole {
            before: self.document.replace(Arc::clone(&after)),
            after,
        }
    }

    fn patched(&mut self, patch: Patch) -> Result<Change, String> {
        if self.lost {
            return Err("no document to apply it to".to_owned());
        }
        let Some(before) = &self.document else {
            return Ok(Change::Blind(patch.0));
        };
        let before = Arc::clone(before);
        let mut after = Json::clone(&before);
        patch.apply(&mut after).map_err(|error| error.to_string())?;
        let after = Arc::new(after);
        self.document = Some(Arc::clone(&after));
        Ok(Change::Patched {
            before,
            operations: patch.0,
            after,
        })
    }
}

/// What RFC 7396 section 2 makes of `before`, at this path, as operations.
fn merged(
    merge: &Json,
    before: Option<&Json>,
    path: &mut Vec<String>,
    operations: &mut Vec<Operation>,
) {
    match (merge, before) {
        (Json::Null, None) => {}
        (Json::Null, Some(_)) => operations.push(Operation::Remove {
            path: pointer(path),
        }),
        (Json::Object(members), Some(Json::Object(held))) => {
            for (name, value) in members.iter() {
                path.push(name.to_string());
                merged(value, held.get(name), path, operations);
                path.pop();
            }
        }
        (value, before) => {
            let (path, value) = (pointer(path), without_nulls(value));
            operations.push(match before {
                Some(_) => Operation::Replace { path, value },
                None => Operation::Add { path, value },
            });
        }
    }
}

/// What a merge patch makes of nothing: members that are null are not there.
fn without_nulls(value: &Json) -> Json {
    let Json::Object(members) = value else {
        return value.clone();
    };
    let kept = members.iter().filter(|(_, value)| **value != Json::Null);
    let kept: Object = kept
        .map(|(name, value)| (name.clone(), without_nulls(value)))
        .collect();
    Json::Object(Box::new(kept))
}

fn pointer(tokens: &[String]) -> Pointer {
    let text: String = tokens
        .iter()
        .map(|token| format!("/{}", token.replace('~', "~0").replace('/', "~1")))
        .collect();
    Pointer::parse(&text).expect("invariant: escaped tokens make a pointer")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> Event {
        Event {
            name: name.to_owned(),
            id: "a-1".to_owned(),
            data: data.to_owned(),
        }
    }

    /// The document after these events.
    fn after(events: &[(&str, &str)]) -> Result<String, Misfit> {
        let mut replica = Replica::default();
        for (name, data) in events {
            replica.take(&event(name, data))?;
        }
        let document = replica.document.expect("a document");
        Ok(String::from_utf8(document.encode()).unwrap())
    }

    #[test]
    fn the_examples_of_rfc_7396_appendix_a_hold() {
        for (before, merge, expected) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (
                r#"{"a":{"b":"c"}}"#,
                r#"{"a":{"b":"d","c":null}}"#,
                r#"{"a":{"b":"d"}}"#,
            ),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            (r#"[1,2]"#, r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
            (
                r#"{"a/~":{"x":1}}"#,
                r#"{"a/~":{"x":2}}"#,
                r#"{"a/~":{"x":2}}"#,
            ),
        ] {
            let events = [("snapshot", before), ("merge", merge)];
            assert_eq!(after(&events).as_deref(), Ok(expected), "{merge}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_and_only_a_snapshot_is_believed_afterwards() {
        let add = r#"[{"op":"add","path":"/a","value":1}]"#;
        let mut replica = Replica::default();
        replica.take(&event("snapshot", "{}")).unwrap();
        let nowhere = r#"[{"op":"remove","path":"/b"}]"#;
        let misfit = replica.take(&event("patch", nowhere)).unwrap_err();
        assert!(misfit.to_string().contains("nothing there"), "{misfit}");
        assert!(replica.take(&event("patch", add)).is_err());
        replica.take(&event("snapshot", "{}")).unwrap();
        assert!(replica.take(&event("patch", add)).is_ok());
        replica.take(&event("reset", r#"{"reason":"x"}"#)).unwrap();
        assert!(replica.take(&event("patch", add)).is_err());
        assert!(replica.take(&event("patch", "[{}]")).is_err());
        // What nobody can read is another document than the one before.
        replica.take(&event("snapshot", "{}")).unwrap();
        replica.take(&event("snapshot", "{")).unwrap();
        let change = replica.take(&event("patch", add)).unwrap();
        assert!(matches!(change, Change::Blind(_)), "{change:?}");
    }
}
