//! What is told, and above all what is not.

use super::*;
use crate::core::document::{Document, Observation, View};
use crate::core::event::Modes;
use crate::core::json::{Pointer, Tape};

/// More polls than the first two looks take.
const MANY: u64 = 60;

fn feed(document: &mut Document, body: String) -> Option<Change> {
    match document.observe(body.into()).unwrap() {
        Observation::Unchanged => None,
        Observation::Changed(change) => Some(change),
    }
}

fn told(document: &Document) -> Vec<String> {
    let findings = document.findings().into_iter();
    findings.map(|finding| finding.place.to_string()).collect()
}

/// What is found in the documents that `body` makes for so many polls.
fn found_in(view: View, body: impl Fn(u64) -> String) -> Vec<String> {
    let mut document = Document::new(view);
    for poll in 0..MANY {
        feed(&mut document, body(poll));
    }
    told(&document)
}

fn found(body: impl Fn(u64) -> String) -> Vec<String> {
    found_in(View::default(), body)
}

fn nothing() -> Vec<String> {
    Vec::new()
}

fn read(text: String) -> Tape {
    Tape::read(text.into()).unwrap()
}

/// A number with no pattern, the same each time.
fn dice(seed: u64) -> u64 {
    let mixed = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 33
}

/// Rows with a name that stays and these further members.
fn rows(ids: impl IntoIterator<Item = u64>, more: impl Fn(u64) -> String) -> String {
    let row = |id| {
        format!(
            r#"{{"id":{id},"name":"row {id}","unit":"kg",{}}}"#,
            more(id)
        )
    };
    let rows: Vec<String> = ids.into_iter().map(row).collect();
    format!("[{}]", rows.join(","))
}

fn aged(poll: u64) -> impl Fn(u64) -> String {
    move |id| {
        let status = dice(id * 1000 + poll / 3) % 3;
        format!(r#""age":{},"status":{status}"#, poll + id)
    }
}

#[test]
fn a_stamp_and_an_age_are_told_and_a_busy_status_is_not() {
    let places = found(|poll| {
        let rows = rows(0..20, aged(poll));
        format!(
            r#"{{"generated_at":"12:00:{poll}","meta":{{"took":{},"v":1}},"rows":{rows}}}"#,
            dice(poll)
        )
    });
    assert_eq!(places, ["/generated_at", "/meta/took", "/rows/*/age"]);
}

#[test]
fn it_takes_ten_changes_after_those_that_begin_the_look() {
    let body = |poll: u64| format!(r#"{{"at":{poll},"a":1,"b":2}}"#);
    let mut document = Document::new(View::default());
    let first = (0..MANY).find(|poll| {
        feed(&mut document, body(*poll));
        !told(&document).is_empty()
    });
    assert_eq!(first, Some(u64::from(FIRST_CHANGES + LEAST)));
}

#[test]
fn a_document_that_also_rests_has_no_noise() {
    // Every fourth poll brings what the one before did, once byte for byte, once rewritten.
    let at = |poll: u64| poll - u64::from(poll % 4 == 3);
    let body = |poll: u64| format!(r#"{{"at":{},"a":1,"b":2}}"#, at(poll));
    assert_eq!(found(body), nothing());
    assert_eq!(
        found(|poll| body(poll) + &" ".repeat(poll as usize % 2)),
        nothing()
    );
    // Or says so itself.
    let mut document = Document::new(View::default());
    for poll in 0..MANY {
        feed(&mut document, format!(r#"{{"at":{poll},"a":1,"b":2}}"#));
        if poll % 4 == 3 {
            document.not_modified();
        }
    }
    assert_eq!(told(&document), nothing());
}

#[test]
fn what_mostly_changes_is_not_told() {
    let body = |poll: u64| format!(r#"{{"n":{poll},"a":{},"b":2,"c":3}}"#, dice(poll / 2));
    assert_eq!(found(body), ["/n"]);
}

#[test]
fn a_row_that_changes_at_every_poll_does_not_make_its_column_noise() {
    for busy in [1, 10] {
        let places = found(|poll| {
            rows(0..20, |id| {
                let state = if dice(id + poll) % 20 < busy || id == poll % 20 {
                    poll
                } else {
                    id
                };
                format!(r#""state":{state}"#)
            })
        });
        assert_eq!(places, nothing(), "{busy}");
    }
}

#[test]
fn a_document_that_is_mostly_what_changes_has_no_noise() {
    assert_eq!(found(|poll| poll.to_string()), nothing());
    assert_eq!(found(|poll| format!(r#"{{"price":{poll}.5}}"#)), nothing());
    assert_eq!(
        found(|poll| format!(r#"{{"of":"X","price":{poll}}}"#)),
        nothing()
    );
    assert_eq!(
        found(|poll| {
            let quote = |id: u64| {
                format!(
                    r#"{{"id":{id},"bid":{},"ask":{}}}"#,
                    dice(poll + 100 * id),
                    dice(poll * id)
                )
            };
            let quotes: Vec<String> = (1..50).map(quote).collect();
            format!(r#"{{"at":{poll},"quotes":[{}]}}"#, quotes.join(","))
        }),
        nothing()
    );
}

#[test]
fn elements_are_known_again_wherever_they_went() {
    // Another order at every poll: by index, every member would change.
    let shuffled = |poll: u64| (0..97).map(move |i| i * (poll % 5 + 2) % 97);
    assert_eq!(found(|poll| rows(shuffled(poll), aged(poll))), ["/*/age"]);
    let view = View {
        key: Some("id".into()),
        ..View::default()
    };
    assert_eq!(
        found_in(view, |poll| rows(shuffled(poll), aged(poll))),
        ["/*/age"]
    );
    // A window that moves on.
    assert_eq!(found(|poll| rows(poll..poll + 30, aged(poll))), ["/*/age"]);
}

#[test]
fn a_list_of_the_newest_is_no_noise() {
    let event = |n: u64| {
        format!(
            r#"{{"n":{n},"text":"event {}","by":{}}}"#,
            dice(n),
            dice(n + 7)
        )
    };
    let newest = |poll: u64| {
        let events: Vec<String> = (poll..poll + 10).rev().map(event).collect();
        format!("[{}]", events.join(","))
    };
    assert_eq!(found(newest), nothing());
    for length in [1, 5, 30] {
        let numbers = |poll: u64| {
            let numbers: Vec<String> = (poll..poll + length).map(|n| dice(n).to_string()).collect();
            format!(
                r#"{{"name":"load","unit":"%","a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"history":[{}]}}"#,
                numbers.join(",")
            )
        };
        assert_eq!(found(numbers), nothing(), "{length}");
    }
}

#[test]
fn places_in_pairs_and_tables_are_named() {
    let sample = |poll: u64, id: u64| {
        format!(r#"{{"metric":{{"job":"{id}","up":"yes"}},"value":[{poll}.1,"1"]}}"#)
    };
    let body = |poll: u64| {
        let samples: Vec<String> = (0..5).map(|id| sample(poll, id)).collect();
        format!("[{}]", samples.join(","))
    };
    assert_eq!(found(body), ["/*/value/0"]);
    for count in [10, 300] {
        let table = |poll: u64| {
            let row = |id: u64| {
                format!(
                    r#""host-{id}":{{"up":true,"load":{},"age":{poll}}}"#,
                    dice(id + poll) % 2
                )
            };
            let rows: Vec<String> = (0..count).map(row).collect();
            format!("{{{}}}", rows.join(","))
        };
        assert_eq!(found(table), ["/*/age"], "{count}");
    }
}

#[test]
fn names_are_told_as_a_pattern_can_say_them() {
    let body = |poll: u64| {
        format!(
            r#"{{"a/b~c":{poll},"*":{poll},"\u0041 \"":{poll},"":{poll},"w":0,"x":0,"y":0,"z":0,"v":0}}"#
        )
    };
    assert_eq!(found(body), ["/a~1b~0c", "/A \"", "/"]);
}

#[test]
fn places_are_seen_from_the_selected_part_and_what_is_ignored_is_not_told() {
    let view = View {
        select: Pointer::parse("/data").unwrap(),
        ignore: vec![Pattern::parse("/rows/*/age").unwrap()],
        ..View::default()
    };
    let body = |poll: u64| {
        let rows = rows(0..5, aged(poll));
        format!(r#"{{"at":{poll},"data":{{"now":{poll},"rows":{rows}}}}}"#)
    };
    assert_eq!(found_in(view, body), ["/now"]);
}

#[test]
fn ignoring_what_is_told_leaves_nothing_to_tell() {
    let body = |poll: u64| {
        format!(
            r#"{{"at":{poll},"rows":{}}}"#,
            rows(0..5, |_| format!(r#""age":{poll}"#))
        )
    };
    let mut document = Document::new(View::default());
    (0..MANY).for_each(|poll| drop(feed(&mut document, body(poll))));
    let findings = document.findings().into_iter();
    let ignore: Vec<Pattern> = findings.map(|finding| finding.place).collect();
    assert_eq!(ignore.len(), 2);
    let mut document = Document::new(View {
        ignore,
        ..View::default()
    });
    assert!(feed(&mut document, body(0)).is_some());
    for poll in 1..MANY {
        assert!(feed(&mut document, body(poll)).is_none());
    }
}

#[test]
fn what_stops_changing_is_taken_back_and_may_come_again() {
    let mut document = Document::new(View::default());
    let body = |at: u64, n: u64| format!(r#"{{"at":{at},"n":{n},"a":0,"b":0,"c":0}}"#);
    (0..MANY).for_each(|poll| drop(feed(&mut document, body(poll, 0))));
    assert_eq!(told(&document), ["/at"]);
    let still = |document: &mut Document, polls: u32| {
        (0..u64::from(polls)).for_each(|n| drop(feed(document, body(0, n / 2))));
    };
    still(&mut document, LONG_STILL);
    assert_eq!(told(&document), ["/at"], "the first of them was a change");
    still(&mut document, 2);
    assert_eq!(told(&document), nothing());
    (0..4 * MANY).for_each(|poll| drop(feed(&mut document, body(poll, 0))));
    assert_eq!(told(&document), ["/at"]);
}

/// What the noise of a document costs at one change in these modes, and the change.
fn cost(modes: Modes, is_all: bool) -> (u64, Change) {
    let body = |poll: u64, n: u64| {
        format!(r#"{{"n":{n},"at":{poll},"text":"{}"}}"#, "long ".repeat(30))
            .replace("\"text\"", "\"a\":1,\"b\":2,\"text\"")
    };
    let mut document = Document::new(View::default());
    document.want(modes);
    (100..100 + MANY).for_each(|poll| drop(feed(&mut document, body(poll, 0))));
    document.take_wasted();
    let before = document.findings()[0].bytes;
    let change = feed(&mut document, body(500, u64::from(!is_all))).unwrap();
    let wasted = document.take_wasted();
    assert!(document.findings()[0].bytes.abs_diff(before + wasted) <= 1);
    (wasted, change)
}

#[test]
fn the_cost_is_what_ignoring_would_save() {
    let patch = Modes::NONE.with(Mode::Patch);
    let (wasted, change) = cost(patch, false);
    let operation = r#"{"op":"replace","path":"/at","value":500},"#.len() as u64;
    assert_eq!(wasted, operation);
    assert!(change.patch.unwrap().len() as u64 > 2 * operation - 5);
    let (wasted, change) = cost(patch, true);
    assert_eq!(
        wasted,
        change.patch.unwrap().len() as u64,
        "the whole event"
    );

    let (wasted, _) = cost(Modes::NONE, false);
    assert_eq!(wasted, r#""at":500,"#.len() as u64);
    let (wasted, change) = cost(Modes::NONE, true);
    assert_eq!(wasted, change.snapshot.len() as u64, "the whole document");
}

#[test]
fn made_up_names_fill_no_memory() {
    let mut document = Document::new(View::default());
    for poll in 0..MANY {
        let member = |i: u64| {
            format!(
                r#""{}":{{"x":{poll},"y":[{{"{i}":{poll}}}]}}"#,
                dice(i + poll / 2)
            )
        };
        let members: Vec<String> = (0..500).map(member).collect();
        let deep = format!("{}{poll}{}", r#"{"a":"#.repeat(60), "}".repeat(60));
        let wide: Vec<String> = (0..60)
            .map(|i| format!(r#""{i}{}":{{{}}}"#, poll / 2, members[i]))
            .collect();
        feed(
            &mut document,
            format!(
                r#"{{"t":{{{}}},"d":{deep},"w":{{{}}}}}"#,
                members.join(","),
                wide.join(",")
            ),
        );
        let size = format!("{:?}", document.findings()).len();
        assert!(size < 10_000, "{size}");
    }
}

#[test]
fn an_object_that_grows_is_not_searched_to_its_end() {
    let body = |poll: u64| {
        let many = if poll < MANY { 40 } else { 100_000 };
        let rest: Vec<String> = (0..many).map(|i| format!(r#""m{i}":1"#)).collect();
        format!(r#"{{{},"at":{poll}}}"#, rest.join(","))
    };
    let memory = Memory::new(None);
    let mut places = Places::default();
    let mut compared = |from: u64| {
        let (old, new) = (read(body(from)), read(body(from + 1)));
        places.collect(old.root(), new.root(), Known::root(&memory));
        places.compare(old.root(), new.root(), Known::root(&memory));
        places.list()[0].1.verdict()
    };
    assert_eq!(compared(0), Verdict::Changed);
    assert_eq!(compared(MANY), Verdict::Still);
}

#[test]
fn the_places_of_one_look_are_bounded() {
    let object = |poll: u64, name: &dyn Fn(u64) -> String| {
        let member = |i: u64| format!(r#""{}":{poll}"#, name(i));
        format!("{{{}}}", (0..60).map(member).collect::<Vec<_>>().join(","))
    };
    let body = |poll: u64| {
        let member = |i: u64| format!(r#""o{i}":{}"#, object(poll, &|j| format!("m{j}")));
        format!("{{{}}}", (0..60).map(member).collect::<Vec<_>>().join(","))
    };
    let mut places = Places::default();
    let (old, new) = (body(1), body(2));
    let (old, new) = (read(old), read(new));
    for _ in 0..3 {
        places.collect(old.root(), new.root(), Known::root(&Memory::new(None)));
        assert!((1..=1024).contains(&places.list().len()));
    }
}
