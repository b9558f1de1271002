//! Answers each request with another document of some 4 KB, of which a quarter changed.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Serves for as long as the process lives; counts what it answers.
pub fn serve(count: Arc<AtomicU64>) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let count = Arc::clone(&count);
            std::thread::spawn(move || answer(stream, &count));
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream, count: &AtomicU64) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        }
        // All topics are polled in turn: each sees one number after the other.
        let body = document(count.fetch_add(1, Ordering::Relaxed) / 100);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
    }
}

fn document(n: u64) -> String {
    let row = |id: u64| {
        let version = (n + id) / 4;
        let text = format!("{version:016x}").repeat(4);
        format!(r#"{{"id":{id},"text":"{text}","name":"row number {id}"}}"#)
    };
    let rows: Vec<_> = (0..40).map(row).collect();
    format!(r#"{{"n":{n},"rows":[{}]}}"#, rows.join(","))
}
