//! Events in words: a line for each thing that changed, with what was there before.

use super::page::Page;
use super::rows::{length, size};
use super::unified::unified;
use super::words;
use crate::cli::subscribe::{Change, Event};
use crate::cli::terminal::{Ink, Paint, harmless, shortened};

/// Tells events.
#[derive(Debug)]
pub struct Teller {
    paint: Paint,
    /// Whether changes are told as differences of the indented document.
    diff: bool,
    /// The id of the event before, and of the last one that told a document.
    last_id: String,
    document_id: String,
}

impl Teller {
    /// `diff`: as unified diffs.
    pub fn new(paint: Paint, diff: bool) -> Self {
        Self {
            paint,
            diff,
            last_id: String::new(),
            document_id: String::new(),
        }
    }

    /// The event in one or more lines, each with its end. `time` goes before it; `width` is that
    /// of the terminal.
    pub fn tell(
        &mut self,
        event: &Event,
        change: &Change,
        time: &str,
        width: Option<usize>,
    ) -> String {
        let is_new = self.last_id != event.id;
        self.last_id.clone_from(&event.id);
        let position = match is_new || self.told_whole(change) {
            true => position(&event.id),
            false => String::new(),
        };
        let mut head = String::new();
        for (ink, part) in [(Ink::Aside, time), (Ink::Position, &position)] {
            if !part.is_empty() {
                head += &self.paint.with(ink, part);
                head.push(' ');
            }
        }
        let spent = length(time) + length(&position) + 2;
        let page = Page::new(self.paint, width.map(|width| width.saturating_sub(spent)));
        let before = std::mem::replace(&mut self.document_id, event.id.clone());
        let (before, now) = (mark(&before), mark(&event.id));
        match change {
            Change::Whole {
                before: Some(old),
                after,
            }
            | Change::Patched {
                before: old, after, ..
            } if self.diff => {
                let hunks = unified(old, after, self.paint);
                let old = self.paint.with(Ink::Old, &format!("--- {before}"));
                let new = self.paint.with(Ink::New, &format!("+++ {now}"));
                let title = format!("{head}{}, {}", event.name, size(event.data.len()));
                match hunks.is_empty() {
                    true => format!("{title}, the same document\n"),
                    false => format!("{title}\n{old}\n{new}\n{hunks}"),
                }
            }
            Change::Whole { before, after } => head + &page.whole(before.as_ref(), after, event),
            Change::Patched {
                before, operations, ..
            } => head + &page.operations(operations, Some(before), event),
            Change::Blind(operations) => head + &page.operations(operations, None, event),
            Change::Item(item) => head + &page.item(&event.name, item),
            Change::Word(members) => {
                let words = words::told(&event.name, members);
                head + &self.paint.with(Ink::Warning, &harmless(&words)) + "\n"
            }
            Change::Other => head + &page.raw(event),
        }
    }

    fn told_whole(&self, change: &Change) -> bool {
        matches!(change, Change::Whole { .. })
    }
}

/// `#17` for an id of pollcast's; nothing where there is none.
fn position(id: &str) -> String {
    match id.rsplit('-').next() {
        Some(last) if !last.is_empty() => format!("#{}", shortened(last, 24)),
        _ => String::new(),
    }
}

fn mark(id: &str) -> String {
    match position(id) {
        position if position.is_empty() => "document".to_owned(),
        position => position,
    }
}
