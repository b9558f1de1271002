//! Another process takes over on SIGUSR2: nobody who connects is refused, nobody is cut off.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::client::{Event, Response, get, resume, subscribe};
use crate::support::proxy::{Proxy, is_gone};
use crate::support::upstream::{Reply, Upstream};
use crate::support::{PATIENCE, eventually};

fn configuration(upstream: &Upstream) -> String {
    format!(
        "upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: /feed, upstream: legacy, poll: {{ interval: 20ms, idle: keep }}, deliver: {{ retry: 10ms }} }}]\n",
        upstream.url()
    )
}

/// A document that is larger than all the patches that anybody misses.
fn document(number: usize) -> String {
    format!(
        "{{\"number\":{number},\"same\":\"{}\"}}",
        "x".repeat(50_000)
    )
}

/// Every event of a feed, by its id: one id has one content, whoever gave it.
#[derive(Default)]
struct Seen(HashMap<String, (String, String)>);

impl Seen {
    fn note(&mut self, event: &Event) {
        let Some(id) = &event.id else {
            return;
        };
        let content = (event.name.clone(), event.data.clone());
        let before = self.0.insert(id.clone(), content.clone());
        assert!(
            before.is_none_or(|before| before == content),
            "{id} is two events"
        );
    }
}

/// A client that holds the document by its patches, and comes back whenever its stream ends.
struct Follower {
    address: SocketAddr,
    stream: Response,
    id: Option<String>,
    number: i64,
    reconnects: usize,
    seen: Seen,
}

impl Follower {
    fn at(address: SocketAddr) -> Self {
        Self {
            address,
            stream: subscribe(address, "/feed"),
            id: None,
            number: -1,
            reconnects: 0,
            seen: Seen::default(),
        }
    }

    /// Follows until the document has this number; each change must be one step from the one before.
    fn reach(&mut self, number: i64) {
        while self.number < number {
            let Some(event) = self.stream.event() else {
                let id = self.id.as_deref().expect("an id");
                self.stream = resume(self.address, "/feed", id);
                self.reconnects += 1;
                continue;
            };
            self.seen.note(&event);
            match event.name.as_str() {
                "snapshot" => {
                    assert_eq!(self.number, -1, "a snapshot is only for the beginning");
                    self.number = event.value["number"].as_i64().expect("a number");
                }
                "patch" => {
                    let to = event.value[0]["value"].as_i64().expect("a number");
                    assert!(to > self.number, "{event:?} after {}", self.number);
                    self.number = to;
                }
                "status" => {}
                name => panic!("{name}: {}", event.data),
            }
            self.id = event.id.or(self.id.take());
        }
    }
}

/// Upgrades a few times under changes every 20 ms; nobody who comes back is reset.
fn goes_on_through_upgrades(more: &str) {
    let (upstream, current) = Upstream::with_document(&document(0));
    let installed = Installed::new();
    let config = format!("{more}{}", configuration(&upstream));
    let mut proxy = Proxy::start_at(&installed.path(), &config, &[]);
    let (stop, number) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let writer = {
        let (stop, number) = (Arc::clone(&stop), Arc::clone(&number));
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let next = number.fetch_add(1, Ordering::Relaxed) + 1;
                *current.lock().unwrap() = document(next);
                std::thread::sleep(Duration::from_millis(20));
            }
        })
    };
    let mut followers: Vec<_> = (0..3).map(|_| Follower::at(proxy.address())).collect();
    let all_reach = |followers: &mut Vec<Follower>| {
        let wanted = i64::try_from(number.load(Ordering::Relaxed)).expect("a number") + 5;
        for follower in followers {
            follower.reach(wanted);
        }
    };
    all_reach(&mut followers);
    for _ in 0..4 {
        let before = proxy.pid();
        proxy.upgrade();
        all_reach(&mut followers);
        eventually("the old one leaves", || is_gone(before));
        all_reach(&mut followers);
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().expect("no panic");
    assert!(followers.iter().all(|it| it.reconnects >= 4));
}

#[test]
fn clients_go_on_exactly_though_nothing_is_kept_on_disk() {
    goes_on_through_upgrades("");
}

#[test]
fn clients_go_on_exactly_with_a_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().display();
    goes_on_through_upgrades(&format!("backplane: {{ file: {{ path: \"{store}\" }} }}\n"));
}

#[test]
fn topics_on_demand_and_of_users_go_on_too() {
    let number = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&number);
    let upstream = Upstream::start(move |request| {
        let number = counted.load(Ordering::Relaxed);
        let user = request
            .header("authorization")
            .unwrap_or("nobody")
            .to_owned();
        let text = "x".repeat(1000);
        Reply::json(format!(
            "{{\"number\":{number},\"user\":\"{user}\",\"text\":\"{text}\"}}"
        ))
    });
    let installed = Installed::new();
    let config = format!(
        "upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds: [{{ path: \"/feed/{{id}}\", upstream: legacy, poll: {{ interval: 50ms }}, share: {{ per_credential: [authorization] }}, deliver: {{ retry: 10ms }} }}]\n",
        upstream.url()
    );
    let mut proxy = Proxy::start_at(&installed.path(), &config, &[]);
    let ask = |proxy: &Proxy, user: &str, id: &str| {
        let headers = [
            ("accept", "text/event-stream"),
            ("authorization", user),
            ("last-event-id", id),
        ];
        get(proxy.address(), "/feed/7", &headers)
    };
    let mut stream = ask(&proxy, "one", "");
    let first = loop {
        let event = stream.event().expect("a snapshot");
        if event.name == "snapshot" {
            break event;
        }
    };
    assert_eq!(first.value["user"], "one");
    proxy.upgrade();
    while stream.event().is_some() {}
    let id = first.id.expect("an id");
    let mut stream = ask(&proxy, "one", &id);
    number.fetch_add(1, Ordering::Relaxed);
    let patch = stream.expect("patch");
    assert_eq!(patch.value[0]["value"], 1);
    // Another user's id is nobody else's.
    let mut other = ask(&proxy, "two", &id);
    other.expect("reset");
    assert_eq!(other.expect("snapshot").value["user"], "two");
}

/// A program that may be replaced, at a place of its own.
struct Installed {
    folder: tempfile::TempDir,
}

impl Installed {
    fn new() -> Self {
        let installed = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        installed.put(|path| {
            fs::copy(env!("CARGO_BIN_EXE_pollcast"), path).expect("a copy");
        });
        installed
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("pollcast")
    }

    /// Puts another file in its place, as a package's installation does.
    fn put(&self, make: impl FnOnce(&Path)) {
        let new = self.folder.path().join("new");
        make(&new);
        fs::rename(new, self.path()).expect("a new file");
    }

    /// Puts a script there.
    fn put_script(&self, text: &str) {
        self.put(|path| {
            fs::write(path, text).expect("a script");
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("to be run");
        });
    }
}

/// Clients that connect all the time; each must be answered.
struct Hammer {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    workers: Vec<JoinHandle<()>>,
}

impl Hammer {
    fn at(address: SocketAddr) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let hit = |_| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let mut stream = TcpStream::connect(address).expect("nobody is refused");
                    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                    let text = b"GET /passed HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
                    stream.write_all(text).expect("nobody is reset");
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer).expect("all of it");
                    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let workers = (0..3).map(hit).collect();
        Self {
            stop,
            answered,
            workers,
        }
    }

    /// Waits until this many more were answered.
    fn go_on(&self, more: usize) {
        let wanted = self.answered.load(Ordering::Relaxed) + more;
        eventually("clients are answered", || {
            assert!(self.workers.iter().all(|worker| !worker.is_finished()));
            self.answered.load(Ordering::Relaxed) >= wanted
        });
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for worker in self.workers {
            worker.join().expect("each was answered");
        }
    }
}

#[test]
fn whoever_connects_while_another_process_takes_over_is_answered() {
    let (upstream, _document) = Upstream::with_document(&document(0));
    let installed = Installed::new();
    let mut proxy = Proxy::start_at(&installed.path(), &configuration(&upstream), &[]);
    let first = proxy.pid();
    let hammer = Hammer::at(proxy.address());
    hammer.go_on(20);
    for _ in 0..3 {
        installed.put(|path| {
            fs::copy(env!("CARGO_BIN_EXE_pollcast"), path).expect("a copy");
        });
        let before = proxy.pid();
        proxy.upgrade();
        hammer.go_on(20);
        eventually("the old one leaves", || is_gone(before));
        let file = fs::read_link(format!("/proc/{}/exe", proxy.pid())).expect("a program");
        assert_eq!(file, installed.path().canonicalize().expect("it is there"));
    }
    hammer.end();
    assert!(is_gone(first));
    assert_eq!(proxy.exit_status().code(), Some(0), "{}", proxy.log());
    assert_eq!(proxy.admin("/readyz").0, 200);
}

#[test]
fn a_program_that_fails_leaves_the_old_process_as_it_is() {
    let (upstream, current) = Upstream::with_document(&document(0));
    let installed = Installed::new();
    let proxy = Proxy::start_at(&installed.path(), &configuration(&upstream), &[]);
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    let hammer = Hammer::at(proxy.address());
    for (number, script) in [
        "#!/bin/sh\nexit 1\n",
        "#!/bin/sh\nkill -9 $$\n",
        "not a program at all",
        "#!/bin/sh\nprintf '{\"word\":\"serving\"}' >&0\nsleep 600\n",
        "#!/bin/sh\nprintf '{\"word\":\"ready\"}' >&0\nsleep 0.2\n",
        "#!/bin/sh\nprintf '{\"word\":\"ready\"}' >&0\nprintf '{\"word\":\"opened\"}' >&0\nsleep 0.2\n",
    ]
    .iter()
    .enumerate()
    {
        installed.put_script(script);
        proxy.signal("USR2");
        let failures = || proxy.log().matches("no other process took over").count();
        eventually("it failed", || failures() == number + 1);
        *current.lock().unwrap() = document(number + 1);
        stream.expect("patch");
        assert_eq!(proxy.admin("/readyz").0, 200);
    }
    hammer.go_on(20);
    hammer.end();
}

#[test]
fn a_wrong_configuration_leaves_the_old_process_as_it_is() {
    let (upstream, current) = Upstream::with_document(&document(0));
    let installed = Installed::new();
    let proxy = Proxy::start_at(&installed.path(), &configuration(&upstream), &[]);
    let mut stream = subscribe(proxy.address(), "/feed");
    stream.expect("snapshot");
    fs::write(proxy.file(), "feeds: [{ path: nowhere }]\n").expect("a file");
    proxy.signal("USR2");
    eventually("it failed", || {
        proxy.log().contains("no other process took over")
    });
    assert!(
        proxy.log().contains("is no path"),
        "it says why: {}",
        proxy.log()
    );
    *current.lock().unwrap() = document(1);
    stream.expect("patch");
}

#[test]
fn a_request_under_way_is_finished_by_the_old_process() {
    let (finish, told) = std::sync::mpsc::channel::<()>();
    let told = std::sync::Mutex::new(Some(told));
    let upstream = Upstream::start(move |request| match request.target.as_str() {
        "/slow" => {
            let told = told.lock().unwrap().take().expect("one request");
            Reply::Custom(Box::new(move |mut stream| {
                let _ = told.recv();
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone");
            }))
        }
        _ => Reply::json("[1]"),
    });
    let installed = Installed::new();
    let config = format!(
        "server: {{ listen: \"127.0.0.1:0\", drain: 10m }}\n{}",
        configuration(&upstream)
    );
    let mut proxy = Proxy::start_at(&installed.path(), &config, &[]);
    let mut request = TcpStream::connect(proxy.address()).expect("a connection");
    request.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let text = b"GET /slow HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    request.write_all(text).expect("a request");
    eventually("it arrives", || upstream.count("/slow") == 1);
    // Accepted by the old process, and asked nothing yet.
    let mut silent = TcpStream::connect(proxy.address()).expect("a connection");
    silent.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    eventually("both are accepted", || {
        let listener = proxy.address().to_string();
        proxy.metric("pollcast_accepted_connections_total", &[&listener]) >= 2.0
    });
    let old = proxy.pid();
    proxy.upgrade();
    assert_eq!(get(proxy.address(), "/other", &[]).status, 200);
    finish.send(()).expect("the upstream waits");
    let mut answer = String::new();
    request.read_to_string(&mut answer).expect("the answer");
    assert!(answer.ends_with("\r\n\r\ndone"), "{answer}");
    assert!(!is_gone(old), "somebody is still to ask");
    let text = b"GET /late HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    silent.write_all(text).expect("a request");
    let mut answer = String::new();
    silent.read_to_string(&mut answer).expect("the answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    eventually("nothing holds it", || is_gone(old));
}

#[test]
fn no_descriptor_is_left_behind_over_many_upgrades() {
    let (upstream, _document) = Upstream::with_document(&document(0));
    let installed = Installed::new();
    let mut proxy = Proxy::start_at(&installed.path(), &configuration(&upstream), &[]);
    let open = |process: u32| {
        let open = fs::read_dir(format!("/proc/{process}/fd")).expect("Linux");
        open.filter_map(|each| fs::read_link(each.ok()?.path()).ok())
            .map(|target| target.to_string_lossy().into_owned())
            .collect::<Vec<_>>()
    };
    // Connections to the upstream come and go.
    let lasting = |process| {
        let listening = open(process);
        listening
            .iter()
            .filter(|target| !target.starts_with("socket:"))
            .count()
    };
    let sockets = |process| open(process).len() - lasting(process);
    proxy.upgrade();
    eventually("it polls", || upstream.count("/feed") > 0);
    let first = (lasting(proxy.pid()), sockets(proxy.pid()));
    for _ in 0..20 {
        let before = proxy.pid();
        proxy.upgrade();
        eventually("the old one leaves", || is_gone(before));
    }
    let process = proxy.pid();
    eventually("as few as in the beginning", || {
        lasting(process) <= first.0 && sockets(process) <= first.1
    });
}
