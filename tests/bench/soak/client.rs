//! Clients that come and go until the end.

use std::any::Any;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::plan::Plan;
use crate::reader::{Held, Over, Reader};
use crate::stream::Stream;
use crate::truth::{SOURCES, Truth};
use crate::wire::{Wire, connect};

/// How long a prompt reader waits for anything at all; heartbeats come every second or two.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// A client whose machine is gone stays so for longer than any keepalive needs to find out.
const GONE_FOR: Duration = Duration::from_secs(150);

/// What all clients share.
pub struct Crowd {
    pub truth: Arc<Truth>,
    pub address: SocketAddr,
    /// Whether the listener speaks HTTP/2 with prior knowledge.
    pub h2: bool,
    /// True once nothing changes any more: who follows reads on to the newest state, then leaves.
    pub ending: watch::Receiver<bool>,
    tally: Mutex<BTreeMap<&'static str, u64>>,
    failures: Mutex<Vec<String>>,
    gone: Mutex<Vec<(Instant, Box<dyn Any + Send>)>>,
}

impl Crowd {
    pub fn new(
        truth: Arc<Truth>,
        address: SocketAddr,
        h2: bool,
        ending: watch::Receiver<bool>,
    ) -> Arc<Self> {
        Arc::new(Self {
            truth,
            address,
            h2,
            ending,
            tally: Mutex::default(),
            failures: Mutex::default(),
            gone: Mutex::default(),
        })
    }

    /// How often what happened.
    pub fn tally(&self) -> BTreeMap<&'static str, u64> {
        self.tally.lock().expect("nobody panics meanwhile").clone()
    }

    /// What was wrong, all of it.
    pub fn failures(&self) -> Vec<String> {
        let failures = self.failures.lock().expect("nobody panics meanwhile");
        failures.clone()
    }

    /// Lets go of connections whose clients have been gone for so long that the server knows.
    pub fn bury(&self) {
        let mut gone = self.gone.lock().expect("nobody panics meanwhile");
        gone.retain(|(since, _)| since.elapsed() < GONE_FOR);
    }

    /// Keeps the connection of a client whose machine is gone.
    pub fn keep(&self, kept: Box<dyn Any + Send>) {
        let mut gone = self.gone.lock().expect("nobody panics meanwhile");
        gone.push((Instant::now(), kept));
    }

    /// One more of this.
    pub fn count(&self, what: &'static str) {
        let mut tally = self.tally.lock().expect("nobody panics meanwhile");
        *tally.entry(what).or_default() += 1;
    }

    pub fn is_ending(&self) -> bool {
        *self.ending.borrow()
    }

    /// Comes and goes until the end. `seed` makes its choices repeatable.
    pub async fn live(self: Arc<Self>, seed: u64) {
        let mut dice = StdRng::seed_from_u64(seed);
        let mut held: Option<Held> = None;
        sleep(Duration::from_millis(dice.random_range(0..5_000))).await;
        while !self.is_ending() {
            let over = match dice.random_range(0..100) {
                0..4 => self.talk_nonsense(&mut dice).await,
                4..8 => self.pass_through(&mut dice).await,
                _ => {
                    if dice.random_range(0..4) == 0 {
                        held = None;
                    }
                    let source = held.as_ref().map(|held| held.source);
                    let plan = Plan::throw(&mut dice, source, self.h2);
                    self.follow(&plan, &mut held).await
                }
            };
            match over {
                Over::Ended(how) => self.count(how),
                Over::Wrong(why) => {
                    self.count("wrong");
                    held = None;
                    let mut failures = self.failures.lock().expect("nobody panics meanwhile");
                    failures.push(why);
                }
            }
            sleep(Duration::from_millis(dice.random_range(0..500))).await;
        }
    }

    /// Bytes that are no request, or only the beginning of one.
    async fn talk_nonsense(&self, dice: &mut StdRng) -> Over {
        let Ok(mut stream) = connect(self.address, false).await else {
            return Over::Wrong("no connection".to_owned());
        };
        let mut bytes = vec![0; dice.random_range(1..5_000)];
        if dice.random_range(0..2) == 0 {
            dice.fill(&mut bytes[..]);
        } else {
            bytes = b"GET /table HTTP/1.1\r\nhost: a\r\naccept: text/ev".to_vec();
        }
        // Whatever becomes of it: an answer, the end, or nothing.
        let _ = stream.write_all(&bytes).await;
        let _ = timeout(Duration::from_millis(300), stream.read(&mut [0; 512])).await;
        Over::Ended("nonsense")
    }

    /// A request that is no subscription gets what the upstream has.
    async fn pass_through(&self, dice: &mut StdRng) -> Over {
        let source = &SOURCES[dice.random_range(0..SOURCES.len())];
        let path = source.path;
        let ask = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        let ask_all = async {
            let mut stream = connect(self.address, false).await?;
            stream.write_all(ask.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = match timeout(PATIENCE, ask_all).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Over::Wrong(format!("{path}: passing through: {error}")),
            Err(_) => return Over::Wrong(format!("{path}: passing through takes too long")),
        };
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let judged = serde_json::from_str(body)
            .map_err(|error| format!("{path}: {error} in {answer:.200}"))
            .and_then(|state| self.truth.judge(source, &state));
        judged.map_or_else(Over::Wrong, |_| Over::Ended("passed through"))
    }

    /// Subscribes, resuming where `held` says, reads as planned and leaves as planned.
    async fn follow(&self, plan: &Plan, held: &mut Option<Held>) -> Over {
        let asking = async {
            match plan.h2 {
                true => {
                    Wire::ask_h2(self.address, plan.narrow, plan.h2_request(held.as_ref())).await
                }
                false => Wire::ask(self.address, plan.narrow, &plan.request(held.as_ref())).await,
            }
        };
        let (wire, head) = match timeout(PATIENCE, asking).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Over::Wrong(format!("no head: {error}")),
            Err(_) => return Over::Wrong("no head for half a minute".to_owned()),
        };
        match head.status {
            200 if head.events => {}
            503 if !plan.like_a_browser => return Over::Ended("refused, told so"),
            status => return Over::Wrong(format!("{}: {status}", plan.source.path)),
        }
        if head.gzip {
            self.count("with gzip");
        }
        if plan.h2 {
            self.count("by HTTP/2");
        }
        if held.is_some() {
            self.count("resumed");
        }
        let reader = Reader::new(self, plan, Stream::new(&head));
        reader.read(wire, held).await
    }
}
