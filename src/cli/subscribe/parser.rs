//! Reading an event stream (WHATWG HTML, sections 9.2.5 and 9.2.6).

use std::fmt::Write as _;
use std::time::Duration;

use crate::core::json;

/// One dispatched event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The `event` field; empty for the default event.
    pub name: String,
    /// The last event id as of this event.
    pub id: String,
    /// The `data` lines, joined by line feeds.
    pub data: String,
}

impl Event {
    /// The event as members of a JSON object, on one line: `"event":…,"id":…,"data":…`. The data
    /// stays a value where it is one, and is a string otherwise.
    pub fn members(&self) -> String {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let data = match json::parse(self.data.as_bytes()) {
            // Between the tokens of a value a line break is as good as a space.
            Ok(_) => self.data.replace(['\n', '\r'], " "),
            Err(_) => text(&self.data),
        };
        let (name, id) = (text(&self.name), text(&self.id));
        without_controls(format!("\"event\":{name},\"id\":{id},\"data\":{data}"))
    }
}

/// JSON lets control characters from U+007F on stand in texts, and some terminals obey them.
fn without_controls(json: String) -> String {
    if !json.contains(char::is_control) {
        return json;
    }
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            // Between the tokens of a value.
            '\t' => out.push(' '),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// Turns bytes into events. Outlives connections: the last id and the retry time stay.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    after_cr: bool,
    /// Whether the stream's first line is complete; a byte order mark stands before it only.
    begun: bool,
    name: String,
    data: String,
    id: String,
    last_id: String,
    retry: Option<Duration>,
}

impl Parser {
    /// Takes the next bytes, in whatever pieces they come.
    pub fn feed(&mut self, bytes: &[u8], mut dispatch: impl FnMut(Event)) {
        for &byte in bytes {
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\r' | b'\n' => {
                    let line = std::mem::take(&mut self.line);
                    if let Some(event) = self.end_of_line(&line) {
                        dispatch(event);
                    }
                }
                byte => self.line.push(byte),
            }
        }
    }

    /// How many bytes of an event that is not complete are kept.
    pub fn pending(&self) -> usize {
        self.line.len() + self.data.len()
    }

    /// The connection is gone: what was begun is discarded.
    pub fn disconnected(&mut self) {
        self.line.clear();
        self.name.clear();
        self.data.clear();
        self.id.clone_from(&self.last_id);
        (self.begun, self.after_cr) = (false, false);
    }

    fn end_of_line(&mut self, line: &[u8]) -> Option<Event> {
        let begun = std::mem::replace(&mut self.begun, true);
        let line = match line.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) if !begun => rest,
            _ => line,
        };
        let line = String::from_utf8_lossy(line);
        if line.is_empty() {
            return self.end_of_block();
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "retry" if value.bytes().all(|digit| digit.is_ascii_digit()) => {
                self.retry = value.parse().map(Duration::from_millis).ok().or(self.retry);
            }
            _ => {}
        }
        None
    }

    fn end_of_block(&mut self) -> Option<Event> {
        self.last_id.clone_from(&self.id);
        let name = std::mem::take(&mut self.name);
        let mut data = std::mem::take(&mut self.data);
        data.pop()?;
        Some(Event {
            name,
            id: self.last_id.clone(),
            data,
        })
    }

    /// Begins anew, or after this id.
    pub fn resume_after(&mut self, id: &str) {
        self.disconnected();
        id.clone_into(&mut self.last_id);
        id.clone_into(&mut self.id);
    }

    /// The id to resume with; empty for none.
    pub fn last_id(&self) -> &str {
        &self.last_id
    }

    /// How long to wait before the next connection, if the server said so.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pieces: &[&[u8]]) -> (Vec<(String, String, String)>, Parser) {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for piece in pieces {
            parser.feed(piece, |event| {
                events.push((event.name, event.id, event.data));
            });
        }
        (events, parser)
    }

    fn event(name: &str, id: &str, data: &str) -> (String, String, String) {
        (name.into(), id.into(), data.into())
    }

    #[test]
    fn the_examples_of_the_standard_parse() {
        let (events, _) = parse(&[b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n"]);
        assert_eq!(
            events,
            [event("", "1", "first event"), event("", "", "second event")]
        );
        let (events, _) = parse(&[b"data\n\ndata\ndata\n\ndata:"]);
        assert_eq!(events, [event("", "", ""), event("", "", "\n")]);
    }

    #[test]
    fn every_line_ending_and_every_split_give_the_same() {
        let text = "\u{feff}id: 7\r\nevent: patch\rdata: \u{e4}\ndata: b\r\n\r\nretry: 12\n\n";
        let (whole, parser) = parse(&[text.as_bytes()]);
        assert_eq!(whole, [event("patch", "7", "\u{e4}\nb")]);
        assert_eq!(parser.retry(), Some(Duration::from_millis(12)));
        for at in 0..text.len() {
            let (head, tail) = text.as_bytes().split_at(at);
            assert_eq!(parse(&[head, tail]).0, whole, "split at {at}");
        }
    }

    #[test]
    fn a_broken_connection_keeps_the_id_of_whole_events_only() {
        let (_, mut parser) = parse(&[b"id: 1\ndata: a\n\nid: 2\ndata: b"]);
        parser.disconnected();
        assert_eq!(parser.last_id(), "1");
    }

    #[test]
    fn members_do_nothing_to_a_terminal() {
        let mut event = Event {
            name: "\u{9b}2J".to_owned(),
            id: "\u{1b}\u{7f}".to_owned(),
            data: "{\"\u{9b}\":\t\n\"\u{7f}ü\"}".to_owned(),
        };
        assert_eq!(
            event.members(),
            r#""event":"\u009b2J","id":"\u001b\u007f","data":{"\u009b":  "\u007fü"}"#
        );
        event.data = "no \u{9b}JSON".to_owned();
        assert!(event.members().ends_with(r#""data":"no \u009bJSON""#));
    }
}
