//! The real binary, started as a user would start it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::{client, ended, eventually};

/// A running pollcast; killed when dropped.
pub struct Proxy {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
    log: Arc<Mutex<String>>,
    /// The process that took over from the child, by its id.
    successor: Option<u32>,
    folder: tempfile::TempDir,
}

impl Proxy {
    /// Starts it with this configuration, to which listeners on free ports are added.
    pub fn start(config: &str) -> Self {
        Self::start_with(config, &[])
    }

    /// The same with these environment variables.
    pub fn start_with(config: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pollcast"));
        command.envs(variables.iter().copied());
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::start_by(command, config, folder)
    }

    /// With its configuration in this folder, beside whatever is there already.
    pub fn start_in(folder: tempfile::TempDir, config: &str) -> Self {
        let command = Command::new(env!("CARGO_BIN_EXE_pollcast"));
        Self::start_by(command, config, folder)
    }

    /// With more keys of the admin section, as `, hosts: [ops.example]`.
    pub fn start_admin(more: &str, config: &str) -> Self {
        let admin = format!("admin: {{ listen: \"127.0.0.1:0\"{more} }}\n");
        Self::start(&format!("{admin}{config}"))
    }

    /// This file instead of the binary that was built.
    pub fn start_at(program: &Path, config: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program);
        command.envs(variables.iter().copied());
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::start_by(command, config, folder)
    }

    /// With so many file descriptors at most.
    pub fn start_with_descriptors(number: u32, config: &str) -> Self {
        let mut command = Command::new("bash");
        command
            .args(["-c", &format!("ulimit -n {number}; exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_pollcast"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::start_by(command, config, folder)
    }

    /// By a shell that first does this, such as setting a limit.
    pub fn start_after(first: &str, config: &str) -> Self {
        let mut command = Command::new("bash");
        command
            .args(["-c", &format!("{first}; exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_pollcast"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::start_by(command, config, folder)
    }

    /// Ends it at once, as nothing can be done about.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        ended(&mut self.child);
    }

    /// With more arguments behind its configuration's.
    pub fn start_saying(more: &str, config: &str) -> Self {
        let mut command = Command::new("bash");
        command
            .args(["-c", &format!("exec \"$0\" \"$@\" {more}")])
            .arg(env!("CARGO_BIN_EXE_pollcast"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::start_by(command, config, folder)
    }

    /// By this command, to which the arguments are added.
    pub fn start_by(mut command: Command, config: &str, folder: tempfile::TempDir) -> Self {
        let file = folder.path().join("pollcast.yaml");
        write(&file, config);
        let mut child = command
            .args(["run", "-c"])
            .arg(&file)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let log = Arc::new(Mutex::new(String::new()));
        keep(child.stderr.take().expect("piped"), Arc::clone(&log));
        let mut told = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut addresses = Vec::new();
        let admin = loop {
            let line = told
                .next()
                .unwrap_or_else(|| panic!("it never started: {}", log.lock().unwrap()))
                .expect("text");
            let Some((what, rest)) = line.split_once("://") else {
                continue;
            };
            let address = || {
                let address = rest.split('/').next().expect("an address");
                address.parse().expect("an address")
            };
            match what {
                "listening on http" | "listening on https" => addresses.push(address()),
                "admin on http" => break address(),
                _ => {}
            }
        };
        drain(told);
        Self {
            child,
            address: addresses[0],
            admin,
            log,
            successor: None,
            folder,
        }
    }

    /// One feed at `/feed`, polled every 50 ms, with more keys of the feed as YAML flow entries,
    /// such as `, deliver: { retry: 1s }`.
    pub fn with_feed(upstream: &str, more: &str) -> Self {
        let poll = if more.contains("poll:") {
            ""
        } else {
            ", poll: { interval: 50ms }"
        };
        Self::start(&format!(
            "upstreams: {{ legacy: {{ url: \"{upstream}\" }} }}\n\
             feeds:\n  - {{ path: /feed, upstream: legacy{poll}{more} }}\n"
        ))
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The process that serves.
    pub fn pid(&self) -> u32 {
        self.successor.unwrap_or_else(|| self.child.id())
    }

    /// The configuration's file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("pollcast.yaml")
    }

    /// Has another process take over, and waits until it says so.
    pub fn upgrade(&mut self) {
        let before = self.pid();
        self.signal("USR2");
        self.has_upgraded(before);
    }

    /// Waits until another process than this one says that it serves.
    pub fn has_upgraded(&mut self, before: u32) {
        let mut successor = None;
        eventually("another process takes over", || {
            successor = self.log().lines().rev().find_map(taken_over_by);
            successor.is_some_and(|successor| successor != before && !is_gone(successor))
        });
        self.successor = successor;
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Status and body of a GET on the admin listener.
    pub fn admin(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.admin).expect("the admin listener accepts");
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let status = answer.split(' ').nth(1).expect("a status line");
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        (status.parse().expect("a status"), body.to_owned())
    }

    /// Where the private listener is.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    pub fn admin_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }

    /// The sum of the samples of a metric whose labels contain every one of `labels`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let (_, text) = self.admin("/metrics");
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let (family, set) = series.split_once('{').unwrap_or((series, ""));
            let wanted = family == name && labels.iter().all(|label| set.contains(label));
            wanted.then(|| value.parse::<f64>().expect("a number"))
        };
        text.lines().filter_map(sample).sum()
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> usize {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("Linux");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .expect("a size");
        let kib = line.split_whitespace().nth(1).expect("a number");
        kib.parse::<usize>().expect("a number") * 1024
    }

    /// Where its configuration is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes its configuration anew, as it was started with one.
    pub fn rewrite(&self, config: &str) {
        write(&self.folder().join("pollcast.yaml"), config);
    }

    /// Asks for a reload; status and answer.
    pub fn reload(&self) -> (u16, Value) {
        let (status, body) = self.post("/api/reload", &[]);
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    /// Status and body of a POST without a body on the admin listener.
    pub fn post(&self, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let answer = client::request(self.admin, "POST", path, headers, b"");
        (answer.status, answer.text())
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits for its end.
    pub fn exit_status(&mut self) -> ExitStatus {
        ended(&mut self.child)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(successor) = self.successor.filter(|process| !is_gone(*process)) {
            signal(successor, "KILL");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of pollcast\n{}", self.log());
        }
    }
}

/// Whether a process has ended, though nobody may have asked how.
pub fn is_gone(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat"));
    status.map_or(true, |status| {
        let state = status.rsplit_once(')').map(|(_, rest)| rest.trim_start());
        state.is_none_or(|state| state.starts_with('Z'))
    })
}

/// The process that a line of the log tells of.
fn taken_over_by(line: &str) -> Option<u32> {
    let (_, rest) = line.split_once("another process serves")?;
    let (_, number) = rest.split_once("process=")?;
    number.split(' ').next()?.parse().ok()
}

/// Writes a configuration, to which listeners on free ports are added.
fn write(file: &Path, config: &str) {
    let mut listeners = String::new();
    for (key, section) in [
        (
            "server:",
            "server: { listen: \"127.0.0.1:0\", drain: 5s }\n",
        ),
        ("admin:", "admin: { listen: \"127.0.0.1:0\" }\n"),
    ] {
        if !config.contains(key) {
            listeners += section;
        }
    }
    std::fs::write(file, format!("{listeners}{config}")).expect("a file");
}

/// Sends a signal to a process that the test started.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status();
    assert!(status.expect("kill runs").success(), "kill -{name} {pid}");
}

fn keep(from: impl Read + Send + 'static, log: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
}

fn drain(lines: impl Iterator<Item = std::io::Result<String>> + Send + 'static) {
    std::thread::spawn(move || lines.for_each(drop));
}
