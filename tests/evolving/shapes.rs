//! What documents look like: tables, feeds, matrices, and anything else.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::tree::{Decimal, Tree};

/// Which numbers and names documents have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Every number there can be, `-0`, `1e400` and thirty digits among them, and every name.
    Any,
    /// What JavaScript and Python hold exactly: at most 15 digits, exponents near zero, no `-0`;
    /// and no `__proto__`, which fast-json-patch refuses to touch.
    Doubles,
}

/// Any document: anything at all, or rows of some kind, or such rows in a feed with a long text.
pub fn document(numbers: Numbers) -> BoxedStrategy<Tree> {
    let inside = prop_oneof![
        keyed_rows(numbers),
        composite_rows(),
        rows_without_key(),
        scalars(),
        matrix(),
        deep(numbers),
        vec(tree(numbers), 0..12).prop_map(Tree::Array),
    ]
    .boxed();
    let feed = inside.clone().prop_map(|rows| {
        Tree::object([
            ("count", Tree::integer(rows.children().len() as u64)),
            ("rows", rows),
            ("note", Tree::string("not to be said again ".repeat(20))),
        ])
    });
    prop_oneof![2 => tree(numbers), 3 => inside, 5 => feed].boxed()
}

/// Any value.
pub fn tree(numbers: Numbers) -> BoxedStrategy<Tree> {
    scalar(numbers)
        .prop_recursive(4, 32, 6, move |inner| {
            let members = vec((name(numbers), inner.clone()), 0..6);
            prop_oneof![
                vec(inner, 0..6).prop_map(Tree::Array),
                members.prop_map(Tree::object),
            ]
        })
        .boxed()
}

pub fn name(numbers: Numbers) -> BoxedStrategy<&'static str> {
    const NAMES: &[&str] = &[
        "",
        "a",
        "b",
        "id",
        "name",
        "~",
        "/",
        "~1",
        "~0",
        "a/b",
        "\"",
        "\\",
        "\n",
        "é",
        "-",
        "0",
        "1",
        "01",
        " ",
        "😀",
        "constructor",
        "at",
        "a name that is longer than a machine word",
    ];
    const MAGIC: &[&str] = &[
        "$serde_json::private::Number",
        "$serde_json::private::RawValue",
        "__proto__",
        "\0",
    ];
    match numbers {
        Numbers::Any => prop_oneof![9 => select(NAMES), 1 => select(MAGIC)].boxed(),
        Numbers::Doubles => select(NAMES).boxed(),
    }
}

pub fn scalar(numbers: Numbers) -> BoxedStrategy<Tree> {
    prop_oneof![
        select(&[Tree::Null, Tree::Bool(true), Tree::Bool(false)][..]),
        decimal(numbers).prop_map(Tree::Number),
        string().prop_map(Tree::String),
        Just(Tree::Array(Vec::new())),
        Just(Tree::object::<&str>([])),
    ]
    .boxed()
}

fn decimal(numbers: Numbers) -> BoxedStrategy<Decimal> {
    let number = |(negative, digits, exponent): (bool, u64, i64)| {
        Decimal::new(negative, &digits.to_string(), exponent)
    };
    let small = (any::<bool>(), 0..20u64, -2..3i64).prop_map(number);
    let longer = (any::<bool>(), 0..10_000_000u64, -6..8i64).prop_map(number);
    match numbers {
        Numbers::Doubles => prop_oneof![small, longer].boxed(),
        Numbers::Any => {
            let huge = (any::<bool>(), 0..1000u64, -500..500i64).prop_map(number);
            let long = ("[1-9][0-9]{17,40}", -30..3i64)
                .prop_map(|(digits, exponent)| Decimal::new(false, &digits, exponent));
            let beyond = (
                any::<bool>(),
                1..5u64,
                select(&[i64::MIN / 2, i64::MAX / 2][..]),
            )
                .prop_map(number);
            prop_oneof![3 => small, 2 => longer, 1 => huge, 1 => long, 1 => beyond].boxed()
        }
    }
}

fn string() -> BoxedStrategy<String> {
    const STRINGS: &[&str] = &[
        "",
        "a",
        "b",
        "1",
        "null",
        "~/\"\\\n",
        "é",
        "e\u{301}",
        "😀",
        "\u{2028}\u{feff}",
        "\0\u{1}\u{1f}\u{7f}",
        "ends with a backslash\\",
        "\\u0041",
        "],{\"",
        "a text that is long enough to be worth a patch",
    ];
    prop_oneof![3 => select(STRINGS).prop_map(str::to_owned), 1 => "\\PC{0,12}"].boxed()
}

/// Rows with an id, as numbers or as strings, some with rows of their own inside.
fn keyed_rows(numbers: Numbers) -> BoxedStrategy<Tree> {
    let line = (0..9u64, scalar(numbers)).prop_map(|(n, value)| (n, value));
    let row = (string(), scalar(numbers), vec(line, 0..4));
    (any::<bool>(), vec(row, 0..20))
        .prop_map(|(textual, rows)| {
            let id = |n: usize| match textual {
                true => Tree::string(format!("row-{n}")),
                false => Tree::integer(n as u64),
            };
            let lines = |lines: Vec<(u64, Tree)>| {
                lines.into_iter().enumerate().map(|(n, (quantity, value))| {
                    let quantity = Tree::integer(quantity);
                    let id = Tree::integer(n as u64 + 1);
                    Tree::object([("id", id), ("quantity", quantity), ("value", value)])
                })
            };
            let rows = rows.into_iter().enumerate();
            let rows = rows.map(|(n, (name, value, inside))| {
                Tree::object([
                    ("id", id(n + 1)),
                    ("name", Tree::String(name)),
                    ("value", value),
                    (
                        "at",
                        Tree::string(format!("2025-01-{:02}T00:00:00Z", n % 28 + 1)),
                    ),
                    ("lines", Tree::Array(lines(inside).collect())),
                ])
            });
            Tree::Array(rows.collect())
        })
        .boxed()
}

/// Rows that only two members together tell apart.
fn composite_rows() -> BoxedStrategy<Tree> {
    let row = (0..4usize, 0..4u64, 0..50u64).prop_map(|(county, year, count)| {
        let county = ["Polk", "Lake", "Dade", "Clay"][county];
        Tree::object([
            ("county", Tree::string(county)),
            ("year", Tree::integer(2020 + year)),
            ("count", Tree::integer(count)),
        ])
    });
    vec(row, 0..14).prop_map(Tree::Array).boxed()
}

/// Rows that nothing tells apart.
fn rows_without_key() -> BoxedStrategy<Tree> {
    let row = (0..3u64, any::<bool>(), prop::bool::weighted(0.8)).prop_map(|(a, b, whole)| {
        let mut row = Tree::object([("a", Tree::integer(a)), ("b", Tree::Bool(b))]);
        if whole {
            row.set_if_object("c", Tree::string("the same in every row"));
        }
        row
    });
    vec(row, 0..14).prop_map(Tree::Array).boxed()
}

fn scalars() -> BoxedStrategy<Tree> {
    vec(0..6u64, 0..30)
        .prop_map(|items| {
            let items = items.into_iter().map(|n| match n {
                5 => Tree::string("five"),
                n => Tree::integer(n),
            });
            Tree::Array(items.collect())
        })
        .boxed()
}

fn matrix() -> BoxedStrategy<Tree> {
    let row = vec(0..4u64, 0..8);
    let row = row.prop_map(|row| Tree::Array(row.into_iter().map(Tree::integer).collect()));
    vec(row, 0..8).prop_map(Tree::Array).boxed()
}

/// Up to a hundred levels, one inside the other.
fn deep(numbers: Numbers) -> BoxedStrategy<Tree> {
    (tree(numbers), vec(any::<bool>(), 0..100))
        .prop_map(|(leaf, levels)| {
            levels.into_iter().fold(leaf, |inner, array| match array {
                true => Tree::Array(vec![Tree::integer(1), inner]),
                false => Tree::object([("n", Tree::integer(2)), ("in", inner)]),
            })
        })
        .boxed()
}
