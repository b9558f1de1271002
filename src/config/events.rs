//! The events of a feed as they are written in a configuration: modes, names, history.

use super::Events;
use super::keys::{HISTORY, NAMES};
use super::section::Section;
use super::sheet::Node;
use crate::core::event::{EventName, EventNameError, Mode, Names};
use crate::core::log::Bounds;

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
        names: names(&section.section("names", &NAMES), &modes),
        modes,
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
        node.problem(
            "no mode is allowed",
            "list some of `patch`, `merge`, `items`, `snapshot`",
        );
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
    let mode = scalar.text.parse().ok();
    if mode.is_none() {
        node.problem(
            format!("{} is no mode", scalar.shown()),
            "write `patch`, `merge`, `items` or `snapshot`",
        );
    }
    mode
}

/// The names on the wire.
fn names(section: &Section<'_>, modes: &[Mode]) -> Names {
    let mut names = Names::default();
    let fields: [(&'static str, &mut EventName); 9] = [
        ("snapshot", &mut names.snapshot),
        ("patch", &mut names.patch),
        ("merge", &mut names.merge),
        ("added", &mut names.added),
        ("changed", &mut names.changed),
        ("removed", &mut names.removed),
        ("reset", &mut names.reset),
        ("status", &mut names.status),
        ("end", &mut names.end),
    ];
    for (key, field) in fields {
        let Some(node) = section.find(key) else {
            continue;
        };
        if let Some(name) = event_name(&node) {
            *field = name;
        }
        if let Some(mode) = mode_of(key)
            && !modes.contains(&mode)
        {
            node.warning(
                format!("`{mode}` is not among `modes`, so that no such event is sent"),
                "add it there, or remove this key",
            );
        }
    }
    refuse_twins(section, &named(&names, modes));
    names
}

/// Events may be unnamed together, which makes one `onmessage` see them all, as long as that is
/// asked for and their data differ; any other name belongs to one event.
fn refuse_twins(section: &Section<'_>, names: &[(&'static str, &EventName)]) {
    for (index, (key, name)) in names.iter().enumerate() {
        let mut earlier = names[..index].iter();
        let same = |other: &&&(&str, &EventName)| same(other.1, name);
        let (what, twin) = match is_default(name) {
            false => ("have the same name", earlier.find(|other| same(&other))),
            true => (
                "are both unnamed and look the same",
                earlier.find(|other| same(&other) && *key == "removed" && is_item(other.0)),
            ),
        };
        if let Some((other, _)) = twin {
            // One of the two was written; the default name of the other is taken.
            let node = section.find(key).or_else(|| section.find(other));
            node.unwrap_or_else(|| section.node.clone()).problem(
                format!("`{other}` and `{key}` {what}, so that clients cannot tell them apart"),
                "give each a name of its own",
            );
        }
    }
}

/// Each event that a feed with these modes sends, with its name.
pub(super) fn named<'a>(names: &'a Names, modes: &[Mode]) -> Vec<(&'static str, &'a EventName)> {
    let all = [
        ("snapshot", &names.snapshot),
        ("patch", &names.patch),
        ("merge", &names.merge),
        ("added", &names.added),
        ("changed", &names.changed),
        ("removed", &names.removed),
        ("reset", &names.reset),
        ("status", &names.status),
        ("end", &names.end),
    ];
    let sent = |key| mode_of(key).is_none_or(|mode| modes.contains(&mode));
    all.into_iter().filter(|(key, _)| sent(key)).collect()
}

/// The mode without which an event is never sent; none for those that every subscriber may get.
fn mode_of(event: &str) -> Option<Mode> {
    match event {
        "patch" => Some(Mode::Patch),
        "merge" => Some(Mode::Merge),
        event if is_item(event) => Some(Mode::Items),
        _ => None,
    }
}

fn is_item(event: &str) -> bool {
    matches!(event, "added" | "changed" | "removed")
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
