//! A client that stops reading harms nobody: it skips states, and never sees a wrong one.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use crate::support::client::{Response, resume, subscribe};
use crate::support::eventually;
use crate::support::proxy::{Proxy, signal};
use crate::support::stage::Stage;
use crate::support::upstream::Reply;

const DOCUMENT_BYTES: usize = 200 << 10;
/// Socket buffers of the kernel take a few megabytes before a writer notices anything.
const FLOOD: u64 = 150;

/// A new document with every poll: nothing in common with the one before.
fn flood() -> (Stage, Arc<AtomicU64>) {
    let counter = Arc::new(AtomicU64::new(0));
    let served = Arc::clone(&counter);
    let stage = Stage::new(move |_| {
        let n = served.fetch_add(1, Ordering::SeqCst) + 1;
        let unit = format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let text = unit.repeat(DOCUMENT_BYTES / unit.len());
        Reply::json(json!({"n": n, "text": text}).to_string())
    });
    (stage, counter)
}

/// The document is whole and consistent in itself. Returns its number.
fn whole(data: &str) -> u64 {
    let value: serde_json::Value = serde_json::from_str(data).expect("a whole frame");
    let (n, text) = (
        value["n"].as_u64().unwrap(),
        value["text"].as_str().unwrap(),
    );
    let unit = format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    assert!(text.len() > DOCUMENT_BYTES - 16);
    assert!(
        text.as_bytes()
            .chunks(16)
            .all(|chunk| chunk == unit.as_bytes())
    );
    n
}

fn feed(write_timeout: &str) -> String {
    format!(
        ", poll: {{ interval: 40ms }}, \
         events: {{ mode: snapshot, modes: [snapshot], history: {{ events: 15, bytes: 1MiB }} }}, \
         deliver: {{ write_timeout: {write_timeout} }}"
    )
}

/// Reads this many documents; each is newer than the one before.
fn read(stream: &mut Response, documents: u64) -> u64 {
    let mut last = 0;
    for _ in 0..documents {
        let n = whole(&stream.expect("snapshot").data);
        assert!(n > last, "{n} after {last}");
        last = n;
    }
    last
}

/// A real client in a process of its own, which writes what it gets to a file.
struct Curl {
    child: Child,
    output: tempfile::NamedTempFile,
}

impl Curl {
    fn start(address: SocketAddr) -> Self {
        let output = tempfile::NamedTempFile::new().expect("a file");
        let child = Command::new("curl")
            .args(["-sN", "-H", "accept: text/event-stream"])
            .arg(format!("http://{address}/feed"))
            .stdout(Stdio::from(output.reopen().expect("the file")))
            .spawn()
            .expect("curl runs");
        Self { child, output }
    }

    /// Every whole event so far: name and data.
    fn events(&self) -> Vec<(String, String)> {
        let (mut events, mut name) = (Vec::new(), String::new());
        let file = File::open(self.output.path()).expect("the file");
        let mut pending = None;
        for line in BufReader::new(file).lines().map_while(Result::ok) {
            match line.split_once(": ") {
                Some(("event", value)) => value.clone_into(&mut name),
                Some(("data", value)) => pending = Some(value.to_owned()),
                Some(("id" | "retry", _)) => {}
                _ if line.is_empty() || line == ":" => {
                    if let Some(data) = pending.take() {
                        events.push((std::mem::take(&mut name), data));
                    }
                }
                // The last line may still be on its way.
                _ => {}
            }
        }
        events
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_stopped_client_costs_no_memory_disturbs_nobody_and_continues_with_a_reset() {
    let (stage, served) = flood();
    let proxy = Proxy::with_feed(&stage.url(), &feed("10m"));
    let mut others: Vec<_> = (0..2)
        .map(|_| subscribe(proxy.address(), "/feed"))
        .collect();
    let curls: Vec<_> = (0..5).map(|_| Curl::start(proxy.address())).collect();
    for other in &mut others {
        read(other, 20);
    }
    eventually("curl reads", || {
        curls.iter().all(|curl| curl.events().len() > 2)
    });
    curls
        .iter()
        .for_each(|curl| signal(curl.child.id(), "STOP"));

    let before = proxy.resident();
    let stopped_at = served.load(Ordering::SeqCst);
    std::thread::scope(|scope| {
        for other in &mut others {
            scope.spawn(|| read(other, FLOOD));
        }
    });
    let flooded = (served.load(Ordering::SeqCst) - stopped_at) as usize * DOCUMENT_BYTES;
    assert!(flooded > 25 << 20, "{flooded}");
    let grown = proxy.resident().saturating_sub(before);
    // Queues would hold all of it five times over.
    assert!(grown < 16 << 20, "{grown} bytes more after {flooded}");
    let lagged = || proxy.metric("pollcast_subscribers_lagged_total", &[]);
    assert!(lagged() < 0.5, "the others kept up");

    let resumed_at = served.load(Ordering::SeqCst);
    curls
        .iter()
        .for_each(|curl| signal(curl.child.id(), "CONT"));
    for curl in &curls {
        eventually("it catches up", || {
            let last = curl.events().pop();
            last.is_some_and(|(name, data)| name == "snapshot" && whole(&data) > resumed_at)
        });
        let events = curl.events();
        let resets: Vec<_> = (0..events.len())
            .filter(|at| events[*at].0 == "reset")
            .collect();
        assert_eq!(resets.len(), 1, "one gap, told once");
        assert_eq!(events[resets[0]].1, r#"{"reason":"lagged"}"#);
        assert_eq!(events[resets[0] + 1].0, "snapshot");
        let numbers: Vec<_> = events
            .iter()
            .filter(|(name, _)| name == "snapshot")
            .map(|(_, data)| whole(data))
            .collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    }
    assert!((lagged() - 5.0).abs() < 0.5);
}

#[test]
fn a_reader_that_never_reads_is_cut_off_counted_and_can_resume() {
    let (stage, _served) = flood();
    let proxy = Proxy::with_feed(&stage.url(), &feed("200ms"));
    let mut other = subscribe(proxy.address(), "/feed");
    let mut slow = subscribe(proxy.address(), "/feed");
    let id = slow.expect("snapshot").id.expect("an id");
    let cut_off = || proxy.metric("pollcast_connections_closed_total", &["write_timeout"]);
    let mut last = read(&mut other, 20);
    eventually("it is cut off", || {
        last = last.max(read(&mut other, 1));
        cut_off() > 0.5
    });
    assert!((cut_off() - 1.0).abs() < 0.5);
    assert!((proxy.metric("pollcast_connections", &[]) - 1.0).abs() < 0.5);

    let mut back = resume(proxy.address(), "/feed", &id);
    assert_eq!(back.expect("reset").value["reason"], "expired");
    assert!(whole(&back.expect("snapshot").data) >= last);
    read(&mut back, 5);
    read(&mut other, 5);
}
