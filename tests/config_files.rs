//! Configuration files: every example passes, every mistake is told in the promised words, and
//! nothing makes the reader panic.
//!
//! `BLESS=1 cargo test --test config_files` writes the messages beside the bad files anew; read
//! the difference before committing it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pollcast::config::{Config, LoadError, Surroundings, System, Warning};
use proptest::prelude::*;

/// A machine that is the same everywhere: four CPUs, a few variables, the fixtures' files.
struct Fixed(System);

impl Fixed {
    fn beside(path: &Path) -> Self {
        Self(System::new(path.parent().unwrap()))
    }
}

impl Surroundings for Fixed {
    fn variable(&self, name: &str) -> Option<OsString> {
        let value = match name {
            "SECRET" => "s3cret",
            "SECRET_LINES" => "s3cret\nx-forged: s3cret",
            "SECRET_URL" => "http://me:s3cret@shop",
            "HOST" => "shop.internal",
            "EVENTS" => "250",
            "FLAG" => "true",
            "INTERVAL" => "250ms",
            _ => return None,
        };
        Some(value.into())
    }

    fn file(&self, path: &str) -> io::Result<String> {
        self.0.file(path)
    }

    fn locate(&self, path: &str) -> PathBuf {
        self.0.locate(path)
    }

    fn parallelism(&self) -> usize {
        4
    }

    fn open_files(&self) -> Option<u64> {
        Some(1024)
    }

    fn memory(&self) -> Option<usize> {
        Some(8 << 30)
    }
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(ending))
        .collect();
    files.sort();
    files
}

fn parse(path: &Path) -> Result<Config, String> {
    let text = fs::read_to_string(path).unwrap();
    Config::parse(&text, &Fixed::beside(path))
        .map(|(config, _)| config)
        .map_err(|problems| problems.to_string())
}

#[test]
fn every_example_passes_without_a_warning() {
    let examples = files("config", ".yaml");
    assert!(examples.len() >= 5);
    for path in examples {
        match Config::load(&path) {
            // It shows every kind of credentials, and that everyone profits from them is told.
            Ok((_, warnings)) if path.ends_with("full.yaml") => {
                let told =
                    |warning: &&Warning| warning.to_string().contains("polls carry credentials");
                assert_eq!(warnings.iter().filter(told).count(), 6, "{warnings:?}");
                // One feed of many is not for everybody.
                let open = |warning: &&Warning| warning.to_string().contains("open to everybody");
                assert_eq!(warnings.iter().filter(open).count(), 1, "{warnings:?}");
                assert_eq!(warnings.len(), 7, "{warnings:?}");
            }
            Ok((_, warnings)) => assert!(warnings.is_empty(), "{}: {warnings:?}", path.display()),
            Err(error) if path.ends_with("traces.yaml") && !cfg!(feature = "otlp") => {
                let told = error.to_string();
                assert!(told.contains("--features otlp"), "{told}");
                assert!(told.contains("1 problem"), "{told}");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn every_yaml_block_of_a_readme_passes() {
    let mut blocks = 0;
    for readme in ["README.md", "config/README.md"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(readme);
        let text = fs::read_to_string(&path).unwrap();
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            // A part of a feed, which document_examples.rs tries.
            if block.starts_with("document:") {
                continue;
            }
            if let Err(problems) = Config::parse(block, &Fixed::beside(&path)) {
                panic!("{readme}:\n{block}\n{problems}");
            }
            blocks += 1;
        }
    }
    assert!(blocks >= 2, "the README shows configurations");
}

#[test]
fn every_good_file_passes() {
    let good = files("tests/fixtures/config", ".good.yaml");
    assert!(!good.is_empty());
    for path in good {
        if let Err(problems) = parse(&path) {
            panic!("{}:\n{problems}", path.display());
        }
    }
}

#[test]
fn every_bad_file_yields_exactly_the_messages_beside_it() {
    let bad = files("tests/fixtures/config", ".bad.yaml");
    assert!(bad.len() >= 15);
    // That this pollcast sends no traces is one of the messages.
    let takes_traces = cfg!(feature = "otlp");
    let told = |path: &PathBuf| !(takes_traces && path.ends_with("traces.bad.yaml"));
    for path in bad.into_iter().filter(told) {
        let found = match parse(&path) {
            Ok(_) => panic!("{} passes", path.display()),
            Err(problems) => problems + "\n",
        };
        assert!(
            !found.contains("s3cret"),
            "{} tells a secret:\n{found}",
            path.display()
        );
        let told = path.with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&told, &found).unwrap();
        }
        let expected =
            fs::read_to_string(&told).unwrap_or_else(|error| panic!("{}: {error}", told.display()));
        assert_eq!(found, expected, "{}", path.display());
    }
}

#[test]
fn a_missing_file_is_one_clear_line() {
    let error = Config::load("no/such/file.yaml").unwrap_err();
    assert!(matches!(error, LoadError::Read { .. }));
    let told = error.to_string();
    assert!(
        told.starts_with("cannot read the configuration no/such/file.yaml: "),
        "{told}"
    );
    assert_eq!(told.lines().count(), 1);
}

#[test]
fn secrets_from_files_are_found_beside_the_configuration() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config");
    let config = parse(&folder.join("expansion.good.yaml")).unwrap();
    let headers = &config.feeds[0].request.headers;
    assert_eq!(headers["x-api-key"], "from-a-file");
    assert!(headers["x-api-key"].is_sensitive());
    assert_eq!(config.feeds[0].events.history.events, 250);
    let request = &config.feeds[0].request;
    assert_eq!(request.shown, "https://${HOST}/${VERSION:-v1}/orders?...");
    assert_eq!(request.path.path(&[]), "/v1/orders");
    let tags = request.query.iter().map(|(_, tag)| tag.text(&[]));
    assert_eq!(tags.collect::<Vec<_>>(), ["$x", "a b"]);
}

const FULL: &str = include_str!("../config/full.yaml");

/// Values that are likely to stand where another was wanted.
const ODD: [&str; 12] = [
    "~",
    "[]",
    "{}",
    "-1",
    "1e400",
    "\"${NONE}\"",
    "!x y",
    "*none",
    "18446744073709551616",
    "999999999999999999999h",
    "\"\\0\"",
    "{<<: 1}",
];

/// One change of the text: (kind, position, payload), taken modulo what there is.
fn mutate(text: &str, (kind, at, payload): (u8, usize, u8)) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return String::new();
    }
    let line = at % lines.len();
    match kind % 4 {
        0 => drop(lines.remove(line)),
        1 => {
            let odd = ODD[payload as usize % ODD.len()];
            let key = lines[line].split_once(": ").map(|(key, _)| key.to_owned());
            lines[line] = format!("{}: {odd}", key.unwrap_or_else(|| lines[line].clone()));
        }
        2 => {
            let other = payload as usize % lines.len();
            lines.swap(line, other);
        }
        _ => {
            let mut bytes = text.as_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] = payload;
            return String::from_utf8_lossy(&bytes).into_owned();
        }
    }
    lines.join("\n")
}

proptest! {
    #[test]
    fn no_mutation_of_a_good_file_makes_the_reader_panic(
        changes in prop::collection::vec((any::<u8>(), any::<usize>(), any::<u8>()), 1..6)
    ) {
        let text = changes.into_iter().fold(FULL.to_owned(), |text, change| mutate(&text, change));
        let around = Fixed(System::new(env!("CARGO_MANIFEST_DIR")));
        if let Err(problems) = Config::parse(&text, &around) {
            prop_assert!(problems.count() > 0);
            prop_assert_eq!(problems.to_string().lines().count(), problems.count());
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[ -~\n]{0,60}") {
        let _ = Config::parse(&text, &Fixed(System::new("")));
    }
}
