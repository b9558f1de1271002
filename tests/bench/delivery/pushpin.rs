//! Pushpin, with condure in front and zurl behind, as its Debian package has it, and an origin
//! that holds every response.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::crowd::Subscription;
use crate::event;
use crate::process::{self, Role, Server, now};
use crate::publisher::{Publisher, free_address};
use crate::system::{Job, System, subscription};

/// What each response of the origin says: hold this stream, it belongs to the channel.
const HOLD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
    grip-hold: stream\r\ngrip-channel: feed\r\ncontent-length: 0\r\n\r\n";

/// It answers 502 to some of those who come together in larger numbers.
const AT_ONCE: usize = 16;

/// After so many good answers it counts as started.
const SERVED_IN_A_ROW: usize = 20;

pub struct Pushpin {
    server: Server,
    _origin: Role,
    _folder: TempDir,
    address: SocketAddr,
    control: SocketAddr,
    publisher: Publisher,
    job: Job,
    published: Vec<(u32, u64)>,
}

/// Where Pushpin is, if it is there.
pub fn installed() -> Option<PathBuf> {
    let pushpin = PathBuf::from("/usr/bin/pushpin");
    (pushpin.exists() && Path::new("/usr/bin/zurl").exists()).then_some(pushpin)
}

impl Pushpin {
    pub fn start(pushpin: &Path, job: &Job) -> Self {
        let mut origin = Role::start("origin", &[]);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (address, control) = (free_address(), free_address());
        let write = |name: &str, text: String| {
            std::fs::write(folder.path().join(name), text).expect("a file");
        };
        write("routes", format!("* {}\n", origin.answer()));
        write(
            "pushpin.conf",
            configuration(address, control, folder.path()),
        );
        let mut command = Command::new(pushpin);
        command
            .arg(format!("--config={}/pushpin.conf", folder.path().display()))
            .arg(format!("--logfile={}/log", folder.path().display()));
        let server = Server::start(&mut command);
        let publisher = Publisher::connect(control);
        wait_for(address);
        Self {
            server,
            _origin: origin,
            _folder: folder,
            address,
            control,
            publisher,
            job: job.clone(),
            published: Vec::new(),
        }
    }
}

/// The parts find each other one after the other, condure's two workers each for itself: until
/// then some requests are answered otherwise, or not at all.
fn wait_for(address: SocketAddr) {
    let mut in_a_row = 0;
    for _ in 0..200 {
        std::thread::sleep(Duration::from_millis(50));
        in_a_row = if is_served(address) { in_a_row + 1 } else { 0 };
        if in_a_row == SERVED_IN_A_ROW {
            return;
        }
    }
    panic!("Pushpin was not ready within ten seconds");
}

fn is_served(address: SocketAddr) -> bool {
    let mut stream = Publisher::connect(address).into_stream();
    let request = "GET /feed HTTP/1.1\r\nhost: bench\r\n\r\n";
    let asked = stream.write_all(request.as_bytes());
    let mut line = String::new();
    let read = asked.and_then(|()| BufReader::new(&stream).read_line(&mut line));
    read.is_ok() && line.starts_with("HTTP/1.1 200 ")
}

/// The package's own, with its files in the folder, free ports, and limits that do not limit.
fn configuration(address: SocketAddr, control: SocketAddr, folder: &Path) -> String {
    let folder = folder.display();
    let ports = [free_address(), free_address(), free_address()].map(|free| free.port());
    format!(
        "[global]\n\
         include={{libdir}}/internal.conf\n\
         rundir={folder}\n\
         ipc_prefix=bench-\n\
         port_offset=0\n\
         [runner]\n\
         services=condure,zurl,pushpin-proxy,pushpin-handler\n\
         http_port={address}\n\
         logdir={folder}\n\
         log_level=0\n\
         client_buffer_size=8192\n\
         client_maxconn=19900\n\
         [proxy]\n\
         routesfile=routes\n\
         zurl_out_specs=ipc://{{rundir}}/{{ipc_prefix}}zurl-in\n\
         zurl_out_stream_specs=ipc://{{rundir}}/{{ipc_prefix}}zurl-in-stream\n\
         zurl_in_specs=ipc://{{rundir}}/{{ipc_prefix}}zurl-out\n\
         updates_check=off\n\
         [handler]\n\
         push_in_spec=tcp://127.0.0.1:{}\n\
         push_in_sub_specs=tcp://127.0.0.1:{}\n\
         command_spec=tcp://127.0.0.1:{}\n\
         push_in_http_addr={}\n\
         push_in_http_port={}\n\
         message_rate=10000000\n\
         message_hwm=10000000\n",
        ports[0],
        ports[1],
        ports[2],
        control.ip(),
        control.port()
    )
}

impl System for Pushpin {
    fn subscription(&self) -> Subscription {
        Subscription {
            at_once: AT_ONCE,
            ..subscription(self.address, &self.job, None)
        }
    }

    fn processes(&self) -> Vec<u32> {
        process::family(self.server.id())
    }

    fn publish(&mut self, number: u32) {
        let event = format!(
            "event: patch\ndata: {}\n\n",
            event::patch(number, self.job.size)
        );
        let item = serde_json::json!({"items": [
            {"channel": "feed", "formats": {"http-stream": {"content": event}}}
        ]});
        let body = item.to_string();
        let head = format!(
            "POST /publish/ HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        // It closes after each answer.
        self.publisher.settle();
        self.publisher = Publisher::connect(self.control);
        self.publisher.send(&(head + &body));
        self.published.push((number, now()));
    }

    fn published(&mut self) -> Vec<(u32, u64)> {
        std::mem::take(&mut self.published)
    }
}

/// The origin: says where it listens, and answers every request so that it is held.
pub fn origin() -> io::Result<()> {
    let listener = process::listen()?;
    std::thread::spawn(|| {
        // It ends with the one who started it, however that ends.
        let ended = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(ended.is_err().into());
    });
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || hold(&stream));
    }
    Ok(())
}

fn hold(mut stream: &TcpStream) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while lines.by_ref().take_while(|line| !line.is_empty()).count() > 0 {
        stream.write_all(HOLD)?;
    }
    Ok(())
}
