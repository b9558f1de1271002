//! What of an answer is the document: `feeds[].document`.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_yaml::Value;

use super::filter::compile;
use super::keys::{CSV, FORMAT, TRANSFORM, XML};
use super::scalar::Scalar;
use super::section::Section;
use super::sheet::Node;
use super::{Document, Events, Transform};
use crate::core::document::View;
use crate::core::event::Mode;
use crate::core::json::{Path, Pattern, Pointer, PointerError};
use crate::formats::{Csv, Format, Xml};

pub(super) fn document(section: &Section<'_>, events: &Events) -> Document {
    let ignore = section
        .find("ignore")
        .map_or_else(Vec::new, |node| node.items());
    let max_bytes = section
        .find("max_bytes")
        .and_then(|node| node.size(1..=1 << 30))
        .unwrap_or(16 << 20);
    let (select, path) = select(section);
    let view = View {
        select,
        ignore: ignore
            .iter()
            .filter_map(|node| pointer(node, Pattern::parse))
            .collect(),
        key: key(section),
        items: items(section, events),
    };
    Document {
        format: format(section),
        transform: section
            .find("transform")
            .and_then(|node| transform(&node, max_bytes)),
        path,
        view,
        max_bytes,
    }
}

/// A JSON Pointer, or a JSONPath, which begins with `$`.
fn select(section: &Section<'_>) -> (Pointer, Option<Path>) {
    let Some(node) = section.find("select") else {
        return Default::default();
    };
    let Some(scalar) = node.text() else {
        return Default::default();
    };
    if !scalar.text.starts_with('$') {
        let pointer = parsed(&node, &scalar, Pointer::parse).unwrap_or_default();
        return (pointer, None);
    }
    (Pointer::default(), json_path(&node, &scalar))
}

/// `csv`, or a mapping with a format's options.
fn format(section: &Section<'_>) -> Format {
    const REMEDY: &str = "write `json`, `ndjson`, `csv`, `xml` or `prometheus`";
    let Some(node) = section.find("format") else {
        return Format::Json;
    };
    if let Value::Mapping(_) = node.value() {
        return format_with_options(&node);
    }
    let Some(scalar) = node.text() else {
        return Format::Json;
    };
    match scalar.text.as_str() {
        "json" => Format::Json,
        "ndjson" => Format::Ndjson,
        "csv" => Format::Csv(Csv::default()),
        "xml" => Format::Xml(Xml::default()),
        "prometheus" => Format::Prometheus,
        _ => {
            node.problem(format!("{} is no format", scalar.shown()), REMEDY);
            Format::Json
        }
    }
}

fn format_with_options(node: &Node<'_>) -> Format {
    let section = node.section(&FORMAT);
    let given = |key| section.find(key).is_some() || section.is_blank(key);
    match (given("csv"), given("xml")) {
        (true, false) => Format::Csv(csv(&section.section("csv", &CSV))),
        (false, true) => Format::Xml(xml(&section.section("xml", &XML))),
        _ => {
            node.problem(
                "one format is wanted here",
                "write one of `csv: {...}` and `xml: {...}`; the other formats have no options",
            );
            Format::Json
        }
    }
}

fn csv(section: &Section<'_>) -> Csv {
    let standard = Csv::default();
    Csv {
        delimiter: section
            .find("delimiter")
            .and_then(|node| delimiter(&node))
            .unwrap_or(standard.delimiter),
        header: flag(section, "header", standard.header),
        numbers: flag(section, "numbers", standard.numbers),
    }
}

fn delimiter(node: &Node<'_>) -> Option<u8> {
    let scalar = node.text()?;
    match scalar.text.as_bytes() {
        [byte] if byte.is_ascii() && !b"\"\r\n\0".contains(byte) => Some(*byte),
        _ => {
            node.problem(
                format!("{} is no delimiter", scalar.shown()),
                r#"write one ASCII character, as in ";" or "\t""#,
            );
            None
        }
    }
}

fn xml(section: &Section<'_>) -> Xml {
    let names = section
        .find("arrays")
        .map_or_else(Vec::new, |node| node.items());
    let names = names.iter().filter_map(Node::text);
    Xml {
        arrays: names.map(|scalar| scalar.text).collect::<BTreeSet<_>>(),
        numbers: flag(section, "numbers", Xml::default().numbers),
    }
}

fn flag(section: &Section<'_>, key: &'static str, standard: bool) -> bool {
    let node = section.find(key);
    node.and_then(|node| node.flag()).unwrap_or(standard)
}

/// A filter alone, or a mapping with `jq` and its limits.
fn transform(node: &Node<'_>, document_max: usize) -> Option<Transform> {
    let Value::Mapping(_) = node.value() else {
        return Some(Transform {
            filter: filter(node)?,
            timeout: Duration::from_secs(1),
            max_bytes: document_max,
        });
    };
    let section = node.section(&TRANSFORM);
    let timeout = section
        .find("timeout")
        .and_then(|node| node.duration(Duration::from_millis(10)));
    let max_bytes = section
        .find("max_bytes")
        .and_then(|node| node.size(1..=1 << 30));
    let jq = section.require("jq", "write a filter, such as \".items\"")?;
    Some(Transform {
        filter: filter(&jq)?,
        timeout: timeout.unwrap_or(Duration::from_secs(1)),
        max_bytes: max_bytes.unwrap_or(document_max),
    })
}

fn filter(node: &Node<'_>) -> Option<String> {
    let scalar = node.text()?;
    match compile(&scalar.text) {
        Ok(_) => Some(scalar.text),
        Err(error) => {
            let place = match scalar.foreign {
                true => String::new(),
                false => format!(": {error}"),
            };
            node.problem(
                format!("this is no jq filter{place}"),
                "try it with `jq` on an answer of the upstream",
            );
            None
        }
    }
}

fn key(section: &Section<'_>) -> Option<String> {
    let node = section.find("key")?;
    let key = node.text()?.text;
    if key.is_empty() {
        node.problem(
            "the key has no name",
            "write the name of the member that identifies an element, such as `id`",
        );
    }
    Some(key)
}

/// Where the items are, which only one mode asks.
fn items(section: &Section<'_>, events: &Events) -> Pointer {
    let Some(node) = section.find("items") else {
        return Pointer::default();
    };
    if !events.modes.contains(&Mode::Items) {
        node.warning(
            "`items` is not among `events.modes`, so that nobody is told of items",
            "add it there, or remove this key",
        );
    }
    pointer(&node, Pointer::parse).unwrap_or_default()
}

/// The JSONPath that this text, which begins with `$`, is meant to be.
pub(super) fn json_path(node: &Node<'_>, scalar: &Scalar) -> Option<Path> {
    let path = Path::parse(&scalar.text);
    path.map_err(|error| {
        let place = match scalar.foreign {
            true => String::new(),
            false => format!(": {error}"),
        };
        node.problem(
            format!("{} is no JSONPath{place}", scalar.shown()),
            "see RFC 9535, or write a JSON Pointer, which begins with `/`",
        );
    })
    .ok()
}

/// Reads a pointer, and keeps a text that came from outside the file out of the message.
pub(super) fn pointer<T>(
    node: &Node<'_>,
    parse: impl Fn(&str) -> Result<T, PointerError>,
) -> Option<T> {
    parsed(node, &node.text()?, parse)
}

fn parsed<T>(
    node: &Node<'_>,
    scalar: &Scalar,
    parse: impl Fn(&str) -> Result<T, PointerError>,
) -> Option<T> {
    match parse(&scalar.text) {
        Ok(pointer) => Some(pointer),
        Err(PointerError::NoSlash(_)) => {
            node.problem(
                format!("{} is no JSON Pointer", scalar.shown()),
                "begin it with `/`, as in \"/items/0\"",
            );
            None
        }
        Err(error) => {
            node.problem(
                format!("{} is no JSON Pointer: {error}", scalar.shown()),
                "see RFC 6901",
            );
            None
        }
    }
}
