//! What the upstream serves, as a function of a number, so that every state a client ever holds can
//! be judged by itself; and the upstream that serves it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// One endpoint that changes by itself.
#[derive(Debug)]
pub struct Source {
    pub path: &'static str,
    /// From one document to the next.
    pub period: Duration,
    make: fn(u64) -> Value,
}

/// A few hundred bytes, a table of 150 rows, and one of some thousand that grows and shrinks.
pub const SOURCES: [Source; 3] = [
    Source {
        path: "/small",
        period: Duration::from_millis(200),
        make: |n| json!({"n": n, "price": n * 7919 % 1000, "text": "unchanged ".repeat(20)}),
    },
    Source {
        path: "/table",
        period: Duration::from_millis(250),
        make: |n| table(n, 150),
    },
    Source {
        path: "/large",
        period: Duration::from_secs(2),
        make: |n| table(n, 1500 + n % 7 * 300),
    },
];

/// Rows of which some change, one comes and one goes with every few numbers.
fn table(n: u64, rows: u64) -> Value {
    let row = |id: u64| {
        json!({
            "id": id,
            "name": format!("row {id}"),
            "version": (n + id * 13) / 40,
            "total": (n + id * 13) / 40 * 7919 % 10_000,
        })
    };
    let first = n / 10;
    json!({"n": n, "rows": (first..first + rows).map(row).collect::<Vec<_>>()})
}

/// The upstream's side of the story.
pub struct Truth {
    began: Instant,
    /// Milliseconds after which nothing changes any more.
    ends: AtomicU64,
    documents: Mutex<HashMap<(&'static str, u64), Arc<Value>>>,
}

impl Truth {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            ends: AtomicU64::new(u64::MAX),
            documents: Mutex::default(),
        })
    }

    /// The number of what this source serves now.
    pub fn newest(&self, source: &Source) -> u64 {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let now = now.min(self.ends.load(Ordering::SeqCst));
        1 + now / u64::try_from(source.period.as_millis()).unwrap_or(u64::MAX)
    }

    /// Nothing changes from now on.
    pub fn stop(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.ends.store(now, Ordering::SeqCst);
    }

    /// Whether this is what the source serves under the number that it carries. Returns the number.
    pub fn judge(&self, source: &Source, state: &Value) -> Result<u64, String> {
        let n = state["n"].as_u64().ok_or("a state without a number")?;
        if n > self.newest(source) {
            return Err(format!("{}: {n} was never served", source.path));
        }
        match *self.document(source, n) == *state {
            true => Ok(n),
            false => Err(format!("{}: state {n} is not what was served", source.path)),
        }
    }

    fn document(&self, source: &Source, n: u64) -> Arc<Value> {
        let key = (source.path, n);
        if let Some(found) = self.lock().get(&key) {
            return Arc::clone(found);
        }
        let made = Arc::new((source.make)(n));
        let mut documents = self.lock();
        // Slow clients ask for old ones, but not for very old ones.
        if documents.len() > 200 {
            documents.clear();
        }
        documents.insert(key, Arc::clone(&made));
        made
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(&'static str, u64), Arc<Value>>> {
        self.documents.lock().expect("nobody panics meanwhile")
    }

    /// Serves every source on a free port.
    pub async fn serve(self: &Arc<Self>) -> std::io::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let truth = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let truth = Arc::clone(&truth);
                // A poller that hangs up is none of its business.
                tokio::spawn(async move { drop(truth.converse(stream).await) });
            }
        });
        Ok(address)
    }

    async fn converse(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            while line != "\r\n" {
                line.clear();
                if stream.read_line(&mut line).await? == 0 {
                    return Ok(());
                }
            }
            let source = SOURCES.iter().find(|source| source.path == path);
            let (status, body) = match source {
                Some(source) => {
                    let document = self.document(source, self.newest(source));
                    ("200 OK", document.to_string())
                }
                None => ("404 Not Found", String::new()),
            };
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all((head + &body).as_bytes()).await?;
        }
    }
}
