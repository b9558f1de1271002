//! pollcast: the release binary with a feed for each topic, all of them kept polled; or with one feed
//! that captures, each of its topics asked for once and polled on, since it lingers.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Read, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::options::Options;
use crate::process;

/// For the first answer to whoever subscribes.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Pollcast {
    child: Child,
    /// Kept open, so that it can go on telling.
    _told: Lines<BufReader<ChildStdout>>,
    _folder: tempfile::TempDir,
}

impl Pollcast {
    /// # Errors
    /// What the binary says if it does not start.
    pub fn start(upstream: &str, options: &Options, topics: usize) -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (file, log) = (folder.path().join("polls.yaml"), folder.path().join("log"));
        let text = match options.captures {
            true => one_feed(upstream, topics, options.interval),
            false => feeds(upstream, topics, options.interval),
        };
        fs::write(&file, text).expect("a file");
        let mut child = Command::new(binary())
            .args(["run", "-c"])
            .arg(&file)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).expect("a file"))
            .spawn()
            .expect("the binary runs");
        let mut told = BufReader::new(child.stdout.take().expect("piped")).lines();
        let lines = told.by_ref().map_while(Result::ok);
        let mut heads = lines.take_while(|line| !line.starts_with("admin on "));
        let address =
            heads.find_map(|line| Some(line.strip_prefix("listening on http://")?.to_owned()));
        // The admin listener's line is the last.
        if let Some(address) = address {
            let pollcast = Self {
                child,
                _told: told,
                _folder: folder,
            };
            if options.captures {
                (0..topics).try_for_each(|topic| visit(&address, topic))?;
            }
            return Ok(pollcast);
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

/// Subscribes to a topic, waits for the first bytes, and leaves.
fn visit(address: &str, topic: usize) -> Result<(), String> {
    let come = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let asked = "host: pollcast\r\naccept: text/event-stream";
        write!(stream, "GET /t/{topic} HTTP/1.1\r\n{asked}\r\n\r\n")?;
        let mut first = vec![0; 64];
        let read = stream.read(&mut first)?;
        first.truncate(read);
        Ok(first)
    };
    match come() {
        Ok(first) if first.starts_with(b"HTTP/1.1 200 ") => Ok(()),
        Ok(first) => Err(format!(
            "topic {topic} was answered {:?}",
            String::from_utf8_lossy(&first)
        )),
        Err(failure) => Err(format!("topic {topic}: {failure}")),
    }
}

fn one_feed(upstream: &str, topics: usize, interval: usize) -> String {
    format!(
        "server: {{ listen: \"127.0.0.1:0\", limits: {{ topics: {topics} }} }}\n\
         admin: {{ listen: \"127.0.0.1:0\" }}\n\
         upstreams: {{ polled: {{ url: \"http://{upstream}\" }} }}\n\
         feeds: [{{ path: \"/t/{{topic}}\", upstream: polled, topics: {topics}, \
         poll: {{ interval: {interval}ms, linger: 1h }} }}]\n"
    )
}

fn feeds(upstream: &str, topics: usize, interval: usize) -> String {
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
