//! A client that follows one path for ever: applies what it gets, by implementations that are not
//! ours, judges each state, and comes back with its last id whenever the stream breaks.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::ledger::Ledger;
use super::upstream::document;

/// What one client holds.
pub struct Client {
    pub path: String,
    pub held: Option<Value>,
    pub id: Option<String>,
}

impl Client {
    /// Follows the path until the ledger is closed.
    pub fn follow(mut self, address: SocketAddr, ledger: &Arc<Ledger>) {
        while !ledger.is_closed() {
            if self.stream(address, ledger).is_none() {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }

    fn stream(&mut self, address: SocketAddr, ledger: &Ledger) -> Option<()> {
        let mut stream = TcpStream::connect(address).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .ok()?;
        let id = self.id.as_ref();
        let id = id.map_or_else(String::new, |id| format!("last-event-id: {id}\r\n"));
        let (path, head) = (&self.path, "host: kills\r\naccept: text/event-stream\r\n");
        stream
            .write_all(format!("GET {path} HTTP/1.0\r\n{head}{id}\r\n").as_bytes())
            .ok()?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if !line.contains(" 200 ") {
            return None;
        }
        while line.trim() != "" {
            line.clear();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        }
        if self.id.is_some() {
            ledger.resumed();
        }
        let (mut name, mut id, mut data) = (String::new(), None, String::new());
        loop {
            line.clear();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            // An event that the end of the stream cut off was never dispatched.
            let text = line.strip_suffix('\n')?;
            match text.split_once(": ") {
                Some(("event", value)) => value.clone_into(&mut name),
                Some(("id", value)) => id = Some(value.to_owned()),
                Some(("data", value)) => value.clone_into(&mut data),
                _ if text.is_empty() => {
                    self.take(&name, id.take(), &data, ledger);
                    name.clear();
                    data.clear();
                }
                _ => {}
            }
        }
    }

    fn take(&mut self, name: &str, id: Option<String>, data: &str, ledger: &Ledger) {
        let value = || serde_json::from_str::<Value>(data).expect("JSON");
        match name {
            "snapshot" => self.held = Some(value()),
            "patch" => {
                let patch: json_patch::Patch = serde_json::from_str(data).expect("a patch");
                let held = self.held.as_mut();
                let applied = held.map(|held| json_patch::patch(held, &patch));
                if !matches!(applied, Some(Ok(()))) {
                    ledger.wrong(format!("{}: {id:?} does not fit: {data}", self.path));
                    return;
                }
            }
            "reset" => ledger.reset(format!("{} {:?}: {data}", self.path, self.id)),
            _ => {}
        }
        let Some(id) = id else {
            return;
        };
        let held = self.held.as_ref().unwrap_or(&Value::Null);
        let n = held["n"].as_u64().unwrap_or(0);
        if *held != document(&self.path, n) {
            ledger.wrong(format!(
                "{}: {id} leads to a state that never was",
                self.path
            ));
        }
        ledger.saw(&self.path, &id, n);
        self.id = Some(id);
    }
}
