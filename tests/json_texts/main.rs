//! Which texts are JSON: what `serde_json` accepts and nothing else, wherever a text stands and
//! whatever was read before it.
//!
//! Each table is one class of texts: good ones, bad ones, and those in which readers of JSON differ,
//! with our verdict.

mod array;
mod number;
mod object;
mod oracle;
mod string;
mod structure;

use bytes::Bytes;
use pollcast::core::document::{Document, Observation, Rejected, View};
use pollcast::core::json::{Json, Patch, parse};
use serde_json::Value;

type Class = (
    &'static str,
    &'static [&'static [u8]],
    &'static [&'static [u8]],
    &'static [(&'static [u8], bool)],
);

const CLASSES: &[Class] = &[
    ("array", array::GOOD, array::BAD, array::LIMITS),
    ("number", number::GOOD, number::BAD, number::LIMITS),
    ("object", object::GOOD, object::BAD, object::LIMITS),
    ("string", string::GOOD, string::BAD, string::LIMITS),
    (
        "structure",
        structure::GOOD,
        structure::BAD,
        structure::LIMITS,
    ),
];

/// Every text of the tables, with its verdict.
fn texts() -> impl Iterator<Item = (&'static [u8], bool)> {
    CLASSES.iter().flat_map(|(_, good, bad, limits)| {
        let good = good.iter().map(|text| (*text, true));
        let bad = bad.iter().map(|text| (*text, false));
        good.chain(bad).chain(limits.iter().copied())
    })
}

#[test]
fn the_tables_say_what_serde_json_says() {
    let (mut good, mut bad) = (0, 0);
    for (text, verdict) in texts() {
        assert_eq!(oracle::accepts(text), verdict, "{}", shown(text));
        match verdict {
            true => good += 1,
            false => bad += 1,
        }
    }
    for (class, good, bad, _) in CLASSES {
        for (verdict, texts) in [(true, good), (false, bad)] {
            for text in *texts {
                let value = serde_json::from_slice::<Value>(text);
                assert_eq!(value.is_ok(), verdict, "{class}: {}", shown(text));
            }
        }
    }
    assert!(good > 150 && bad > 300, "{good} good texts, {bad} bad ones");
}

#[test]
fn a_text_is_judged_the_same_as_a_first_body() {
    for (text, verdict) in texts() {
        judge(&[], text, verdict);
    }
}

#[test]
fn a_text_is_judged_the_same_after_a_good_body_that_begins_like_it() {
    for (text, _) in texts() {
        for (before, after) in SURROUNDINGS {
            let around = |text: &[u8]| [before.as_bytes(), text, after.as_bytes()].concat();
            let body = around(text);
            let verdict = oracle::accepts(&body);
            for good in ["0", "{\"id\":2}", "\"\"", ""] {
                let good = around(good.as_bytes());
                if oracle::accepts(&good) {
                    judge(&[&good], &body, verdict);
                }
            }
        }
    }
}

/// What a text may stand between.
const SURROUNDINGS: &[(&str, &str)] = &[
    ("", ""),
    ("[{\"id\":1,\"name\":\"a row that stays\"},", "]"),
    (
        "{\"rows\":[{\"id\":1},{\"id\":2}],\"last\":",
        ",\"end\":true}",
    ),
    ("{\n  \"a\": [\n    ", "\n  ],\n  \"b\": \"é\"\n}\n"),
    ("[\"inside a string: ", "\",1]"),
    ("{\"inside a name: ", "\":1}"),
    ("[[[[[1]]]],", ",[[[[1]]]]]"),
];

#[test]
fn a_text_is_judged_the_same_after_any_good_body_one_byte_away() {
    let mut pairs = 0;
    for (text, verdict) in texts() {
        for near in one_byte_away(text) {
            if oracle::accepts(&near) {
                pairs += 1;
                judge(&[&near], text, verdict);
            }
        }
    }
    assert!(pairs > 1000, "{pairs} pairs");
}

/// The texts with one byte changed, inserted or taken out.
fn one_byte_away(text: &[u8]) -> Vec<Vec<u8>> {
    const BYTES: &[u8] = b"0 a\"\\,:[]{}-.eu";
    let mut near = Vec::new();
    for at in 0..=text.len() {
        let (before, after) = text.split_at(at);
        for byte in BYTES {
            near.push([before, &[*byte], after].concat());
            if !after.is_empty() {
                near.push([before, &[*byte], &after[1..]].concat());
            }
        }
        if !after.is_empty() {
            near.push([before, &after[1..]].concat());
        }
    }
    near
}

#[test]
fn a_good_body_is_taken_after_any_number_of_bad_ones() {
    for (class, good, bad, _) in CLASSES {
        for first in *good {
            let bodies: Vec<&[u8]> = [*first]
                .into_iter()
                .chain(bad.iter().copied().take(9))
                .collect();
            for last in *good {
                assert!(oracle::accepts(last), "{class}");
                judge(&bodies, last, true);
            }
        }
    }
}

/// Readers look at many bytes at a time.
#[test]
fn nothing_depends_on_where_a_text_stands() {
    let texts = texts().filter(|(text, _)| text.len() < 24);
    for (text, _) in texts {
        for shift in 0..67 {
            let padding = "x".repeat(shift);
            let around = |text: &[u8]| {
                let before = format!("[\"{padding}\",");
                [before.as_bytes(), text, b",\"", padding.as_bytes(), b"\"]"].concat()
            };
            let body = around(text);
            judge(&[&around(b"0")], &body, oracle::accepts(&body));
        }
    }
}

#[test]
fn a_hundred_and_twenty_eight_levels_are_taken_and_no_more() {
    let nested = |open: &str, close: &str, levels: usize| {
        format!("{}0{}", open.repeat(levels), close.repeat(levels)).into_bytes()
    };
    for (open, close, each) in [
        ("[", "]", 1),
        ("{\"a\":", "}", 1),
        ("[{\"a\":", "}]", 2),
        (" [ 1,", "]", 1),
    ] {
        for (levels, verdict) in [
            (1, true),
            (126, true),
            (128, true),
            (130, false),
            (1000, false),
        ] {
            let body = nested(open, close, levels / each);
            assert_eq!(oracle::accepts(&body), verdict);
            judge(&[], &body, verdict);
            // One level more and one less than what was there.
            judge(&[&nested(open, close, 128 / each)], &body, verdict);
            judge(&[&nested(open, close, 124 / each)], &body, verdict);
            let (inner, outer) = (nested(open, close, 60), nested(open, close, levels / each));
            let beside = |last: &[u8]| [b"[", &*inner, b",", last, b"]"].concat();
            let body = beside(&outer);
            judge(&[&beside(b"1")], &body, oracle::accepts(&body));
        }
        judge(&[], open.repeat(200_000).as_bytes(), false);
        judge(
            &[&nested(open, close, 64)],
            open.repeat(200_000).as_bytes(),
            false,
        );
        judge(
            &[&nested(open, close, 64)],
            &nested(open, close, 100_000),
            false,
        );
    }
    judge(&[], &nested("[", "]", 129), false);
    judge(&[&nested("[", "]", 128)], &nested("[", "]", 129), false);
}

/// Observes the bodies in a row and this one after them; says no more and no less than a document
/// that sees it first, and what it says follows from what was held.
#[track_caller]
fn judge(bodies: &[&[u8]], body: &[u8], verdict: bool) {
    let mut document = Document::new(View::default());
    let mut held: Option<(&[u8], Json)> = None;
    for body in bodies {
        if observe(&mut document, body).is_ok() {
            held = Some((body, parse(body).unwrap()));
        }
    }
    let context = || {
        format!(
            "{} after {:?}",
            shown(body),
            held.as_ref().map(|(b, _)| shown(b))
        )
    };
    let result = observe(&mut document, body);
    assert_eq!(result.is_ok(), verdict, "{}: {result:?}", context());
    let alone = observe(&mut Document::new(View::default()), body);
    match (result, alone) {
        (Err(reason), alone) => {
            assert_eq!(Some(reason), alone.err(), "{}", context());
            if let Some((before, _)) = &held {
                let again = observe(&mut document, before);
                assert!(matches!(again, Ok(Observation::Unchanged)), "{}", context());
            }
        }
        (Ok(Observation::Unchanged), Ok(Observation::Changed(_))) => {
            assert_eq!(
                held.as_ref().map(|(_, json)| json),
                parse(body).as_ref().ok(),
                "{}",
                context()
            );
        }
        (Ok(Observation::Changed(change)), Ok(Observation::Changed(alone))) => {
            let snapshot = change.snapshot.encode();
            assert_eq!(snapshot, alone.snapshot.encode(), "{}", context());
            let new = parse(body).unwrap();
            assert_eq!(parse(&snapshot).unwrap(), new, "{}", context());
            if let Some((_, old)) = &held {
                assert_ne!(*old, new, "{}", context());
            }
            if let Some(patch) = change.patch {
                let (_, mut old) = held.clone().expect("a document to patch");
                Patch::parse(&patch).unwrap().apply(&mut old).unwrap();
                assert_eq!(old, new, "{}", context());
            }
        }
        (result, alone) => panic!("{}: {result:?}, {alone:?}", context()),
    }
}

fn observe(document: &mut Document, body: &[u8]) -> Result<Observation, Rejected> {
    document.observe(Bytes::copy_from_slice(body))
}

fn shown(text: &[u8]) -> String {
    let start = &text[..text.len().min(200)];
    format!("b\"{}\" ({} bytes)", start.escape_ascii(), text.len())
}
