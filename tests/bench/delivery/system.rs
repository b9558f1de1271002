//! What is measured: servers that deliver events, each in processes of its own.

use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::crowd::{Subscription, Transport};
use crate::process::{self, Role, now};

/// What a run is about.
#[derive(Clone, Debug)]
pub struct Job {
    pub subscribers: usize,
    /// From one event to the next, where there is time between them.
    pub pace: Duration,
    /// Bytes of an event.
    pub size: usize,
    /// How often pollcast polls, in ms.
    pub interval: u32,
    /// Bytes of the document that never change.
    pub ballast: usize,
    /// How subscribers are served.
    pub transport: Transport,
}

/// A server under test, ended when dropped.
pub trait System {
    /// What a subscriber sends, and what it may expect first.
    fn subscription(&self) -> Subscription;

    /// Every process that serves.
    fn processes(&self) -> Vec<u32>;

    /// Sends the next event on its way.
    fn publish(&mut self, number: u32);

    /// When each event that was published since the last call had been handed in, in nanoseconds.
    fn published(&mut self) -> Vec<(u32, u64)>;
}

pub struct Floor {
    role: Role,
    address: SocketAddr,
    job: Job,
    published: Vec<(u32, u64)>,
}

impl Floor {
    pub fn start(job: &Job) -> Self {
        let mut role = Role::start("floor", &[]);
        Self {
            address: address(&role.answer()),
            role,
            job: job.clone(),
            published: Vec::new(),
        }
    }
}

impl System for Floor {
    fn subscription(&self) -> Subscription {
        subscription(self.address, &self.job, None)
    }

    fn processes(&self) -> Vec<u32> {
        vec![self.role.id()]
    }

    fn publish(&mut self, number: u32) {
        self.role.command(&format!("{number} {}", self.job.size));
        self.published.push((number, now()));
    }

    fn published(&mut self) -> Vec<(u32, u64)> {
        std::mem::take(&mut self.published)
    }
}

pub struct Pollcast {
    upstream: Role,
    child: Child,
    _told: Lines<BufReader<ChildStdout>>,
    _folder: TempDir,
    address: SocketAddr,
    job: Job,
    waiting: usize,
}

impl Pollcast {
    pub fn start(job: &Job) -> Self {
        let of = [job.size.to_string(), job.ballast.to_string()];
        let mut upstream = Role::start("upstream", &of);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("pollcast.yaml");
        let config = format!(
            "server: {{ listen: \"127.0.0.1:0\" }}\nadmin: {{ listen: \"127.0.0.1:0\" }}\n\
             upstreams: {{ replay: {{ url: \"http://{}\" }} }}\n\
             feeds: [{{ path: /feed, upstream: replay, poll: {{ interval: {}ms, idle: keep }} }}]\n",
            upstream.answer(),
            job.interval
        );
        std::fs::write(&file, config).expect("a file");
        let mut child = Command::new(env!("CARGO_BIN_EXE_pollcast"))
            .args(["run", "-c"])
            .arg(&file)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut told = BufReader::new(child.stdout.take().expect("piped")).lines();
        let address = loop {
            let line = told.next().expect("it starts").expect("it writes text");
            if let Some(rest) = line.strip_prefix("listening on http://") {
                break address(rest.split('/').next().expect("invariant: never nothing"));
            }
        };
        Self {
            upstream,
            child,
            _told: told,
            _folder: folder,
            address,
            job: job.clone(),
            waiting: 0,
        }
    }
}

impl System for Pollcast {
    fn subscription(&self) -> Subscription {
        subscription(self.address, &self.job, Some(0))
    }

    fn processes(&self) -> Vec<u32> {
        vec![self.child.id()]
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

impl Drop for Pollcast {
    fn drop(&mut self) {
        process::end(&mut self.child);
    }
}

/// A subscription to `/feed`, for a job.
pub fn subscription(to: SocketAddr, job: &Job, greeting: Option<u32>) -> Subscription {
    Subscription {
        to,
        path: "/feed".to_owned(),
        transport: job.transport,
        headers: String::new(),
        greeting,
        after: 0,
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}
