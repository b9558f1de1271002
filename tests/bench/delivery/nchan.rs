//! nginx with nchan: a publisher, and subscribers by EventSource.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use tempfile::TempDir;

use crate::crowd::Subscription;
use crate::event;
use crate::process::{self, now};
use crate::system::{Job, System, subscription};

const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

pub struct Nchan {
    child: Child,
    _folder: TempDir,
    address: SocketAddr,
    publisher: Publisher,
    job: Job,
    published: Vec<(u32, u64)>,
}

/// Where nginx is, if nchan is there, too.
pub fn installed() -> Option<PathBuf> {
    let nginx = ["/usr/sbin/nginx", "/usr/bin/nginx"].map(PathBuf::from);
    let nginx = nginx.into_iter().find(|path| path.exists())?;
    Path::new(MODULE).exists().then_some(nginx)
}

impl Nchan {
    pub fn start(nginx: &Path, job: &Job) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = free_address();
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, configuration(address, folder.path())).expect("a file");
        let child = Command::new(nginx)
            .arg("-c")
            .arg(&file)
            .arg("-p")
            .arg(folder.path())
            .spawn()
            .expect("nginx runs");
        Self {
            child,
            _folder: folder,
            address,
            publisher: Publisher::connect(address),
            job: job.clone(),
            published: Vec::new(),
        }
    }
}

/// One worker, which nchan serves best with; the newest message is kept, and nobody is told old ones.
fn configuration(address: SocketAddr, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "load_module {MODULE};\n\
         user root;\n\
         daemon off;\n\
         worker_processes 1;\n\
         pid {folder}/nginx.pid;\n\
         error_log {folder}/error.log warn;\n\
         events {{ worker_connections 19990; }}\n\
         http {{\n\
           access_log off;\n\
           client_body_temp_path {folder}/body;\n\
           proxy_temp_path {folder}/proxy;\n\
           fastcgi_temp_path {folder}/fastcgi;\n\
           uwsgi_temp_path {folder}/uwsgi;\n\
           scgi_temp_path {folder}/scgi;\n\
           keepalive_requests 1000000;\n\
           nchan_max_reserved_memory 256M;\n\
           server {{\n\
             listen {address} backlog=4096;\n\
             location = /publish {{ nchan_publisher; nchan_channel_id feed; \
               nchan_message_buffer_length 1; client_max_body_size 1m; \
               client_body_buffer_size 64k; }}\n\
             location = /feed {{ nchan_subscriber eventsource; nchan_channel_id feed; \
               nchan_subscriber_first_message newest; nchan_eventsource_ping_interval 15; }}\n\
           }}\n\
         }}\n"
    )
}

impl System for Nchan {
    fn subscription(&self) -> Subscription {
        subscription(self.address, "/feed", &self.job.headers, None)
    }

    fn processes(&self) -> Vec<u32> {
        process::family(self.child.id())
    }

    fn publish(&mut self, number: u32) {
        let body = event::patch(number, self.job.size);
        let head = format!(
            "POST /publish HTTP/1.1\r\nhost: bench\r\nx-eventsource-event: patch\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.publisher.send(&(head + &body));
        self.published.push((number, now()));
    }

    fn published(&mut self) -> Vec<(u32, u64)> {
        std::mem::take(&mut self.published)
    }
}

impl Drop for Nchan {
    fn drop(&mut self) {
        // The worker ends with its master only if the master is asked.
        let workers = process::family(self.child.id());
        let master =
            nix::unistd::Pid::from_raw(self.child.id().try_into().expect("a small number"));
        let _ = nix::sys::signal::kill(master, nix::sys::signal::Signal::SIGTERM);
        let over = |worker: &u32| !Path::new(&format!("/proc/{worker}/cmdline")).exists();
        for _ in 0..50 {
            if matches!(self.child.try_wait(), Ok(Some(_))) && workers.iter().all(over) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        process::end(&mut self.child);
    }
}

/// A connection by which events are handed in; an answer is read before the next request, so that
/// nobody waits for it.
pub struct Publisher {
    stream: TcpStream,
    is_owed: bool,
}

impl Publisher {
    /// Connects to a server that is just starting.
    pub fn connect(address: SocketAddr) -> Self {
        for _ in 0..200 {
            if let Ok(stream) = TcpStream::connect(address) {
                stream.set_nodelay(true).expect("a socket");
                let patience = Some(Duration::from_secs(60));
                stream.set_read_timeout(patience).expect("a socket");
                return Self {
                    stream,
                    is_owed: false,
                };
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("nobody listens at {address}");
    }

    pub fn send(&mut self, request: &str) {
        if std::mem::replace(&mut self.is_owed, true) {
            self.take_answer().expect("an answer to the last event");
        }
        let sent = self.stream.write_all(request.as_bytes());
        sent.expect("the publisher accepts");
    }

    fn take_answer(&mut self) -> io::Result<()> {
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let read = self.stream.read(&mut buffer)?;
            answer.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8_lossy(&answer).to_lowercase();
            if read == 0 || !text.starts_with("http/1.1 2") {
                return Err(io::Error::other(format!("answered: {text}")));
            }
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                return Ok(());
            }
        }
    }
}

/// An address that was free a moment ago.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}
