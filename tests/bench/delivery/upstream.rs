//! The upstream that pollcast polls: a role whose document changes when it is told to, and which
//! notes when the last byte of an answer that was the first to carry an event had been written.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::event;
use crate::process::now;

struct Replay {
    size: usize,
    ballast: usize,
    number: u32,
    waiting: VecDeque<u32>,
}

/// Says where it listens; then each line is the number of the next event. Each poll takes one, and
/// is told as `NUMBER NANOSECONDS`.
pub fn run(size: usize, ballast: usize) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let replay = Arc::new(Mutex::new(Replay {
        size,
        ballast,
        number: 0,
        waiting: VecDeque::new(),
    }));
    let polled = Arc::clone(&replay);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let replay = Arc::clone(&polled);
            std::thread::spawn(move || answer(&stream, &replay));
        }
    });
    for line in io::stdin().lines() {
        let number = line?.parse().map_err(io::Error::other)?;
        let mut replay = replay.lock().expect("no poll fails while it holds this");
        replay.waiting.push_back(number);
    }
    Ok(())
}

/// Answers polls until the client goes.
fn answer(mut stream: &TcpStream, replay: &Mutex<Replay>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while lines.by_ref().take_while(|line| !line.is_empty()).count() > 0 {
        let (first, body) = replay
            .lock()
            .expect("nothing fails while it is held")
            .next();
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
    /// The document, and the number of the event that no answer had carried before.
    fn next(&mut self) -> (Option<u32>, String) {
        let first = self.waiting.pop_front();
        self.number = first.unwrap_or(self.number);
        (first, event::document(self.number, self.size, self.ballast))
    }
}
