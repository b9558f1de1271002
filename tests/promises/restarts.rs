//! A restart loses nothing where events are kept in a file: clients go on where they were, and no id
//! is ever that of two events, whatever becomes of process, machine and disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::support::client::{Response, request, resume, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::stage::{Stage, numbered};
use crate::support::upstream::Reply;

/// A folder for a store, and the configuration that uses it.
struct Store {
    folder: tempfile::TempDir,
    feeds: String,
    more: &'static str,
}

impl Store {
    fn new(feeds: String) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            feeds,
            more: "",
        }
    }

    /// One feed that is polled every 20 ms.
    fn of(stage: &Stage) -> Self {
        Self::new(feed(stage, ""))
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn config(&self) -> String {
        let (path, more) = (self.path(), self.more);
        format!(
            "backplane: {{ file: {{ path: \"{}\"{more} }} }}\n{}",
            path.display(),
            self.feeds
        )
    }

    fn start(&self) -> Proxy {
        Proxy::start(&self.config())
    }

    /// Everything that lies in it.
    fn bytes(&self) -> Vec<u8> {
        let files = fs::read_dir(self.path()).unwrap();
        let read = files.flat_map(|file| fs::read(file.unwrap().path()).unwrap());
        read.collect()
    }

    fn holds(&self, text: &str) -> bool {
        self.bytes()
            .windows(text.len())
            .any(|it| it == text.as_bytes())
    }

    /// What it says when it is started and cannot be.
    fn refusal(&self, first: &str) -> String {
        let file = self.folder.path().join("refused.yaml");
        let listeners = "server: { listen: \"127.0.0.1:0\" }\nadmin: { listen: \"127.0.0.1:0\" }\n";
        fs::write(&file, format!("{listeners}{}", self.config())).unwrap();
        let output = Command::new("bash")
            .args(["-c", &format!("{first} \"$0\" run -c \"$1\"")])
            .arg(env!("CARGO_BIN_EXE_pollcast"))
            .arg(&file)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }
}

fn feed(stage: &Stage, more: &str) -> String {
    format!(
        "upstreams: {{ legacy: {{ url: \"{}\" }} }}\n\
         feeds:\n  - {{ path: /feed, upstream: legacy, poll: {{ interval: 20ms }}{more} }}\n",
        stage.url()
    )
}

/// Publishes the documents `from` to `last`, seen by a subscriber; returns their ids.
fn publish(stage: &Stage, proxy: &Proxy, from: u64, last: u64) -> Vec<String> {
    stage.serves(numbered(from));
    let mut stream = subscribe(proxy.address(), "/feed");
    let mut ids = Vec::new();
    while let Some(event) = stream.event() {
        let n = event.value["n"]
            .as_u64()
            .or(event.value[0]["value"].as_u64());
        if n == Some(from + ids.len() as u64) {
            ids.push(event.id.unwrap());
            stage.serves(numbered(from + ids.len() as u64));
        }
        if from + ids.len() as u64 > last {
            stage.serves(numbered(last));
            break;
        }
    }
    ids
}

fn expect_patches(stream: &mut Response, ids: &[String], from: u64) {
    for (n, id) in (from..).zip(ids) {
        let patch = stream.expect("patch");
        assert_eq!(
            (patch.id.as_ref(), &patch.value[0]["value"]),
            (Some(id), &json!(n))
        );
    }
}

fn expect_reset(proxy: &Proxy, id: &str, reason: &str) {
    let reset = resume(proxy.address(), "/feed", id).expect("reset");
    assert_eq!(reset.value["reason"], reason, "{id}");
}

fn epoch(id: &str) -> &str {
    id.split('-').next().unwrap()
}

#[test]
fn after_a_crash_clients_get_exactly_the_events_that_they_missed() {
    let stage = Stage::serving(numbered(1));
    let store = Store::of(&stage);
    let proxy = store.start();
    let ids = publish(&stage, &proxy, 1, 6);
    proxy.kill();
    let proxy = store.start();
    for (known, missed) in ids.iter().zip(1..) {
        let mut stream = resume(proxy.address(), "/feed", known);
        expect_patches(&mut stream, &ids[missed..], missed as u64 + 1);
    }
    let mut newest = resume(proxy.address(), "/feed", &ids[5]);
    newest.block();
    assert!(
        newest.silence(Duration::from_millis(100)),
        "nothing changed"
    );
    stage.serves(numbered(7));
    let next = newest.expect("patch");
    assert_eq!(next.id.unwrap(), format!("{}-7", epoch(&ids[0])));
}

#[test]
fn what_changed_while_it_was_down_is_one_event() {
    let stage = Stage::serving(numbered(1));
    let store = Store::of(&stage);
    let proxy = store.start();
    let ids = publish(&stage, &proxy, 1, 3);
    proxy.kill();
    stage.serves(numbered(30));
    let proxy = store.start();
    let mut stream = resume(proxy.address(), "/feed", &ids[1]);
    expect_patches(&mut stream, &ids[2..], 3);
    let next = stream.expect("patch");
    assert_eq!(
        next.value,
        json!([{"op": "replace", "path": "/n", "value": 30}])
    );
    assert_eq!(next.id.unwrap(), format!("{}-4", epoch(&ids[0])));
    let mut fresh = subscribe(proxy.address(), "/feed");
    assert_eq!(fresh.expect("snapshot").value["n"], 30);
    assert!(stream.silence(Duration::from_millis(100)));
}

#[test]
fn while_the_upstream_is_down_the_last_good_document_is_told_with_its_state() {
    let stage = Stage::serving(numbered(1));
    let store = Store::of(&stage);
    let mut proxy = store.start();
    let ids = publish(&stage, &proxy, 1, 2);
    proxy.signal("TERM");
    assert!(proxy.exit_status().success());
    stage.becomes(|_| Reply::status(500, "no"));
    let proxy = store.start();
    let mut stream = subscribe(proxy.address(), "/feed");
    let snapshot = stream.expect("snapshot");
    assert_eq!(
        (snapshot.id.as_ref(), &snapshot.value["n"]),
        (ids.last(), &json!(2))
    );
    assert_eq!(stream.expect("status").value["state"], "stale");
    stage.serves(numbered(3));
    assert_eq!(stream.expect("status").value["state"], "live");
    assert_eq!(
        stream.expect("patch").id.unwrap(),
        format!("{}-3", epoch(&ids[0]))
    );
}

#[test]
fn after_a_power_loss_what_the_disk_has_goes_on_under_another_epoch() {
    let stage = Stage::serving(numbered(1));
    let store = Store::of(&stage);
    let proxy = store.start();
    let ids = publish(&stage, &proxy, 1, 4);
    proxy.kill();
    let life = fs::read_to_string(store.file("life")).unwrap();
    let count = life.split(' ').next().unwrap();
    fs::write(store.file("life"), format!("{count} another-boot\n")).unwrap();
    let proxy = store.start();
    let mut stream = resume(proxy.address(), "/feed", &ids[1]);
    expect_patches(&mut stream, &ids[2..], 3);
    stage.serves(numbered(5));
    let next = stream.expect("patch").id.unwrap();
    assert!(
        next.ends_with("-5") && epoch(&next) != epoch(&ids[0]),
        "{next}"
    );
    // What was made of this id is lost, and clients who have it must not be told otherwise.
    expect_reset(&proxy, &format!("{}-5", epoch(&ids[0])), "unknown_id");
    proxy.kill();
    let proxy = store.start();
    let mut stream = resume(proxy.address(), "/feed", &ids[3]);
    expect_patches(&mut stream, &[next], 5);
}

#[test]
fn a_torn_tail_costs_what_was_torn_and_no_id_is_used_again() {
    for tear in 0..4 {
        let stage = Stage::serving(numbered(1));
        let store = Store::of(&stage);
        let proxy = store.start();
        let ids = publish(&stage, &proxy, 1, 8);
        proxy.kill();
        let tail = store.file("store.sqlite-wal");
        let mut bytes = fs::read(&tail).unwrap();
        let length = bytes.len();
        match tear {
            0 => bytes.truncate(length - 100),
            1 => bytes.truncate(length - 5000),
            2 => bytes[length - 1500..].fill(0x5a),
            _ => bytes.clear(),
        }
        fs::write(&tail, bytes).unwrap();
        stage.serves(numbered(20));
        let proxy = store.start();
        let newest = subscribe(proxy.address(), "/feed").expect("snapshot");
        assert_eq!(newest.value["n"], 20, "{tear}");
        assert!(!ids.contains(&newest.id.unwrap()), "{tear}");
        for (id, n) in ids.iter().zip(1..) {
            let mut stream = resume(proxy.address(), "/feed", id);
            let mut held = json!({ "n": n });
            while held["n"] != 20 {
                let event = stream.event().unwrap();
                match event.name.as_str() {
                    "reset" => held = json!({}),
                    "snapshot" => held = json!({ "n": event.value["n"] }),
                    _ => held["n"] = event.value[0]["value"].clone(),
                }
            }
        }
    }
}

#[test]
fn a_full_disk_leaves_feeds_running_and_is_written_again_when_it_can() {
    let stage = Stage::serving(numbered(1));
    let store = Store::of(&stage);
    // The limit of the size of files, in KiB, in place of a disk; its signal must not kill.
    let first = "trap '' XFSZ; ulimit -S -f 64";
    let proxy = Proxy::start_after(first, &store.config());
    let degraded = || proxy.metric("pollcast_backplane_degraded", &[]) > 0.5;
    let ids = publish(&stage, &proxy, 1, 60);
    assert!(degraded(), "{}", proxy.log());
    let first = epoch(&ids[0]).to_owned();
    let kept = ids.iter().filter(|id| epoch(id) == first).count();
    assert!(kept > 2 && kept < 60, "{kept} of 60");
    let mut stream = resume(proxy.address(), "/feed", &ids[57]);
    expect_patches(&mut stream, &ids[58..], 59);
    let raised = Command::new("prlimit")
        .args(["--fsize=unlimited:unlimited", "--pid"])
        .arg(proxy.pid().to_string())
        .status();
    assert!(raised.unwrap().success());
    let mut n = 60;
    eventually("the store is written again", || {
        n += 1;
        stage.serves(numbered(n));
        stream.expect("patch");
        !degraded()
    });
    let said = |what: &str| proxy.log().matches(what).count();
    eventually("the end is logged", || {
        said("the store is written again") == 1
    });
    assert_eq!(said("the store cannot be written"), 1);
    stage.serves(numbered(n + 1));
    let last = stream.expect("patch").id.unwrap();
    proxy.kill();
    let proxy = store.start();
    let mut stream = resume(proxy.address(), "/feed", &last);
    stage.serves(numbered(n + 2));
    let next = stream.expect("patch").id.unwrap();
    assert_eq!(epoch(&next), epoch(&last));
    let mut old = resume(proxy.address(), "/feed", &ids[0]);
    assert!(["patch", "snapshot"].contains(&old.event().unwrap().name.as_str()));
    expect_reset(&proxy, &format!("{first}-{}", kept + 1), "unknown_id");
}

#[test]
fn a_crash_on_a_full_disk_uses_no_id_again() {
    let stage = Stage::serving(numbered(1));
    let store = Store::of(&stage);
    let proxy = Proxy::start_after("trap '' XFSZ; ulimit -f 64", &store.config());
    let ids = publish(&stage, &proxy, 1, 60);
    proxy.kill();
    let proxy = store.start();
    let again = publish(&stage, &proxy, 100, 110);
    assert!(
        again.iter().all(|id| !ids.contains(id)),
        "{ids:?} {again:?}"
    );
}

#[test]
fn a_store_that_is_not_to_be_had_is_a_clear_error() {
    let stage = Stage::serving(numbered(1));
    let store = Store::of(&stage);
    let proxy = store.start();
    publish(&stage, &proxy, 1, 3);
    let said = store.refusal("");
    assert!(said.contains("another process uses the store"), "{said}");
    proxy.kill();
    let file = store.file("store.sqlite");
    // Opened by nobody: everything is in one file.
    let mut proxy = store.start();
    publish(&stage, &proxy, 4, 5);
    proxy.signal("TERM");
    assert!(proxy.exit_status().success());
    let good = fs::read(&file).unwrap();
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        fs::write(&file, &bytes).unwrap();
        let said = store.refusal("");
        assert!(fs::read(&file).unwrap() == bytes, "it is left as it was");
        said
    };
    for (wanted, said) in [
        (
            "no store of pollcast's",
            with(&|it| *it = b"PK something else".to_vec()),
        ),
        (
            "format 99",
            with(&|it| it[60..64].copy_from_slice(&99_u32.to_be_bytes())),
        ),
        ("no store of pollcast's", with(&|it| it[68] = 1)),
        (
            "is damaged",
            with(&|it| it.truncate(good.len() / 2048 * 1024)),
        ),
        ("is damaged", with(&|it| it[2048..].fill(0x33))),
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
        assert!(said.contains("store.sqlite"), "{said}");
    }
    fs::write(&file, &good).unwrap();
    let life = fs::read(store.file("life")).unwrap();
    assert!(String::from_utf8(life).unwrap().contains("closed"));
    drop(store.start());
}

#[test]
fn a_text_that_changed_on_the_disk_is_noticed() {
    let stage = Stage::serving(numbered(1));
    let store = Store::of(&stage);
    let mut proxy = store.start();
    publish(&stage, &proxy, 1, 3);
    proxy.signal("TERM");
    assert!(proxy.exit_status().success());
    let file = store.file("store.sqlite");
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(9).position(|it| it == b"unchanged").unwrap();
    bytes[at] = b'U';
    fs::write(&file, bytes).unwrap();
    let said = store.refusal("");
    assert!(said.contains("is damaged; move the folder aside"), "{said}");
}

#[test]
fn a_folder_that_cannot_be_written_is_a_clear_error() {
    let stage = Stage::serving(numbered(1));
    let store = Store::of(&stage);
    fs::create_dir(store.path()).unwrap();
    set_mode(&store.path(), 0o500);
    // Root writes anywhere, unless it gave up that right.
    let said = store.refusal("exec setpriv --inh-caps=-all --bounding-set=-all");
    set_mode(&store.path(), 0o700);
    assert!(said.contains("(backplane.file.path)"), "{said}");
    assert!(said.contains("Permission denied"), "{said}");
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn nobody_else_may_read_the_store() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::serving(numbered(1));
    let store = Store::of(&stage);
    let proxy = store.start();
    publish(&stage, &proxy, 1, 2);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&store.path()), 0o700);
    for file in fs::read_dir(store.path()).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn another_bound_of_the_history_keeps_what_it_allows() {
    let stage = Stage::serving(numbered(1));
    let mut store = Store::of(&stage);
    let proxy = store.start();
    let ids = publish(&stage, &proxy, 1, 8);
    proxy.kill();
    store.feeds = feed(&stage, ", events: { history: { events: 3 } }");
    let proxy = store.start();
    let mut stream = resume(proxy.address(), "/feed", &ids[4]);
    expect_patches(&mut stream, &ids[5..], 6);
    expect_reset(&proxy, &ids[2], "expired");
    let more = publish(&stage, &proxy, 9, 14);
    proxy.kill();
    store.feeds = feed(&stage, ", events: { history: { events: 500 } }");
    let proxy = store.start();
    let mut stream = resume(proxy.address(), "/feed", &more[3]);
    expect_patches(&mut stream, &more[4..], 13);
}

#[test]
fn a_feed_of_another_document_begins_anew() {
    let stage = Stage::serving(numbered(1));
    let mut store = Store::of(&stage);
    let proxy = store.start();
    let ids = publish(&stage, &proxy, 1, 3);
    proxy.kill();
    store.feeds = feed(&stage, ", document: { ignore: [/text] }");
    let proxy = store.start();
    expect_reset(&proxy, &ids[2], "unknown_id");
}

fn users(stage: &Stage, more: &str) -> String {
    format!(
        "upstreams: {{ legacy: {{ url: \"{}\" }} }}\nfeeds:\n\
         \x20 - {{ path: \"/of/{{id}}\", upstream: legacy, \
         poll: {{ interval: 20ms, linger: 200ms }}{more} }}\n",
        stage.url()
    )
}

#[test]
fn topics_on_demand_go_on_too_and_are_forgotten_when_they_are_dropped() {
    let stage = Stage::new(|request| Reply::json(format!(r#"{{"who":"{}"}}"#, request.target)));
    let store = Store::new(users(&stage, ""));
    let proxy = store.start();
    let id = subscribe(proxy.address(), "/of/alice")
        .expect("snapshot")
        .id
        .unwrap();
    proxy.kill();
    let proxy = store.start();
    let mut stream = resume(proxy.address(), "/of/alice", &id);
    stream.block();
    assert!(
        stream.silence(Duration::from_millis(100)),
        "nothing changed"
    );
    drop(stream);
    eventually("the topic is dropped", || {
        proxy.metric("pollcast_topics", &[]) < 0.5
    });
    subscribe(proxy.address(), "/of/bob").expect("snapshot");
    // Forgetting is done with the next sync.
    std::thread::sleep(Duration::from_millis(1500));
    let mut proxy = proxy;
    proxy.signal("TERM");
    assert!(proxy.exit_status().success());
    let proxy = store.start();
    let mut stream = resume(proxy.address(), "/of/alice", &id);
    assert_eq!(stream.expect("reset").value["reason"], "unknown_id");
}

#[test]
fn documents_for_some_clients_only_are_written_where_that_is_wanted() {
    let stage = Stage::serving(r#"{"salary":"s3cret-amount"}"#);
    let mut store = Store::new(users(
        &stage,
        ", share: { per_credential: [authorization] }",
    ));
    let ask = |proxy: &Proxy, id: &str| {
        let headers = [
            ("accept", "text/event-stream"),
            ("authorization", "Bearer s3cret-token"),
            ("last-event-id", id),
        ];
        request(proxy.address(), "GET", "/of/alice", &headers, b"")
    };
    let proxy = store.start();
    let id = ask(&proxy, "").expect("snapshot").id.unwrap();
    assert!(!store.holds("s3cret"), "nobody wanted it written");
    proxy.kill();
    store.more = ", private: true";
    let proxy = store.start();
    let stream = ask(&proxy, &id).expect("reset");
    assert_eq!(stream.value["reason"], "unknown_id");
    let id = ask(&proxy, "").expect("snapshot").id.unwrap();
    assert!(store.holds("s3cret-amount") && !store.holds("s3cret-token"));
    proxy.kill();
    let proxy = store.start();
    let mut stream = ask(&proxy, &id);
    stream.block();
    assert!(
        stream.silence(Duration::from_millis(100)),
        "nothing changed"
    );
    proxy.kill();
    store.more = "";
    let mut proxy = store.start();
    assert_eq!(
        ask(&proxy, &id).expect("reset").value["reason"],
        "unknown_id"
    );
    proxy.signal("TERM");
    assert!(proxy.exit_status().success());
    drop(proxy);
    assert!(!store.holds("s3cret-amount"), "it is gone from the file");
}

#[test]
fn every_event_is_on_the_disk_first_where_that_is_wanted() {
    let stage = Stage::serving(numbered(1));
    let mut store = Store::of(&stage);
    store.more = ", sync: always";
    let proxy = store.start();
    let ids = publish(&stage, &proxy, 1, 4);
    proxy.kill();
    let life = fs::read_to_string(store.file("life")).unwrap();
    assert!(
        life.contains("always"),
        "it says so to the machine's next life: {life}"
    );
    let proxy = store.start();
    let mut stream = resume(proxy.address(), "/feed", &ids[3]);
    stage.serves(numbered(5));
    let next = stream.expect("patch").id.unwrap();
    assert_eq!(next, format!("{}-5", epoch(&ids[0])));
}
