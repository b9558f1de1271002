//! Bytes for one subscriber with gzip who is always caught up, over a recording of a real
//! endpoint, beside polling that endpoint with gzip.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::crowd::Transport;
use crate::pollcast::Proxy;
use crate::process::{self, Role};

/// What `zstd --long` allows at most.
const WINDOW_LOG: u32 = 27;
/// The shortest interval there is, in ms.
const INTERVAL: u32 = 10;

#[derive(Clone, Copy, Debug)]
pub struct Bytes {
    pub polls: usize,
    /// All bodies, each compressed by itself at gzip's own level, 6.
    pub polling: u64,
    /// The stream's body as it came, chunk framing not counted.
    pub stream: u64,
}

/// Where the recording is, if the environment says so.
pub fn recording() -> Option<PathBuf> {
    Some(Path::new(&std::env::var_os("POLLCAST_CORPUS")?).join("fires.ndjson.zst"))
}

/// # Errors
/// When the stream does not lead to the last document.
pub fn run(recording: &Path) -> Result<Bytes, String> {
    let bodies = bodies(recording).map_err(|failure| failure.to_string())?;
    let polling = bodies.iter().map(|body| packed(body)).sum();
    let mut upstream = Role::start("recording", &[recording.display().to_string()]);
    let proxy = Proxy::start(&upstream.answer(), Transport::Gzip, INTERVAL)?;
    let mut stream = TcpStream::connect(proxy.address).map_err(|failure| failure.to_string())?;
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a socket");
    let request = "GET /feed HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\n\
                   accept-encoding: gzip\r\n\r\n";
    stream
        .write_all(request.as_bytes())
        .map_err(|failure| failure.to_string())?;
    let mut chunks = Chunks::after_head(BufReader::new(stream))?;
    // The recording goes on when the first snapshot has come.
    let mut events = BufReader::new(GzDecoder::new(&mut chunks)).lines();
    let last: Value = serde_json::from_slice(&bodies[bodies.len() - 1]).expect("checked before");
    let mut held = Value::Null;
    let mut kind = String::new();
    let mut has_begun = false;
    while held != last {
        let line = events.next().ok_or("the stream ended")?;
        let line = line.map_err(|failure| format!("before the last document: {failure}"))?;
        if let Some(name) = line.strip_prefix("event: ") {
            kind = name.to_owned();
        }
        let Some(text) = line.strip_prefix("data: ") else {
            continue;
        };
        let told: Value = serde_json::from_str(text).map_err(|failure| failure.to_string())?;
        match kind.as_str() {
            "snapshot" => held = told,
            "patch" => {
                let patch: json_patch::Patch =
                    serde_json::from_value(told).map_err(|failure| failure.to_string())?;
                json_patch::patch(&mut held, &patch).map_err(|failure| failure.to_string())?;
            }
            _ => {}
        }
        if !std::mem::replace(&mut has_begun, true) {
            upstream.command("go");
        }
    }
    drop(events);
    Ok(Bytes {
        polls: bodies.len(),
        polling,
        stream: chunks.payload,
    })
}

fn packed(body: &[u8]) -> u64 {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(body).and_then(|()| encoder.finish());
    written.expect("memory takes everything").len() as u64
}

/// A chunked body.
struct Chunks {
    stream: BufReader<TcpStream>,
    left: usize,
    payload: u64,
}

impl Chunks {
    fn after_head(mut stream: BufReader<TcpStream>) -> Result<Self, String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match stream
                .read_line(&mut head)
                .map_err(|failure| failure.to_string())?
            {
                0 => return Err("no answer".to_owned()),
                _ => {}
            }
        }
        match head.to_lowercase().contains("content-encoding: gzip") {
            true => Ok(Self {
                stream,
                left: 0,
                payload: 0,
            }),
            false => Err("not there: events are not compressed".to_owned()),
        }
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            let mut size = String::new();
            self.stream.read_line(&mut size)?;
            let size = size.trim();
            if !size.is_empty() {
                self.left = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
                if self.left == 0 {
                    return Ok(0);
                }
            }
        }
        let most = buffer.len().min(self.left);
        let read = self.stream.read(&mut buffer[..most])?;
        self.left -= read;
        self.payload += read as u64;
        Ok(read)
    }
}

/// The recorded bodies that are JSON.
fn bodies(recording: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut decoder = zstd::Decoder::new(File::open(recording)?)?;
    decoder.window_log_max(WINDOW_LOG)?;
    let mut bodies = Vec::new();
    for line in BufReader::new(decoder).lines() {
        let record: Value = serde_json::from_str(&line?)?;
        let body = record["body"].as_str().unwrap_or_default();
        if serde_json::from_str::<Value>(body).is_ok() {
            bodies.push(body.as_bytes().to_vec());
        }
    }
    Ok(bodies)
}

/// The upstream: says where it listens, answers with the first body until told to go on, and then
/// with one after the other.
pub fn upstream(recording: &Path) -> io::Result<()> {
    let mut bodies = bodies(recording)?.into_iter();
    let listener = process::listen()?;
    let (go, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        io::stdin()
            .lines()
            .map_while(Result::ok)
            .try_for_each(|_| go.send(()))
    });
    let mut body = bodies.next().unwrap_or_default();
    let mut goes = false;
    for stream in listener.incoming() {
        let stream = stream?;
        let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
        while lines.by_ref().take_while(|line| !line.is_empty()).count() > 0 {
            goes |= told.try_recv().is_ok();
            if goes && let Some(next) = bodies.next() {
                body = next;
            }
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            if (&stream)
                .write_all(&[head.as_bytes(), &body].concat())
                .is_err()
            {
                break;
            }
        }
    }
    Ok(())
}
