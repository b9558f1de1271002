//! An upstream that keeps every byte it is sent, reads it as strictly as RFC 9112 allows, and
//! answers each request with what it was: whoever gets another's answer can tell.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A running recorder; its threads end with the process.
pub struct Recorder {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

/// What came, over all connections.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Whole requests, each as `METHOD target body`.
    pub requests: Vec<String>,
    /// Their heads as they came.
    pub heads: Vec<String>,
    /// What no strict server would have taken, and why.
    pub faults: Vec<String>,
}

impl Recorder {
    /// Listens on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::<Mutex<Seen>>::default();
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || converse(stream, &kept));
            }
        });
        Self { address, seen }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything so far, which is forgotten here.
    pub fn take(&self) -> Seen {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

fn converse(mut stream: TcpStream, seen: &Mutex<Seen>) {
    let mut bytes = Vec::new();
    loop {
        match message(&bytes) {
            Ok(Some((message, length))) => {
                bytes.drain(..length);
                let answer = message.request.clone();
                let mut seen = seen.lock().unwrap();
                seen.requests.push(message.request);
                seen.heads.push(message.head);
                drop(seen);
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                    answer.len()
                );
                let is_head = answer.starts_with("HEAD ");
                let body = if is_head { "" } else { &answer };
                if stream
                    .write_all(format!("{head}{body}").as_bytes())
                    .is_err()
                {
                    return;
                }
            }
            Ok(None) => {
                let mut piece = [0; 4096];
                match stream.read(&mut piece) {
                    Ok(0) | Err(_) => return,
                    Ok(read) => bytes.extend_from_slice(&piece[..read]),
                }
            }
            Err(why) => {
                let bytes = bytes.escape_ascii();
                let mut seen = seen.lock().unwrap();
                seen.faults.push(format!("{why}: {bytes}"));
                return;
            }
        }
    }
}

struct Message {
    request: String,
    head: String,
}

/// The message at the beginning of these bytes and its length, if it is whole.
fn message(bytes: &[u8]) -> Result<Option<(Message, usize)>, String> {
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "a head that is no text")?;
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let words: Vec<_> = line.split(' ').collect();
    let [method, target, "HTTP/1.1"] = words[..] else {
        return Err("no request line".to_owned());
    };
    if !is_token(method) || target.is_empty() || !target.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("no request line".to_owned());
    }
    let mut fields = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or("a line without a colon")?;
        if !is_token(name) {
            return Err(format!("no field name: {name:?}"));
        }
        let value = value.strip_prefix(' ').unwrap_or(value);
        let is_odd = |c: char| c.is_control() && c != '\t';
        if value.contains(is_odd) || value.trim_matches([' ', '\t']) != value {
            return Err(format!("no field value: {value:?}"));
        }
        fields.push((name.to_ascii_lowercase(), value));
    }
    let all = |name: &str| -> Vec<&str> {
        let of = fields.iter().filter(|(each, _)| each == name);
        of.map(|(_, value)| *value).collect()
    };
    if all("host").len() != 1 {
        return Err("not one host".to_owned());
    }
    let body = &bytes[end + 4..];
    let (content, length) = match (&all("transfer-encoding")[..], &all("content-length")[..]) {
        ([], []) => (Vec::new(), 0),
        (["chunked"], []) => match chunks(body)? {
            Some(read) => read,
            None => return Ok(None),
        },
        ([], [length]) => {
            if length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
                return Err("no length".to_owned());
            }
            let length: usize = length.parse().map_err(|_| "no length")?;
            match body.get(..length) {
                Some(body) => (body.to_vec(), length),
                None => return Ok(None),
            }
        }
        _ => return Err("an ambiguous length".to_owned()),
    };
    let content = String::from_utf8_lossy(&content);
    let message = Message {
        request: format!("{method} {target} {content}"),
        head: head.to_owned(),
    };
    Ok(Some((message, end + 4 + length)))
}

/// A chunked body without extensions and trailers, and its length on the wire.
fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Some(end) = find(&bytes[at..], b"\r\n") else {
            return Ok(None);
        };
        let digits = &bytes[at..at + end];
        let text = std::str::from_utf8(digits).map_err(|_| "no size")?;
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(format!("no size of a chunk: {text:?}"));
        }
        let size = usize::from_str_radix(text, 16).map_err(|_| "no size")?;
        at += end + 2;
        let Some(chunk) = bytes.get(at..at + size + 2) else {
            return Ok(None);
        };
        if !chunk.ends_with(b"\r\n") {
            return Err("a chunk without an end".to_owned());
        }
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn is_token(text: &str) -> bool {
    let is_tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(is_tchar)
}
