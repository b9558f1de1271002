//! Documents that are a function of their path and of a number, so that each state a client ever
//! holds can be judged by itself.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// The document of this path with this number.
pub fn document(path: &str, n: u64) -> Value {
    let row =
        |id: u64| json!({"id": id, "at": (n + id * 3) / 8, "text": format!("row {id} of {path}")});
    json!({"path": path, "n": n, "rows": (n / 5..n / 5 + 6).map(row).collect::<Vec<_>>()})
}

/// Answers each request with the next document of its path, or sometimes with the same again. Lives
/// as long as the process.
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
        while line.trim() != "" {
            line.clear();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        }
        let mut numbers = numbers.lock().ok()?;
        let requests = numbers.entry(path.clone()).or_default();
        *requests += 1;
        let body = document(&path, *requests * 2 / 3).to_string();
        drop(numbers);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
    }
}
