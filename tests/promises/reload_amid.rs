//! Things that come in the middle of others: a reload while something is written or another process
//! is started, the end of a process that hands over.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use serde_json::{Value, json};

use crate::support::client::{Response, get, resume, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::upstream::{Reply, Upstream};

const FEEDS: usize = 24;

/// What a client holds of a feed to whose document each change adds one number.
struct Held {
    target: String,
    stream: Response,
    id: String,
    document: Value,
}

impl Held {
    fn of(proxy: &Proxy, feed: usize) -> Self {
        let target = format!("/feed{feed}");
        let mut stream = subscribe(proxy.address(), &target);
        let first = stream.expect("snapshot");
        Self {
            target,
            stream,
            id: first.id.expect("an id"),
            document: first.value,
        }
    }

    /// Follows until it holds so many numbers.
    fn reach(&mut self, proxy: &Proxy, length: usize) {
        while self.document["n"].as_array().expect("numbers").len() < length {
            let Some(event) = self.stream.event() else {
                self.stream = resume(proxy.address(), &self.target, &self.id);
                continue;
            };
            match event.name.as_str() {
                "patch" => {
                    let patch: json_patch::Patch =
                        serde_json::from_value(event.value).expect("a patch");
                    json_patch::patch(&mut self.document, &patch).expect("it fits");
                    let numbers = self.document["n"].as_array().expect("numbers");
                    let rises = (0..numbers.len()).all(|n| numbers[n] == json!(n));
                    assert!(rises, "{}: a change is missing: {numbers:?}", self.target);
                }
                "status" => {}
                name => panic!("{}: {name}: {}", self.target, event.data),
            }
            self.id = event.id.unwrap_or(std::mem::take(&mut self.id));
        }
    }
}

#[test]
fn no_change_is_lost_that_is_being_written() {
    let lengths: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let grows = Arc::new(AtomicBool::new(true));
    let upstream = {
        let (lengths, grows) = (Arc::clone(&lengths), Arc::clone(&grows));
        Upstream::start(move |request| {
            let mut lengths = lengths.lock().unwrap();
            let length = lengths.entry(request.target.clone()).or_insert(1);
            *length += usize::from(grows.load(Ordering::SeqCst));
            let numbers: Vec<_> = (0..*length).collect();
            Reply::json(json!({ "n": numbers, "same": "x".repeat(3000) }).to_string())
        })
    };
    let folder = tempfile::tempdir().expect("a folder");
    let config = |retry: usize| {
        let feed = |n| {
            format!(
                "{{ path: /feed{n}, upstream: legacy, poll: {{ interval: 10ms }}, deliver: {{ retry: {retry}ms }} }}"
            )
        };
        let feeds: Vec<_> = (0..FEEDS).map(feed).collect();
        format!(
            "backplane: {{ file: {{ path: \"{}\", sync: always }} }}\n\
             upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
             feeds: [{}]\n",
            folder.path().display(),
            upstream.url(),
            feeds.join(", ")
        )
    };
    let proxy = Proxy::start(&config(10));
    let mut held: Vec<_> = (0..FEEDS).map(|n| Held::of(&proxy, n)).collect();
    for round in 1..6 {
        for one in &mut held {
            let length = lengths.lock().unwrap()[&one.target];
            one.reach(&proxy, length);
        }
        proxy.rewrite(&config(10 + round));
        let (status, answer) = proxy.reload();
        assert_eq!((status, &answer["outcome"]), (200, &json!("reloaded")));
    }
    grows.store(false, Ordering::SeqCst);
    for one in &mut held {
        let length = lengths.lock().unwrap()[&one.target];
        one.reach(&proxy, length);
    }
}

#[test]
fn a_process_that_read_an_older_file_does_not_take_over() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let folder = tempfile::tempdir().expect("a folder");
    let slow = folder.path().join("header");
    let config = |more: &str| {
        format!(
            "server: {{ listen: \"127.0.0.1:0\", drain: 1s }}\n\
             upstreams: {{ legacy: {{ url: \"{}\", headers: {{ x-it: \"${{file:{}}}\" }} }} }}\n\
             feeds: [{{ path: /feed, upstream: legacy }}{more}]\n",
            upstream.url(),
            slow.display()
        )
    };
    fs::write(&slow, "it").expect("a file");
    let mut proxy = Proxy::start(&config(""));
    // The process that is started has read the configuration, and waits for one of its files.
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    fs::remove_file(&slow).expect("it is there");
    fs::hard_link(&pipe, &slow).expect("another name");
    let before = proxy.pid();
    proxy.signal("USR2");
    let mut writer = None;
    eventually("it reads", || {
        let mut open = fs::OpenOptions::new();
        open.write(true).custom_flags(nix::libc::O_NONBLOCK);
        writer = open.open(&pipe).ok();
        writer.is_some()
    });
    fs::remove_file(&slow).expect("it is there");
    fs::write(&slow, "it").expect("a file");
    proxy.rewrite(&config(", { path: /more, upstream: legacy }"));
    let (status, answer) = proxy.reload();
    assert_eq!((status, &answer["outcome"]), (200, &json!("reloaded")));
    let mut writer = writer.expect("it is open");
    writer.write_all(b"it").expect("it is read");
    drop(writer);
    proxy.has_upgraded(before);
    let answer = get(proxy.address(), "/more", &[("accept", "text/event-stream")]);
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert!(proxy.log().contains("starting again"), "{}", proxy.log());
}

#[test]
fn a_process_that_has_everything_goes_on_though_the_one_before_is_killed() {
    for is_told_to_go in [false, true] {
        let (upstream, _document) = Upstream::with_document("[1]");
        let (ours, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .expect("two ends");
        let say = |word: &str| {
            send(ours.as_raw_fd(), word.as_bytes(), MsgFlags::empty()).expect("it is heard");
        };
        say(r#"{"word":"begin","protocol":1}"#);
        say(r#"{"word":"yours"}"#);
        if is_told_to_go {
            say(r#"{"word":"go"}"#);
        }
        let old = std::thread::spawn(move || {
            for expected in ["ready", "opened"] {
                let mut text = [0; 100];
                let length = recv(ours.as_raw_fd(), &mut text, MsgFlags::empty()).expect("a word");
                let word = String::from_utf8_lossy(&text[..length]);
                assert!(word.contains(expected), "{word}");
            }
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_pollcast"));
        command.env("POLLCAST_UPGRADE", "stdin").stdin(theirs);
        let folder = tempfile::tempdir().expect("a folder");
        let config = format!(
            "upstreams: {{ legacy: {{ url: \"{}\" }} }}\nfeeds: [{{ path: /feed, upstream: legacy }}]\n",
            upstream.url()
        );
        let proxy = Proxy::start_by(command, &config, folder);
        old.join().expect("no panic");
        subscribe(proxy.address(), "/feed").expect("snapshot");
        assert!(proxy.log().contains("this one serves"), "{}", proxy.log());
    }
}
