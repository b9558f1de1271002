//! Recorded polls of real endpoints: whoever comes in the middle, leaves at random and resumes
//! only ever holds documents that the upstream really served, in order, and ends with the last.

use std::io::{BufReader, Write};
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::foreign::{Follower, Held, Lines, Process, node, program, python};
use crate::history::{History, Replay};
use crate::support::PATIENCE;
use crate::support::client::Event;
use crate::support::proxy::Proxy;
use crate::support::replica::Replica;

/// Followers that disconnect do so after one to this many events.
const DROP_AFTER: usize = 6;

#[test]
fn fires_are_followed_through_disconnects() {
    // Poll 228 was answered with an empty body.
    follow_all("fires.ndjson.zst", 185..255, "UniqueId");
}

#[test]
fn chp_is_followed_through_disconnects() {
    follow_all("chp.ndjson.zst", 100..170, "name");
}

fn follow_all(file: &str, polls: Range<usize>, key: &str) {
    let (history, key) = match std::env::var_os("POLLCAST_CORPUS") {
        Some(folder) => (
            History::recorded(&Path::new(&folder).join(file), polls),
            key,
        ),
        None => {
            say("skipped: POLLCAST_CORPUS is not set; made-up polls instead");
            (History::made_up(polls.len()), "id")
        }
    };
    let replay = Replay::start(history, 20);
    let more = format!(", poll: {{ interval: 30ms }}, document: {{ key: \"{key}\" }}");
    let proxy = Proxy::with_feed(&replay.upstream.url(), &more);
    let feed = proxy.url("/feed");

    std::thread::scope(|scope| {
        let replay = &replay;
        let first = Curl::follow(&feed);
        let first = scope.spawn(move || follow_curl(first, replay.history(), None));
        replay.pause();
        let patches = Curl::follow(&feed);
        let snapshots = Curl::follow(&format!("{feed}?mode=snapshot"));
        let mut others = [
            Follower::start(node("follow.mjs"), &feed, Some(DROP_AFTER)),
            Follower::start(python("follow.py"), &feed, Some(DROP_AFTER)),
            Follower::start(node("follow.mjs"), &feed, None),
            Follower::start(python("follow.py"), &feed, None),
        ];
        // All of them start in the middle: the replay waits for their first document.
        let middle: Vec<Held> = others.iter_mut().map(Follower::hold).collect();
        replay.go_on();
        let patches = scope.spawn(move || follow_curl(patches, replay.history(), None));
        let snapshots =
            scope.spawn(move || follow_curl(snapshots, replay.history(), Some("snapshot")));
        let others: Vec<_> = others
            .into_iter()
            .zip(middle)
            .map(|(follower, held)| scope.spawn(move || follow(follower, &held, replay.history())))
            .collect();

        let whole = first.join().expect("curl follows");
        patches.join().expect("curl follows");
        snapshots.join().expect("curl follows in mode snapshot");
        let drops: Vec<usize> = others
            .into_iter()
            .map(|each| each.join().expect("a follower ends with the last document"))
            .collect();
        assert!(drops[0] > 0 && drops[1] > 0, "somebody left: {drops:?}");
        assert_eq!(drops[2..], [0, 0]);
        say(&format!(
            "{file}: {} polls, {} documents, curl held {whole}, drops (node, python) {:?}",
            replay.history().polls(),
            replay.history().documents(),
            &drops[..2],
        ));
        assert!(
            2 * whole > replay.history().documents(),
            "nearly every change is seen"
        );
    });
}

/// Follows to the last document; how often the follower left on the way.
fn follow(mut follower: Follower, first: &Held, history: &History) -> usize {
    let mut judge = history.judge();
    let mut last = judge.take(first);
    while !last {
        last = judge.take(&follower.hold());
    }
    let drops = follower.drops;
    follower.end();
    drops
}

/// Follows to the last document; how many documents were held. Every event must have the `only`
/// name, if there is one.
fn follow_curl(mut curl: Curl, history: &History, only: Option<&str>) -> usize {
    let mut judge = history.judge();
    let mut replica = Replica::default();
    loop {
        let event = curl.event();
        assert_eq!(event.name, only.unwrap_or(&event.name));
        replica.take(&event);
        let Some(id) = event.id else { continue };
        let document = replica.document.clone().expect("a document");
        if judge.take(&Held { id, document }) {
            return judge.held;
        }
    }
}

/// `curl -N`, its output read as it comes.
struct Curl {
    lines: Lines,
    _process: Process,
}

impl Curl {
    fn follow(url: &str) -> Self {
        let mut curl = Command::new(program("curl"));
        curl.args(["-sSN", "-H", "Accept: text/event-stream", url])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut process = Process::start(&mut curl);
        Self {
            lines: Lines::of(BufReader::new(process.stdout())),
            _process: process,
        }
    }

    /// The next event. pollcast promises `data` on one line.
    fn event(&mut self) -> Event {
        let (mut name, mut id) = (String::new(), None);
        let mut data: Option<String> = None;
        // Heartbeats alone do not count as going on.
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "no event in {PATIENCE:?}");
            let line = self.lines.next().expect("curl goes on");
            match line.split_once(": ") {
                Some(("event", value)) => name = value.to_owned(),
                Some(("id", value)) => id = Some(value.to_owned()),
                Some(("data", value)) => {
                    assert_eq!(data, None, "one line of data");
                    data = Some(value.to_owned());
                }
                Some(("retry", _)) => {}
                _ if line.starts_with(':') => {}
                _ => assert_eq!(line, "", "a field of an event stream"),
            }
            let Some(data) = data.take_if(|_| line.is_empty()) else {
                continue;
            };
            let value: Value = serde_json::from_str(&data).expect("JSON");
            return Event {
                name,
                id,
                data,
                value,
            };
        }
    }
}

/// Past the test harness, which shows what a test prints only if it fails.
fn say(line: &str) {
    let line = format!("{line}\n");
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("stderr");
}
