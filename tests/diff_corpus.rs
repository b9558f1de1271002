//! Real polls: every patch turns the one document into the next, and is small; what is taken for
//! noise is.
//!
mod recorded;

use std::path::Path;

use pollcast::core::diff::{self, Memory};
use pollcast::core::document::{Document, View};
use pollcast::core::json::{Json, Patch, Rules, Tape, parse};

use recorded::{bodies, files, name, say};

/// Pairs looked at per file; enough to see, few enough for a debug build.
const PAIRS: usize = 40;

/// Polls in which noise is looked for.
const POLLS: usize = 100;

#[test]
fn patches_between_recorded_polls_are_right_and_small() {
    for file in files() {
        let name = name(&file);
        let (key, most) = expectation(&name);
        let share = share(&file, key);
        say(&format!(
            "{name}: patches are {share:.2} % of the documents, key {key:?}"
        ));
        assert!(share <= most, "{name}: {share:.2} % is more than {most} %");
    }
}

#[test]
fn noise_in_recorded_polls_is_what_really_changes_each_time() {
    for file in files() {
        let name = name(&file);
        let mut document = Document::new(View::default());
        for body in bodies(&file).into_iter().take(POLLS) {
            // Some answers were no JSON.
            let _ = document.observe(body.into());
        }
        let found: Vec<String> = (document.findings().iter())
            .map(|finding| finding.place.to_string())
            .collect();
        say(&format!("{name}: noise {found:?}"));
        match &*name {
            // Each description ends with "Last updated:" and the time of the answer.
            "chp.ndjson.zst" => assert_eq!(found, ["/*/description"]),
            "fires.ndjson.zst" | "fpl.ndjson.zst" | "tampa.ndjson.zst" => {
                assert_eq!(found, Vec::<String>::new(), "{name}");
            }
            _ => {}
        }
    }
}

/// The array key of a file, and the most that its patches may be, in percent.
fn expectation(name: &str) -> (Option<&'static str>, f64) {
    match name {
        "fires.ndjson.zst" => (Some("UniqueId"), 3.0),
        "chp.ndjson.zst" => (Some("name"), 100.0),
        "fpl.ndjson.zst" => (Some("County Name"), 18.5),
        "tampa.ndjson.zst" => (None, 11.0),
        _ => (None, f64::INFINITY),
    }
}

/// The patch between two documents on their own.
fn diff(old: &Json, new: &Json, key: Option<&str>, budget: usize) -> Option<Vec<u8>> {
    let old = Tape::read(old.encode().into()).unwrap();
    let read = Tape::read_after(new.encode().into(), Some(&old), &Rules::default());
    let (new, copies) = read.unwrap();
    diff::diff(&old, &new, &copies, &mut Memory::new(key), budget)
}

fn share(file: &Path, key: Option<&str>) -> f64 {
    let documents = documents(file, PAIRS + 1);
    let (mut patches, mut whole) = (0, 0);
    for pair in documents.windows(2) {
        let (old, new) = (&pair[0], &pair[1]);
        let text = diff(old, new, key, usize::MAX).expect("a patch without a budget");
        let mut patched = old.clone();
        Patch::parse(&text).unwrap().apply(&mut patched).unwrap();
        assert!(patched == *new, "a patch of {} is wrong", file.display());
        let snapshot = new.encode().len();
        patches += text.len().min(snapshot);
        whole += snapshot;
    }
    100.0 * patches as f64 / whole as f64
}

/// The first `count` valid documents.
fn documents(file: &Path, count: usize) -> Vec<Json> {
    let documents = bodies(file).into_iter();
    documents
        .filter_map(|body| parse(body.as_bytes()).ok())
        .take(count)
        .collect()
}
