//! Answers each request with another document of some 4 KB, of which a quarter changed.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Serves for as long as the process lives.
pub fn serve() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let numbers: Arc<Mutex<HashMap<String, u64>>> = Arc::default();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let numbers = Arc::clone(&numbers);
            std::thread::spawn(move || answer(stream, &numbers));
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream, numbers: &Mutex<HashMap<String, u64>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let path = line.split(' ').nth(1)?.to_owned();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        }
        let mut numbers = numbers.lock().ok()?;
        let number = numbers.entry(path).or_default();
        *number += 1;
        let body = document(*number);
        drop(numbers);
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
