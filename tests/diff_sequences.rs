//! A document that is polled again and again: every patch is right, whatever was polled before.
//!
//! The bodies are made up together with what they mean; patches are applied by two implementations
//! of JSON Patch, each to a replica of its own that never sees anything but snapshots and patches.

#[path = "evolving/mod.rs"]
mod evolving;

use bytes::Bytes;
use evolving::{History, Numbers, Poll, Tree};
use pollcast::core::change::Change;
use pollcast::core::document::{Document, Observation};
use pollcast::core::json::{Json, Patch, parse};
use proptest::prelude::*;
use serde_json::Value;

/// What those hold who follow the document.
struct Replicas {
    truth: Tree,
    /// In the hands of our `apply`.
    ours: Json,
    /// In the hands of the `json-patch` crate; none where serde_json's `Value` cannot hold the
    /// document: it knows no numbers beyond an `f64`, and takes some names for its own.
    theirs: Option<Value>,
}

proptest! {
    // Four times the usual number of cases, or of PROPTEST_CASES.
    #![proptest_config(ProptestConfig {
        cases: 4 * ProptestConfig::default().cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_patch_of_a_long_life_is_right(history in History::any(Numbers::Any)) {
        follow(&history)?;
    }

    #[test]
    fn every_patch_is_right_where_all_numbers_are_doubles(history in History::any(Numbers::Doubles)) {
        follow(&history)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases / 8,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_patch_of_a_large_document_is_right(history in History::large(Numbers::Any, 700)) {
        follow(&history)?;
    }
}

fn follow(history: &History) -> Result<(), TestCaseError> {
    let mut document = Document::new(history.view());
    let mut replicas: Option<Replicas> = None;
    for Poll { body, tree } in history.polls() {
        let stateful = document.observe(body.clone());
        let fresh = Document::new(history.view()).observe(body.clone());
        let Some(tree) = tree else {
            prop_assert!(
                stateful.is_err(),
                "a broken body is accepted: {}",
                text(&body)
            );
            prop_assert_eq!(
                stateful.err(),
                fresh.err(),
                "the reason depends on the body before"
            );
            continue;
        };
        let Ok(Observation::Changed(alone)) = fresh else {
            return Err(TestCaseError::fail(format!(
                "{fresh:?} for {}",
                text(&body)
            )));
        };
        prop_assert!(alone.patch.is_none(), "a first document has no patch");
        match (stateful, &mut replicas) {
            (Ok(Observation::Unchanged), Some(replicas)) => {
                prop_assert!(replicas.truth == tree, "unseen: {}", text(&body));
            }
            (Ok(Observation::Changed(change)), None) => {
                prop_assert!(change.snapshot.encode() == alone.snapshot.encode());
                replicas = Some(Replicas::new(tree, &change));
            }
            (Ok(Observation::Changed(change)), Some(replicas)) => {
                prop_assert!(replicas.truth != tree, "no change: {}", text(&body));
                prop_assert!(change.snapshot.encode() == alone.snapshot.encode());
                prop_assert_eq!(change.snapshot.len(), change.snapshot.encode().len());
                replicas.take(tree, &change)?;
            }
            (unexpected, _) => {
                return Err(TestCaseError::fail(format!(
                    "{unexpected:?} for {}",
                    text(&body)
                )));
            }
        }
        if history.is_bare() {
            let meaning = parse(&body).expect("a good body");
            let held = &replicas.as_ref().expect("a document").ours;
            prop_assert!(*held == meaning, "not what it says: {}", text(&body));
        }
    }
    Ok(())
}

impl Replicas {
    fn new(truth: Tree, change: &Change) -> Self {
        let magic = text(&change.snapshot.encode()).contains("$serde_json::private");
        Self {
            truth,
            ours: json(change.snapshot.encode()),
            theirs: serde_json::from_slice(&change.snapshot.encode())
                .ok()
                .filter(|_| !magic),
        }
    }

    /// Goes one step on: by the patch, if there is one.
    fn take(&mut self, truth: Tree, change: &Change) -> Result<(), TestCaseError> {
        let next = Replicas::new(truth, change);
        let Some(patch) = &change.patch else {
            *self = next;
            return Ok(());
        };
        prop_assert!(patch.len() < change.snapshot.len(), "a patch is smaller");
        prop_assert!(!patch.contains(&b'\n'), "a patch is one line");
        let ours = Patch::parse(patch).expect("a patch of RFC 6902");
        let applied = ours.apply(&mut self.ours);
        prop_assert_eq!(applied, Ok(()), "does not fit: {}", text(patch));
        prop_assert!(self.ours == next.ours, "wrong: {}", text(patch));
        self.theirs = match (self.theirs.take(), next.theirs) {
            (Some(mut held), Some(wanted)) => {
                let patch: json_patch::Patch = serde_json::from_slice(patch).expect("a patch");
                json_patch::patch(&mut held, &patch).expect("a patch that fits");
                prop_assert!(alike(&held, &wanted), "{patch:?} gives {held}");
                Some(held)
            }
            (_, wanted) => wanted,
        };
        self.truth = next.truth;
        Ok(())
    }
}

/// Equality, but for the last digits of a number: serde_json's reading of 1e119 and of 100E+117
/// may differ there, and 1 and 1.0 are two numbers to it.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= a.abs() * 1e-12
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let same = |(name, a)| b.get(name).is_some_and(|b| alike(a, b));
            a.len() == b.len() && a.iter().all(same)
        }
        _ => a == b,
    }
}

fn json(text: impl AsRef<[u8]>) -> Json {
    parse(text.as_ref()).expect("JSON")
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The made-up histories hold what they are made for; a generator that has gone quiet proves
/// nothing.
#[test]
fn the_histories_have_changes_rests_and_broken_polls() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let (mut patches, mut snapshots, mut rests, mut broken) = (0, 0, 0, 0);
    for _ in 0..200 {
        let history = History::any(Numbers::Any).new_tree(&mut runner).unwrap();
        let history = history.current();
        let mut document = Document::new(history.view());
        for poll in history.polls() {
            match document.observe(poll.body) {
                Err(_) => broken += 1,
                Ok(Observation::Unchanged) => rests += 1,
                Ok(Observation::Changed(change)) if change.patch.is_some() => patches += 1,
                Ok(Observation::Changed(_)) => snapshots += 1,
            }
        }
    }
    let seen = (patches, snapshots, rests, broken);
    assert!(
        patches > 300 && snapshots > 200 && rests > 200 && broken > 100,
        "{seen:?}"
    );
}
