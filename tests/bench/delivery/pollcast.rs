//! pollcast: the release binary, and the upstream that it polls.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

use crate::certificate;
use crate::crowd::{Subscription, Transport};
use crate::process::{self, Role};
use crate::system::{Job, System, address, subscription};

pub struct Pollcast {
    upstream: Role,
    proxy: Proxy,
    job: Job,
    waiting: usize,
}

/// The binary.
pub struct Proxy {
    child: Child,
    pub address: SocketAddr,
    _told: Lines<BufReader<ChildStdout>>,
    _folder: TempDir,
}

impl Pollcast {
    /// # Errors
    /// What the binary refuses.
    pub fn start(job: &Job) -> Result<Self, String> {
        let of = [job.size.to_string(), job.ballast.to_string()];
        let mut upstream = Role::start("upstream", &of);
        let at = upstream.answer();
        Ok(Self {
            upstream,
            proxy: Proxy::start(&at, job.transport, job.interval)?,
            job: job.clone(),
            waiting: 0,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.proxy.address
    }
}

impl System for Pollcast {
    fn subscription(&self) -> Subscription {
        subscription(self.proxy.address, &self.job, Some(0))
    }

    fn processes(&self) -> Vec<u32> {
        vec![self.proxy.id()]
    }

    fn publish(&mut self, number: u32) {
        self.upstream.command(&number.to_string());
        self.waiting += 1;
    }

    fn published(&mut self) -> Vec<(u32, u64)> {
        let waiting = std::mem::take(&mut self.waiting);
        let told = (0..waiting).map(|_| {
            let answer = self.upstream.answer();
            let (number, time) = answer.split_once(' ').expect("two numbers");
            (
                number.parse().expect("a number"),
                time.parse().expect("a time"),
            )
        });
        told.collect()
    }
}

impl Proxy {
    /// One feed, `/feed`, polled every so many milliseconds.
    ///
    /// # Errors
    /// What the binary refuses.
    pub fn start(upstream: &str, transport: Transport, interval: u32) -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("pollcast.yaml");
        let configuration = configuration(upstream, transport, interval, folder.path());
        fs::write(&file, configuration).expect("a file");
        let mut child = Command::new(binary())
            .args(["run", "-c"])
            .arg(&file)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.path().join("log")).expect("a file"))
            .spawn()
            .expect("the binary runs");
        let mut told = BufReader::new(child.stdout.take().expect("piped")).lines();
        let told_address = told.by_ref().map_while(Result::ok).find_map(|line| {
            let rest = line.strip_prefix("listening on http")?;
            let rest = rest.trim_start_matches(['s', ':', '/']);
            Some(address(rest.split('/').next()?))
        });
        let Some(address) = told_address else {
            process::end(&mut child);
            let mut log = String::new();
            let file = fs::File::open(folder.path().join("log"));
            file.and_then(|mut file| file.read_to_string(&mut log))
                .expect("its log");
            let last = log.trim().lines().next_back().unwrap_or_default().trim();
            return Err(format!("it never started: {last}"));
        };
        Ok(Self {
            child,
            address,
            _told: told,
            _folder: folder,
        })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

/// The release binary, or another that the environment names.
fn binary() -> PathBuf {
    let built = || PathBuf::from(env!("CARGO_BIN_EXE_pollcast"));
    std::env::var_os("POLLCAST_BINARY").map_or_else(built, PathBuf::from)
}

impl Drop for Proxy {
    fn drop(&mut self) {
        process::end(&mut self.child);
    }
}

fn configuration(upstream: &str, transport: Transport, interval: u32, folder: &Path) -> String {
    let listen = match transport {
        Transport::Http1 | Transport::Gzip => "\"127.0.0.1:0\"".to_owned(),
        Transport::Http2(_) => "[{ address: \"127.0.0.1:0\", http2: true }]".to_owned(),
        Transport::Tls => {
            let (certificate, key) = certificate::write(folder);
            format!(
                "[{{ address: \"127.0.0.1:0\", tls: {{ certificate: {}, key: {} }} }}]",
                certificate.display(),
                key.display()
            )
        }
    };
    let mut text = String::new();
    let written = write!(
        text,
        "server: {{ listen: {listen} }}\nadmin: {{ listen: \"127.0.0.1:0\" }}\n\
         upstreams: {{ replay: {{ url: \"http://{upstream}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: replay, poll: {{ interval: {interval}ms, idle: keep }} }}]\n"
    );
    written.expect("a string takes everything");
    text
}
