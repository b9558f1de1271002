//! An HTTP/1.1 upstream that does as it is told, down to the last byte of a broken answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(each, _)| each.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// What to do with a request.
pub enum Reply {
    /// An answer with its length.
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// These bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// These bytes with a pause after each piece, then the end of the connection.
    Drip(Vec<Vec<u8>>, Duration),
    /// Whatever this does with the connection.
    Custom(Box<dyn FnOnce(TcpStream) + Send>),
    /// No answer until the upstream ends.
    Hang,
}

impl Reply {
    /// 200 with this JSON text.
    pub fn json(body: impl Into<String>) -> Self {
        Self::status(200, body)
    }

    /// This status with this text.
    pub fn status(status: u16, body: impl Into<String>) -> Self {
        Reply::Answer {
            status,
            headers: vec![("content-type", "application/json".into())],
            body: body.into().into_bytes(),
        }
    }

    /// An answer that is only a head.
    pub fn empty(status: u16) -> Self {
        Reply::Answer {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }
}

type Script = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// A running upstream; ends when dropped.
pub struct Upstream {
    address: SocketAddr,
    script: Script,
    requests: Arc<Mutex<Vec<Request>>>,
    running: Option<Running>,
}

struct Running {
    stop: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    acceptor: JoinHandle<()>,
}

impl Upstream {
    /// Starts on a free port and answers each request as `script` says.
    pub fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let mut upstream = Self {
            address: listener.local_addr().expect("an address"),
            script: Arc::new(script),
            requests: Arc::default(),
            running: None,
        };
        upstream.serve(listener);
        upstream
    }

    /// An upstream with one document, which the returned handle replaces.
    pub fn with_document(document: &str) -> (Self, Arc<Mutex<String>>) {
        let document = Arc::new(Mutex::new(document.to_owned()));
        let answer = Arc::clone(&document);
        let upstream = Self::start(move |_| Reply::json(answer.lock().unwrap().clone()));
        (upstream, document)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// How many requests asked for this path, whatever the query.
    pub fn count(&self, path: &str) -> usize {
        let requests = self.requests.lock().unwrap();
        let asked = |request: &&Request| request.target.split('?').next() == Some(path);
        requests.iter().filter(asked).count()
    }

    /// Closes the port and every connection, as a killed process would.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop.store(true, Ordering::SeqCst);
            // The acceptor sits in accept().
            let _ = TcpStream::connect(self.address);
            running.acceptor.join().expect("the acceptor ends");
            for connection in running.connections.lock().unwrap().drain(..) {
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
    }

    /// Comes back on the same port.
    pub fn restart(&mut self) {
        assert!(self.running.is_none(), "it still runs");
        super::eventually("the port is free again", || {
            let Ok(listener) = TcpListener::bind(self.address) else {
                return false;
            };
            self.serve(listener);
            true
        });
    }

    fn serve(&mut self, listener: TcpListener) {
        let stop = Arc::new(AtomicBool::new(false));
        let connections: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let (script, requests) = (Arc::clone(&self.script), Arc::clone(&self.requests));
        let acceptor = std::thread::spawn({
            let (stop, connections) = (Arc::clone(&stop), Arc::clone(&connections));
            move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    let _ = stream.set_nodelay(true);
                    if let Ok(twin) = stream.try_clone() {
                        connections.lock().unwrap().push(twin);
                    }
                    let (script, requests) = (Arc::clone(&script), Arc::clone(&requests));
                    std::thread::spawn(move || converse(stream, &script, &requests));
                }
            }
        });
        self.running = Some(Running {
            stop,
            connections,
            acceptor,
        });
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Serves one connection, and closes it although `kill` has a handle on it as well.
fn converse(stream: TcpStream, script: &Script, requests: &Mutex<Vec<Request>>) {
    let twin = stream.try_clone().expect("a second handle");
    answer_all(stream, script, requests);
    let _ = twin.shutdown(Shutdown::Both);
}

fn answer_all(stream: TcpStream, script: &Script, requests: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut writer = stream;
    while let Some(request) = read_request(&mut reader) {
        requests.lock().unwrap().push(request.clone());
        match script(&request) {
            Reply::Answer {
                status,
                headers,
                body,
            } => {
                let mut head = format!("HTTP/1.1 {status} Scripted\r\n");
                for (name, value) in headers {
                    head += &format!("{name}: {value}\r\n");
                }
                if status != 304 && status != 204 {
                    head += &format!("content-length: {}\r\n", body.len());
                }
                head += "\r\n";
                let body = if request.method == "HEAD" {
                    Vec::new()
                } else {
                    body
                };
                if writer
                    .write_all(&[head.into_bytes(), body].concat())
                    .is_err()
                {
                    return;
                }
            }
            Reply::Raw(bytes) => {
                let _ = writer.write_all(&bytes);
                let _ = writer.shutdown(Shutdown::Both);
                return;
            }
            Reply::Drip(pieces, pause) => {
                for piece in pieces {
                    if writer.write_all(&piece).is_err() {
                        return;
                    }
                    std::thread::sleep(pause);
                }
                let _ = writer.shutdown(Shutdown::Both);
                return;
            }
            Reply::Custom(converse) => return converse(writer),
            Reply::Hang => {
                // Ends when the client or `kill` closes the connection.
                let _ = reader.read(&mut [0]);
                return;
            }
        }
    }
}

/// Reads one request; `None` at the end of the connection.
fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = Vec::new();
        let read = reader.read_until(b'\n', &mut line).ok();
        read.filter(|read| *read > 0)?;
        match String::from_utf8_lossy(&line).trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => break,
        }
    }
    let mut request = Request {
        method,
        target,
        headers,
        body: Vec::new(),
    };
    if request.header("transfer-encoding") == Some("chunked") {
        request.body = read_chunks(reader)?;
    } else if let Some(length) = request.header("content-length") {
        request.body = vec![0; length.parse().ok()?];
        reader.read_exact(&mut request.body).ok()?;
    }
    Some(request)
}

fn read_chunks(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        reader.read_line(&mut size).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..size]);
    }
}
