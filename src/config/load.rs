//! From a file, a text or two arguments to a [`Config`].

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;
use serde_yaml::{Mapping, Value};

use super::expand::{Remembering, Surroundings, System};
use super::place;
use super::problem::{LoadError, Problem, Problems, Warning};
use super::sheet::{Sheet, in_file};
use super::{Config, resolve};

/// The longest configuration file, in bytes.
const FILE_LIMIT: u64 = 4 << 20;

/// The name of the only upstream when there is no file.
const QUICK: &str = "upstream";

impl Config {
    /// Reads and resolves a configuration file. Relative paths of `${file:...}` start at its
    /// folder.
    ///
    /// # Errors
    /// [`LoadError::Read`] if there is nothing to read, else every problem of the file at once.
    pub fn load(path: impl AsRef<Path>) -> Result<(Self, Vec<Warning>), LoadError> {
        let path = path.as_ref();
        let text = read(path).map_err(|cause| LoadError::read(path.to_owned(), cause))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, &System::new(folder)).map_err(|problems| LoadError::Problems {
            path: path.to_owned(),
            problems,
        })
    }

    /// Resolves the text of a configuration file.
    ///
    /// # Errors
    /// Every problem of the text at once; a mistake of syntax hides the others.
    pub fn parse(text: &str, around: &dyn Surroundings) -> Result<(Self, Vec<Warning>), Problems> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let value = document(text).map_err(Problems::one)?;
        let around = Remembering::new(around);
        let sheet = Sheet::new(&around);
        let config = resolve::config(&value, &sheet);
        sheet.conclude(config, in_file(text))
    }

    /// The configuration of `pollcast run --upstream URL --feed PATH`, without a file: each path is
    /// polled from, and everything else passed to, the one upstream.
    ///
    /// # Errors
    /// Every problem at once, in terms of `--upstream` and `--feed`.
    pub fn quick(upstream: &str, feeds: &[String]) -> Result<(Self, Vec<Warning>), Problems> {
        // The shell has expanded what is to be expanded.
        let literal = |text: &str| Value::from(text.replace('$', "$$"));
        let feed = |path: &String| mapping([("path", literal(path)), ("upstream", QUICK.into())]);
        let value = mapping([
            (
                "upstreams",
                mapping([(QUICK, mapping([("url", literal(upstream))]))]),
            ),
            ("feeds", feeds.iter().map(feed).collect::<Vec<_>>().into()),
        ]);
        let system = System::new("");
        let sheet = Sheet::new(&system);
        let config = resolve::config(&value, &sheet);
        sheet.conclude(config, |path| (argument(path).to_owned(), None))
    }
}

fn argument(path: &place::Path) -> &'static str {
    match path.starts_with("upstreams") {
        true => "--upstream",
        false => "--feed",
    }
}

fn mapping<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let entries = entries.into_iter().map(|(key, value)| (key.into(), value));
    Value::Mapping(entries.collect::<Mapping>())
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(FILE_LIMIT + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "more than 4 MiB",
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("not UTF-8 at byte {valid}"),
        )
    })
}

/// The only document of `text`, aliases and merge keys put in.
fn document(text: &str) -> Result<Value, Problem> {
    let whole = |what: &str, remedy: &str| Problem {
        place: String::new(),
        line: None,
        what: what.to_owned(),
        remedy: remedy.to_owned(),
    };
    let syntax = |error: serde_yaml::Error| syntax(text, &error);
    let mut documents = serde_yaml::Deserializer::from_str(text);
    let mut value = match documents.next() {
        Some(document) => Value::deserialize(document).map_err(syntax)?,
        None => Value::Null,
    };
    if documents.next().is_some() {
        return Err(whole(
            "the file holds more than one document",
            "keep one, and remove the `---` between them",
        ));
    }
    match value {
        Value::Null => Err(whole(
            "the file is empty",
            "start with `upstreams` and `feeds`, as in config/minimal.yaml",
        )),
        Value::Mapping(_) => {
            value.apply_merge().map_err(|error| {
                whole(
                    &format!("a merge key cannot be applied: {error}"),
                    "write `<<: *anchor` of a mapping",
                )
            })?;
            Ok(value)
        }
        _ => Err(whole(
            "the file is no mapping",
            "write `key: value` at its top, as in config/minimal.yaml",
        )),
    }
}

fn syntax(text: &str, error: &serde_yaml::Error) -> Problem {
    let line = error.location().map(|location| location.line());
    // In YAML's flow style the brace of a reference ends the scalar.
    let reference = line.and_then(|line| text.lines().nth(line.saturating_sub(1)));
    let remedy = match reference.is_some_and(|line| line.contains("${")) {
        true => "inside { } or [ ], write \"${...}\" in quotes",
        false => "see https://yaml.org; indentation, quotes and brackets are the usual reasons",
    };
    Problem {
        place: String::new(),
        line,
        what: format!("this is no YAML: {error}"),
        remedy: remedy.to_owned(),
    }
}
