//! Writing a recording, a line at a time.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::SystemTime;

use super::{HEAD, VERSION};
use crate::cli::subscribe::{Change, Event};
use crate::core::json::Json;

/// The whole document is written once more when the changes since have taken so many times its
/// size: a recording that is cut begins soon, and grows by a quarter at most.
const APART: usize = 4;

/// Appends lines. Each is written at once and whole, so that the file is one at any time.
pub struct Writer<W> {
    out: W,
    /// Bytes of changes since the last whole document.
    since_whole: usize,
    lines: u64,
    bytes: u64,
}

impl<W: Write> Writer<W> {
    /// Goes on where `out` stands.
    pub fn new(out: W) -> Self {
        Self {
            out,
            since_whole: 0,
            lines: 0,
            bytes: 0,
        }
    }

    /// The first line: what this is, and where from.
    ///
    /// # Errors
    /// If there is no room, or nobody reads it.
    pub fn begin(&mut self, from: &str, path: &str) -> io::Result<()> {
        let (from, path) = (text(from), text(path));
        let now = now();
        let head = format!(r#"{HEAD}{VERSION},"at":"{now}","from":{from},"path":{path}}}"#);
        self.write(head)
    }

    /// An event and what it made of the document.
    ///
    /// # Errors
    /// As [`Writer::begin`].
    pub fn event(&mut self, event: &Event, change: &Change) -> io::Result<()> {
        self.write(format!(r#"{{"at":"{}",{}}}"#, now(), event.members()))?;
        self.since_whole += event.data.len();
        match change {
            Change::Whole { .. } => self.since_whole = 0,
            Change::Patched { after, .. } => self.whole_if_due(after)?,
            _ => {}
        }
        Ok(())
    }

    fn whole_if_due(&mut self, document: &Arc<Json>) -> io::Result<()> {
        // Short of that, its size needs not be known.
        let most = self.since_whole / APART;
        if document.encoded_len(most).is_none() {
            return Ok(());
        }
        self.since_whole = 0;
        let document = document.encode();
        let document = String::from_utf8_lossy(&document);
        self.write(format!(r#"{{"at":"{}","document":{document}}}"#, now()))
    }

    /// A stream has begun.
    ///
    /// # Errors
    /// As [`Writer::begin`].
    pub fn connected(&mut self, resumed: bool) -> io::Result<()> {
        let now = now();
        self.write(format!(
            r#"{{"at":"{now}","connection":"open","resumed":{resumed}}}"#
        ))
    }

    /// There is no stream.
    ///
    /// # Errors
    /// As [`Writer::begin`].
    pub fn lost(&mut self, why: &str) -> io::Result<()> {
        let (now, why) = (now(), text(why));
        self.write(format!(
            r#"{{"at":"{now}","connection":"lost","reason":{why}}}"#
        ))
    }

    /// Where it is written.
    pub fn out(&mut self) -> &mut W {
        &mut self.out
    }

    /// How many lines and bytes were written.
    pub fn written(&self) -> (u64, u64) {
        (self.lines, self.bytes)
    }

    fn write(&mut self, mut line: String) -> io::Result<()> {
        line.push('\n');
        self.out.write_all(line.as_bytes())?;
        self.out.flush()?;
        self.lines += 1;
        self.bytes += line.len() as u64;
        Ok(())
    }
}

fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn now() -> impl std::fmt::Display {
    humantime::format_rfc3339_millis(SystemTime::now())
}
