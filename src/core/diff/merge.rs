//! What changed between two documents, as an RFC 7396 merge patch.

use crate::core::json::{Kind, Name, Pair, Tape, Value, pairs};

/// The RFC 7396 patch from `old` to `new` as compact JSON text, shorter than `budget` bytes.
///
/// None where none is shorter, and where none can say the change: one of the two is no object, or
/// a member becomes `null`, which would remove it. (A `null` in an array is fine: arrays are
/// replaced whole.)
pub fn merge(old: &Tape, new: &Tape, budget: usize) -> Option<Vec<u8>> {
    let (old, new) = (old.root(), new.root());
    if old.kind() != Kind::Object || new.kind() != Kind::Object {
        return None;
    }
    let mut out = Vec::new();
    object(old, new, budget, &mut out)?;
    (out.len() < budget).then_some(out)
}

fn object(old: Value<'_>, new: Value<'_>, budget: usize, out: &mut Vec<u8>) -> Option<()> {
    let mut separator = b'{';
    for pair in pairs(old, new) {
        match pair {
            Pair::Gone(old) => {
                member(old.name(), &mut separator, out);
                out.extend_from_slice(b"null");
                if out.len() >= budget {
                    return None;
                }
            }
            Pair::Both(old, new) if old.looks_like(new) => {}
            Pair::Both(old, new) if [old, new].iter().all(|value| value.kind() == Kind::Object) => {
                let before = (out.len(), separator);
                member(new.name(), &mut separator, out);
                let start = out.len();
                object(old, new, budget, out)?;
                if out[start..] == *NOTHING {
                    out.truncate(before.0);
                    separator = before.1;
                }
            }
            Pair::Both(old, new) if old == new => {}
            Pair::Both(_, new) | Pair::New(new) => {
                member(new.name(), &mut separator, out);
                if says_null(new) || out.len() + new.len() >= budget {
                    return None;
                }
                new.encode_into(out);
            }
        }
    }
    if separator == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
    Some(())
}

/// What an object comes to in which nothing changed.
const NOTHING: &[u8] = b"{}";

fn member(name: Name<'_>, separator: &mut u8, out: &mut Vec<u8>) {
    out.push(std::mem::replace(separator, b','));
    out.extend_from_slice(&name.shortest());
    out.push(b':');
}

/// Whether a merge patch would take something in this value for a removal.
fn says_null(value: Value<'_>) -> bool {
    match value.kind() {
        Kind::Null => true,
        Kind::Object => value.children().any(says_null),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::core::document::{Document, Observation, View};
    use crate::core::event::{Mode, Modes};

    /// Put into every document, so that a patch is the smaller choice.
    const REST: &str =
        r#""rest":"something that stays as it is and is long enough, so that patches are smaller""#;

    /// The merge patch between two documents that have these members besides.
    fn between(old: &str, new: &str) -> Option<String> {
        let whole = |members: &str| match members {
            "" => format!("{{{REST}}}"),
            members => format!("{{{REST},{members}}}"),
        };
        whole_documents(&whole(old), &whole(new))
    }

    fn whole_documents(old: &str, new: &str) -> Option<String> {
        let mut document = Document::new(View::default());
        document.want(Modes::NONE.with(Mode::Merge));
        document.observe(Bytes::from(old.to_owned())).unwrap();
        let Observation::Changed(change) = document.observe(Bytes::from(new.to_owned())).unwrap()
        else {
            panic!("no change");
        };
        let text = change.merge?;
        // By an implementation that is not ours.
        let value = |text: &[u8]| -> serde_json::Value { serde_json::from_slice(text).unwrap() };
        let mut merged = value(old.as_bytes());
        json_patch::merge(&mut merged, &value(&text));
        assert_eq!(merged, value(new.as_bytes()));
        Some(String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn members_are_removed_set_and_descended_into() {
        let old = r#""a":1,"b":{"x":1,"y":2},"c":[1,2],"d":{"z":1}"#;
        let new = r#""b":{"x":1,"y":3.10},"c":[2],"d":7,"e":{"n":{}}"#;
        let told = r#"{"a":null,"b":{"y":3.10},"c":[2],"d":7,"e":{"n":{}}}"#;
        assert_eq!(between(old, new).as_deref(), Some(told));
    }

    #[test]
    fn an_object_that_loses_everything_is_told_by_its_members() {
        let told = between(r#""b":{"x":1,"y":2}"#, r#""b":{}"#);
        assert_eq!(told.as_deref(), Some(r#"{"b":{"x":null,"y":null}}"#));
        let told = between(r#""b":1"#, r#""b":{}"#);
        assert_eq!(told.as_deref(), Some(r#"{"b":{}}"#));
    }

    #[test]
    fn names_are_escaped() {
        let told = between(r#""~/\"\n":1"#, r#""~/\"\n":2"#);
        assert_eq!(told.as_deref(), Some(r#"{"~/\"\n":2}"#));
    }

    #[test]
    fn a_member_that_becomes_null_cannot_be_said() {
        for (old, new) in [
            (r#""a":1"#, r#""a":null"#),
            ("", r#""a":null"#),
            ("", r#""a":{"b":{"c":null}}"#),
            (r#""a":1"#, r#""a":{"b":null}"#),
            (r#""a":{"b":1}"#, r#""a":{"b":1,"c":null}"#),
        ] {
            assert_eq!(between(old, new), None, "{old} -> {new}");
        }
    }

    #[test]
    fn a_null_that_stays_goes_or_stands_in_an_array_can() {
        for (old, new, told) in [
            (r#""a":null,"b":1"#, r#""a":null,"b":2"#, r#"{"b":2}"#),
            (r#""a":null"#, "", r#"{"a":null}"#),
            (r#""a":null"#, r#""a":1"#, r#"{"a":1}"#),
            (
                r#""a":{"n":null}"#,
                r#""a":{"n":null,"m":1}"#,
                r#"{"a":{"m":1}}"#,
            ),
            ("", r#""a":[null,{"b":null}]"#, r#"{"a":[null,{"b":null}]}"#),
        ] {
            assert_eq!(between(old, new).as_deref(), Some(told), "{old} -> {new}");
        }
    }

    #[test]
    fn documents_that_are_no_objects_have_no_merge_patch() {
        let long = format!("[{{{REST}}},1]");
        assert_eq!(whole_documents(&long, &long.replace(",1]", ",2]")), None);
        assert_eq!(whole_documents(&long, &format!("{{{REST}}}")), None);
        assert_eq!(whole_documents(&format!("{{{REST}}}"), &long), None);
    }

    #[test]
    fn a_patch_that_is_no_smaller_is_left_out() {
        assert_eq!(whole_documents(r#"{"a":1}"#, r#"{"a":2}"#), None);
        let (old, new) = (r#"{"a":1,"b":1}"#, r#"{"a":2,"b":1}"#);
        assert_eq!(whole_documents(old, new).as_deref(), Some(r#"{"a":2}"#));
    }
}
