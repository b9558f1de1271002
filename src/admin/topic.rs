//! `/api/topic`: one topic, with its document and what happened to it lately.
//!
//! Promises bounds, however large the document and its patches are; that numbers stay as the upstream
//! wrote them; and that of a private topic nothing is shown but sizes and times.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::json;
use super::parts::{Key, Noise, Quiet, taught};
use super::topics::Summary;
use crate::core::event::Timestamp;
use crate::core::trail::{Outcome, Polled};
use crate::hub::{Recent, Topic};

/// The longest document that is shown, in bytes.
const DOCUMENT: usize = 256 << 10;
/// The longest patches that are shown, in bytes, all together; the newest go first.
const PATCHES: usize = 64 << 10;
/// What is nested deeper is not shown: the whole must stay readable as a document.
const DEPTH: usize = 100;

#[derive(Serialize)]
struct Shown<'a> {
    feed: &'a str,
    #[serde(flatten)]
    summary: Summary,
    last_event_id: Option<String>,
    history_bytes: usize,
    quiet: Option<Quiet>,
    noise: Vec<Noise>,
    keys: Vec<Key>,
    document: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document_omitted: Option<&'static str>,
    events: Vec<Event>,
    polls: Vec<Poll<'a>>,
}

#[derive(Serialize)]
struct Event {
    id: String,
    at: String,
    document_bytes: usize,
    forms: BTreeMap<&'static str, Form>,
    #[serde(skip_serializing_if = "Option::is_none")]
    omitted: Option<&'static str>,
}

#[derive(Serialize)]
struct Form {
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct Poll<'a> {
    at: String,
    outcome: &'static str,
    took_ms: u32,
    body_bytes: u32,
    event_id: Option<String>,
    reason: Option<&'a str>,
}

/// All of it, compact JSON.
pub(super) fn text(topic: &Topic, now: Timestamp) -> String {
    let (report, glance) = (topic.report(), topic.glance(DOCUMENT));
    let (keys, noise) = taught(topic.feed(), report.lessons.clone());
    let is_private = topic.feed().is_confidential();
    let (document, document_omitted) = match is_private {
        true => (None, Some("private")),
        false => document(glance.document),
    };
    let mut room = PATCHES;
    let events = glance.recent.into_iter();
    let poll = |poll| Poll::new(poll, |sequence| topic.event_id(sequence).to_string());
    json(&Shown {
        feed: &topic.feed().path,
        summary: Summary::new(topic, &report),
        last_event_id: report.last_event_id.map(|id| id.to_string()),
        history_bytes: report.history_bytes,
        quiet: Quiet::of(&report, now),
        noise,
        keys,
        document,
        document_omitted,
        events: events
            .map(|recent| Event::new(recent, is_private, &mut room))
            .collect(),
        polls: glance.trail.polls().map(poll).collect(),
    })
}

/// The document, or why it is not shown.
fn document(
    newest: Option<(usize, Option<Bytes>)>,
) -> (Option<Box<RawValue>>, Option<&'static str>) {
    match newest {
        None => (None, Some("none")),
        Some((_, text)) => match text.as_ref().and_then(raw) {
            None => (None, Some("too_large")),
            shown => (shown, None),
        },
    }
}

impl Event {
    fn new(recent: Recent, is_private: bool, room: &mut usize) -> Self {
        let mut omitted = None;
        let mut forms = BTreeMap::new();
        for (mode, (bytes, text)) in recent.forms {
            let data = match (is_private, text) {
                (_, None) => None,
                (true, _) => {
                    omitted = Some("private");
                    None
                }
                (false, Some(text)) => {
                    let data = Some(text).filter(|text| text.len() <= *room);
                    let data = data.as_ref().and_then(raw);
                    match &data {
                        Some(_) => *room -= bytes,
                        None => omitted = Some("too_large"),
                    }
                    data
                }
            };
            forms.insert(mode.name(), Form { bytes, data });
        }
        Self {
            id: recent.id.to_string(),
            at: recent.at.to_string(),
            document_bytes: recent.document_bytes,
            forms,
            omitted,
        }
    }
}

impl<'a> Poll<'a> {
    fn new(poll: &'a Polled, id: impl Fn(u64) -> String) -> Self {
        let (event_id, reason) = match &poll.outcome {
            Outcome::Changed(sequence) => (Some(id(*sequence)), None),
            Outcome::Failed(failure) => (None, Some(failure.reason.as_str())),
            Outcome::Unchanged | Outcome::NotModified => (None, None),
        };
        Self {
            at: poll.at.to_string(),
            outcome: poll.outcome.word(),
            took_ms: poll.took,
            body_bytes: poll.body_bytes,
            event_id,
            reason,
        }
    }
}

/// JSON text as it is; none if it is nested too deeply.
fn raw(text: &Bytes) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(text).ok()?;
    let is_flat = depth(text) <= DEPTH;
    is_flat
        .then(|| RawValue::from_string(text.to_owned()).ok())
        .flatten()
}

/// How deeply arrays and objects of a JSON text are nested.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => drop(bytes.next()),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_what_is_no_text() {
        for (text, expected) in [
            ("1", 0),
            (r#""[[[""#, 0),
            (r#"["\\",["\"[["]]"#, 2),
            (r#"{"a":[{}],"b":[]}"#, 3),
        ] {
            assert_eq!(depth(text), expected, "{text}");
        }
        let nested = |n| Bytes::from("[".repeat(n) + &"]".repeat(n));
        assert!(raw(&nested(DEPTH)).is_some());
        assert!(raw(&nested(DEPTH + 1)).is_none());
    }
}
