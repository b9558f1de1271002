//! The command line: one clear message for whatever goes wrong, and no secrets in any.

use std::fs::{self, File};
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::client::{get, subscribe};
use crate::support::eventually;
use crate::support::proxy::Proxy;
use crate::support::upstream::{Reply, Upstream};

fn pollcast(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pollcast"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_remove("RUST_LOG");
    command.output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// Runs it, which must fail without a panic; what it says.
#[track_caller]
fn fails(folder: &Path, arguments: &[&str]) -> String {
    let output = pollcast(folder, arguments);
    let said = text(&output.stderr);
    assert!(
        matches!(output.status.code(), Some(1 | 2)),
        "{arguments:?}: {said}"
    );
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(text(&output.stdout), "", "{arguments:?}");
    said
}

#[track_caller]
fn says(folder: &Path, arguments: &[&str]) -> String {
    let output = pollcast(folder, arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

const GOOD: &str = "upstreams: { shop: { url: \"http://127.0.0.1:9\" } }\n\
                    feeds: [{ path: /orders, upstream: shop }]\n";

#[test]
fn a_file_that_cannot_be_used_is_named_with_the_reason() {
    let folder = folder();
    let at = folder.path();
    fs::create_dir(at.join("folder.yaml")).expect("a folder");
    fs::write(at.join("latin.yaml"), b"a: \xff\n").expect("a file");
    for job in ["run", "check"] {
        for name in ["missing.yaml", "folder.yaml", "latin.yaml"] {
            let said = fails(at, &[job, "-c", name]);
            assert!(
                said.starts_with("pollcast: ") && said.contains(name),
                "{said}"
            );
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }
    assert!(fails(at, &["run", "-c", "missing.yaml"]).contains("No such file"));
}

#[test]
fn every_problem_of_a_file_is_listed() {
    let folder = folder();
    let bad = "upstreams: { shop: { url: \"ftp://x\" } }\n\
               feeds: [{ path: orders, upstream: shap, pol: 1 }]\n";
    fs::write(folder.path().join("bad.yaml"), bad).expect("a file");
    for job in ["run", "check"] {
        let said = fails(folder.path(), &[job, "-c", "bad.yaml"]);
        for place in [
            "upstreams.shop.url",
            "feeds[0].path",
            "feeds[0].upstream",
            "feeds[0].pol",
        ] {
            assert!(said.contains(place), "{place} in {said}");
        }
    }
}

#[test]
fn check_says_what_a_good_file_does_and_warns() {
    let folder = folder();
    let at = folder.path();
    fs::write(at.join("good.yaml"), GOOD).expect("a file");
    let said = says(at, &["check", "-c", "good.yaml"]);
    assert!(
        said.contains("good.yaml: ok") && said.contains("/orders"),
        "{said}"
    );
    assert!(!said.contains("warning"), "{said}");
    let unused = GOOD.replace(" }\nfeeds", ", b: { url: \"http://b\" } }\nfeeds");
    fs::write(at.join("unused.yaml"), unused).expect("a file");
    let said = says(at, &["check", "-c", "unused.yaml"]);
    assert!(
        said.contains("warning") && said.contains("upstreams.b"),
        "{said}"
    );
}

#[test]
fn check_says_how_often_each_feed_is_polled_and_by_which_method() {
    let folder = folder();
    let file = "upstreams:\n  \
         a: { url: 'http://a' }\n  \
         b: { url: 'http://b', budget: 10/m }\n\
         feeds:\n  \
         - { path: /even, upstream: a, poll: { interval: 3s } }\n  \
         - { path: /kept, upstream: a, poll: { interval: 3s, idle: keep } }\n  \
         - { path: /adaptive, upstream: a, poll: { min_interval: 1s, max_interval: 1m } }\n  \
         - { path: /fresh, upstream: b, poll: { freshness: 5s } }\n  \
         - { path: /search, upstream: a, request: { client_body: {} } }\n";
    fs::write(folder.path().join("a.yaml"), file).expect("a file");
    let said = says(folder.path(), &["check", "-c", "a.yaml"]);
    for line in [
        "/even  polls http://a/even every 3s while somebody listens\n",
        "/kept  polls http://a/kept every 3s\n",
        "/adaptive  polls http://a/adaptive every 1s to 1m while",
        "/fresh  polls http://b/fresh every 5s as far as the budget goes while",
        "/search  polls POST http://a/search every 2s while",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
}

#[test]
fn a_busy_port_is_named_with_its_key() {
    let folder = folder();
    let busy = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = busy.local_addr().expect("an address");
    for (key, other) in [("server", "admin"), ("admin", "server")] {
        let file = format!(
            "{key}: {{ listen: \"{address}\" }}\n{other}: {{ listen: \"127.0.0.1:0\" }}\n{GOOD}"
        );
        fs::write(folder.path().join("busy.yaml"), file).expect("a file");
        let said = fails(folder.path(), &["run", "-c", "busy.yaml"]);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(&address.to_string()), "{said}");
        assert!(said.contains(&format!("{key}.listen")), "{said}");
        assert!(said.contains("another port"), "{said}");
    }
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let folder = folder();
    for (arguments, word) in [
        (&["rum"][..], "rum"),
        (&[], "Usage"),
        (&["run"], "--upstream"),
        (&["run", "--upstream", "http://a"], "--feed"),
        (&["run", "--feed", "/a"], "--upstream"),
        (
            &["run", "-c", "x", "--feed", "/a", "--upstream", "http://a"],
            "cannot be used",
        ),
        (&["run", "--wrong"], "--wrong"),
        (&["check"], "--config"),
        (&["diff", "one"], "NEW"),
        (&["tail", "no url"], "no url"),
        (
            &["run", "--upstream", "shop", "--feed", "orders"],
            "http://",
        ),
    ] {
        let said = fails(folder.path(), arguments);
        assert!(said.contains(word), "{arguments:?}: {said}");
    }
}

#[test]
fn help_says_what_each_command_does() {
    let folder = folder();
    for (job, words) in [
        ("run", ["Serve", "--upstream"]),
        ("check", ["Check", "without starting"]),
        ("demo", ["legacy API", "--listen"]),
        ("tail", ["print each change", "--json"]),
        ("diff", ["JSON Patch", "--key"]),
    ] {
        let whole = says(folder.path(), &["--help"]);
        assert!(whole.contains(job), "{whole}");
        let said = says(folder.path(), &[job, "--help"]);
        for word in words {
            assert!(said.contains(word), "{job} {word}: {said}");
        }
    }
    assert!(says(folder.path(), &["--version"]).starts_with("pollcast "));
}

#[test]
fn diff_prints_the_patch() {
    let folder = folder();
    let at = folder.path();
    for (name, text) in [
        (
            "old",
            r#"{"rows": [{"sku": 1, "n": 1}, {"sku": 2, "n": 1}]}"#,
        ),
        (
            "new",
            r#"{"rows": [{"sku": 2, "n": 1}, {"sku": 1, "n": 7}]}"#,
        ),
        ("bad", "{]"),
        ("empty", ""),
    ] {
        fs::write(at.join(name), text).expect("a file");
    }
    assert_eq!(says(at, &["diff", "old", "old"]), "[]\n");
    for more in [&[][..], &["--key", "sku"]] {
        let said = says(at, &[&["diff", "old", "new"], more].concat());
        let patch: json_patch::Patch = serde_json::from_str(&said).expect("RFC 6902");
        let read = |name| -> serde_json::Value {
            serde_json::from_slice(&fs::read(at.join(name)).expect("a file")).expect("JSON")
        };
        let mut document = read("old");
        json_patch::patch(&mut document, &patch).expect("it fits");
        assert_eq!(document, read("new"));
    }
    for name in ["missing", "bad", "empty", "."] {
        let said = fails(at, &["diff", "old", name]);
        assert!(said.contains(name), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn nobody_reading_is_no_reason_to_panic() {
    let folder = folder();
    fs::write(folder.path().join("one"), "[1]").expect("a file");
    fs::write(folder.path().join("good.yaml"), GOOD).expect("a file");
    for arguments in [&["diff", "one", "one"][..], &["check", "-c", "good.yaml"]] {
        // Every write to it fails.
        let full = File::options()
            .write(true)
            .open("/dev/full")
            .expect("Linux");
        let output = Command::new(env!("CARGO_BIN_EXE_pollcast"))
            .args(arguments)
            .current_dir(folder.path())
            .stdout(full)
            .output()
            .expect("the binary runs");
        let said = text(&output.stderr);
        assert!(!said.contains("panicked"), "{said}");
        assert_eq!(
            output.status.code(),
            Some(1),
            "{arguments:?}: what was asked for is lost"
        );
    }
}

#[test]
fn run_needs_no_file_and_says_where_to_look() {
    let (upstream, _document) = Upstream::with_document("[1]");
    let folder = folder();
    let mut child = Command::new(env!("CARGO_BIN_EXE_pollcast"))
        .args([
            "run",
            "--upstream",
            &upstream.url(),
            "--feed",
            "/a",
            "--feed",
            "/b",
        ])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    // Its ports are fixed, and may be somebody else's right now.
    let mut said = String::new();
    let mut stdout = child.stdout.take().expect("piped");
    let mut byte = [0];
    while !said.contains("watch it:") && stdout.read(&mut byte).is_ok_and(|read| read == 1) {
        said.push(byte[0].into());
    }
    if said.contains("watch it:") {
        assert!(
            said.contains("feed  /a") && said.contains("feed  /b"),
            "{said}"
        );
        assert!(said.contains(&upstream.url()), "{said}");
        let address = "127.0.0.1:8080".parse().expect("an address");
        subscribe(address, "/b").expect("snapshot");
        assert_eq!(get(address, "/else", &[]).text(), "[1]");
        child.kill().expect("it runs");
    } else {
        let mut error = String::new();
        child
            .stderr
            .take()
            .expect("piped")
            .read_to_string(&mut error)
            .expect("text");
        assert!(
            error.contains("127.0.0.1:8080") || error.contains("127.0.0.1:9091"),
            "{error}"
        );
    }
    child.wait().expect("a child");
}

#[test]
fn secrets_are_told_to_nobody_but_the_upstream() {
    const SECRETS: [&str; 4] = ["hush-header", "hush-query", "hush-feed", "hush-proxy"];
    let dead = TcpListener::bind("127.0.0.1:0").expect("a port");
    let nowhere = format!("http://{}", dead.local_addr().expect("an address"));
    drop(dead);
    let (garbage, refusing) = (
        Upstream::start(|_| Reply::Raw(b"?\r\n\r\n".to_vec())),
        Upstream::start(|_| Reply::status(500, "no")),
    );
    for url in [
        nowhere,
        garbage.url(),
        refusing.url(),
        "http://nowhere.invalid".to_owned(),
    ] {
        let config = format!(
            "upstreams: {{ shop: {{ url: \"{url}\", headers: {{ authorization: hush-header }} }} }}\n\
             feeds:\n  - path: /feed\n    upstream: shop\n    poll: {{ interval: 20ms }}\n    \
             request: {{ query: {{ token: hush-query }}, headers: {{ x-key: hush-feed }} }}\n\
             proxy: [{{ path: /, upstream: shop, headers: {{ x-p: hush-proxy }} }}]\n"
        );
        let folder = folder();
        fs::write(folder.path().join("c.yaml"), &config).expect("a file");
        let mut shown = says(folder.path(), &["check", "-c", "c.yaml"]);
        let proxy = Proxy::start(&config);
        let mut stream = subscribe(proxy.address(), "/feed");
        shown += &stream.expect("status").data;
        shown += &get(proxy.address(), "/x", &[]).text();
        eventually("it fails twice", || {
            proxy.metric("pollcast_polls_total", &[]) > 1.5
        });
        shown += &proxy.admin("/metrics").1;
        shown += &proxy.log();
        for secret in SECRETS {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        eventually("the failure is logged", || proxy.log().contains("/feed"));
    }
}
