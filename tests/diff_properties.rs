//! Properties of parsing, diffing and applying, over generated documents.

use pollcast::core::diff::{self, Memory};
use pollcast::core::json::{Json, Patch, Rules, Tape, parse};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

/// A document as text: numbers of every kind, awkward names and strings.
fn document() -> impl Strategy<Value = String> {
    scalar().prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(array),
            vec((name(), inner), 0..6).prop_map(object),
        ]
    })
}

fn scalar() -> impl Strategy<Value = String> {
    const FIXED: &[&str] = &[
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "1.0",
        "10e-1",
        "1.10",
        "-2",
        "1e400",
        "1E-400",
        "123456789012345678901234567890",
        "123456789012345678901234567891",
        "\"\"",
        "\"a\"",
        "\"\\u00e9\\ud83d\\ude00\"",
        "\"é😀\"",
        "\"~/\\\"\\\\\\n\"",
        "[]",
        "{}",
    ];
    select(FIXED).prop_map(str::to_owned)
}

fn name() -> impl Strategy<Value = &'static str> {
    select(
        &[
            "", "a", "b", "id", "~", "/", "~1", "a/b", "\\\"", "\\n", "é", "-", "0",
        ][..],
    )
}

fn array(items: Vec<String>) -> String {
    format!("[{}]", items.join(","))
}

fn object(members: Vec<(&'static str, String)>) -> String {
    let members: Vec<_> = members
        .iter()
        .map(|(k, v)| format!("\"{k}\":{v}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// One change of a list: what to do, where, from where, and with what.
type Edit = (u8, Index, Index, String);

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    vec((0..5u8, any::<Index>(), any::<Index>(), document()), 0..8)
}

/// The items before and after some edits; `make` gives a new item its text.
fn evolve(
    start: Vec<String>,
    edits: Vec<Edit>,
    make: impl Fn(usize, String) -> String,
) -> [String; 2] {
    let mut fresh = start.len();
    let mut numbered = |content: String| {
        fresh += 1;
        make(fresh, content)
    };
    let mut items: Vec<String> = start.into_iter().map(&mut numbered).collect();
    let before = array(items.clone());
    for (kind, at, from, content) in edits {
        let insert_at = at.index(items.len() + 1);
        if kind == 0 || items.is_empty() {
            items.insert(insert_at, numbered(content));
            continue;
        }
        let (at, from) = (at.index(items.len()), from.index(items.len()));
        match kind {
            1 => items[at] = numbered(content),
            2 => drop(items.remove(at)),
            3 => {
                let item = items.remove(from);
                items.insert(at, item);
            }
            _ => items.insert(at, items[from].clone()),
        }
    }
    [before, array(items)]
}

fn json(text: &str) -> Json {
    parse(text.as_bytes()).unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The patch between two documents on their own.
fn diff(old: &Json, new: &Json, key: Option<&str>, budget: usize) -> Option<Vec<u8>> {
    let old = Tape::read(old.encode().into()).unwrap();
    let read = Tape::read_after(new.encode().into(), Some(&old), &Rules::default());
    let (new, copies) = read.unwrap();
    diff::diff(&old, &new, &copies, &mut Memory::new(key), budget)
}

/// Checks the diff of two documents, with and without a key, and with the snapshot as budget.
fn check(old: &str, new: &str) -> Result<(), TestCaseError> {
    let (old, new) = (json(old), json(new));
    let snapshot = new.encode();
    for key in [None, Some("id"), Some("")] {
        let patch = diff(&old, &new, key, usize::MAX).expect("a patch without a budget");
        let mut patched = old.clone();
        Patch::parse(&patch).unwrap().apply(&mut patched).unwrap();
        prop_assert_eq!(&patched, &new, "{}", text(&patch));
        prop_assert_eq!(&*patch == b"[]", old == new);
        let whole = br#"[{"op":"replace","path":"","value":}]"#.len() + snapshot.len();
        prop_assert!(patch.len() <= whole);
        independently(&old, &new, &patch)?;
        match diff(&old, &new, key, snapshot.len()) {
            Some(small) => prop_assert_eq!(small, patch),
            None => prop_assert!(patch.len() >= snapshot.len()),
        }
    }
    Ok(())
}

/// As `check`, by the `json-patch` crate over `serde_json::Value`, where the numbers fit that.
fn independently(old: &Json, new: &Json, patch: &[u8]) -> Result<(), TestCaseError> {
    let value = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes);
    let (Ok(mut old), Ok(_), Ok(patch)) = (
        value(&old.encode()),
        value(&new.encode()),
        serde_json::from_slice::<json_patch::Patch>(patch),
    ) else {
        return Ok(());
    };
    json_patch::patch(&mut old, &patch).unwrap();
    // Compared through our equality: serde_json tells 1 and 1.0 apart and the numbers that it
    // shortens are shortened on both sides.
    let new: Value = value(&new.encode()).unwrap();
    prop_assert_eq!(json(&old.to_string()), json(&new.to_string()));
    Ok(())
}

proptest! {
    // A failing case is printed; it becomes a test with a name rather than a file.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_patch_turns_any_document_into_any_other(old in document(), new in document()) {
        check(&old, &new)?;
    }

    #[test]
    fn a_patch_follows_an_array_without_a_key(start in vec(document(), 0..8), edits in edits()) {
        let [old, new] = evolve(start, edits, |_, content| content);
        check(&old, &new)?;
    }

    #[test]
    fn a_patch_follows_an_array_with_a_key(start in vec(document(), 0..12), edits in edits()) {
        let row = |id: usize, content| format!(r#"{{"id":{id},"content":{content}}}"#);
        let [old, new] = evolve(start, edits, row);
        check(&format!(r#"{{"rows":{old}}}"#), &format!(r#"{{"rows":{new}}}"#))?;
    }

    #[test]
    fn a_patch_follows_rows_that_move_and_change(
        old in Just((0..12usize).collect::<Vec<_>>()).prop_shuffle(),
        new in Just((4..16usize).collect::<Vec<_>>()).prop_shuffle(),
        contents in vec(document(), 16),
    ) {
        let rows = |ids: Vec<usize>, turn: usize| {
            let content = |id: usize| &contents[if id.is_multiple_of(3) { turn } else { id }];
            array(ids.into_iter().map(|id| format!(r#"{{"id":"{id}","x":{}}}"#, content(id))).collect())
        };
        check(&rows(old, 0), &rows(new, 1))?;
    }

    #[test]
    fn a_document_has_no_difference_from_itself(text in document()) {
        let document = json(&text);
        for key in [None, Some("id")] {
            prop_assert_eq!(diff(&document, &document, key, usize::MAX), Some(b"[]".to_vec()));
        }
    }

    #[test]
    fn what_is_written_reads_back_the_same(text in document()) {
        let document = json(&text);
        let written = document.encode();
        prop_assert_eq!(&parse(&written).unwrap(), &document);
        prop_assert_eq!(document.encoded_len(usize::MAX), Some(written.len()));
        prop_assert!(!written.contains(&b'\n'));
    }

    #[test]
    fn parsing_accepts_exactly_what_serde_json_accepts(text in near_json()) {
        agrees(text.as_bytes())?;
    }

    #[test]
    fn parsing_never_panics(bytes in vec(any::<u8>(), 0..60)) {
        agrees(&bytes)?;
    }
}

/// JSON with a few characters put in, taken out or doubled.
fn near_json() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "", ",", ":", "\"", "\\", "[", "]", "{", "}", "0", "-", ".", "e", "+", " ", "\n", "\u{0}",
        "nul", "\\u12", "\\ud800", "\\udc00", "é", "\u{feff}", "\u{2028}", "//", "'", "1", "true",
    ];
    (
        document(),
        vec((any::<Index>(), select(PIECES), any::<bool>()), 0..3),
    )
        .prop_map(|(text, changes)| {
            let mut chars: Vec<String> = text.chars().map(String::from).collect();
            for (at, piece, takes) in changes {
                let at = at.index(chars.len());
                chars[at] = if takes {
                    piece.to_owned()
                } else {
                    format!("{}{piece}", chars[at])
                };
            }
            chars.concat()
        })
}

/// Both accept or both refuse; and what both accept means the same. serde_json refuses numbers
/// beyond an `f64`, which we take: there its raw values decide.
fn agrees(body: &[u8]) -> Result<(), TestCaseError> {
    let ours = parse(body);
    let plain = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    match serde_json::from_slice::<Value>(plain) {
        Ok(theirs) => prop_assert_eq!(shortened(&ours.unwrap()), json(&theirs.to_string())),
        Err(error) if error.to_string().starts_with("number out of range") => {
            let raw = serde_json::from_slice::<&serde_json::value::RawValue>(plain);
            prop_assert!(ours.is_err() || raw.is_ok());
        }
        Err(_) => prop_assert!(ours.is_err(), "{:?}", ours),
    }
    Ok(())
}

/// What is left of a document in serde_json's hands, numbers shortened.
fn shortened(document: &Json) -> Json {
    let value: Value = serde_json::from_slice(&document.encode()).unwrap();
    json(&value.to_string())
}
