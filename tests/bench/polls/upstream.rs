//! What is polled: a role that answers `GET /t/NUMBER` with about a kilobyte of JSON, as cheaply as
//! can be, and notes when which topic was asked for.
//!
//! The document of every tenth topic is another one at each poll; the others never change.

use std::cell::RefCell;
use std::io::{self, BufRead};
use std::rc::Rc;

use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::figures::{BIN, Seen};
use crate::process::{self, now};

/// One topic in so many changes.
const CHANGING: usize = 10;

/// The largest lateness that is told apart, in microseconds.
const LONGEST: u64 = 60_000_000;

/// What was asked for since the beginning.
struct Notes {
    /// From one poll of a topic to the next, in nanoseconds.
    interval: u64,
    begun: u64,
    /// When each topic was asked for last; 0 before.
    last: Vec<u64>,
    /// Polls that began in each tenth of a second.
    bins: Vec<u64>,
    /// The time between two polls of one topic, less the interval, in microseconds.
    lateness: Histogram<u64>,
    /// By when in its interval a topic was first asked for.
    phases: [u64; 10],
}

/// Says where it listens; then `begin` forgets what was, and `tell` says what was seen since.
pub fn run(topics: usize, interval: usize) -> io::Result<()> {
    let listener = process::listen()?;
    listener.set_nonblocking(true)?;
    let interval = interval as u64 * 1_000_000;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let (send, mut commands) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    let notes = Rc::new(RefCell::new(Notes::new(topics, interval)));
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (stream, _) = accepted?;
                    let notes = Rc::clone(&notes);
                    tokio::task::spawn_local(async move {
                        // A client that is gone asks for nothing more.
                        let _ = serve(stream, &notes).await;
                    });
                }
                command = commands.recv() => match command.as_deref() {
                    Some("begin") => *notes.borrow_mut() = Notes::new(topics, interval),
                    Some(_) => println!("{}", notes.borrow().seen()),
                    None => return Ok(()),
                },
            }
        }
    })
}

async fn serve(mut stream: TcpStream, notes: &RefCell<Notes>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut buffer, mut answer) = (vec![0; 4096], Vec::with_capacity(2048));
    let mut filled = 0;
    let mut polls = 0_u64;
    loop {
        if filled == buffer.len() {
            return Err(io::Error::other("a request that no poller sends"));
        }
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        if !buffer[..filled].ends_with(b"\r\n\r\n") {
            continue;
        }
        let topic = topic(&buffer[..filled]).ok_or_else(|| io::Error::other("no topic"))?;
        filled = 0;
        polls += 1;
        notes.borrow_mut().note(topic, now());
        let number = match topic % CHANGING {
            0 => polls,
            _ => 0,
        };
        write(&mut answer, topic, number);
        stream.write_all(&answer).await?;
    }
}

/// The number in `GET /t/NUMBER HTTP/1.1`.
fn topic(request: &[u8]) -> Option<usize> {
    let rest = request.strip_prefix(b"GET /t/")?;
    let end = rest.iter().position(|byte| *byte == b' ')?;
    std::str::from_utf8(&rest[..end]).ok()?.parse().ok()
}

fn write(answer: &mut Vec<u8>, topic: usize, number: u64) {
    use io::Write as _;
    answer.clear();
    let body = format!(
        r#"{{"topic":{topic},"number":"{number:020}","text":"{}"}}"#,
        "unchanged ".repeat(94)
    );
    write!(
        answer,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("a vector takes everything");
}

impl Notes {
    fn new(topics: usize, interval: u64) -> Self {
        Self {
            interval,
            begun: now(),
            last: vec![0; topics],
            bins: Vec::new(),
            lateness: Histogram::new_with_bounds(1, LONGEST, 3).expect("three digits"),
            phases: [0; 10],
        }
    }

    fn note(&mut self, topic: usize, now: u64) {
        let bin = ((now - self.begun) / BIN) as usize;
        if self.bins.len() <= bin {
            self.bins.resize(bin + 1, 0);
        }
        self.bins[bin] += 1;
        let Some(last) = self.last.get_mut(topic) else {
            return;
        };
        let before = std::mem::replace(last, now);
        if before == 0 {
            self.phases[(now % self.interval * 10 / self.interval) as usize] += 1;
        } else {
            let late = (now - before).abs_diff(self.interval) / 1000;
            self.lateness.saturating_record(late);
        }
    }

    fn seen(&self) -> Seen {
        let whole = ((now() - self.begun) / BIN) as usize;
        let quantile = |share| self.lateness.value_at_quantile(share);
        // Of the bins that are over, also those in which nothing was asked.
        let bins = (0..whole).map(|bin| self.bins.get(bin).copied().unwrap_or(0));
        let asked = self.last.iter().filter(|last| **last > 0).count();
        Seen {
            polls: self.bins.iter().sum(),
            nanoseconds: now() - self.begun,
            topics: asked as u64,
            least: bins.clone().min().unwrap_or(0),
            most: bins.max().unwrap_or(0),
            late: [quantile(0.5), quantile(0.99), self.lateness.max()],
            phases: self.phases,
        }
    }
}
