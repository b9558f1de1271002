//! Documents, operations and values in the room that a line has.

use std::fmt::Write as _;
use std::sync::Arc;

use super::rows::{between, key, length, row, size, text};
use crate::cli::subscribe::Event;
use crate::cli::terminal::{Ink, Paint, harmless, shortened};
use crate::core::json::{Json, Operation, Patch, Pointer};

/// The longest value shown where no terminal says how wide it is, in characters.
const SHOWN: usize = 100;
/// A value is not cut shorter than this, however narrow the terminal.
const LEAST: usize = 16;

/// Where an event is told: the colours, and the room behind its head.
pub struct Page {
    paint: Paint,
    room: Option<usize>,
}

impl Page {
    /// `room`: columns left; none where no terminal says how wide it is.
    pub fn new(paint: Paint, room: Option<usize>) -> Self {
        Self { paint, room }
    }

    /// A whole document: what became another, if there was one before.
    pub fn whole(&self, before: Option<&Arc<Json>>, after: &Json, event: &Event) -> String {
        let mut text = format!("{}, {}", event.name, size(event.data.len()));
        let count = match after {
            Json::Array(items) => Some((items.len(), "element")),
            Json::Object(members) => Some((members.len(), "member")),
            _ => None,
        };
        if let Some((count, what)) = count {
            let _ = write!(
                text,
                ", {count} {what}{}",
                if count == 1 { "" } else { "s" }
            );
        }
        match before.map(|before| (before, between(before, after))) {
            Some((_, Some(patch))) if patch.0.is_empty() => text + ", the same as before\n",
            Some((before, Some(patch))) => text + "\n" + &self.lines(&patch.0, Some(before)),
            _ => {
                let shown = self.value(after, 0);
                format!("{text}\n  {shown}\n")
            }
        }
    }

    /// One operation beside the head, several below it.
    pub fn operations(
        &self,
        operations: &[Operation],
        before: Option<&Arc<Json>>,
        event: &Event,
    ) -> String {
        match operations.len() {
            0 => format!("{}, nothing changed\n", event.name),
            1 => self.lines(operations, before).trim_start().to_owned(),
            count => format!("{count} changes\n{}", self.lines(operations, before)),
        }
    }

    fn lines(&self, operations: &[Operation], before: Option<&Arc<Json>>) -> String {
        let mut text = String::new();
        let mut line = |operation: &Operation, document: Option<&Json>| {
            let _ = writeln!(text, "  {}", self.line(operation, document));
        };
        match before {
            None => operations
                .iter()
                .for_each(|operation| line(operation, None)),
            Some(before) => {
                let mut document = Json::clone(before);
                // It fits: it was applied before it was told.
                let patch = Patch(operations.to_vec());
                let shown =
                    |operation: &Operation, document: &Json| line(operation, Some(document));
                let _ = patch.apply_watched(&mut document, shown);
            }
        }
        text
    }

    fn line(&self, operation: &Operation, document: Option<&Json>) -> String {
        let path = harmless(&operation.path().to_string());
        let path = if path.is_empty() {
            "/".to_owned()
        } else {
            path
        };
        let row = document.and_then(|document| row(document, operation.path()));
        let row = row
            .map(|(name, key)| format!("  ({name} {})", self.value(&key, 0)))
            .unwrap_or_default();
        let aside = |text: &str| self.paint.with(Ink::Aside, text);
        let taken = path.chars().count() + row.chars().count() + 8;
        let at = |path: &Pointer| document.and_then(|document| document.select(path));
        match operation {
            Operation::Add { value, .. } => {
                let sign = self.paint.with(Ink::New, &format!("+ {path}"));
                format!("{sign}  {}", self.item_value(value, taken))
            }
            Operation::Remove { path: place } => {
                let sign = self.paint.with(Ink::Old, &format!("- {path}"));
                match at(place) {
                    Some(value) => format!("{sign}  {}", self.item_value(value, taken)),
                    None => sign,
                }
            }
            Operation::Replace { path: place, value } => {
                let sign = self.paint.with(Ink::Changed, &format!("~ {path}"));
                let (old, new) = self.pair(at(place), value, taken);
                let new = self.paint.with(Ink::New, &new);
                match old {
                    Some(old) => {
                        let old = self.paint.with(Ink::Old, &old);
                        format!("{sign}  {old} -> {new}{}", aside(&row))
                    }
                    None => format!("{sign}  {new}{}", aside(&row)),
                }
            }
            Operation::Move { from, .. } => {
                let from = harmless(&from.to_string());
                self.paint.with(Ink::Moved, &format!("> {from} -> {path}"))
            }
            Operation::Copy { from, .. } => {
                let from = harmless(&from.to_string());
                self.paint.with(Ink::New, &format!("= {from} -> {path}"))
            }
            Operation::Test { value, .. } => format!("? {path}  {}", self.value(value, taken)),
        }
    }

    /// Two values that share the room that is left.
    fn pair(&self, old: Option<&Json>, new: &Json, taken: usize) -> (Option<String>, String) {
        let Some(room) = self.room else {
            return (old.map(|old| self.value(old, 0)), self.value(new, 0));
        };
        let room = room.saturating_sub(taken);
        let (old, new) = (old.map(text), text(new));
        let (first, second) = (old.as_deref().map_or(0, length), length(&new));
        // A short one leaves its room to the other.
        let half = room / 2;
        let most = |this: usize, other: usize| match this + other <= room {
            true => this,
            false => half.max(room.saturating_sub(other)).max(LEAST),
        };
        (
            old.map(|old| shortened(&old, most(first, second))),
            shortened(&new, most(second, first)),
        )
    }

    /// A whole row by its key, and what there is room for of the rest.
    fn item_value(&self, value: &Json, taken: usize) -> String {
        match key(value) {
            Some((name, key)) => {
                let key = format!("{name} {}", self.value(key, taken));
                let shown = self.value(value, taken + length(&key) + 2);
                format!("{key}  {}", self.paint.with(Ink::Aside, &shown))
            }
            None => self.value(value, taken),
        }
    }

    /// One item of a feed that tells items.
    pub fn item(&self, name: &str, item: &Json) -> String {
        let ink = match name {
            "added" => Ink::New,
            "removed" => Ink::Old,
            _ => Ink::Changed,
        };
        let (Some(key), Some(value)) = (item.child("key"), item.child("item")) else {
            return format!("{name} {}\n", self.value(item, name.len()));
        };
        let key = self.value(key, name.len());
        let title = self.paint.with(ink, &format!("{name} {key}"));
        let patch = item.child("patch");
        match patch.and_then(|patch| Patch::parse(&patch.encode()).ok()) {
            None => format!(
                "{title}  {}\n",
                self.value(value, name.len() + length(&key) + 3)
            ),
            Some(patch) => format!("{title}\n{}", self.lines(&patch.0, None)),
        }
    }

    /// An event that nobody here knows.
    pub fn raw(&self, event: &Event) -> String {
        let name = match event.name.as_str() {
            "" => "message".to_owned(),
            name => harmless(name),
        };
        let room = self
            .room
            .map_or(usize::MAX, |room| room.saturating_sub(length(&name) + 1));
        let data = event.data.replace('\n', " ");
        format!("{name} {}\n", shortened(&data, room.max(LEAST)))
    }

    /// A value in the room that is left when so many columns are taken.
    fn value(&self, value: &Json, taken: usize) -> String {
        let room = self
            .room
            .map_or(SHOWN, |room| room.saturating_sub(taken + 2).max(LEAST));
        shortened(&text(value), room)
    }
}
