//! What an idle subscriber costs: resident memory of the real binary before and after N clients
//! subscribe to one feed, with heartbeats on.
//!
//! `cargo bench --bench idle -- [N]`, or `make bench-idle`; N is 10,000 unless given. Both
//! processes need N open files and a little more.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const DOCUMENT: &str = r#"[{"id":1,"name":"an order","status":"packed","total":18.50}]"#;

fn main() {
    let subscribers = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .next()
        .unwrap_or(10_000);
    let upstream = serve_document();
    let mut proxy = Proxy::start(upstream);
    let first = subscribe(proxy.address);
    let before = proxy.resident();
    let clients: Vec<TcpStream> = (0..subscribers).map(|_| subscribe(proxy.address)).collect();
    let open = proxy.connections();
    assert_eq!(open, subscribers + 1, "every subscriber is connected");
    // Buffers of the connections' first moments are given back meanwhile.
    std::thread::sleep(Duration::from_secs(3));
    let after = proxy.resident();
    println!("subscribers                          {subscribers:>10}");
    println!("resident before, KiB                 {:>10}", before / 1024);
    println!("resident after, KiB                  {:>10}", after / 1024);
    #[allow(clippy::cast_precision_loss)]
    let each = (after - before) as f64 / subscribers as f64 / 1024.0;
    println!("resident per idle connection, KiB    {each:>10.2}");
    drop((first, clients));
    proxy.stop();
}

struct Proxy {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Proxy {
    fn start(upstream: SocketAddr) -> Self {
        let file = std::env::temp_dir().join(format!("pollcast-idle-{}.yaml", std::process::id()));
        let config = format!(
            "server: {{ listen: \"127.0.0.1:0\" }}\nadmin: {{ listen: \"127.0.0.1:0\" }}\n\
             upstreams: {{ legacy: {{ url: \"http://{upstream}\" }} }}\n\
             feeds: [{{ path: /feed, upstream: legacy }}]\n"
        );
        std::fs::write(&file, config).expect("a file");
        let mut child = Command::new(env!("CARGO_BIN_EXE_pollcast"))
            .args(["run", "-c"])
            .arg(&file)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let told = BufReader::new(child.stdout.take().expect("piped"));
        let mut lines = told.lines().map_while(Result::ok);
        let mut address = |prefix: &str| {
            let line = lines.find_map(|line| line.strip_prefix(prefix).map(str::to_owned));
            let line = line.expect("it says where it listens");
            let address = line.split('/').next().expect("an address");
            address.parse().expect("an address")
        };
        let (address, admin) = (address("listening on http://"), address("admin on http://"));
        std::fs::remove_file(&file).expect("the file is there");
        Self {
            child,
            address,
            admin,
        }
    }

    fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("Linux");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1));
        kib.expect("a size").parse::<usize>().expect("a number") * 1024
    }

    fn connections(&self) -> usize {
        let mut stream = TcpStream::connect(self.admin).expect("the admin listener accepts");
        let request = b"GET /metrics HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n";
        stream.write_all(request).expect("a request");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        let line = text
            .lines()
            .find(|line| line.starts_with("pollcast_connections{"));
        let value = line
            .and_then(|line| line.rsplit(' ').next())
            .expect("a gauge");
        value.parse().expect("a number")
    }

    fn stop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

/// Subscribes and reads as far as the snapshot's end.
fn subscribe(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the proxy accepts");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("a timeout");
    let request = "GET /feed HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\n\r\n";
    (&stream).write_all(request.as_bytes()).expect("a request");
    let mut seen = Vec::new();
    let mut buffer = [0; 1024];
    while !seen.windows(4).any(|bytes| bytes == b"}]\n\n") {
        let read = (&stream).read(&mut buffer).expect("the snapshot in time");
        assert!(
            read > 0,
            "the stream ended: {}",
            String::from_utf8_lossy(&seen)
        );
        seen.extend_from_slice(&buffer[..read]);
    }
    stream
}

/// An upstream whose document never changes.
fn serve_document() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                while lines.by_ref().take_while(|line| !line.is_empty()).count() > 0 {
                    let head = format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
                        DOCUMENT.len()
                    );
                    if (&stream).write_all((head + DOCUMENT).as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}
