//! Exported numbers: 1,000 rows with a sample each, beside the diff of the poll that brought them.

use bytes::Bytes;
use pollcast::core::document::{Document, View};
use pollcast::core::export::{Label, Places, Rule, Source, read};
use pollcast::core::json::{Pattern, Pointer};
use serde_json::{Value, json};

use crate::race::{median, timed};

const ROWS: usize = 1000;
const ROUNDS: usize = 31;

/// Seconds for one body.
pub struct Exported {
    pub name: &'static str,
    pub bytes: usize,
    /// Comparing it with the one before, and writing the patch.
    pub diff: f64,
    /// Making the samples, with the second reading that `ignore` makes necessary.
    pub export: f64,
}

/// With nothing ignored, and with a member of each row ignored.
pub fn exported() -> [Exported; 2] {
    [
        measure("1,000 samples", &[]),
        measure("1,000 samples, a member ignored", &["/rows/*/age"]),
    ]
}

fn measure(name: &'static str, ignore: &[&str]) -> Exported {
    let ignore = ignore.iter().map(|text| Pattern::parse(text).expect("one"));
    let mut document = Document::new(View {
        ignore: ignore.collect(),
        ..View::default()
    });
    let rules = [rule()];
    let (mut diff, mut export) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let body = Bytes::from(body(round));
        let (outcome, seconds) = timed(|| document.observe(body));
        outcome.expect("JSON");
        // The first is compared with nothing.
        if round > 0 {
            diff.push(seconds);
        }
        let (samples, seconds) = timed(|| read(&rules, &document.whole().expect("a document")));
        assert_eq!((samples[0].samples.len(), samples[0].dropped), (ROWS, 0));
        export.push(seconds);
    }
    Exported {
        name,
        bytes: document.body_len(),
        diff: median(diff),
        export: median(export),
    }
}

fn rule() -> Rule {
    let pattern = Pattern::parse("/rows/*").expect("one");
    let found = |text| Label::Found(Source::parse(text).expect("one"));
    Rule {
        metric: "out".to_owned(),
        help: "Out.".to_owned(),
        each: Places::Steps(pattern.tokens().to_vec()),
        value: Pointer::parse("/out").expect("one"),
        labels: vec![
            ("name".to_owned(), found("/name")),
            ("row".to_owned(), found("0#")),
        ],
        max_series: ROWS,
    }
}

/// 1 MB, in which a hundredth of the rows differ from round to round, and the age of all.
fn body(round: usize) -> String {
    let row = |row: usize| {
        let out = if row % 100 == round % 100 { round } else { row };
        let (text, name) = ("x".repeat(850), format!("county {row}"));
        json!({"id": row, "name": name, "note": text, "out": out, "age": round, "tags": ["a", "b"]})
    };
    json!({"rows": (0..ROWS).map(row).collect::<Vec<Value>>()}).to_string()
}
