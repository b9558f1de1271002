//! From the bytes of an answer to events: framing, compression and the syntax of event streams, by
//! an understanding of the standards of our own.

use std::io::{Error, ErrorKind, Write};

use flate2::write::GzDecoder;

/// An answer's head.
#[derive(Debug, Default)]
pub struct Head {
    pub status: u16,
    pub chunked: bool,
    pub gzip: bool,
    pub events: bool,
}

impl Head {
    /// Reads a head without its empty line.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let mut head = Self {
            status,
            ..Self::default()
        };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            match (name.to_ascii_lowercase().as_str(), value.trim()) {
                ("transfer-encoding", "chunked") => head.chunked = true,
                ("content-encoding", "gzip") => head.gzip = true,
                ("content-type", "text/event-stream") => head.events = true,
                _ => {}
            }
        }
        Some(head)
    }
}

/// One event as it stands in the stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Event {
    pub name: String,
    pub id: Option<String>,
    pub data: Option<String>,
}

/// An event stream as far as it was read.
pub struct Stream {
    chunks: Option<Chunks>,
    gzip: Option<GzDecoder<Vec<u8>>>,
    lines: Vec<u8>,
    event: Event,
}

impl Stream {
    pub fn new(head: &Head) -> Self {
        Self {
            chunks: head.chunked.then(Chunks::default),
            gzip: head.gzip.then(|| GzDecoder::new(Vec::new())),
            lines: Vec::new(),
            event: Event::default(),
        }
    }

    /// Takes in what arrived and gives out what is complete.
    pub fn take(&mut self, bytes: &[u8]) -> std::io::Result<Vec<Event>> {
        let mut plain = match &mut self.chunks {
            Some(chunks) => chunks.take(bytes)?,
            None => bytes.to_vec(),
        };
        if let Some(gzip) = &mut self.gzip {
            gzip.write_all(&plain)?;
            gzip.flush()?;
            plain = std::mem::take(gzip.get_mut());
        }
        self.lines.extend(plain);
        let mut events = Vec::new();
        let mut begin = 0;
        while let Some(length) = self.lines[begin..].iter().position(|byte| *byte == b'\n') {
            let line = std::str::from_utf8(&self.lines[begin..begin + length]);
            let line = line.map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
            begin += length + 1;
            if line.is_empty() {
                events.push(std::mem::take(&mut self.event));
                continue;
            }
            match line.split_once(": ").unwrap_or((line, "")) {
                ("event", name) => name.clone_into(&mut self.event.name),
                ("id", id) => self.event.id = Some(id.to_owned()),
                ("data", data) => self.event.data = Some(data.to_owned()),
                ("retry" | ":", _) => {}
                _ => return Err(broken("a line that no standard knows")),
            }
        }
        self.lines.drain(..begin);
        Ok(events)
    }

    /// Whether the body had its proper end, if its framing has one.
    pub fn is_finished(&self) -> bool {
        self.chunks.as_ref().is_none_or(|chunks| chunks.finished)
    }

    /// Whether everything that arrived belongs to a complete event.
    pub fn is_between_events(&self) -> bool {
        self.lines.is_empty() && self.event == Event::default()
    }
}

/// The chunked transfer coding of RFC 9112 section 7.1, without trailers.
#[derive(Default)]
struct Chunks {
    line: Vec<u8>,
    /// Bytes of the chunk that are still to come, its CRLF included.
    left: usize,
    finished: bool,
}

impl Chunks {
    fn take(&mut self, mut bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut payload = Vec::with_capacity(bytes.len());
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 2 {
                let length = bytes.len().min(self.left - 2);
                payload.extend_from_slice(&bytes[..length]);
                self.left -= length;
                bytes = &bytes[length..];
                continue;
            }
            bytes = rest;
            if self.left > 0 {
                if *first != [b'\n', b'\r'][self.left - 1] {
                    return Err(broken("a chunk that does not end where it should"));
                }
                self.left -= 1;
            } else if self.finished {
                // The empty line behind the last chunk.
                if !b"\r\n".contains(first) {
                    return Err(broken("bytes behind the last chunk"));
                }
            } else if *first == b'\n' {
                let text = std::str::from_utf8(&self.line).unwrap_or_default();
                let size = usize::from_str_radix(text.trim_end(), 16);
                let size = size.map_err(|_| broken("no size of a chunk"))?;
                self.line.clear();
                match size {
                    0 => self.finished = true,
                    size => self.left = size + 2,
                }
            } else {
                self.line.push(*first);
            }
        }
        Ok(payload)
    }
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}
