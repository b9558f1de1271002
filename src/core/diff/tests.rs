//! What patches look like, and that they are right.

use super::*;
use crate::core::json::{MAX_DEPTH, Patch, Rules, parse};

fn within(old: &str, new: &str, key: Option<&str>, budget: usize) -> Option<String> {
    let old = Tape::read(old.to_owned().into()).unwrap();
    let read = Tape::read_after(new.to_owned().into(), Some(&old), &Rules::default());
    let (new, copies) = read.unwrap();
    let text = diff(&old, &new, &copies, &mut Memory::new(key), budget)?;
    Some(String::from_utf8(text).unwrap())
}

/// The patch, after a check that it is right.
fn patch(old: &str, new: &str, key: Option<&str>) -> String {
    let text = within(old, new, key, usize::MAX).unwrap();
    let mut patched = parse(old.as_bytes()).unwrap();
    let patch = Patch::parse(text.as_bytes()).unwrap();
    patch.apply(&mut patched).unwrap();
    assert!(patched == parse(new.as_bytes()).unwrap());
    text
}

fn rows(ids: impl IntoIterator<Item = usize>) -> String {
    let row = |id| format!(r#"{{"id":{id},"name":"a name for row {id}","at":"2025-01-01"}}"#);
    let rows: Vec<String> = ids.into_iter().map(row).collect();
    format!("[{}]", rows.join(","))
}

#[test]
fn one_item_at_the_front_is_one_add() {
    let (old, new) = (rows(1..200), rows(0..200));
    for key in [None, Some("id")] {
        let expected = format!(
            r#"[{{"op":"add","path":"/0","value":{}}}]"#,
            &rows([0])[1..rows([0]).len() - 1]
        );
        assert_eq!(patch(&old, &new, key), expected);
        assert_eq!(patch(&new, &old, key), r#"[{"op":"remove","path":"/0"}]"#);
    }
}

#[test]
fn a_keyed_row_that_moves_is_one_move() {
    let old = rows(0..50);
    let new = rows((1..30).chain([0]).chain(30..50));
    assert_eq!(
        patch(&old, &new, Some("id")),
        r#"[{"op":"move","from":"/0","path":"/29"}]"#
    );
    assert_eq!(
        patch(&new, &old, Some("id")),
        r#"[{"op":"move","from":"/29","path":"/0"}]"#
    );
}

#[test]
fn members_are_removed_added_and_descended_into() {
    assert_eq!(
        patch(
            r#"{"a":1,"long":"enough to keep and not to say again","b":{"x":"unchanged and long enough","y":1}}"#,
            r#"{"long":"enough to keep and not to say again","b":{"x":"unchanged and long enough","y":2},"c":3}"#,
            None
        ),
        r#"[{"op":"remove","path":"/a"},{"op":"replace","path":"/b/y","value":2},{"op":"add","path":"/c","value":3}]"#
    );
}

#[test]
fn names_are_escaped_and_may_be_empty() {
    let old = r#"{"a/b~\"":{"":{"x":1,"long":"long enough to go inside"}}}"#;
    assert_eq!(
        patch(old, &old.replace('1', "2"), None),
        r#"[{"op":"replace","path":"/a~1b~0\"//x","value":2}]"#
    );
}

#[test]
fn the_smaller_of_inside_and_whole_is_taken() {
    assert_eq!(
        patch(
            r#"{"p":[1,2,3,4,5],"q":0}"#,
            r#"{"p":[6,7,8,9,0],"q":0}"#,
            None
        ),
        r#"[{"op":"replace","path":"/p","value":[6,7,8,9,0]}]"#
    );
    assert_eq!(
        patch("[1]", "{}", None),
        r#"[{"op":"replace","path":"","value":{}}]"#
    );
}

#[test]
fn past_the_budget_there_is_no_patch() {
    let (old, new) = (r#"{"a":1}"#, r#"{"a":2}"#);
    let length = r#"[{"op":"replace","path":"/a","value":2}]"#.len();
    assert_eq!(within(old, new, None, length), None);
    assert!(within(old, new, None, length + 1).is_some());
    assert_eq!(
        (within(old, old, None, 2), within(old, old, None, 0)),
        (None, None)
    );
}

#[test]
fn ten_thousand_rows_in_another_order_are_diffed() {
    // 7919 is prime to 10,000: every row has its turn.
    let shuffled = || (0..10_000).map(|i| i * 7919 % 10_000);
    for key in [None, Some("id")] {
        patch(&rows(0..10_000), &rows(shuffled()), key);
    }
    patch(&rows(0..10_000), &rows(10_000..20_000), None);
}

#[test]
fn a_hundred_thousand_numbers_that_repeat_are_aligned() {
    let numbers = |start: u32| {
        let numbers: Vec<String> = (start..start + 100_000)
            .map(|n| (n % 3).to_string())
            .collect();
        format!("[{}]", numbers.join(","))
    };
    let (old, new) = (numbers(0), numbers(1));
    assert!(within(&old, &new, None, new.len()).is_some());
}

#[test]
fn the_deepest_nesting_is_diffed() {
    let nested = |leaf: &str| {
        let half = MAX_DEPTH / 2;
        format!("{}{leaf}{}", "[{\"a\":".repeat(half), "}]".repeat(half))
    };
    let text = patch(&nested("\"old\""), &nested("\"new\""), None);
    let path = "/0/a".repeat(MAX_DEPTH / 2);
    assert_eq!(
        text,
        format!(r#"[{{"op":"replace","path":"{path}","value":"new"}}]"#)
    );
}

#[test]
fn keys_that_were_found_are_listed_by_place() {
    let row = |at: &str, n: u8| format!(r#"{{"at":"{at}","n":{n},"text":"some words that stay"}}"#);
    let rows = |n: u8| {
        let rows = ["north", "south", "east"].map(|at| row(at, n));
        format!(
            "[{},{},{}]",
            rows[usize::from(n % 3)],
            rows[usize::from((n + 1) % 3)],
            rows[usize::from((n + 2) % 3)]
        )
    };
    let document = |n: u8| {
        let lists = format!(r#"[{{"id":1,"in":{0}}},{{"id":2,"in":{0}}}]"#, rows(n));
        format!(r#"{{"a/b":{},"lists":{lists}}}"#, rows(n))
    };
    let mut memory = Memory::new(None);
    assert_eq!(memory.keys(), []);
    let (old, new) = (Tape::read(document(0).into()).unwrap(), document(1).into());
    let (new, copies) = Tape::read_after(new, Some(&old), &Rules::default()).unwrap();
    diff(&old, &new, &copies, &mut memory, usize::MAX).unwrap();
    let keys = memory
        .keys()
        .into_iter()
        .map(|found| (found.place, found.key.join("+")));
    let keys: Vec<(String, String)> = keys.collect();
    let expected = [("/a~1b", "at"), ("/lists", "id"), ("/lists/*/in", "at")];
    assert_eq!(
        keys,
        expected.map(|(place, key)| (place.to_owned(), key.to_owned()))
    );
}
