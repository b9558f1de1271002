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

/// The patches of successive documents, nothing told about keys, each found to be right.
fn follow(bodies: &[String]) -> Vec<String> {
    let mut memory = Memory::new(None);
    let read = |text: &String, old: Option<&Tape>| {
        Tape::read_after(text.clone().into(), old, &Rules::default()).unwrap()
    };
    let mut old = read(&bodies[0], None).0;
    let mut held = parse(bodies[0].as_bytes()).unwrap();
    let mut patches = Vec::new();
    for body in &bodies[1..] {
        let (new, copies) = read(body, Some(&old));
        let text = diff(&old, &new, &copies, &mut memory, usize::MAX).unwrap();
        Patch::parse(&text).unwrap().apply(&mut held).unwrap();
        assert!(held == parse(body.as_bytes()).unwrap());
        patches.push(String::from_utf8(text).unwrap());
        old = new;
    }
    patches
}

fn list<T>(items: impl IntoIterator<Item = T>, row: impl Fn(T) -> String) -> String {
    let rows: Vec<String> = items.into_iter().map(row).collect();
    format!("[{}]", rows.join(","))
}

/// The operations of a patch by kind: `remove`, `add`, `move`, `replace`.
fn operations(patch: &str) -> [usize; 4] {
    let count = |op: &str| patch.matches(&format!(r#"{{"op":"{op}""#)).count();
    [
        count("remove"),
        count("add"),
        count("move"),
        count("replace"),
    ]
}

#[test]
fn the_key_is_the_member_that_stays_with_its_row() {
    // The rank is unique, too, comes first and is always there.
    let table = |ids: &[usize], load: usize| {
        list(ids.iter().enumerate(), |(rank, id)| {
            let name = format!("a server with the number {id}");
            format!(
                r#"{{"rank":{rank},"host":"{name}","load":{},"up":true}}"#,
                load + id
            )
        })
    };
    let many: Vec<usize> = (10..30).collect();
    let after: Vec<usize> = (9..30).collect();
    let patches = follow(&[
        table(&many, 1),
        table(&many, 2),
        table(&after, 2),
        table(&many, 2),
    ]);
    // One row comes and goes; the ranks of the others change.
    assert_eq!(operations(&patches[1]), [0, 1, 0, 20]);
    assert_eq!(operations(&patches[2]), [1, 0, 0, 20]);
}

#[test]
fn two_members_are_the_key_where_one_is_not_enough() {
    let table = |places: &[(usize, usize)], value: usize| {
        list(places, |(x, y)| {
            let note = "a note that all of them have and that is long enough";
            format!(
                r#"{{"x":"{x}","y":"{y}","value":{},"note":"{note}"}}"#,
                value + x + y
            )
        })
    };
    let places: Vec<(usize, usize)> = (0..36).map(|i| (i / 6, i % 6)).collect();
    let mut moved = places.clone();
    let place = moved.remove(20);
    moved.insert(3, place);
    let patches = follow(&[table(&places, 1), table(&moved, 2), table(&places, 3)]);
    for patch in &patches {
        assert_eq!(operations(patch), [0, 0, 1, 36], "{patch}");
    }
}

#[test]
fn arrays_inside_rows_have_keys_of_their_own() {
    let orders = |turn: usize| {
        list(0..4, |order| {
            let lines = list((turn..8).chain(0..turn), |line| {
                let text = format!("line {line} of order {order}, with a text");
                format!(
                    r#"{{"sku":"s{line}","text":"{text}","left":{}}}"#,
                    line + turn
                )
            });
            format!(r#"{{"order":{order},"lines":{lines}}}"#)
        })
    };
    let patches = follow(&(0..4).map(orders).collect::<Vec<_>>());
    for patch in &patches {
        assert_eq!(operations(patch), [0, 0, 4, 32], "{patch}");
    }
}

#[test]
fn a_key_that_is_gone_or_not_unique_any_more_is_given_up() {
    let text = |i: usize| format!("a text of row {i}, which is long enough");
    let keyed = |ids: &[usize]| list(ids, |i| format!(r#"{{"id":{i},"text":"{}"}}"#, text(*i)));
    let same = |ids: &[usize]| list(ids, |i| format!(r#"{{"id":7,"text":"{}"}}"#, text(*i)));
    let bare = |ids: &[usize]| list(ids, |i| format!(r#"{{"text":"{}"}}"#, text(*i)));
    let patches = follow(&[
        keyed(&[1, 2, 3, 4]),
        keyed(&[4, 1, 2, 3]),
        same(&[1, 2, 3, 4]),
        same(&[4, 1, 2, 3]),
        bare(&[1, 2, 3, 4]),
        bare(&[4, 1, 2, 3]),
        "[1,2,3]".to_owned(),
        keyed(&[3, 1, 2]),
    ]);
    for turn in [0, 2, 4] {
        assert_eq!(
            operations(&patches[turn]),
            [0, 0, 1, 0],
            "{}",
            patches[turn]
        );
    }
}

#[test]
fn a_key_that_was_lost_for_a_moment_is_found_again_soon() {
    let rows = |turn: usize, id: &str| {
        list((0..30).map(|row| (row + turn) % 30), |row| {
            let text = "a text that all rows have and that is long enough";
            format!(r#"{{"{id}":{row},"turn":{turn},"text":"{text}"}}"#)
        })
    };
    let bodies = (0..40).map(|turn| rows(turn, if turn == 20 { "no" } else { "id" }));
    let patches = follow(&bodies.collect::<Vec<_>>());
    assert_eq!(operations(&patches[18]), [0, 0, 1, 30]);
    for patch in &patches[24..] {
        assert_eq!(operations(patch), [0, 0, 1, 30]);
    }
}

#[test]
fn the_key_that_the_user_names_is_taken() {
    // By id every row has moved; by seat nothing has.
    let table = |first: usize| {
        list(0..9, |seat| {
            let id = (first + seat) % 9;
            format!(r#"{{"id":"i{id}","seat":{seat},"text":"the same long text for all"}}"#)
        })
    };
    let by = |key| operations(&patch(&table(0), &table(1), key));
    assert_eq!(by(Some("seat")), [0, 0, 0, 9]);
    assert_eq!(by(Some("id")), [0, 0, 1, 9]);
}

#[test]
fn a_patch_that_would_shift_too_much_is_none() {
    // Whoever applied it to an array would be at it for seconds.
    let (old, new) = (
        rows(0..20_000),
        rows((0..20_000).map(|i| i * 7919 % 20_000)),
    );
    assert_eq!(within(&old, &new, Some("id"), new.len()), None);
}

#[test]
fn a_large_element_without_a_key_that_moves_is_one_move() {
    let texts = |order: &[usize]| list(order, |i| format!("[{i},\"{}\"]", "text ".repeat(20 + i)));
    let moved = patch(&texts(&[0, 1, 2, 3, 4]), &texts(&[0, 2, 3, 4, 1]), None);
    assert_eq!(moved, r#"[{"op":"move","from":"/1","path":"/4"}]"#);
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
