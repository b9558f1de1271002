//! A client that reads event streams by its own understanding of WHATWG HTML section 9.2, byte by
//! byte from the socket, so that nothing of ours stands between the wire and the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::PATIENCE;

/// One event, comment or retry line of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    Event {
        name: String,
        id: Option<String>,
        data: String,
    },
    Comment,
    /// An id without an event: nothing is dispatched, the position moves.
    Id(String),
    Retry(u64),
}

/// An answer whose body is still to be read.
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    reader: BufReader<TcpStream>,
    body: Body,
}

enum Body {
    /// Bytes left in the current chunk.
    Chunked(usize),
    Length(usize),
    UntilClose,
    Done,
}

/// Sends a raw request and reads the answer's head.
pub fn raw(address: SocketAddr, request: &[u8]) -> Response {
    over(
        TcpStream::connect(address).expect("the proxy accepts"),
        request,
    )
}

/// The same on a connection that is there already.
pub fn over(mut stream: TcpStream, request: &[u8]) -> Response {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(request).expect("a request");
    Response::read(BufReader::new(stream), request)
}

/// A GET with these headers.
pub fn get(address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Response {
    request(address, "GET", target, headers, b"")
}

/// Any request with these headers and this body.
pub fn request(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {address}\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        head += &format!("content-length: {}\r\n", body.len());
    }
    head += "\r\n";
    raw(address, &[head.as_bytes(), body].concat())
}

/// Subscribes as a browser would.
pub fn subscribe(address: SocketAddr, target: &str) -> Response {
    get(address, target, &[("accept", "text/event-stream")])
}

/// Subscribes with a last event id.
pub fn resume(address: SocketAddr, target: &str, id: &str) -> Response {
    let headers = [("accept", "text/event-stream"), ("last-event-id", id)];
    get(address, target, &headers)
}

impl Response {
    fn read(mut reader: BufReader<TcpStream>, request: &[u8]) -> Self {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a status line");
        let status = line
            .split(' ')
            .nth(1)
            .unwrap_or_else(|| panic!("a status line: {line:?}"));
        let status = status.trim().parse().expect("a status");
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a header");
            match line.trim_end().split_once(':') {
                Some((name, value)) => {
                    headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
                }
                None => break,
            }
        }
        let mut response = Self {
            status,
            headers,
            reader,
            body: Body::UntilClose,
        };
        response.body = match (
            response.header("transfer-encoding"),
            response.header("content-length"),
        ) {
            (Some("chunked"), _) => Body::Chunked(0),
            (_, Some(length)) => Body::Length(length.parse().expect("a length")),
            _ if matches!(status, 204 | 304) => Body::Done,
            _ => Body::UntilClose,
        };
        if request.starts_with(b"HEAD ") || (100..200).contains(&status) {
            response.body = Body::Done;
        }
        response
    }

    /// Reads this answer to its end, then sends the next request on the same connection.
    pub fn again(mut self, request: &[u8]) -> Response {
        while self.byte().is_some() {}
        self.reader.get_mut().write_all(request).expect("a request");
        Response::read(self.reader, request)
    }

    /// Whether the connection is closed without another byte.
    pub fn closed(mut self) -> bool {
        while self.byte().is_some() {}
        matches!(self.reader.read(&mut [0]), Ok(0) | Err(_))
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(each, _)| each == name)
            .map(|(_, value)| value.as_str())
    }

    /// Every value of this name, joined as one list.
    pub fn header_list(&self, name: &str) -> String {
        let values: Vec<_> = self
            .headers
            .iter()
            .filter(|(each, _)| each == name)
            .map(|(_, value)| value.as_str())
            .collect();
        values.join(", ")
    }

    /// The next byte of the body; `None` at its proper end.
    ///
    /// # Panics
    /// If the body ends before its framing says so.
    pub fn byte(&mut self) -> Option<u8> {
        match &mut self.body {
            Body::Done => None,
            Body::Length(0) => None,
            Body::Length(left) => {
                *left -= 1;
                Some(self.exact())
            }
            Body::UntilClose => {
                let mut byte = [0];
                let read = self.reader.read(&mut byte).expect("a byte in time");
                (read == 1).then_some(byte[0])
            }
            Body::Chunked(0) => {
                let mut size = String::new();
                self.reader.read_line(&mut size).expect("a chunk size");
                assert!(
                    !size.is_empty(),
                    "the connection ended without a last chunk"
                );
                let size = usize::from_str_radix(size.trim(), 16).expect("a chunk size");
                self.body = Body::Chunked(size);
                if size == 0 {
                    self.end_of_chunk();
                    self.body = Body::Done;
                    return None;
                }
                self.byte()
            }
            Body::Chunked(left) => {
                *left -= 1;
                let last = *left == 0;
                let byte = self.exact();
                if last {
                    self.end_of_chunk();
                }
                Some(byte)
            }
        }
    }

    fn exact(&mut self) -> u8 {
        let mut byte = [0];
        self.reader
            .read_exact(&mut byte)
            .expect("a byte of the body");
        byte[0]
    }

    fn end_of_chunk(&mut self) {
        let mut end = String::new();
        self.reader.read_line(&mut end).expect("the chunk's end");
        assert_eq!(end, "\r\n", "a chunk ends with CRLF");
    }

    /// The whole body as text.
    pub fn text(mut self) -> String {
        let bytes: Vec<u8> = std::iter::from_fn(|| self.byte()).collect();
        String::from_utf8(bytes).expect("text")
    }

    /// The next block of an event stream; `None` at the stream's proper end.
    pub fn block(&mut self) -> Option<Block> {
        let (mut name, mut id, mut data, mut retry) = (String::new(), None, None, None);
        let mut seen = false;
        loop {
            let line = self.line()?;
            if line.is_empty() {
                if let Some(data) = data {
                    return Some(Block::Event { name, id, data });
                }
                if let Some(retry) = retry {
                    return Some(Block::Retry(retry));
                }
                if let Some(id) = id {
                    return Some(Block::Id(id));
                }
                if seen {
                    return Some(Block::Comment);
                }
                continue;
            }
            seen = true;
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" => {}
                "event" => name = value.to_owned(),
                "id" => id = Some(value.to_owned()),
                "retry" => retry = Some(value.parse().expect("milliseconds")),
                "data" => {
                    let lines: &mut String = data.get_or_insert_with(String::new);
                    if !lines.is_empty() {
                        lines.push('\n');
                    }
                    lines.push_str(value);
                }
                field => panic!("a field that no standard knows: {field:?}"),
            }
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        loop {
            match self.byte() {
                Some(b'\n') => return Some(String::from_utf8(line).expect("text")),
                Some(byte) => line.push(byte),
                None if line.is_empty() => return None,
                None => panic!("the stream ended within a line"),
            }
        }
    }

    /// The next event of any name, passing over comments and retry lines.
    pub fn event(&mut self) -> Option<Event> {
        loop {
            match self.block()? {
                Block::Event { name, id, data } => {
                    let value = serde_json::from_str(&data).expect("data is JSON on one line");
                    return Some(Event {
                        name,
                        id,
                        data,
                        value,
                    });
                }
                Block::Comment | Block::Id(_) | Block::Retry(_) => {}
            }
        }
    }

    /// The next event, which must have this name.
    pub fn expect(&mut self, name: &str) -> Event {
        let event = self
            .event()
            .unwrap_or_else(|| panic!("the stream ended before {name:?}"));
        assert_eq!(event.name, name, "data: {}", event.data);
        event
    }

    /// What arrives of the body within this time, without waiting for more.
    pub fn silence(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let stream = self.reader.get_ref();
        stream.set_read_timeout(Some(time)).expect("a timeout");
        let quiet = self.reader.buffer().is_empty() && self.reader.fill_buf().is_err();
        let stream = self.reader.get_ref();
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        quiet && Instant::now() >= until
    }

    /// The connection itself.
    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }
}

/// One event with its data read.
#[derive(Clone, Debug)]
pub struct Event {
    pub name: String,
    pub id: Option<String>,
    pub data: String,
    pub value: Value,
}
