//! The events of a feed as they are written in a configuration: modes, names, history.

use super::Events;
use super::keys::{HISTORY, NAMES};
use super::section::Section;
use super::sheet::Node;
use crate::core::event::{EventName, EventNameError, Mode, Names};
use crate::core::log::Bounds;

/// The modes that a later version brings.
const LATER: [&str; 2] = ["merge", "items"];

/// Reads the section `events`.
pub(super) fn events(section: &Section<'_>) -> Events {
    let modes = modes(section);
    let history = section.section("history", &HISTORY);
    let events = history
        .find("events")
        .and_then(|node| node.integer(1..=10_000_000));
    let bytes = history
        .find("bytes")
        .and_then(|node| node.size(1 << 10..=1 << 40));
    Events {
        mode: mode(section, &modes),
        modes,
        names: names(&section.section("names", &NAMES)),
        history: Bounds {
            events: events.map_or(1000, |number| number as usize),
            bytes: bytes.unwrap_or(16 << 20),
        },
    }
}

/// What clients may choose; at least one, distinct.
fn modes(section: &Section<'_>) -> Vec<Mode> {
    let Some(node) = section.find("modes") else {
        return Mode::STANDARD.to_vec();
    };
    let items = node.items();
    if matches!(node.value(), serde_yaml::Value::Sequence(_)) && items.is_empty() {
        node.problem("no mode is allowed", "list `patch`, `snapshot` or both");
    }
    let mut modes = Vec::new();
    for item in &items {
        match one_mode(item) {
            Some(mode) if modes.contains(&mode) => {
                item.problem(format!("`{mode}` is listed twice"), "remove one");
            }
            Some(mode) => modes.push(mode),
            None => {}
        }
    }
    // A list that could not be read must not make `mode` wrong as well.
    if modes.len() < items.len() || modes.is_empty() {
        Mode::STANDARD.to_vec()
    } else {
        modes
    }
}

/// What clients that do not choose get: `patch` if it is allowed, else the first that is.
fn mode(section: &Section<'_>, modes: &[Mode]) -> Mode {
    let standard = match modes {
        [first, ..] if !modes.contains(&Mode::Patch) => *first,
        _ => Mode::Patch,
    };
    let Some(node) = section.find("mode") else {
        return standard;
    };
    let Some(mode) = one_mode(&node) else {
        return standard;
    };
    if !modes.contains(&mode) {
        node.problem(
            format!("`{mode}` is not among `modes`"),
            "add it there, or choose another",
        );
    }
    mode
}

fn one_mode(node: &Node<'_>) -> Option<Mode> {
    let scalar = node.text()?;
    let later = |mode: &Mode| LATER.contains(&mode.name());
    let mode = scalar.text.parse().ok().filter(|mode| !later(mode));
    if mode.is_none() {
        let what = match LATER.contains(&scalar.text.as_str()) {
            true => "is not supported yet",
            false => "is no mode",
        };
        node.problem(
            format!("{} {what}", scalar.shown()),
            "write `patch` or `snapshot`",
        );
    }
    mode
}

/// The names on the wire. Two events may both be unnamed, which makes one `onmessage` see them
/// all, as long as that is asked for; any other name belongs to one event.
fn names(section: &Section<'_>) -> Names {
    let mut names = Names::default();
    let fields: [(&'static str, &mut EventName); 5] = [
        ("snapshot", &mut names.snapshot),
        ("patch", &mut names.patch),
        ("reset", &mut names.reset),
        ("status", &mut names.status),
        ("end", &mut names.end),
    ];
    for (key, field) in fields {
        if let Some(name) = section.find(key).and_then(|node| event_name(&node)) {
            *field = name;
        }
    }
    let mut earlier: Vec<(&'static str, &EventName)> = Vec::new();
    for (key, name) in named(&names) {
        let twin = earlier
            .iter()
            .find(|(_, other)| same(other, name) && !is_default(name));
        if let Some((other, _)) = twin {
            // One of the two was written; the default name of the other is taken.
            let node = section.find(key).or_else(|| section.find(other));
            node.unwrap_or_else(|| section.node.clone()).problem(
                format!("`{other}` and `{key}` have the same name, so that clients cannot tell them apart"),
                "give each a name of its own",
            );
        }
        earlier.push((key, name));
    }
    names
}

/// Each event with its name.
pub(super) fn named(names: &Names) -> [(&'static str, &EventName); 5] {
    [
        ("snapshot", &names.snapshot),
        ("patch", &names.patch),
        ("reset", &names.reset),
        ("status", &names.status),
        ("end", &names.end),
    ]
}

/// Whether EventSource dispatches both under one name: `message` is what it calls the unnamed.
pub(super) fn same(a: &EventName, b: &EventName) -> bool {
    a == b || (is_default(a) && is_default(b))
}

fn is_default(name: &EventName) -> bool {
    matches!(name.as_str(), "" | "message")
}

/// Reads an event's name, and keeps a text that came from outside the file out of the message.
pub(super) fn event_name(node: &Node<'_>) -> Option<EventName> {
    let scalar = node.text()?;
    let shown = scalar.shown();
    match EventName::new(scalar.text) {
        Ok(name) => return Some(name),
        Err(EventNameError::Reserved(_)) => node.problem(
            format!("{shown} collides with EventSource's own event of that name"),
            "choose another name",
        ),
        Err(EventNameError::Control) => node.problem(
            format!("{shown} holds a line break or NUL, which no event name can"),
            "choose another name",
        ),
    }
    None
}
