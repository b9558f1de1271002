//! Clients that come, follow, stall, resume, leave in every way there is, and judge each state that
//! they hold.

use std::any::Any;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::stream::{Event, Stream};
use crate::truth::{SOURCES, Source, Truth};
use crate::wire::{Wire, connect};

/// How long a prompt reader waits for anything at all; heartbeats come every second or two.
const PATIENCE: Duration = Duration::from_secs(30);
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

/// What a client holds of a source.
struct Held {
    source: &'static Source,
    document: Value,
    number: u64,
    last_id: String,
}

/// One visit.
#[derive(Debug)]
struct Plan {
    source: &'static Source,
    mode: &'static str,
    gzip: bool,
    old: bool,
    h2: bool,
    like_a_browser: bool,
    chatter: bool,
    narrow: bool,
    /// After the first event, read nothing for so long.
    stall: Option<Duration>,
    stay: Duration,
    leave: Leave,
}

#[derive(Clone, Copy, Debug)]
enum Leave {
    Close,
    Break,
    HalfClose,
    Vanish,
}

/// Why a visit was over before its time; only a wrong one is a failure.
enum Over {
    /// It ended as it may.
    Ended(&'static str),
    Wrong(String),
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

    fn count(&self, what: &'static str) {
        let mut tally = self.tally.lock().expect("nobody panics meanwhile");
        *tally.entry(what).or_default() += 1;
    }

    fn is_ending(&self) -> bool {
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
        let reader = Reader {
            crowd: self,
            plan,
            stream: Stream::new(&head),
            events: 0,
            is_excused: plan.chatter,
        };
        reader.read(wire, held).await
    }
}

impl Plan {
    fn throw(dice: &mut StdRng, source: Option<&'static Source>, can_h2: bool) -> Self {
        let any = match dice.random_range(0..20) {
            0..10 => &SOURCES[0],
            10..17 => &SOURCES[1],
            _ => &SOURCES[2],
        };
        let stall = Duration::from_millis(dice.random_range(500..30_000));
        let stalls = dice.random_range(0..5) == 0;
        Self {
            source: source.unwrap_or(any),
            mode: ["patch", "patch", "merge", "snapshot"][dice.random_range(0..4)],
            gzip: dice.random_range(0..2) == 0,
            old: dice.random_range(0..10) == 0,
            h2: can_h2 && dice.random_range(0..3) == 0,
            like_a_browser: dice.random_range(0..2) == 0,
            chatter: dice.random_range(0..20) == 0,
            narrow: stalls || dice.random_range(0..10) == 0,
            stall: stalls.then_some(stall),
            stay: Duration::from_millis(dice.random_range(0..25_000)),
            leave: match dice.random_range(0..50) {
                0..20 => Leave::Close,
                20..40 => Leave::Break,
                40..49 => Leave::HalfClose,
                _ => Leave::Vanish,
            },
        }
    }

    /// Path and query, and the headers.
    fn wishes(&self, held: Option<&Held>) -> (String, Vec<(&'static str, String)>) {
        let mut target = format!("{}?mode={}", self.source.path, self.mode);
        let mut headers = vec![("accept", "text/event-stream".to_owned())];
        if self.gzip {
            headers.push(("accept-encoding", "gzip".to_owned()));
        }
        if self.like_a_browser {
            headers.push(("cache-control", "no-cache".to_owned()));
        }
        match held {
            Some(held) if self.like_a_browser => {
                headers.push(("last-event-id", held.last_id.clone()));
            }
            // Programs that say it in the header are taken for browsers.
            Some(held) => target += &format!("&last_event_id={}", held.last_id),
            None => {}
        }
        (target, headers)
    }

    fn request(&self, held: Option<&Held>) -> String {
        let (target, headers) = self.wishes(held);
        let version = if self.old { "1.0" } else { "1.1" };
        let mut text = format!("GET {target} HTTP/{version}\r\nhost: a\r\n");
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text + "\r\n"
    }

    fn h2_request(&self, held: Option<&Held>) -> http::Request<()> {
        let (target, headers) = self.wishes(held);
        let mut request = http::Request::get(format!("http://a{target}"));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body(()).expect("a request")
    }
}

/// One visit's reading.
struct Reader<'a> {
    crowd: &'a Crowd,
    plan: &'a Plan,
    stream: Stream,
    events: u64,
    /// Whether the server may cut it off: it did not read, or did not behave.
    is_excused: bool,
}

impl Reader<'_> {
    async fn read(mut self, mut wire: Wire, held: &mut Option<Held>) -> Over {
        let until = Instant::now() + self.plan.stay;
        let mut last_sign = Instant::now();
        loop {
            if self.crowd.is_ending() {
                let newest = self.crowd.truth.newest(self.plan.source);
                if held.as_ref().is_some_and(|held| held.number == newest) {
                    return Over::Ended("holds the newest");
                }
            } else if Instant::now() >= until {
                return self.leave(wire, held).await;
            } else if let Some(stall) = self.plan.stall.filter(|_| self.events == 1) {
                sleep(stall).await;
                self.events += 1;
                self.is_excused = true;
            }
            if self.plan.chatter && self.events < 5 {
                wire.chatter().await;
            }
            let wait = Duration::from_millis(500);
            match timeout(wait, wire.read()).await {
                Err(_) if last_sign.elapsed() > PATIENCE => {
                    return Over::Wrong(format!("{:?}: silence", self.plan));
                }
                Err(_) => {}
                Ok(Ok(bytes)) if bytes.is_empty() => return self.ended(),
                Ok(Ok(bytes)) => {
                    last_sign = Instant::now();
                    if let Err(why) = self.take(&bytes, held) {
                        return Over::Wrong(format!("{why}: {:?}", self.plan));
                    }
                }
                Ok(Err(_)) if self.is_excused => return Over::Ended("cut off"),
                Ok(Err(error)) => return Over::Wrong(format!("{error}: {:?}", self.plan)),
            }
        }
    }

    fn ended(&self) -> Over {
        let is_proper = self.stream.is_finished() && self.stream.is_between_events();
        match (is_proper, self.events) {
            (true, 0) => Over::Ended("refused, told to come back"),
            (true, _) => Over::Ended("ended by the server"),
            (false, _) if self.is_excused => Over::Ended("cut off"),
            (false, _) => Over::Wrong(format!("ended in the middle: {:?}", self.plan)),
        }
    }

    fn take(&mut self, bytes: &[u8], held: &mut Option<Held>) -> Result<(), String> {
        let events = self.stream.take(bytes).map_err(|error| error.to_string())?;
        for event in events.iter().filter(|event| event.data.is_some()) {
            self.events += 1;
            self.crowd.count("events");
            self.event(event, held)?;
        }
        Ok(())
    }

    fn event(&self, event: &Event, held: &mut Option<Held>) -> Result<(), String> {
        let source = self.plan.source;
        let data = event.data.as_deref().unwrap_or_default();
        let data: Value = serde_json::from_str(data).map_err(|error| error.to_string())?;
        let document = match (event.name.as_str(), held.as_mut()) {
            ("snapshot", _) => data,
            ("patch", Some(held)) => {
                let patch: json_patch::Patch =
                    serde_json::from_value(data).map_err(|error| error.to_string())?;
                let patched = json_patch::patch(&mut held.document, &patch);
                patched.map_err(|error| format!("{}: {error}", source.path))?;
                held.document.take()
            }
            ("merge", Some(held)) => {
                json_patch::merge(&mut held.document, &data);
                held.document.take()
            }
            ("reset", _) => {
                self.crowd.count(match data["reason"].as_str() {
                    Some("lagged") => "lagged",
                    Some("expired") => "expired",
                    reason => return Err(format!("a reset for no good reason: {reason:?}")),
                });
                return Ok(());
            }
            ("status", _) => {
                self.crowd.count("status");
                return Ok(());
            }
            (name, _) => return Err(format!("{name:?} at the wrong moment")),
        };
        let number = self.crowd.truth.judge(source, &document)?;
        let last = held.as_ref().map_or(0, |held| held.number);
        if number < last || (event.name != "snapshot" && number == last) {
            return Err(format!("{}: {number} after {last}", source.path));
        }
        *held = Some(Held {
            source,
            document,
            number,
            last_id: event.id.clone().ok_or("a state without an id")?,
        });
        Ok(())
    }

    async fn leave(mut self, mut wire: Wire, held: &mut Option<Held>) -> Over {
        match self.plan.leave {
            Leave::Close => Over::Ended("closed"),
            Leave::Break => {
                wire.break_off();
                Over::Ended("broken")
            }
            Leave::HalfClose => {
                // What comes afterwards must be right as well; nothing has to.
                wire.half_close().await;
                let until = Instant::now() + Duration::from_secs(2);
                while let Ok(Ok(bytes)) = timeout_at(until, wire.read()).await {
                    if bytes.is_empty() {
                        break;
                    }
                    if let Err(why) = self.take(&bytes, held) {
                        return Over::Wrong(format!("after half a close: {why}: {:?}", self.plan));
                    }
                }
                Over::Ended("half closed")
            }
            Leave::Vanish => match wire.vanish() {
                Ok(kept) => {
                    let mut gone = self.crowd.gone.lock().expect("nobody panics meanwhile");
                    gone.push((Instant::now(), kept));
                    Over::Ended("vanished")
                }
                Err(error) => Over::Wrong(format!("cannot vanish: {error}")),
            },
        }
    }
}
