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
}

impl Printer {
    /// `json`: one line of JSON for each event.
    pub fn new(json: bool) -> Self {
        Self {
            json,
            document: None,
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
            name => format!("{name} {}", event.data),
        }
    }

    /// A line for each operation, each after a line feed.
    fn patch(&mut self, data: &str) -> String {
        let mut text = String::new();
        let patch = match Patch::parse(data.as_bytes()) {
            Ok(patch) => patch,
            Err(error) => {
                self.note(&error.to_string());
                return text;
            }
        };
        let Some(document) = &mut self.document else {
            return format!("\n  {data}");
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
