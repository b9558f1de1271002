//! The examples of `config/README.md`: a document section, an answer, and the document that it
//! becomes. They are true.

use bytes::Bytes;
use pollcast::config::{self, Config, System};
use pollcast::core::document::{Document, Observation};
use pollcast::core::json::parse;
use pollcast::formats::jq::Filter;

const README: &str = include_str!("../config/README.md");

/// The fenced blocks from one heading up to another: the language and the text.
fn blocks(from: &str, to: &str) -> Vec<(&'static str, &'static str)> {
    let (_, rest) = README.split_once(from).expect("the first heading");
    let (part, _) = rest.split_once(to).expect("the second heading");
    let fences = part.split("\n```").skip(1).step_by(2);
    fences
        .map(|block| block.split_once('\n').expect("a language"))
        .collect()
}

fn section(yaml: &str) -> config::Document {
    let text = format!(
        "upstreams: {{ a: {{ url: http://a }} }}\n\
         feeds:\n- path: /feed\n  upstream: a\n  {yaml}\n"
    );
    let (config, _) = Config::parse(&text, &System::new("")).expect("a configuration");
    config.feeds[0].document.clone()
}

/// What an answer becomes, as the poller has it.
fn document(section: &config::Document, answer: &str) -> Bytes {
    let answer = Bytes::copy_from_slice(answer.as_bytes());
    let mut json = section.format.convert(answer, 10_000).expect("its format");
    if let Some(transform) = &section.transform {
        let filter = Filter::parse(&transform.filter).expect("a filter");
        json = filter.run(&json, 10_000).expect("one value");
    }
    if let Some(path) = &section.path {
        json = path.cut(json, 10_000).expect("a node");
    }
    match Document::new(section.view.clone()).observe(json) {
        Ok(Observation::Changed(change)) => change.snapshot.encode(),
        other => panic!("no document: {other:?}"),
    }
}

#[test]
fn every_example_becomes_what_it_says() {
    let blocks = blocks("\n## Formats\n", "\n## Modes\n");
    assert_eq!(blocks.len() % 3, 0, "{blocks:?}");
    assert!(blocks.len() >= 18, "{blocks:?}");
    for example in blocks.chunks(3) {
        let [(yaml, section_text), (_, answer), (json, told)] = example else {
            panic!("three blocks");
        };
        assert_eq!((*yaml, *json), ("yaml", "json"), "{example:?}");
        let made = document(&section(section_text), answer);
        let told = parse(told.as_bytes()).expect("JSON").encode();
        assert_eq!(made, told, "{section_text}");
    }
}
