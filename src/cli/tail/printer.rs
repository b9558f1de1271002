//! Events for people, or for scripts.

use std::fmt::Write as _;

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
    pub fn print(&mut self, event: &Event) {
        if self.json {
            println!("{}", line(event));
            return;
        }
        let position = event.id.rsplit('-').next().unwrap_or_default();
        let size = event.data.len();
        match event.name.as_str() {
            "snapshot" => {
                println!("#{position} snapshot, {size} bytes");
                self.document = json::parse(event.data.as_bytes()).ok();
                if let Some(document) = &self.document {
                    println!("  {}", shown(document));
                }
            }
            "patch" => {
                println!("#{position} patch, {size} bytes");
                self.patch(&event.data);
            }
            name => println!("{name} {}", event.data),
        }
    }

    /// Says something about the connection; never among a script's lines.
    pub fn note(&self, text: &str) {
        eprintln!("-- {text}");
    }

    fn patch(&mut self, data: &str) {
        let patch = match Patch::parse(data.as_bytes()) {
            Ok(patch) => patch,
            Err(error) => return self.note(&error.to_string()),
        };
        let Some(document) = &mut self.document else {
            println!("  {data}");
            return;
        };
        for operation in patch.0 {
            println!("  {}", described(&operation, document));
            if let Err(error) = Patch(vec![operation]).apply(document) {
                self.document = None;
                return self.note(&format!("this patch does not fit: {error}"));
            }
        }
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
