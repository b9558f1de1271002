//! What an upstream served, poll after poll, and whether a client held only that.

use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::foreign::Held;
use crate::support::eventually;
use crate::support::upstream::{Reply, Upstream};

/// The bodies of successive polls.
pub struct History {
    bodies: Vec<String>,
    documents: Vec<Value>,
}

impl History {
    /// These polls of a recorded file.
    pub fn recorded(file: &Path, polls: Range<usize>) -> Self {
        Self::of(bodies(file, polls).into_iter())
    }

    /// Made up: rows come, change, move and go, and two polls answer no JSON.
    pub fn made_up(polls: usize) -> Self {
        let mut rows: Vec<Value> = Vec::new();
        let mut dice = 7_usize;
        Self::of((0..polls).map(move |poll| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = (dice >> 33) % (rows.len() + 1);
            rows.insert(
                at,
                json!({"id": poll, "name": format!("~row/{poll}"), "n": 1.5}),
            );
            if poll % 3 == 0 {
                rows.rotate_left(at.min(2));
            }
            if rows.len() > 20 {
                rows.remove(at / 2);
            }
            for row in rows.iter_mut().skip(at).step_by(4) {
                row["n"] = json!(poll);
            }
            match poll {
                12 => String::new(),
                30 => "<html>Bad Gateway".to_owned(),
                _ => json!(rows).to_string(),
            }
        }))
    }

    fn of(bodies: impl Iterator<Item = String>) -> Self {
        let bodies: Vec<String> = bodies.collect();
        let mut documents: Vec<Value> = bodies
            .iter()
            .filter_map(|body| serde_json::from_str(body).ok())
            .collect();
        documents.dedup();
        Self { bodies, documents }
    }

    /// How many polls there are.
    pub fn polls(&self) -> usize {
        self.bodies.len()
    }

    /// How many documents in a row differ.
    pub fn documents(&self) -> usize {
        self.documents.len()
    }

    /// A judge of one client.
    pub fn judge(&self) -> Judge<'_> {
        Judge {
            history: self,
            at: 0,
            id: None,
            held: 0,
        }
    }
}

/// Follows what one client holds through a history.
pub struct Judge<'a> {
    history: &'a History,
    at: usize,
    id: Option<(String, u64)>,
    /// How many documents it has seen the client hold.
    pub held: usize,
}

impl Judge<'_> {
    /// Takes the next document of the client; says whether it is the last one of the history.
    ///
    /// # Panics
    /// If the upstream never served it, or served it before what the client held already; if its
    /// id does not go on from the one before.
    pub fn take(&mut self, held: &Held) -> bool {
        let later = &self.history.documents[self.at..];
        let served = |each: &Value| same(each, &held.document);
        let Some(step) = later.iter().position(served) else {
            let before = self.history.documents[..self.at].iter().any(served);
            panic!(
                "{} holds what the upstream {}: {}",
                held.id,
                if before { "had left" } else { "never served" },
                held.document
            );
        };
        let (epoch, sequence) = held.id.rsplit_once('-').expect("<epoch>-<sequence>");
        let sequence: u64 = sequence.parse().expect("a sequence");
        if let Some((known, last)) = &self.id {
            assert_eq!(known, epoch, "one life of a topic, one epoch");
            let moved = step > 0;
            assert_eq!(
                sequence > *last,
                moved,
                "{last} -> {sequence}, {step} documents on"
            );
        }
        self.id = Some((epoch.to_owned(), sequence));
        self.at += step;
        self.held += 1;
        self.at + 1 == self.history.documents.len()
    }
}

/// Equal as JSON: numbers by value, members in any order. A client that keeps numbers in binary
/// may print the last digit otherwise than it was written.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().expect("a double"), b.as_f64().expect("a double"));
            (a - b).abs() <= f64::EPSILON * a.abs()
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let same_member = |(name, a)| b.get(name).is_some_and(|b| same(a, b));
            a.len() == b.len() && a.iter().all(same_member)
        }
        (a, b) => a == b,
    }
}

/// An upstream that answers each poll with the next body of a history, as far as it may.
pub struct Replay {
    pub upstream: Upstream,
    history: Arc<History>,
    may_serve: Arc<AtomicUsize>,
    next: Arc<Mutex<usize>>,
}

impl Replay {
    /// Serves the first polls, up to this many, and then repeats.
    pub fn start(history: History, at_first: usize) -> Self {
        let history = Arc::new(history);
        let may_serve = Arc::new(AtomicUsize::new(at_first));
        let next = Arc::new(Mutex::new(0));
        let upstream = Upstream::start({
            let (history, may_serve, next) = (history.clone(), may_serve.clone(), next.clone());
            move |_| {
                let mut next = next.lock().unwrap();
                if *next < may_serve.load(Ordering::SeqCst) {
                    *next += 1;
                }
                Reply::json(history.bodies[next.saturating_sub(1)].clone())
            }
        });
        Self {
            upstream,
            history,
            may_serve,
            next,
        }
    }

    /// What there is to serve.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Waits until it has served all that it may.
    pub fn pause(&self) {
        let wanted = self.may_serve.load(Ordering::SeqCst);
        eventually("the polls are served", || {
            *self.next.lock().unwrap() == wanted
        });
    }

    /// Lets it serve the rest.
    pub fn go_on(&self) {
        self.may_serve.store(self.history.polls(), Ordering::SeqCst);
    }
}

/// Bodies of a file of recorded polls.
pub fn bodies(file: &Path, polls: Range<usize>) -> Vec<String> {
    let file = std::fs::File::open(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let mut decoder = zstd::Decoder::new(file).expect("zstd");
    decoder.window_log_max(27).expect("a window of 2^27");
    let lines = BufReader::new(decoder).lines();
    let body = |line: std::io::Result<String>| {
        let poll: Value = serde_json::from_str(&line.expect("text")).expect("a line of JSON");
        poll["body"].as_str().expect("a body").to_owned()
    };
    lines
        .skip(polls.start)
        .take(polls.len())
        .map(body)
        .collect()
}
