//! Starts the programs that are not ours, and ends them.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use serde_json::Value;

use crate::support::proxy::signal;
use crate::support::{PATIENCE, ended, eventually};

/// The folder of the client programs.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// A program from `PATH`, or from where Debian keeps servers.
///
/// # Panics
/// If it is not installed.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let servers = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
    std::env::split_paths(&path)
        .chain(servers.into_iter().map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| missing(name))
}

/// `node` with one of our scripts, or with a script of an npm package.
pub fn node(script: &str) -> Command {
    if !folder().join("node_modules/.installed").is_file() {
        missing("tests/clients/node_modules");
    }
    let mut command = Command::new(program("node"));
    command.arg(folder().join(script));
    command
}

/// The tests' own Python with one of our scripts.
pub fn python(script: &str) -> Command {
    let python = folder().join(".venv/bin/python");
    if !python.is_file() {
        missing("tests/clients/.venv");
    }
    let mut command = Command::new(python);
    command.arg(folder().join(script));
    command
}

fn missing(what: &str) -> ! {
    panic!("{what} is missing: run `make test`, which installs what is missing")
}

/// A port that was free a moment ago, for a server that cannot be told to take any.
pub fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}

/// A process that ends with its test.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts it; its standard output is dropped unless `command` says otherwise, what it
    /// complains about is seen with a test's other output.
    pub fn start(command: &mut Command) -> Self {
        let child = command.spawn();
        Self {
            child: child.unwrap_or_else(|error| panic!("{command:?}: {error}")),
        }
    }

    /// Starts a server and waits until it listens.
    pub fn server(command: &mut Command, address: SocketAddr) -> Self {
        let mut server = Self::start(command.stdin(Stdio::null()).stdout(Stdio::null()));
        eventually("the server listens", || {
            if let Some(status) = server.child.try_wait().expect("a child") {
                panic!("{command:?} ended: {status}");
            }
            TcpStream::connect(address).is_ok()
        });
        server
    }

    pub fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("piped")
    }

    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("piped")
    }

    /// Closes its standard input, which tells our programs to leave.
    pub fn close_stdin(&mut self) {
        self.child.stdin = None;
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        signal(self.child.id(), "TERM");
    }

    /// Waits for its end.
    pub fn exit_status(&mut self) -> ExitStatus {
        ended(&mut self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process prints, line by line, with a bound on every wait.
pub struct Lines {
    lines: Receiver<String>,
}

impl Lines {
    pub fn of(output: impl Read + Send + 'static) -> Self {
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { lines }
    }

    /// The next line; `None` at the end.
    ///
    /// # Panics
    /// If nothing comes for long.
    pub fn next(&self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line in {PATIENCE:?}"),
        }
    }
}

/// What a follower came to hold.
#[derive(Debug)]
pub struct Held {
    pub id: String,
    pub document: Value,
}

/// `follow.mjs` or `follow.py` at work.
pub struct Follower {
    process: Process,
    lines: Lines,
    /// How often it has left and come back.
    pub drops: usize,
}

impl Follower {
    /// Starts it; with `drop_after` it disconnects after one to that many events, again and again.
    pub fn start(mut program: Command, url: &str, drop_after: Option<usize>) -> Self {
        program.arg(url);
        if let Some(most) = drop_after {
            program.arg("--drop-after").arg(most.to_string());
        }
        program.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start(&mut program);
        let lines = Lines::of(process.stdout());
        Self {
            process,
            lines,
            drops: 0,
        }
    }

    /// The next document that it holds.
    ///
    /// # Panics
    /// If it ends, or is told that its position cannot be continued.
    pub fn hold(&mut self) -> Held {
        loop {
            let line = self.lines.next().expect("the follower goes on");
            let mut line: Value = serde_json::from_str(&line).expect("a line of JSON");
            if line.get("dropped").is_some() {
                self.drops += 1;
                continue;
            }
            if line.get("status").is_some() {
                continue;
            }
            let id = line["id"].as_str().unwrap_or_else(|| panic!("{line}"));
            return Held {
                id: id.to_owned(),
                document: line["document"].take(),
            };
        }
    }

    /// Waits until it holds this document.
    pub fn hold_until(&mut self, document: &Value) {
        let mut held = self.hold().document;
        while !crate::history::same(&held, document) {
            held = self.hold().document;
        }
    }

    /// Tells it to leave.
    pub fn end(mut self) {
        self.process.close_stdin();
        assert!(self.process.exit_status().success());
    }
}
