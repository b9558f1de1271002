//! The npm libraries, each in a Node process of its own that lives as long as it answers in time.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::case::Case;
use crate::race::median;

pub const LIBRARIES: [&str; 3] = ["fast-json-patch", "rfc6902", "jsondiffpatch"];

/// A single pair may take so long.
const PAIR: Duration = Duration::from_secs(20);
/// No pair of a recorded file, and no further round of a single pair, begins after so long.
const FILE: Duration = Duration::from_secs(120);
const ROUNDS_OF_ONE: Duration = Duration::from_secs(4);
/// Node may take so long to start and to read a case's files.
const START: Duration = Duration::from_secs(60);
const ROUNDS: usize = 5;

/// How a library did on a case.
pub enum Outcome {
    /// It took in the first so many pairs, in the median of its rounds.
    Done { patches: Vec<Bytes>, seconds: f64 },
    /// It gave no result, for this reason.
    None(String),
}

/// The libraries at work.
pub struct Peers {
    folder: PathBuf,
    running: [Option<Node>; 3],
}

impl Peers {
    /// None where they are not installed.
    pub fn installed() -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/diff");
        let node = Command::new("node").arg("--version").output();
        let here = node.is_ok() && folder.join("node_modules/.installed").is_file();
        here.then_some(Self {
            folder,
            running: [None, None, None],
        })
    }

    /// The library with this number takes in a case.
    pub fn run(&mut self, library: usize, case: &Case) -> Outcome {
        let files = TempDir::new().expect("a temporary folder");
        let path = |name: String| files.path().join(name);
        let bodies: Vec<PathBuf> = (0..case.bodies.len())
            .map(|i| path(i.to_string()))
            .collect();
        for (file, body) in bodies.iter().zip(&case.bodies) {
            fs::write(file, body).expect("a temporary file");
        }
        let patches = path("patches".to_owned());
        let long = if case.recorded { FILE } else { ROUNDS_OF_ONE };
        let job = json!({
            "bodies": bodies, "key": case.key, "rounds": ROUNDS, "seconds": long.as_secs(),
            "patches": patches,
        });
        let node = self.running[library].take();
        let mut node = node.unwrap_or_else(|| Node::start(&self.folder, LIBRARIES[library]));
        match node.work(&job, long + PAIR) {
            Ok(answer) => {
                self.running[library] = Some(node);
                outcome(&answer, &patches)
            }
            Err(reason) => Outcome::None(reason),
        }
    }
}

fn outcome(answer: &Value, patches: &Path) -> Outcome {
    match answer["error"].as_str() {
        Some(error) if error.contains("call stack") => {
            return Outcome::None("fails: stack overflow".to_owned());
        }
        Some(error) => return Outcome::None(format!("fails: {error}")),
        None => {}
    }
    let text = fs::read(patches).expect("its patches");
    let lines = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let rounds = answer["seconds"].as_array().expect("seconds");
    Outcome::Done {
        patches: lines.map(Bytes::copy_from_slice).collect(),
        seconds: median(rounds.iter().filter_map(Value::as_f64).collect()),
    }
}

struct Node {
    child: Child,
    told: Receiver<Value>,
}

impl Node {
    fn start(folder: &Path, library: &str) -> Self {
        let mut child = Command::new("node")
            .args(["--max-old-space-size=4096", "peers.mjs", library])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node runs");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (tell, told) = channel();
        thread::spawn(move || {
            let lines = stdout.lines().map_while(Result::ok);
            let messages = lines.map_while(|line| serde_json::from_str(&line).ok());
            for message in messages {
                if tell.send(message).is_err() {
                    return;
                }
            }
        });
        Self { child, told }
    }

    /// Its answer to a job. After an error it is of no more use.
    fn work(&mut self, job: &Value, limit: Duration) -> Result<Value, String> {
        let stdin = self.child.stdin.as_mut().expect("piped");
        writeln!(stdin, "{job}").map_err(|_| "fails".to_owned())?;
        let ready = self.answer(START)?;
        if ready.get("error").is_some() {
            return Ok(ready);
        }
        self.answer(limit)
    }

    fn answer(&self, limit: Duration) -> Result<Value, String> {
        self.told.recv_timeout(limit).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("> {} s", PAIR.as_secs()),
            RecvTimeoutError::Disconnected => "fails: out of memory".to_owned(),
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
