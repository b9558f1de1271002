//! The floor: a role that accepts, answers with a response head, and for each event writes the
//! same bytes to one socket after the other. Nothing can deliver with less.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use crate::crowd::Subscription;
use crate::event;
use crate::process::{self, Role, now};
use crate::system::{Job, System, address, subscription};

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
    cache-control: no-cache, no-transform\r\ntransfer-encoding: chunked\r\n\r\n";

pub struct Floor {
    role: Role,
    address: SocketAddr,
    job: Job,
    published: Vec<(u32, u64)>,
}

impl Floor {
    pub fn start(job: &Job) -> Self {
        let mut role = Role::start("floor", &[]);
        Self {
            address: address(&role.answer()),
            role,
            job: job.clone(),
            published: Vec::new(),
        }
    }
}

impl System for Floor {
    fn subscription(&self) -> Subscription {
        subscription(self.address, &self.job, None)
    }

    fn processes(&self) -> Vec<u32> {
        vec![self.role.id()]
    }

    fn publish(&mut self, number: u32) {
        self.role.command(&format!("{number} {}", self.job.size));
        self.published.push((number, now()));
    }

    fn published(&mut self) -> Vec<(u32, u64)> {
        std::mem::take(&mut self.published)
    }
}

/// Says where it listens; then each line of the form `NUMBER SIZE` is an event.
pub fn run() -> io::Result<()> {
    let listener = process::listen()?;
    let sockets = Arc::new(Mutex::new(Vec::new()));
    let accepted = Arc::clone(&sockets);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            match greet(&stream) {
                Ok(()) => accepted.lock().expect("no writer fails").push(stream),
                Err(failure) => eprintln!("floor: a client was not served: {failure}"),
            }
        }
    });
    for line in io::stdin().lines() {
        let line = line?;
        let words = line.split_once(' ');
        let event = words.and_then(|(number, size)| {
            Some(event::chunk(number.parse().ok()?, size.parse().ok()?))
        });
        let event = event.ok_or_else(|| io::Error::other(format!("no event: {line}")))?;
        for socket in sockets
            .lock()
            .expect("greeting does not fail so")
            .iter_mut()
        {
            // One that is gone is found by the one who counts.
            let _ = TcpStream::write_all(socket, event.as_bytes());
        }
    }
    Ok(())
}

fn greet(mut stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = [0; 2048];
    let mut read = 0;
    while !request[..read].ends_with(b"\r\n\r\n") {
        match stream.read(&mut request[read..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => read += more,
        }
    }
    stream.write_all(HEAD)
}
