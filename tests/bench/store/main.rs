//! `make bench-store`: what an event costs when it is written to a file as well. 100 topics, each
//! polled once a second with a change of about 1 KB each time, a subscriber for each; the real binary
//! with either backplane in turn, which of them first in turn as well. Counted are events that
//! subscribers got.
//!
//! `cargo bench --bench store -- [ROUNDS] [SECONDS]`, or `make bench-store`.

#![allow(clippy::print_stdout)]

mod process;
mod upstream;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use process::Process;

const TOPICS: usize = 100;
const WARM_UP: Duration = Duration::from_secs(5);

fn main() -> std::io::Result<()> {
    let mut numbers = std::env::args().skip(1).filter_map(|it| it.parse().ok());
    let rounds = numbers.next().unwrap_or(5);
    let length = Duration::from_secs(numbers.next().unwrap_or(15));
    let upstream = upstream::serve()?;
    let folder = tempfile::tempdir()?;
    println!("| round | backplane | events | CPU µs an event |\n|--:|---|--:|--:|");
    let mut costs = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        let mut turns = [0, 1];
        turns.rotate_left(usize::from(!round.is_multiple_of(2)));
        for turn in turns {
            let backplane = ["memory", "file"][turn];
            let store = folder.path().join(format!("store-{round}"));
            let line = match backplane {
                "file" => format!("{{ file: {{ path: \"{}\" }} }}", store.display()),
                _ => "memory".to_owned(),
            };
            let (count, cost) = measure(upstream, &line, length)?;
            println!("| {} | {backplane} | {count} | {cost:.1} |", round + 1);
            costs[turn].push(cost);
        }
    }
    let [memory, file] = costs.map(median);
    println!(
        "\nmedians: memory {memory:.1} µs, file {file:.1} µs; ratio {:.3}",
        file / memory
    );
    Ok(())
}

/// Events in one round, and the microseconds of CPU that each took.
fn measure(upstream: SocketAddr, backplane: &str, length: Duration) -> std::io::Result<(u64, f64)> {
    let process = Process::start(&format!(
        "server: {{ listen: \"127.0.0.1:0\" }}\nadmin: {{ listen: \"127.0.0.1:0\" }}\n\
         backplane: {backplane}\nupstreams: {{ legacy: {{ url: \"http://{upstream}\" }} }}\nfeeds:\n\
         \x20 - {{ path: \"/of/{{id}}\", upstream: legacy, poll: {{ interval: 1s }} }}\n"
    ))?;
    let events = Arc::new(AtomicU64::new(0));
    for topic in 0..TOPICS {
        let mut stream = TcpStream::connect(process.address)?;
        let head = "host: store\r\naccept: text/event-stream\r\n\r\n";
        stream.write_all(format!("GET /of/{topic} HTTP/1.1\r\n{head}").as_bytes())?;
        let events = Arc::clone(&events);
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stream).split(b'\n').map_while(Result::ok);
            lines.all(|line| {
                let is_event = line.starts_with(b"event: patch");
                events.fetch_add(u64::from(is_event), Ordering::Relaxed);
                true
            })
        });
    }
    std::thread::sleep(WARM_UP);
    let (before, cpu) = (events.load(Ordering::Relaxed), process.cpu()?);
    std::thread::sleep(length);
    let count = events.load(Ordering::Relaxed) - before;
    let micros = (process.cpu()? - cpu).as_secs_f64() * 1e6;
    Ok((count, micros / count as f64))
}

fn median(mut costs: Vec<f64>) -> f64 {
    costs.sort_by(f64::total_cmp);
    costs[costs.len() / 2]
}
