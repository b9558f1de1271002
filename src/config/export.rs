//! Numbers of the document that become metrics, as they are written: `feeds[].export`.

use std::collections::HashMap;

use super::document::{json_path, pointer};
use super::keys::{EXPORT, POLL};
use super::section::Section;
use super::sheet::Node;
use super::{Idle, Parameters, Poll};
use crate::core::export::{Label, MAX_LABEL, Places, Rule, Source, SourceError};
use crate::core::json::{Pattern, Pointer, PointerError};

/// How many series one entry may make, unless it says otherwise.
const SERIES: usize = 1000;
/// How many any entry may make.
const MOST_SERIES: u64 = 100_000;
/// Beginnings of names that pollcast's own metrics have, or Prometheus' own.
const TAKEN: [&str; 4] = ["pollcast_", "process_", "scrape_", "__"];
/// Ends of names that mean something else than a gauge.
const ENDS: [&str; 6] = ["_total", "_sum", "_count", "_bucket", "_created", "_info"];

/// What metrics mean so far, over all feeds: help and names of labels.
#[derive(Default)]
pub(super) struct Meanings(HashMap<String, (String, Vec<String>)>);

/// Reads the entries of `export` of a feed, and has it polled for the sake of them.
pub(super) fn export(
    feed: &Section<'_>,
    parameters: Option<&Parameters>,
    poll: &mut Poll,
    meanings: &mut Meanings,
) -> Vec<Rule> {
    let Some(node) = feed.find("export") else {
        return Vec::new();
    };
    let items = node.items();
    if parameters.is_some() && !items.is_empty() {
        node.problem(
            "the topics of this feed are what clients ask for, and would make metrics as they like",
            "export from a feed without captures, `forward_query`, `client_body` and `per_credential`",
        );
    } else if !items.is_empty() {
        keep_polling(feed, poll);
    }
    let rules = items.iter().map(|item| rule(item, meanings));
    rules.collect()
}

/// Prometheus listens, too.
fn keep_polling(feed: &Section<'_>, poll: &mut Poll) {
    let section = feed.section("poll", &POLL);
    match section.find("idle") {
        None => poll.idle = Idle::Keep,
        Some(node) if poll.idle == Idle::Pause => node.warning(
            "the feed is not polled while nobody listens, so that its exported metrics are absent then",
            "write `keep`, or remove it: that is the default with `export`",
        ),
        Some(_) => {}
    }
}

fn rule(item: &Node<'_>, meanings: &mut Meanings) -> Rule {
    let section = item.section(&EXPORT);
    let metric = section.require("metric", "name it, as in \"orders_open\"");
    let (each, depth) = each(&section);
    let rule = Rule {
        metric: metric.as_ref().and_then(metric_name).unwrap_or_default(),
        help: help(&section),
        each,
        value: section
            .find("value")
            .and_then(|node| pointer(&node, Pointer::parse))
            .unwrap_or_default(),
        labels: labels(&section, depth),
        max_series: section
            .find("max_series")
            .and_then(|node| node.integer(1..=MOST_SERIES))
            .map_or(SERIES, |number| number as usize),
    };
    if let Some(node) = metric.filter(|_| !rule.metric.is_empty()) {
        meanings.hold(&node, &rule);
    }
    rule
}

impl Meanings {
    /// Refuses a metric that means something else elsewhere: it has one help and one set of labels.
    fn hold(&mut self, node: &Node<'_>, rule: &Rule) {
        let names: Vec<String> = rule.labels.iter().map(|(name, _)| name.clone()).collect();
        let own = (rule.help.clone(), names);
        let known = self
            .0
            .entry(rule.metric.clone())
            .or_insert_with(|| own.clone());
        if known.0 != own.0 {
            node.problem(
                "an earlier entry exports this metric with another `help`",
                "write the same, or export another metric",
            );
        }
        if known.1 != own.1 {
            let names = match known.1.is_empty() {
                true => "no label".to_owned(),
                false => format!("these labels: {}", known.1.join(", ")),
            };
            node.problem(
                format!("an earlier entry exports this metric with {names}"),
                "write the same ones, or export another metric",
            );
        }
    }
}

fn metric_name(node: &Node<'_>) -> Option<String> {
    let scalar = node.text()?;
    let name = scalar.text.as_str();
    let refused = if !is_name(name) {
        (
            "is no name of a metric",
            "write letters of a-z, digits and `_`, with the unit at its end, as in \"tank_level_meters\"",
        )
    } else if name == "up" || TAKEN.iter().any(|taken| name.starts_with(taken)) {
        (
            "may be a metric of pollcast or of Prometheus itself",
            "choose another name",
        )
    } else if ENDS.iter().any(|end| name.ends_with(end)) {
        (
            "ends as the name of a counter, histogram or info does, and this is a gauge",
            "choose another end, such as the unit",
        )
    } else {
        return Some(scalar.text);
    };
    node.problem(format!("{} {}", scalar.shown(), refused.0), refused.1);
    None
}

fn help(section: &Section<'_>) -> String {
    let node = section.require("help", "say what the number means, and in which unit");
    let Some((node, scalar)) = node.and_then(|node| node.text().map(|scalar| (node, scalar)))
    else {
        return String::new();
    };
    if scalar.text.trim().is_empty() {
        node.problem(
            "there is no text",
            "say what the number means, and in which unit",
        );
    }
    scalar.text
}

/// The places, and how many steps lead to each; none if nobody can know.
fn each(section: &Section<'_>) -> (Places, Option<usize>) {
    let document = || (Places::Steps(Vec::new()), Some(0));
    let Some(node) = section.find("each") else {
        return document();
    };
    let Some(scalar) = node.text() else {
        return document();
    };
    if scalar.text.is_empty() {
        return document();
    }
    if scalar.text.starts_with('$') {
        let path = json_path(&node, &scalar);
        return path.map_or_else(document, |path| (Places::Path(path), None));
    }
    let Some(pattern) = pointer(&node, Pattern::parse) else {
        return document();
    };
    let steps = pattern.tokens().to_vec();
    let depth = steps.len();
    (Places::Steps(steps), Some(depth))
}

/// The labels, sorted by name.
fn labels(section: &Section<'_>, depth: Option<usize>) -> Vec<(String, Label)> {
    let mut labels: Vec<(String, Label)> = Vec::new();
    for key in ["labels", "constants"] {
        let entries = section.find(key).map_or_else(Vec::new, |node| node.named());
        for (name, node) in entries {
            let label = match key {
                "labels" => source(&node, depth).map(Label::Found),
                _ => constant(&node).map(Label::Text),
            };
            if let Some((what, remedy)) = refusal(&name) {
                node.problem(what, remedy);
            } else if labels.iter().any(|(known, _)| *known == name) {
                node.problem("`labels` has this label as well", "remove one of them");
            } else if let Some(label) = label {
                labels.push((name, label));
            }
        }
    }
    labels.sort_by(|a, b| a.0.cmp(&b.0));
    labels
}

/// Why a label cannot be called so, and the remedy.
fn refusal(name: &str) -> Option<(&'static str, &'static str)> {
    const REMEDY: &str = "choose another name";
    match name {
        "feed" => Some((
            "every exported metric has this label already: the feed's path",
            "remove it",
        )),
        "le" | "quantile" => Some(("this label belongs to histograms and summaries", REMEDY)),
        _ if name.starts_with("__") => {
            Some(("labels that begin with `__` are Prometheus' own", REMEDY))
        }
        _ if is_name(name) => None,
        _ => Some((
            "this is no name of a label",
            "write letters of a-z, digits and `_`",
        )),
    }
}

/// Where a label's value is.
fn source(node: &Node<'_>, depth: Option<usize>) -> Option<Source> {
    let scalar = node.text()?;
    let source = match Source::parse(&scalar.text) {
        Ok(source) => source,
        Err(error) => {
            let why = match error {
                SourceError::Pointer(error @ PointerError::Escape) => format!(": {error}"),
                _ => String::new(),
            };
            node.problem(
                format!("{} does not say where the label is{why}", scalar.shown()),
                "write a JSON Pointer from the place on, as in \"/name\"; \"1/name\" from one step above it; \"0#\" for what the place is called; or, under `constants`, the text itself",
            );
            return None;
        }
    };
    match depth {
        Some(depth) if source.depth() <= depth => Some(source),
        None if source.depth() == 0 => Some(source),
        Some(depth) => {
            let what = format!(
                "{} leads above the document, which is {depth} steps above the place",
                scalar.shown()
            );
            node.problem(what, "take fewer steps up");
            None
        }
        None => {
            node.problem(
                format!("{} leads above the place, and nobody knows what is above the places of a JSONPath", scalar.shown()),
                "write `each` as a JSON Pointer, in which * matches any member or element",
            );
            None
        }
    }
}

fn constant(node: &Node<'_>) -> Option<String> {
    let scalar = node.scalar()?;
    if scalar.text.len() > MAX_LABEL {
        node.problem(
            "the text is too long",
            format!("write {MAX_LABEL} bytes or fewer"),
        );
        return None;
    }
    Some(scalar.text)
}

/// Whether Prometheus takes it for the name of a label, and of a metric that is no rule's.
fn is_name(text: &str) -> bool {
    let rest = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=200).contains(&text.len())
        && text.chars().all(rest)
        && !text.starts_with(|c: char| c.is_ascii_digit())
}
