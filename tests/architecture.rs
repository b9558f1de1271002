//! The layers of `src`, and the purity of `core`: dependencies point one way.
//!
//! Reads the sources, not the compiled program: every path that begins with `crate::` and every
//! one whose root is a forbidden crate, in `use` declarations (groups unfolded) and in the code.

use std::fs;
use std::path::Path;

/// Each module and the modules that it may refer to, besides itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("core", &[]),
    // What browsers run: no Rust, so no dependencies.
    ("client", &[]),
    ("clock", &["core"]),
    ("formats", &["core"]),
    ("config", &["core", "formats"]),
    ("metrics", &["core"]),
    ("systemd", &[]),
    ("upgrade", &[]),
    ("peers", &["core", "config", "metrics"]),
    ("traces", &["core", "config", "peers"]),
    ("hub", &["core", "clock", "config", "metrics"]),
    ("backplane", &["core", "clock", "config", "metrics", "hub"]),
    (
        "upstream",
        &[
            "core",
            "clock",
            "formats",
            "config",
            "metrics",
            "peers",
            "traces",
            "hub",
            "backplane",
        ],
    ),
    ("auth", &["core", "clock", "config", "metrics", "peers"]),
    ("listen", &["core", "config", "metrics"]),
    (
        "gateway",
        &[
            "core", "clock", "config", "metrics", "peers", "auth", "traces", "hub", "listen",
        ],
    ),
    (
        "admin",
        &[
            "core", "clock", "auth", "config", "metrics", "peers", "hub", "upstream", "listen",
        ],
    ),
    (
        "server",
        &[
            "core",
            "clock",
            "config",
            "metrics",
            "peers",
            "auth",
            "traces",
            "hub",
            "backplane",
            "upstream",
            "listen",
            "gateway",
            "admin",
            "systemd",
            "upgrade",
        ],
    ),
    (
        "cli",
        &[
            "core",
            "clock",
            "formats",
            "config",
            "metrics",
            "peers",
            "auth",
            "traces",
            "hub",
            "backplane",
            "upstream",
            "listen",
            "gateway",
            "admin",
            "server",
        ],
    ),
    ("main", &["cli"]),
];

/// What `core` and `formats` must not name: runtimes, networks, logs, clocks, chance, the system.
const IMPURE: &[&str] = &[
    "tokio",
    "tokio_util",
    "pingora",
    "reqwest",
    "hyper",
    "redis",
    "tracing",
    "log",
    "rand",
    "prometheus",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::fs",
    "std::net",
    "std::io::stdout",
    "std::io::stderr",
    "std::thread",
    "std::env",
    "std::process",
];

#[test]
fn every_module_has_its_layer() {
    let mut found: Vec<_> = fs::read_dir("src")
        .expect("the sources")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir() || path.extension().is_some_and(|end| end == "rs"))
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name != "lib")
        .collect();
    found.sort();
    let mut known: Vec<_> = LAYERS.iter().map(|(name, _)| (*name).to_owned()).collect();
    known.sort();
    assert_eq!(found, known);
}

#[test]
fn dependencies_point_one_way() {
    let mut violations = Vec::new();
    for (module, _) in LAYERS {
        let file = format!("src/{module}.rs");
        if Path::new(&file).exists() {
            check(module, Path::new(&file), &mut violations);
        }
        let folder = format!("src/{module}");
        if Path::new(&folder).exists() {
            walk(module, Path::new(&folder), &mut violations);
        }
    }
    assert_eq!(violations, Vec::<String>::new());
}

fn walk(module: &str, folder: &Path, violations: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(module, &path, violations);
        } else if path.extension().is_some_and(|end| end == "rs") {
            check(module, &path, violations);
        }
    }
}

fn check(module: &str, file: &Path, violations: &mut Vec<String>) {
    let text = fs::read_to_string(file).expect("text");
    let wrong = wrong(module, &text).into_iter();
    violations.extend(wrong.map(|path| format!("{}: {path}", file.display())));
}

/// The paths in `text` that a file of `module` must not have. Tests at a file's end may use
/// anything.
fn wrong(module: &str, text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    let code = lines.collect::<Vec<_>>().join("\n");
    let allowed = LAYERS
        .iter()
        .find(|(name, _)| *name == module)
        .expect("a known module")
        .1;
    let forbidden = |path: &String| {
        let ours = path
            .strip_prefix("crate::")
            .or(path.strip_prefix("pollcast::"));
        if let Some(rest) = ours {
            let root = rest.split("::").next().unwrap_or_default();
            return root != module && !allowed.contains(&root);
        }
        ["core", "formats"].contains(&module) && is_impure(path, &code)
    };
    paths(&code).into_iter().filter(forbidden).collect()
}

fn is_impure(path: &str, code: &str) -> bool {
    let path = path.trim_start_matches("::").trim_end_matches("::*");
    // A child module may have a crate's name.
    let root = path.split("::").next().unwrap_or_default();
    if code.contains(&format!("mod {root};")) {
        return false;
    }
    let below = |path: &str, root: &str| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    // Whoever takes all of `std::time` takes its clocks too.
    IMPURE.iter().any(|impure| below(path, impure)) || path == "std::time" || path == "std"
}

/// Every path with at least two segments or in a `use`, with groups unfolded.
fn paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = code;
    let mut before = ' ';
    while let Some(start) = rest.find(|c: char| is_word(c) || c == ':') {
        before = rest[..start].chars().next_back().unwrap_or(before);
        rest = &rest[start..];
        let end = rest
            .find(|c: char| !is_word(c) && c != ':')
            .unwrap_or(rest.len());
        let word = &rest[..end];
        rest = &rest[end..];
        if word == "use" && before != '\'' {
            let end = rest.find(';').unwrap_or(rest.len());
            let tree: String = rest[..end]
                .split(" as ")
                .map(str::trim)
                .collect::<Vec<_>>()
                .join(" as ");
            unfold("", &tree, &mut paths);
            rest = &rest[end..];
        } else if word.contains("::") && before != '>' {
            paths.push(word.trim_end_matches(':').to_owned());
        }
        before = ' ';
    }
    paths
}

fn unfold(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((head, group)) = tree.split_once('{') else {
        let name = tree.split(" as ").next().unwrap_or_default().trim();
        if !name.is_empty() {
            paths.push(
                format!("{prefix}{name}")
                    .trim_end_matches("::self")
                    .to_owned(),
            );
        }
        return;
    };
    let prefix = format!("{prefix}{}", head.trim());
    let group = group.rsplit_once('}').map_or(group, |(inner, _)| inner);
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                unfold(&prefix, &group[start..at], paths);
                start = at + 1;
            }
            _ => {}
        }
    }
    unfold(&prefix, &group[start..], paths);
}

#[test]
fn the_check_finds_what_it_is_for() {
    for (module, text, found) in [
        ("core", "use tokio::time::sleep;", "tokio::time::sleep"),
        (
            "core",
            "use std::{fmt, time::{Duration, Instant}};",
            "std::time::Instant",
        ),
        (
            "core",
            "use std::time::SystemTime as Now;",
            "std::time::SystemTime",
        ),
        ("core", "use std::time;", "std::time"),
        ("core", "use std::time::{self, Duration};", "std::time"),
        ("core", "use std::time::*;", "std::time::*"),
        (
            "core",
            "fn f() { let t = std::time::Instant::now(); }",
            "std::time::Instant::now",
        ),
        (
            "core",
            "fn f() { ::tracing::info!(\"x\"); }",
            "::tracing::info",
        ),
        ("core", "fn f() { log::warn!(\"x\"); }", "log::warn"),
        ("core", "use rand;", "rand"),
        ("core", "use {rand::random, std::fmt};", "rand::random"),
        ("core", "pub(crate) use hyper as http;", "hyper"),
        ("core", "fn f(x: Vec<redis::Client>) {}", "redis::Client"),
        (
            "core",
            "use crate::config::Config;",
            "crate::config::Config",
        ),
        (
            "hub",
            "use crate::{core::id::EventId, upstream::Client};",
            "crate::upstream::Client",
        ),
        (
            "hub",
            "fn f() -> crate::gateway::Gateway {}",
            "crate::gateway::Gateway",
        ),
        ("config", "use crate::hub::Hub;", "crate::hub::Hub"),
        (
            "upstream",
            "use crate::\n    gateway\n::X;",
            "crate::\n    gateway\n::X",
        ),
        (
            "gateway",
            "use crate::upstream::Gates;",
            "crate::upstream::Gates",
        ),
        ("gateway", "use crate::admin::Admin;", "crate::admin::Admin"),
        ("server", "use crate::cli::run;", "crate::cli::run"),
        (
            "main",
            "fn main() { pollcast::server::x() }",
            "pollcast::server::x",
        ),
    ] {
        if text.contains('\n') {
            assert_eq!(wrong(module, text).len(), 1, "{text}");
        } else {
            assert_eq!(wrong(module, text), [found], "{text}");
        }
    }
}

#[test]
fn the_check_leaves_the_rest_alone() {
    for (module, text) in [
        (
            "core",
            "use std::time::Duration;\nuse super::log::Log;\nuse crate::core::log::Log;",
        ),
        ("core", "mod log;\npub use log::Log;"),
        (
            "core",
            "/// Unlike [`tokio::time`]\n// use tokio;\nfn f(random: u64) {}",
        ),
        (
            "core",
            "fn f() {}\n\n#[cfg(test)]\nmod tests {\n    use rand::random;\n}",
        ),
        ("core", "fn catalog() { self::rand::x() }"),
        (
            "hub",
            "use crate::core::id::EventId;\nuse crate::hub::topic::Topic;\nuse tokio::sync;",
        ),
        (
            "cli",
            "use crate::server::Server;\nuse crate::{config, hub::Hub};",
        ),
        ("main", "fn main() { pollcast::cli::run() }"),
    ] {
        assert_eq!(wrong(module, text), Vec::<String>::new(), "{text}");
    }
}
