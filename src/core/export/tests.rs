use bytes::Bytes;

use super::*;
use crate::core::json::Pattern;

fn steps(text: &str) -> Places {
    let pattern = Pattern::parse(text).ok();
    Places::Steps(pattern.map_or_else(Vec::new, |pattern| pattern.tokens().to_vec()))
}

/// A rule for a metric `m`; labels as `name` and [`Source`].
fn rule(each: &str, value: &str, labels: &[(&str, &str)]) -> Rule {
    let label = |(name, text): &(&str, &str)| {
        let source = Source::parse(text).unwrap();
        ((*name).to_owned(), Label::Found(source))
    };
    Rule {
        metric: "m".to_owned(),
        help: "What it is.".to_owned(),
        each: match each.starts_with('$') {
            true => Places::Path(Path::parse(each).unwrap()),
            false => steps(each),
        },
        value: Pointer::parse(value).unwrap(),
        labels: labels.iter().map(label).collect(),
        max_series: 1000,
    }
}

fn tape(text: &str) -> Tape {
    Tape::read(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

/// What a rule makes of a document: `a,b 1.5` for each sample, and how many are dropped.
fn told(rule: &Rule, document: &str) -> (Vec<String>, usize) {
    let found = read(std::slice::from_ref(rule), &tape(document)).remove(0);
    let line = |sample: &Sample| format!("{} {}", sample.labels.join(","), sample.value);
    (found.samples.iter().map(line).collect(), found.dropped)
}

const COUNTIES: &str = r#"{"state": "CA", "counties": {
    "Kern": {"out": 12, "cities": [{"name": "Taft", "out": 5}, {"name": "Arvin", "out": 7}]},
    "Inyo": {"out": "0.5", "cities": []},
    "Mono": {"out": null, "cities": [{"name": "Lee Vining"}]}
}}"#;

#[test]
fn a_number_of_the_document_is_one_sample() {
    let (samples, dropped) = told(
        &rule("", "/counties/Kern/out", &[("state", "/state")]),
        COUNTIES,
    );
    assert_eq!((samples, dropped), (vec!["CA 12".to_owned()], 0));
    assert_eq!(told(&rule("", "/nothing", &[]), COUNTIES), (vec![], 0));
}

#[test]
fn each_place_is_a_sample_with_labels_from_anywhere_above_and_below_it() {
    let rule = rule(
        "/counties/*/cities/*",
        "/out",
        &[
            ("city", "/name"),
            ("county", "2#"),
            ("index", "0#"),
            ("state", "4/state"),
        ],
    );
    let (samples, dropped) = told(&rule, COUNTIES);
    assert_eq!(samples, ["Taft,Kern,0,CA 5", "Arvin,Kern,1,CA 7"]);
    assert_eq!(dropped, 0, "what is not there is not dropped");
}

#[test]
fn a_path_finds_places_too() {
    let rule = rule(
        "$.counties.*.cities[?@.out > 5]",
        "/out",
        &[("city", "/name")],
    );
    assert_eq!(told(&rule, COUNTIES), (vec!["Arvin 7".to_owned()], 0));
}

#[test]
fn numbers_text_and_truth_are_values_and_nothing_else_is() {
    let all = rule("/*", "", &[("index", "0#")]);
    let document = r#"[1, 1.50, -2e3, true, false, "7", " 8.5 ", null, "x", "", [], {}, "NaN", "inf", 1e400, "-1e999"]"#;
    let (samples, dropped) = told(&all, document);
    let wanted = ["0 1", "1 1.5", "2 -2000", "3 1", "4 0", "5 7", "6 8.5"];
    assert_eq!(samples, wanted);
    assert_eq!(dropped, 8, "all but null");
}

#[test]
fn no_two_samples_have_the_same_labels_whatever_rule_they_are_of() {
    let document = r#"{"a": [{"k": "x", "v": 1}, {"k": "x", "v": 2}, {"k": "y", "v": 3}], "b": [{"k": "y", "v": 4}]}"#;
    let rules = [
        rule("/a/*", "/v", &[("k", "/k")]),
        rule("/b/*", "/v", &[("k", "/k")]),
    ];
    let found = read(&rules, &tape(document));
    assert_eq!((found[0].samples.len(), found[0].dropped), (2, 1));
    assert_eq!((found[1].samples.len(), found[1].dropped), (0, 1));
    let other = Rule {
        metric: "other".to_owned(),
        ..rules[1].clone()
    };
    let found = read(&[rules[0].clone(), other], &tape(document));
    assert_eq!(found[1].samples.len(), 1);
}

#[test]
fn there_are_never_more_samples_than_allowed_and_the_first_stay() {
    let few = Rule {
        max_series: 2,
        ..rule("/*", "", &[("index", "0#")])
    };
    assert_eq!(
        told(&few, "[5, 6, 7, 8]"),
        (vec!["0 5".to_owned(), "1 6".to_owned()], 2)
    );
}

#[test]
fn a_label_is_what_the_document_says_or_the_sample_is_left_out() {
    let one = |label: &str| {
        told(
            &rule("", "/v", &[("l", "/l")]),
            &format!(r#"{{"v": 1, "l": {label}}}"#),
        )
    };
    assert_eq!(one(r#""a\"b\\\n\u00e9\u0000""#).0, ["a\"b\\\né\0 1"]);
    assert_eq!(one("1.50").0, ["1.50 1"]);
    assert_eq!(one("true").0, ["true 1"]);
    assert_eq!(one("null").0, [" 1"]);
    assert_eq!(one("[]"), (vec![], 1));
    let long = |len: usize| one(&format!("\"{}\"", "x".repeat(len)));
    assert_eq!(long(MAX_LABEL).1, 0);
    assert_eq!(long(MAX_LABEL + 1), (vec![], 1));
    assert_eq!(
        told(&rule("", "/v", &[("l", "/l")]), r#"{"v": 1}"#).0,
        [" 1"]
    );
    let text = Rule {
        labels: vec![("l".to_owned(), Label::Text("own".to_owned()))],
        ..rule("", "/v", &[])
    };
    assert_eq!(told(&text, r#"{"v": 1}"#).0, ["own 1"]);
}

#[test]
fn a_source_is_a_pointer_or_a_relative_one() {
    let depth = |text| Source::parse(text).map(|source| source.depth());
    assert_eq!(depth(""), Ok(0));
    assert_eq!(depth("/a/b"), Ok(0));
    assert_eq!(depth("0#"), Ok(1));
    assert_eq!(depth("2/a"), Ok(2));
    assert_eq!(depth("2#"), Ok(3));
    assert_eq!(depth("1"), Ok(1));
    for text in [
        "#",
        "01/a",
        "99999999999999999999/a",
        "a",
        "1a",
        "1/a~2",
        "-1/a",
        "1##",
    ] {
        assert!(depth(text).is_err(), "{text}");
    }
}
