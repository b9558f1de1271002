//! The upstream that pollcast polls: a role whose document changes when it is told to, and which
//! notes when the last byte of an answer that was the first to carry an event had been written.
//!
//! A poll is answered when there is an event that none has carried, or after half a second. So
//! pollcast can be told to poll as fast as it may, and polls no more often than a feed with that
//! interval where events come slowly: what is measured is delivery.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::event;
use crate::process::{self, now};

/// The longest that a poll waits.
const WAIT: Duration = Duration::from_millis(500);

struct Replay {
    size: usize,
    ballast: usize,
    state: Mutex<State>,
    has_event: Condvar,
}

#[derive(Default)]
struct State {
    number: u32,
    waiting: VecDeque<u32>,
    has_answered: bool,
}

/// Says where it listens; then each line is the number of the next event. Each poll takes one, and
/// is told as `NUMBER NANOSECONDS`.
pub fn run(size: usize, ballast: usize) -> io::Result<()> {
    let listener = process::listen()?;
    let replay = Arc::new(Replay {
        size,
        ballast,
        state: Mutex::default(),
        has_event: Condvar::new(),
    });
    let polled = Arc::clone(&replay);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let replay = Arc::clone(&polled);
            std::thread::spawn(move || answer(&stream, &replay));
        }
    });
    for line in io::stdin().lines() {
        let number = line?.parse().map_err(io::Error::other)?;
        let mut state = replay.state.lock().expect("nothing fails while it is held");
        state.waiting.push_back(number);
        replay.has_event.notify_one();
    }
    Ok(())
}

/// Answers polls until the client goes.
fn answer(mut stream: &TcpStream, replay: &Replay) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while lines.by_ref().take_while(|line| !line.is_empty()).count() > 0 {
        let (first, number) = replay.next();
        let body = event::document(number, replay.size, replay.ballast);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes())?;
        if let Some(number) = first {
            println!("{number} {}", now());
        }
    }
    Ok(())
}

impl Replay {
    /// The event that no answer has carried, and the one that the document is at.
    fn next(&self) -> (Option<u32>, u32) {
        let state = self.state.lock().expect("nothing fails while it is held");
        let wait = if state.has_answered {
            WAIT
        } else {
            Duration::ZERO
        };
        let is_empty = |state: &mut State| state.waiting.is_empty();
        let waited = self.has_event.wait_timeout_while(state, wait, is_empty);
        let mut state = waited.expect("nothing fails while it is held").0;
        state.has_answered = true;
        let first = state.waiting.pop_front();
        state.number = first.unwrap_or(state.number);
        (first, state.number)
    }
}
