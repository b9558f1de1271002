//! Whatever becomes of a document, clients of every mode end with what the upstream serves.

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::client::{Event, Response, resume, subscribe};
use crate::support::proxy::Proxy;
use crate::support::replica::{Replica, Shelf};
use crate::support::stage::Stage;
use crate::support::{Dice, PATIENCE};

const STEPS: usize = 250;

/// The documents of a long run. Each says by its first row which it is. Mostly rows come, change,
/// move and go; now and then something is beyond `merge` or `items`.
fn documents() -> Vec<Value> {
    let mut dice = Dice(11);
    let mut rows: Vec<Value> = Vec::new();
    let mut notes = json!({"a": {"b": 1}});
    let mut document = |step: usize| {
        let at = dice.below(rows.len().max(1) as u64) as usize;
        match dice.below(8) {
            0 | 1 => rows.insert(at, json!({"id": step, "name": "a row", "n": {"x": 1}})),
            2 if rows.len() > 6 => drop(rows.remove(at)),
            3 => rows.rotate_left(at),
            4 => notes["a"][format!("n{}", dice.below(3))] = json!(step),
            5 => notes["a"]["b"] = [json!(null), json!([null]), json!({})][step % 3].clone(),
            _ if rows.is_empty() => {}
            _ => rows[at]["n"] = json!({"x": dice.below(9), "y": [dice.below(9), null]}),
        }
        let mut told = vec![json!({"id": "step", "n": step})];
        told.extend(rows.iter().cloned());
        match dice.below(20) {
            0 => told.push(json!({"id": "step", "n": "twice"})),
            1 => told.push(json!({"n": "no key"})),
            2 => told.push(json!(null)),
            _ => {}
        }
        json!({"rows": told, "notes": notes, "text": "unchanged ".repeat(40)})
    };
    (0..STEPS).map(&mut document).collect()
}

fn step(document: &Value) -> usize {
    document["rows"][0]["n"].as_u64().expect("a step") as usize
}

/// What a client keeps, whatever its mode.
trait Follower: Send {
    fn take(&mut self, event: &Event);
    /// Which of the documents it holds.
    ///
    /// # Panics
    /// If it is none of them.
    fn step(&self, served: &[Value]) -> usize;
}

impl Follower for Replica {
    fn take(&mut self, event: &Event) {
        self.take(event);
    }

    fn step(&self, served: &[Value]) -> usize {
        let held = self.document.as_ref().expect("a document");
        assert_eq!(Some(held), served.get(step(held)), "never served");
        step(held)
    }
}

impl Follower for Shelf {
    fn take(&mut self, event: &Event) {
        self.take(event);
    }

    fn step(&self, served: &[Value]) -> usize {
        let held = &self.items[r#""step""#]["n"];
        // A key that was there twice: only the document itself says which it is.
        let step = held.as_u64().map(|step| step as usize).or_else(|| {
            let same = |document: &Value| Shelf::new("/rows", "id").holding(document) == *self;
            served.iter().position(same)
        });
        let step = step.expect("a step");
        let whole = Shelf::new("/rows", "id").holding(&served[step]);
        assert_eq!(self.items, whole.items, "never served");
        assert_eq!(self.rest, whole.rest, "never served");
        step
    }
}

#[test]
fn clients_of_every_mode_hold_what_was_served_in_order_and_end_with_the_last() {
    let served = documents();
    let stage = Stage::serving(served[0].to_string());
    let feed = ", poll: { interval: 10ms }, document: { key: id, items: /rows }, \
                events: { modes: [patch, merge, items, snapshot], history: { events: 20 } }";
    let proxy = Proxy::with_feed(&stage.url(), feed);
    let mut watcher = subscribe(proxy.address(), "/feed?mode=snapshot");
    watcher.expect("snapshot");
    let address = proxy.address();
    let readers: Vec<_> = (0..8)
        .map(|seed| {
            let served = served.clone();
            std::thread::spawn(move || {
                let (mode, follower): (_, Box<dyn Follower>) = match seed % 4 {
                    0 => ("merge", Box::new(Replica::default())),
                    1 | 2 => ("items", Box::new(Shelf::new("/rows", "id"))),
                    _ => ("patch", Box::new(Replica::default())),
                };
                // Half of them are never cut off.
                let cut = if seed < 4 { 30 } else { u64::MAX };
                follow(address, mode, follower, &served, (seed, cut));
            })
        })
        .collect();
    for document in &served[1..] {
        stage.serves(document.to_string());
        watcher.expect("snapshot");
    }
    for reader in readers {
        reader.join().expect("a reader is satisfied");
    }
    let delivered = |event| proxy.metric("pollcast_events_delivered_total", &[event]);
    for event in ["merge", "added", "changed", "removed", "patch"] {
        assert!(delivered(event) > 10.0, "{event} was hardly tried");
    }
}

/// Reads until the last document is held, cut off after fewer than `cut` events each time.
fn follow(
    address: SocketAddr,
    mode: &str,
    mut follower: Box<dyn Follower>,
    served: &[Value],
    (seed, cut): (u64, u64),
) {
    let (mut dice, target) = (Dice(seed), format!("/feed?mode={mode}"));
    let (mut at, mut last_id) = (0, None::<String>);
    let deadline = Instant::now() + 4 * PATIENCE;
    while at + 1 < served.len() {
        assert!(Instant::now() < deadline, "{mode} is stuck at {at}");
        let mut stream = match &last_id {
            Some(id) => resume(address, &target, id),
            None => subscribe(address, &target),
        };
        for _ in 0..dice.below(cut) {
            let event: Event = next(&mut stream);
            follower.take(&event);
            // Between the events of one change a client holds part of it.
            if let Some(id) = event.id {
                last_id = Some(id);
                let now = follower.step(served);
                assert!(at <= now, "{mode} goes back from {at} to {now}");
                at = now;
            }
            if at + 1 == served.len() {
                return;
            }
        }
    }
}

fn next(stream: &mut Response) -> Event {
    stream.event().expect("the stream goes on")
}
