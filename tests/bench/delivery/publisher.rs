//! How events are handed to a server that takes them by HTTP.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// A connection by which events are handed in; an answer is read before the next request, so that
/// nobody waits for it.
pub struct Publisher {
    stream: TcpStream,
    is_owed: bool,
}

impl Publisher {
    /// Connects to a server that is just starting.
    pub fn connect(address: SocketAddr) -> Self {
        for _ in 0..200 {
            if let Ok(stream) = TcpStream::connect(address) {
                stream.set_nodelay(true).expect("a socket");
                let patience = Some(Duration::from_secs(60));
                stream.set_read_timeout(patience).expect("a socket");
                return Self {
                    stream,
                    is_owed: false,
                };
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("nobody listens at {address}");
    }

    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    pub fn send(&mut self, request: &str) {
        self.settle();
        self.is_owed = true;
        let sent = self.stream.write_all(request.as_bytes());
        sent.expect("the publisher accepts");
    }

    /// Waits for the answer to the last event, if there was one.
    pub fn settle(&mut self) {
        if std::mem::take(&mut self.is_owed) {
            self.take_answer().expect("the last event was accepted");
        }
    }

    fn take_answer(&mut self) -> io::Result<()> {
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let read = self.stream.read(&mut buffer)?;
            answer.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8_lossy(&answer).to_lowercase();
            if read == 0 || !text.starts_with("http/1.1 2") {
                return Err(io::Error::other(format!("answered: {text}")));
            }
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                return Ok(());
            }
        }
    }
}

/// An address that was free a moment ago.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}
