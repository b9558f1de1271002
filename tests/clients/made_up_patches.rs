//! Patches between made-up documents, applied by libraries in other languages that know nothing of
//! how they were made; and these do notice a patch that is wrong.
//!
//! Only numbers that a double holds exactly, no `-0` and no member named `__proto__`: JavaScript
//! and Python cannot tell the others apart, and fast-json-patch refuses the name. The rest is shown
//! in Rust, by `diff_sequences.rs`.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use pollcast::core::document::{Document, Observation};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::evolving::{History, Numbers};
use crate::foreign::{Lines, Process, node, python};

/// How many documents are followed, each over some polls; `POLLCAST_HISTORIES` raises it.
const HISTORIES: usize = 2000;

#[test]
fn made_up_patches_are_right_to_fast_json_patch() {
    let (lines, patches) = &*LINES;
    assert_eq!(
        answer(node("apply.mjs"), lines),
        json!({ "patches": patches })
    );
}

#[test]
fn made_up_patches_are_right_to_python_jsonpatch() {
    let (lines, patches) = &*LINES;
    assert_eq!(
        answer(python("apply.py"), lines),
        json!({ "patches": patches })
    );
}

#[test]
fn a_wrong_patch_is_noticed_by_both() {
    let held = r#"{"a":[1,2,3],"b":{"c":true},"d":null}"#;
    let cases = [
        (
            "another value",
            r#"[{"op":"replace","path":"/a/0","value":9}]"#,
            r#"{"a":[8,2,3],"b":{"c":true},"d":null}"#,
        ),
        (
            "another type",
            r#"[{"op":"replace","path":"/b/c","value":1}]"#,
            held,
        ),
        (
            "another place",
            r#"[{"op":"remove","path":"/a/1"}]"#,
            r#"{"a":[1,2],"b":{"c":true},"d":null}"#,
        ),
        ("a step short", "[]", r#"{"a":[1,2,3],"b":{"c":true}}"#),
        (
            "a move to elsewhere",
            r#"[{"op":"move","from":"/a/0","path":"/a/1"}]"#,
            r#"{"a":[2,3,1],"b":{"c":true},"d":null}"#,
        ),
        (
            "nothing there",
            r#"[{"op":"replace","path":"/x/y","value":0}]"#,
            held,
        ),
        (
            "beyond the end",
            r#"[{"op":"add","path":"/a/7","value":0}]"#,
            held,
        ),
        ("no operation", r#"[{"op":"grow","path":"/a"}]"#, held),
    ];
    for (what, patch, body) in cases {
        let lines = [
            json!({ "body": held }),
            json!({ "patch": "[]", "body": held }),
            json!({ "patch": patch, "body": body }),
            json!({ "patch": "[]", "body": held }),
        ];
        for program in [node("apply.mjs"), python("apply.py")] {
            let answer = answer(program, &lines);
            assert_eq!(answer["wrong"], 3, "{what}: {answer}");
        }
    }
}

/// What the appliers read, the same in every run, and how many patches are in it.
static LINES: LazyLock<(Vec<Value>, usize)> = LazyLock::new(lines);

fn lines() -> (Vec<Value>, usize) {
    let count = std::env::var("POLLCAST_HISTORIES").map_or(HISTORIES, |count| {
        count.parse().expect("POLLCAST_HISTORIES is a number")
    });
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, b"documents that anybody can hold.");
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (mut lines, mut patches) = (Vec::new(), 0);
    for index in 0..count {
        // Some of them long, whose patches have many operations.
        let rows = if index % 50 == 0 { 300 } else { 0 };
        let history = History::large(Numbers::Doubles, rows).new_tree(&mut runner);
        let history = history.expect("a history").current();
        let mut document = Document::new(history.view());
        for poll in history.polls() {
            let change = match document.observe(poll.body.clone()) {
                Ok(Observation::Changed(change)) => change,
                Ok(Observation::Unchanged) => continue,
                Err(_) => {
                    assert!(poll.tree.is_none(), "a good body is refused");
                    continue;
                }
            };
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
            // The body itself where it is the document: then nothing of ours is in what is wanted.
            let body = match history.is_bare() {
                true => text(&poll.body),
                false => text(&change.snapshot.encode()),
            };
            lines.push(match change.patch {
                Some(patch) => {
                    patches += 1;
                    json!({ "patch": text(&patch), "body": body })
                }
                None => json!({ "body": body }),
            });
        }
    }
    assert!(patches > count, "{patches} patches in {count} histories");
    (lines, patches)
}

/// What the program says to the lines.
fn answer(mut program: Command, lines: &[Value]) -> Value {
    program.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = Process::start(&mut program);
    let answer = Lines::of(process.stdout());
    let mut input = process.stdin();
    for line in lines {
        // It has left as soon as something is wrong, and then says so.
        if writeln!(input, "{line}").is_err() {
            break;
        }
    }
    drop(input);
    let answer = answer.next().expect("an answer");
    assert!(process.exit_status().success());
    serde_json::from_str(&answer).expect("a line of JSON")
}
