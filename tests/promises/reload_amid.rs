//! A reload in the middle of something: of what is being written, of another process taking over.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

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
