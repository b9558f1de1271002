//! What a JSON Patch does, RFC 6902: each case of `fixtures/json_patch` has its document, its patch,
//! and what comes out of it or exactly why it is refused.

use std::fs;
use std::path::PathBuf;

use pollcast::core::json::{Json, Patch, parse};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Values stay texts: reading them is what is tested, too.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case<'a> {
    about: String,
    #[serde(borrow)]
    document: &'a RawValue,
    #[serde(borrow)]
    patch: &'a RawValue,
    #[serde(borrow, default, deserialize_with = "present")]
    expected: Option<&'a RawValue>,
    error: Option<String>,
}

/// Unlike serde's own way with an `Option`, knows a null from nothing.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(from).map(Some)
}

#[test]
fn every_case_comes_out_as_expected_or_is_refused_with_its_reason() {
    let mut problems = Vec::new();
    let mut count = 0;
    for (name, text) in files() {
        let cases: Vec<Case> =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        for case in cases {
            count += 1;
            if let Err(problem) = case.check() {
                problems.push(format!("{name}, {}: {problem}", case.about));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(count > 250, "{count} cases");
}

/// Every file of cases, with its text.
fn files() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/json_patch");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect()
}

impl Case<'_> {
    fn check(&self) -> Result<(), String> {
        let before = json(self.document);
        let mut document = before.clone();
        let result = Patch::parse(self.patch.get().as_bytes())
            .map_err(|error| error.to_string())
            .and_then(|patch| {
                patch
                    .apply(&mut document)
                    .map_err(|error| error.to_string())
            });
        match (result, self.expected, &self.error) {
            // As texts: numbers keep their form and members their order.
            (Ok(()), Some(expected), None) if text(&document) == text(&json(expected)) => Ok(()),
            (Ok(()), _, _) => Err(format!("came out as {}", text(&document))),
            (Err(reason), _, Some(error)) if reason == *error => {
                match text(&document) == text(&before) {
                    true => Ok(()),
                    false => Err(format!("refused, and left {}", text(&document))),
                }
            }
            (Err(reason), _, _) => Err(format!("refused with {reason:?}")),
        }
    }
}

fn json(raw: &RawValue) -> Json {
    parse(raw.get().as_bytes()).expect("JSON")
}

fn text(document: &Json) -> String {
    String::from_utf8(document.encode()).expect("UTF-8")
}
