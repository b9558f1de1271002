//! pollcast: the release binary with a feed for each topic, all of them kept polled.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::process;

pub struct Pollcast {
    child: Child,
    /// Kept open, so that it can go on telling.
    _told: Lines<BufReader<ChildStdout>>,
    _folder: tempfile::TempDir,
}

impl Pollcast {
    /// # Errors
    /// What the binary says if it does not start.
    pub fn start(upstream: &str, topics: usize, interval: usize) -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (file, log) = (folder.path().join("polls.yaml"), folder.path().join("log"));
        fs::write(&file, configuration(upstream, topics, interval)).expect("a file");
        let mut child = Command::new(binary())
            .args(["run", "-c"])
            .arg(&file)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).expect("a file"))
            .spawn()
            .expect("the binary runs");
        let mut told = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut lines = told.by_ref().map_while(Result::ok);
        if lines.any(|line| line.starts_with("admin on ")) {
            return Ok(Self {
                child,
                _told: told,
                _folder: folder,
            });
        }
        process::end(&mut child);
        let mut text = String::new();
        let mut log = fs::File::open(log).expect("its log");
        log.read_to_string(&mut text).expect("text");
        let last = text.trim().lines().next_back().unwrap_or_default();
        Err(format!("pollcast never started: {last}"))
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Pollcast {
    fn drop(&mut self) {
        process::end(&mut self.child);
    }
}

/// The release binary, or another that the environment names.
fn binary() -> PathBuf {
    let built = || PathBuf::from(env!("CARGO_BIN_EXE_pollcast"));
    std::env::var_os("POLLCAST_BINARY").map_or_else(built, PathBuf::from)
}

fn configuration(upstream: &str, topics: usize, interval: usize) -> String {
    let mut text = format!(
        "server: {{ listen: \"127.0.0.1:0\" }}\nadmin: {{ listen: \"127.0.0.1:0\" }}\n\
         upstreams: {{ polled: {{ url: \"http://{upstream}\" }} }}\nfeeds:\n"
    );
    for topic in 0..topics {
        let written = writeln!(
            text,
            "  - {{ path: /t/{topic}, upstream: polled, \
             poll: {{ interval: {interval}ms, idle: keep }} }}"
        );
        written.expect("a string takes everything");
    }
    text
}
