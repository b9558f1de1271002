//! A reconnect storm: everybody is cut off, events pass, and everybody comes back at once with the
//! id it had.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::crowd::{Crowd, Subscription};
use crate::measure::Latency;
use crate::pollcast::Pollcast;
use crate::process;
use crate::system::{Job, System};

/// Events that everybody has missed.
const MISSED: u32 = 50;
const SETTLE: Duration = Duration::from_secs(2);

/// What one run has shown.
#[derive(Clone, Copy, Debug)]
pub struct Storm {
    /// Milliseconds from connecting to the first byte.
    pub first_byte: Latency,
    /// Seconds until everyone had every missed event.
    pub served: f64,
    /// Resident bytes with the same subscribers idle.
    pub idle: f64,
    /// The most during the storm.
    pub peak: f64,
}

/// # Errors
/// When somebody does not get exactly what it missed.
pub fn run(job: &Job) -> Result<Storm, String> {
    let mut system = Pollcast::start(job)?;
    let process = system.processes()[0];
    let mut crowd = Crowd::new(system.subscription());
    crowd.gather(job.subscribers, false)?;
    crowd.read_for(SETTLE)?;
    let idle = process::resident(&[process]);
    let id = newest_id(system.address());
    drop(crowd);
    for number in 1..=MISSED {
        system.publish(number);
    }
    system.published();
    std::thread::sleep(SETTLE);
    process::forget_peak(process);
    let mut crowd = Crowd::new(Subscription {
        headers: format!("last-event-id: {id}\r\n"),
        greeting: None,
        ..system.subscription()
    });
    let began = Instant::now();
    crowd.gather(job.subscribers, true)?;
    crowd.read_until(job.subscribers as u64 * u64::from(MISSED))?;
    let served = began.elapsed().as_secs_f64();
    crowd.have_all(MISSED)?;
    let first = crowd.tally().first_bytes.drain(..);
    Ok(Storm {
        first_byte: Latency::of(first.map(|(began, came)| came - began)),
        served,
        idle: idle as f64,
        peak: process::peak(process) as f64,
    })
}

/// The id that a new subscriber is told.
fn newest_id(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).expect("it accepts");
    let request = "GET /feed HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let id = lines.find_map(|line| line.strip_prefix("id: ").map(str::to_owned));
    id.expect("a snapshot has an id")
}
