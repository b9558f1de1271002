//! A large document with one changed leaf, beside a syntax check alone.

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::contenders::pollcast;
use crate::race::{median, timed};
use crate::synthetic::{Leaf, orders};

const ROUNDS: usize = 5;
/// How much longer a document gets by being pretty-printed, about.
const PRETTY: f64 = 1.75;

/// Makes the document before and after.
type Build = Box<dyn Fn() -> (String, String)>;

/// Seconds for one body.
pub struct Large {
    pub name: &'static str,
    pub body: Bytes,
    pub pollcast: f64,
    pub syntax: f64,
}

/// Compact and pretty-printed, with a leaf in the middle that keeps its length and one that
/// does not; of about so many bytes.
pub fn large(bytes: usize) -> impl Iterator<Item = Large> {
    let compact = move |leaf| orders(bytes, leaf);
    let pretty = move |leaf| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let (old, new) = orders((bytes as f64 / PRETTY) as usize, leaf);
        (indented(&old), indented(&new))
    };
    let cases: [(&str, Build); 4] = [
        (
            "compact, same length",
            Box::new(move || compact(Leaf::SameLength)),
        ),
        (
            "compact, other length",
            Box::new(move || compact(Leaf::OtherLength)),
        ),
        (
            "pretty, same length",
            Box::new(move || pretty(Leaf::SameLength)),
        ),
        (
            "pretty, other length",
            Box::new(move || pretty(Leaf::OtherLength)),
        ),
    ];
    cases.into_iter().map(|(name, build)| {
        let (old, new) = build();
        measure(name, &Bytes::from(old), Bytes::from(new))
    })
}

fn measure(name: &'static str, old: &Bytes, new: Bytes) -> Large {
    let mut contender = pollcast();
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (syntax, seconds) = timed(|| serde_json::from_slice::<IgnoredAny>(&new));
        syntax.expect("JSON");
        bare.push(seconds);
        contender.take_in(old.clone());
        let body = new.clone();
        let (patch, seconds) = timed(|| contender.take_in(body));
        let operations = patch.map(|patch| serde_json::from_slice::<Vec<IgnoredAny>>(&patch));
        let one = matches!(operations, Some(Ok(operations)) if operations.len() == 1);
        assert!(one, "one leaf is one operation");
        ours.push(seconds);
    }
    Large {
        name,
        pollcast: median(ours),
        syntax: median(bare),
        body: new,
    }
}

fn indented(text: &str) -> String {
    let value: Value = serde_json::from_str(text).expect("JSON");
    serde_json::to_string_pretty(&value).expect("JSON")
}
