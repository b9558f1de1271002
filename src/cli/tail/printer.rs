//! Events for people, or for scripts.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::parser::Event;
use crate::core::json::{self, Json, Operation, Patch, Pointer};

/// The longest value shown, in characters.
const SHOWN: usize = 100;

/// Prints events, and follows the document so that a change can show what was there before.
#[derive(Debug)]
pub struct Printer {
    json: bool,
    document: Option<Json>,
    /// The id of the event before.
    last_id: String,
}

impl Printer {
    /// `json`: one line of JSON for each event.
    pub fn new(json: bool) -> Self {
        Self {
            json,
            document: None,
            last_id: String::new(),
        }
    }

    /// Prints one event.
    ///
    /// # Errors
    /// If nobody reads it any more.
    pub fn print(&mut self, event: &Event) -> io::Result<()> {
        let text = match self.json {
            true => line(event),
            false => self.told(event),
        };
        writeln!(io::stdout(), "{text}")
    }

    /// Says something about the connection; never among a script's lines.
    pub fn note(&self, text: &str) {
        let _ = writeln!(io::stderr(), "-- {text}");
    }

    fn told(&mut self, event: &Event) -> String {
        let position = event.id.rsplit('-').next().unwrap_or_default();
        let is_new = self.last_id != event.id;
        self.last_id.clone_from(&event.id);
        let size = event.data.len();
        match event.name.as_str() {
            "snapshot" => {
                let mut text = format!("#{position} snapshot, {size} bytes");
                self.document = json::parse(event.data.as_bytes()).ok();
                if let Some(document) = &self.document {
                    let _ = write!(text, "\n  {}", shown(document));
                }
                text
            }
            "patch" => {
                let text = format!("#{position} patch, {size} bytes");
                text + &self.patch(&event.data)
            }
            "merge" => {
                let text = format!("#{position} merge, {size} bytes");
                text + &self.merge(&event.data)
            }
            // Of the events of one change only the last has an id of its own.
            name @ ("added" | "changed" | "removed") => match is_new {
                true => format!("#{position} {name}{}", item(&event.data)),
                false => format!("{name}{}", item(&event.data)),
            },
            name => format!("{name} {}", event.data),
        }
    }

    /// A line for each operation, each after a line feed.
    fn patch(&mut self, data: &str) -> String {
        match Patch::parse(data.as_bytes()) {
            Ok(patch) if self.document.is_some() => self.carry_out(patch),
            Ok(_) => format!("\n  {data}"),
            Err(error) => {
                self.note(&error.to_string());
                String::new()
            }
        }
    }

    /// The same for a merge patch, as the operations that it comes to.
    fn merge(&mut self, data: &str) -> String {
        let Some(document) = &self.document else {
            return format!("\n  {data}");
        };
        let Ok(merge) = json::parse(data.as_bytes()) else {
            self.note("this merge patch is not usable");
            return String::new();
        };
        let mut operations = Vec::new();
        merged(&merge, Some(document), "", &mut operations);
        self.carry_out(Patch(operations))
    }

    fn carry_out(&mut self, patch: Patch) -> String {
        let mut text = String::new();
        let Some(document) = &mut self.document else {
            return text;
        };
        for operation in patch.0 {
            let _ = write!(text, "\n  {}", described(&operation, document));
            if let Err(error) = Patch(vec![operation]).apply(document) {
                self.document = None;
                self.note(&format!("this patch does not fit: {error}"));
                return text;
            }
        }
        text
    }
}

/// What RFC 7396 section 2 makes of `before`, at this path, as operations.
fn merged(merge: &Json, before: Option<&Json>, path: &str, operations: &mut Vec<Operation>) {
    let Ok(pointer) = Pointer::parse(path) else {
        return;
    };
    match (merge, before) {
        (Json::Null, None) => {}
        (Json::Null, Some(_)) => operations.push(Operation::Remove { path: pointer }),
        (Json::Object(members), Some(Json::Object(held))) => {
            for (name, value) in members.iter() {
                let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
                merged(value, held.get(name), &path, operations);
            }
        }
        (value, before) => {
            let (path, value) = (pointer, value.clone());
            operations.push(match before {
                Some(_) => Operation::Replace { path, value },
                None => Operation::Add { path, value },
            });
        }
    }
}

/// The key and the item, or what changed in it, each after a line feed.
fn item(data: &str) -> String {
    let told = json::parse(data.as_bytes()).ok();
    let member = |name| told.as_ref().and_then(|told| at(told, name));
    let (Some(key), Some(item)) = (member("/key"), member("/item")) else {
        return format!(" {data}");
    };
    let operations = member("/patch").and_then(|patch| Patch::parse(&patch.encode()).ok());
    match operations {
        None => format!(" {}  {}", shown(key), shown(item)),
        Some(patch) => {
            let mut text = format!(" {}", shown(key));
            for operation in patch.0 {
                let _ = write!(text, "\n  {}", set(&operation));
            }
            text
        }
    }
}

fn at<'a>(value: &'a Json, pointer: &str) -> Option<&'a Json> {
    value.select(&Pointer::parse(pointer).ok()?)
}

/// An operation on a value that is not at hand.
fn set(operation: &Operation) -> String {
    match operation {
        Operation::Replace { path, value } => format!("~ {path}  {}", shown(value)),
        Operation::Remove { path } => format!("- {path}"),
        other => described(other, &Json::Null),
    }
}

/// The event as one line of JSON; `data` stays a value where it is one.
fn line(event: &Event) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let data = match json::parse(event.data.as_bytes()) {
        Ok(_) => event.data.replace('\n', " "),
        Err(_) => text(&event.data),
    };
    let mut line = String::new();
    let _ = write!(
        line,
        r#"{{"event":{},"id":{},"data":{data}}}"#,
        text(&event.name),
        text(&event.id)
    );
    line
}

fn described(operation: &Operation, document: &Json) -> String {
    let before = |path: &Pointer| document.select(path).map_or("nothing".into(), shown);
    match operation {
        Operation::Add { path, value } => format!("+ {path}  {}", shown(value)),
        Operation::Remove { path } => format!("- {path}  {}", before(path)),
        Operation::Replace { path, value } => {
            format!("~ {path}  {} -> {}", before(path), shown(value))
        }
        Operation::Move { from, path } => format!("> {from} -> {path}"),
        Operation::Copy { from, path } => format!("= {from} -> {path}"),
        Operation::Test { path, value } => format!("? {path}  {}", shown(value)),
    }
}

fn shown(value: &Json) -> String {
    let text = String::from_utf8_lossy(&value.encode()).into_owned();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
