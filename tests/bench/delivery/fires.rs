//! Bytes for one subscriber with gzip who is always caught up, over a recording of a real
//! endpoint, beside polling that endpoint with gzip.

use std::error::Error;
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
/// Silence after which something is wrong.
const PATIENCE: Duration = Duration::from_secs(20);

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
    let last = bodies.last().ok_or("the recording is empty")?;
    let last: Value = serde_json::from_slice(last).map_err(|failure| failure.to_string())?;
    let mut upstream = Role::start("recording", &[recording.display().to_string()]);
    let proxy = Proxy::start(&upstream.answer(), Transport::Gzip, INTERVAL)?;
    let mut chunks = subscribe(&proxy).map_err(|failure| failure.to_string())?;
    let mut lines = BufReader::new(GzDecoder::new(&mut chunks)).lines();
    let mut held = next_document(&mut lines, Value::Null)?;
    upstream.command("go");
    while held != last {
        held = next_document(&mut lines, held)?;
    }
    drop(lines);
    Ok(Bytes {
        polls: bodies.len(),
        polling: bodies.iter().map(|body| packed(body)).sum(),
        stream: chunks.payload,
    })
}

/// Reads on to the next snapshot or patch, and does as it says.
fn next_document(
    lines: &mut impl Iterator<Item = io::Result<String>>,
    mut held: Value,
) -> Result<Value, String> {
    let mut kind = String::new();
    loop {
        let line = lines.next().ok_or("the stream ended")?;
        let line = line.map_err(|failure| format!("before the last document: {failure}"))?;
        if let Some(name) = line.strip_prefix("event: ") {
            kind = name.to_owned();
        }
        let Some(text) = line.strip_prefix("data: ") else {
            continue;
        };
        let wrong = |failure: &dyn Error| format!("{kind}: {failure}");
        match kind.as_str() {
            "snapshot" => return serde_json::from_str(text).map_err(|failure| wrong(&failure)),
            "patch" => {
                let patch: json_patch::Patch =
                    serde_json::from_str(text).map_err(|failure| wrong(&failure))?;
                json_patch::patch(&mut held, &patch).map_err(|failure| wrong(&failure))?;
                return Ok(held);
            }
            _ => {}
        }
    }
}

fn subscribe(proxy: &Proxy) -> io::Result<Chunks> {
    let mut stream = TcpStream::connect(proxy.address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = "GET /feed HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\n\
                   accept-encoding: gzip\r\n\r\n";
    stream.write_all(request.as_bytes())?;
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    if !head.to_lowercase().contains("content-encoding: gzip") {
        return Err(io::Error::other("events are not compressed"));
    }
    Ok(Chunks {
        stream,
        left: 0,
        payload: 0,
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
        let mut lines = io::stdin().lines().map_while(Result::ok);
        let told = lines.try_for_each(|_| go.send(()));
        // Nobody is there to say more.
        std::process::exit(told.is_err().into());
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
