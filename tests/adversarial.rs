//! Bodies that are made to hurt: everything here is through in seconds, even in a debug build, or
//! in hours where something takes a square of the time that it should. A test that hangs has failed.
//!
//! No test looks at a clock. Each patch is applied, and must give the document.

use std::collections::HashMap;
use std::fmt::Write as _;

use bytes::Bytes;
use pollcast::core::change::Change;
use pollcast::core::document::{Document, Observation, View};
use pollcast::core::json::{Json, Patch, parse};

/// Follows the bodies one after the other, with and without a key that the operator has named.
fn follow(bodies: &[String]) {
    for key in [None, Some("id")] {
        follow_with(key, bodies);
    }
}

fn follow_with(key: Option<&str>, bodies: &[String]) -> Vec<Change> {
    let mut document = Document::new(View {
        key: key.map(str::to_owned),
        ..View::default()
    });
    let mut held: Option<Json> = None;
    let mut changes = Vec::new();
    for body in bodies {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let new = parse(&body).expect("JSON");
        match document.observe(body).expect("a document") {
            Observation::Unchanged => assert!(held.as_ref() == Some(&new), "a change unseen"),
            Observation::Changed(change) => {
                assert!(held.as_ref() != Some(&new), "no change");
                if let Some(patch) = &change.patch {
                    let mut patched = held.take().expect("a document before");
                    let patch = Patch::parse(patch).expect("a patch");
                    assert_eq!(applied(&patch, &mut patched), Ok(()));
                    assert!(patched == new, "a wrong patch");
                } else {
                    let snapshot = parse(&change.snapshot.encode()).expect("JSON");
                    assert!(snapshot == new, "a wrong snapshot");
                }
                held = Some(new);
                changes.push(change);
            }
        }
    }
    changes
}

fn applied(patch: &Patch, document: &mut Json) -> Result<(), String> {
    patch.apply(document).map_err(|error| error.to_string())
}

fn array(items: impl IntoIterator<Item = String>) -> String {
    let mut text = String::from("[");
    for (index, item) in items.into_iter().enumerate() {
        text.push_str(if index > 0 { "," } else { "" });
        text.push_str(&item);
    }
    text.push(']');
    text
}

fn object(members: impl IntoIterator<Item = (String, String)>) -> String {
    let members = members
        .into_iter()
        .map(|(name, value)| format!("\"{name}\":{value}"));
    let list = array(members);
    format!("{{{}}}", &list[1..list.len() - 1])
}

/// Every number below `length`, in an order without an order; `length` and 7919 have no divisor in
/// common.
fn shuffled(length: usize) -> impl Iterator<Item = usize> {
    (0..length).map(move |n| n * 7919 % length)
}

/// All that can be made by choosing one text of each pair.
fn choices(pairs: &[[String; 2]]) -> Vec<String> {
    (0..1usize << pairs.len())
        .map(|n| {
            let chosen = pairs.iter().enumerate();
            chosen.map(|(bit, pair)| &*pair[n >> bit & 1]).collect()
        })
        .collect()
}

/// Pairs of which FNV-1a makes the same lower 24 bits, the one behind the other.
fn alike_to_fnv(count: usize) -> Vec<[String; 2]> {
    let hash = |state: u64, text: &str| {
        let add = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        text.bytes().fold(state, add) & 0xFF_FFFF
    };
    let mut state = 0xCBF2_9CE4_8422_2325;
    let mut pair = || {
        let mut seen = HashMap::new();
        for n in 0u32.. {
            let text = format!("{n:05x}");
            let after = hash(state, &text);
            if let Some(before) = seen.insert(after, text.clone()) {
                state = after;
                return [before, text];
            }
        }
        unreachable!("some are alike")
    };
    (0..count).map(|_| pair()).collect()
}

/// A hundred thousand texts each that are one to hash tables of old: to a multiplication by 31, as
/// Java's, or by FNV-1a; and such that only their middle tells apart.
fn of_one_hash() -> [Vec<String>; 3] {
    let java = vec![["Aa".to_owned(), "BB".to_owned()]; 17];
    let alike = (0..100_000).map(|n| format!("the same beginning {n:06} and the same end"));
    [choices(&java), choices(&alike_to_fnv(17)), alike.collect()]
}

#[test]
fn a_hundred_thousand_names_of_one_hash() {
    for names in of_one_hash() {
        let whole = |changed: usize| {
            let value = |n: usize| if n % 9973 == changed { n + 1 } else { n };
            let names = names.iter().enumerate();
            names
                .map(|(n, name)| (name.clone(), value(n).to_string()))
                .collect::<Vec<_>>()
        };
        let mut fewer = whole(1);
        fewer.drain(5000..5010);
        fewer.rotate_left(77);
        follow_with(None, &[object(whole(0)), object(fewer)]);
    }
}

#[test]
fn a_hundred_thousand_strings_of_one_hash() {
    for strings in of_one_hash() {
        let mut items: Vec<String> = strings.iter().map(|text| format!("\"{text}\"")).collect();
        let first = array(items.clone());
        items.insert(7, "\"new\"".into());
        items.remove(50_000);
        let second = array(items);
        follow_with(None, &[first, second]);
    }
}

#[test]
fn rows_whose_members_only_change_places() {
    let rows = |turn: usize| {
        array((0..30_000).map(|n| {
            let (a, b) = (n + turn, n + 1 - turn);
            format!(
                "{{\"a\":{a},\"b\":{b},\"note\":\"one of many rows that are nearly the same\"}}"
            )
        }))
    };
    follow_with(None, &[rows(0), rows(1), rows(0)]);
}

#[test]
fn a_million_equal_elements() {
    let equal = |length: usize| array((0..length).map(|_| "0".to_owned()));
    let changes = follow_with(None, &[equal(1_000_000), equal(1_000_001), equal(999_999)]);
    let patches = changes.iter().filter_map(|change| change.patch.as_ref());
    assert!(
        patches.map(Bytes::len).max() < Some(200),
        "an element or two"
    );
}

#[test]
fn a_million_elements_in_turn() {
    let in_turn = |start: usize, period: usize| {
        array((start..start + 1_000_000).map(|n| (n % period).to_string()))
    };
    follow_with(None, &[in_turn(0, 2), in_turn(1, 2)]);
}

#[test]
fn a_million_different_elements() {
    let numbers: Vec<String> = (0..1_000_000).map(|n| n.to_string()).collect();
    let mut others = numbers.clone();
    others.insert(0, "-1".into());
    others.remove(500_000);
    others[700_000] = "-2".into();
    others.truncate(999_998);
    let changes = follow_with(None, &[array(numbers), array(others)]);
    let patch = changes[1].patch.as_ref().expect("a patch");
    assert!(patch.len() < 1000, "a few operations");
}

#[test]
fn arrays_of_scalars_turned_around_and_shuffled() {
    const LENGTH: usize = 100_000;
    let forward = array((0..LENGTH).map(|n| n.to_string()));
    let backward = array((0..LENGTH).rev().map(|n| n.to_string()));
    let shuffled_ = array(shuffled(LENGTH).map(|n| n.to_string()));
    let few = array(shuffled(LENGTH).map(|n| (n % 10).to_string()));
    let other_few = array(shuffled(LENGTH).map(|n| (n / 3 % 10).to_string()));
    follow_with(None, &[forward, backward, shuffled_, few, other_few]);
}

#[test]
fn rows_turned_around_and_shuffled() {
    const LENGTH: usize = 20_000;
    let row = |n: usize| {
        format!("{{\"id\":{n},\"text\":\"a row that is worth more than the move of a row {n}\"}}")
    };
    let forward = array((0..LENGTH).map(row));
    let backward = array((0..LENGTH).rev().map(row));
    let shuffled = array(shuffled(LENGTH).map(row));
    follow(&[forward, backward, shuffled]);
}

/// `a` comes twice, `b` is unique but for one row, `c` is another with every poll, `d` is unique in
/// every other poll, and the candidates' values go from row to row.
#[test]
fn a_hundred_thousand_rows_that_almost_have_a_key() {
    const LENGTH: usize = 100_000;
    let rows = |turn: usize| {
        array((0..LENGTH).map(|n| {
            let a = n / 2;
            let b = n.max(1);
            let c = n + turn * LENGTH;
            let d = if turn.is_multiple_of(2) { n } else { n / 3 };
            let e = n ^ (turn & 1);
            let unless = if turn == 2 && n == LENGTH / 2 {
                ""
            } else {
                "e"
            };
            format!("{{\"a\":{a},\"b\":{b},\"c\":{c},\"d\":{d},\"{unless}\":{e}}}")
        }))
    };
    follow_with(None, &[rows(0), rows(1), rows(2)]);
}

#[test]
fn rows_that_swap_their_key_with_every_poll() {
    const LENGTH: usize = 20_000;
    let rows = |turn: usize| {
        array((0..LENGTH).map(|n| {
            let id = (n + turn * 7919) % LENGTH;
            format!(
                "{{\"id\":{id},\"code\":\"{}\",\"text\":\"what row {n} says, which stays\"}}",
                n ^ turn
            )
        }))
    };
    follow(&[rows(0), rows(1), rows(2), rows(3)]);
}

#[test]
fn rows_in_which_hardly_a_name_comes_twice() {
    let rows = |turn: usize| {
        array((0..2000).map(|n| {
            object((0..50).map(|m| {
                let value = if (n + m) % 997 == turn { 0 } else { n };
                (format!("{n}/{m}"), value.to_string())
            }))
        }))
    };
    follow(&[rows(0), rows(1), rows(2)]);
}

#[test]
fn rows_with_a_thousand_members_each() {
    let rows = |turn: usize| {
        array((turn..turn + 100).map(|n| {
            object((0..1000).map(|m| {
                let value = if (n * m) % 9973 == turn { 0 } else { n + m };
                (format!("member {m}"), value.to_string())
            }))
        }))
    };
    follow(&[rows(0), rows(1), rows(2)]);
}

#[test]
fn a_leaf_under_a_hundred_and_twenty_six_levels_of_a_large_body() {
    let bulk = array((0..2000).map(|n| n.to_string()));
    let nested = |leaf: &str| {
        let open = format!("{{\"bulk\":{bulk},\"in\":[").repeat(63);
        format!("{open}{leaf}{}", "]}".repeat(63))
    };
    let changes = follow_with(
        None,
        &[nested("1"), nested("[2]"), nested("{\"a\":3}"), nested("4")],
    );
    assert_eq!(changes.len(), 4);
    for change in &changes[1..] {
        let patch = change.patch.as_ref().expect("a patch");
        assert!(patch.len() < 1500, "the leaf alone");
    }
}

#[test]
fn arrays_of_arrays_with_a_small_change_in_each() {
    fn tree(levels: usize, at: &mut usize, turn: usize, out: &mut String) {
        *at += 1;
        let number = if *at % 7 == turn { 0 } else { *at };
        write!(out, "[{number},\"a text that stays as it is\"").unwrap();
        for _ in 0..if levels > 0 { 2 } else { 0 } {
            out.push(',');
            tree(levels - 1, at, turn, out);
        }
        out.push(']');
    }
    let body = |turn| {
        let mut out = String::new();
        tree(13, &mut 0, turn, &mut out);
        out
    };
    follow_with(None, &[body(0), body(1), body(2)]);
    // And one inside the other, each with something new.
    let nested = |turn: usize| {
        let open: String = (0..120)
            .map(|n| format!("[{},{n},[{n}],", n + turn))
            .collect();
        array((0..40).map(|n| format!("{open}{n}{}", "]".repeat(120))))
    };
    follow_with(None, &[nested(0), nested(1), nested(1000)]);
}

#[test]
fn megabytes_of_escapes() {
    let escapes = r#"\u0041\n\"\\\ud83d\ude00\/"#.repeat(60_000);
    let raw = "A\\n\\\"\\\\\u{1f600}/".repeat(60_000);
    let around = |text: &str, n: usize| format!("{{\"a\":\"{text}\",\"{text}\":{n},\"b\":{n}}}");
    let bodies = [
        around(&escapes, 1),
        around(&raw, 1),
        around(&raw, 2),
        around(&escapes, 3),
        around(&escapes[12..], 3),
    ];
    let changes = follow_with(None, &bodies);
    assert_eq!(
        changes.len(),
        4,
        "the same text, escaped otherwise, is no change"
    );
}

/// The same bytes are strings in one body and what stands between strings in the other.
#[test]
fn bodies_that_read_otherwise_from_the_first_byte_on() {
    let units = "\",\",".repeat(100_000);
    let strings = format!("[{units}0]");
    let shifted = format!("[\"{units}\"]");
    let inside = format!("[\"{}\"]", units.replace('"', "\\\""));
    let spaced = format!("[ {} 0]", units.replace("\",\",", "\",\" ,\n"));
    follow_with(None, &[strings.clone(), shifted, inside, strings, spaced]);
}

#[test]
fn every_value_another_one_and_back_again() {
    let rows = |turn: usize| {
        array((0..50_000).map(|n| format!("{{\"id\":{n},\"x\":{},\"y\":[{turn}]}}", n * 3 + turn)))
    };
    follow_with(Some("id"), &[rows(0), rows(1), rows(0)]);
    follow_with(None, &[rows(0), rows(1), rows(0)]);
}
