//! Places in a configuration file: the path of a value, and the line on which it stands.
//!
//! Lines are best effort: what comes from an alias or a merge key has the line of its nearest
//! ancestor that is written out.

use std::collections::HashMap;
use std::fmt;

use saphyr_parser::{Event, Parser};

/// The way from the top of the file to a value. Displays as `feeds[0].poll.interval`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    pub(super) fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    /// Whether the first step is this key.
    pub(super) fn starts_with(&self, key: &str) -> bool {
        matches!(self.0.first(), Some(Step::Key(first)) if first == key)
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    fn parent(mut self) -> Option<Self> {
        self.0.pop().map(|_| self)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if is_plain(key) && depth == 0 => f.write_str(key)?,
                Step::Key(key) if is_plain(key) => write!(f, ".{key}")?,
                Step::Key(key) => write!(f, "[{key:?}]")?,
            }
        }
        Ok(())
    }
}

fn is_plain(key: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !key.is_empty() && key.chars().all(plain)
}

/// The line of every value that is written out in a file.
#[derive(Debug, Default)]
pub(super) struct Lines(HashMap<Path, usize>);

impl Lines {
    /// Reads the first document of `text`, as far as it can be read.
    pub(super) fn of(text: &str) -> Self {
        let mut lines = Self::default();
        let mut open: Vec<Open> = Vec::new();
        for event in Parser::new_from_str(text) {
            let Ok((event, span)) = event else { break };
            let line = span.start.line();
            match event {
                Event::DocumentEnd => break,
                Event::MappingEnd | Event::SequenceEnd => drop(open.pop()),
                Event::Scalar(text, ..) => drop(lines.enter(&mut open, &text, line)),
                Event::Alias(_) => drop(lines.enter(&mut open, "?", line)),
                Event::MappingStart(..) => {
                    let path = lines.enter(&mut open, "?", line);
                    open.push(Open::Mapping { path, key: None });
                }
                Event::SequenceStart(..) => {
                    let path = lines.enter(&mut open, "?", line);
                    open.push(Open::Sequence { path, next: 0 });
                }
                Event::Nothing
                | Event::StreamStart
                | Event::StreamEnd
                | Event::DocumentStart(_) => {}
            }
        }
        lines
    }

    /// The line of `path`, else of its nearest known ancestor.
    pub(super) fn line(&self, path: &Path) -> Option<usize> {
        let mut path = Some(path.clone());
        while let Some(candidate) = path {
            if let Some(line) = self.0.get(&candidate) {
                return Some(*line);
            }
            path = candidate.parent();
        }
        None
    }

    /// Notes a node that begins on `line`, and returns its path. `text` matters where it is a key.
    fn enter(&mut self, open: &mut [Open], text: &str, line: usize) -> Path {
        match open.last_mut() {
            None => Path::default(),
            Some(Open::Sequence { path, next }) => {
                let path = path.index(*next);
                *next += 1;
                self.0.insert(path.clone(), line);
                path
            }
            Some(Open::Mapping { path, key }) => match key.take() {
                Some(key) => path.key(&key),
                None => {
                    *key = Some(text.to_owned());
                    let path = path.key(text);
                    self.0.insert(path.clone(), line);
                    path
                }
            },
        }
    }
}

/// A collection whose end has not come yet.
enum Open {
    Mapping { path: Path, key: Option<String> },
    Sequence { path: Path, next: usize },
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
base: &base
  interval: 2s
feeds:
  - path: /a
    poll: *base
  - { path: /b,
      poll: {linger: 1s} }
";

    #[test]
    fn a_value_has_the_line_of_its_key() {
        let lines = Lines::of(FILE);
        let feed = |index| Path::default().key("feeds").index(index);
        assert_eq!(lines.line(&feed(0)), Some(4));
        assert_eq!(lines.line(&feed(1).key("path")), Some(6));
        assert_eq!(lines.line(&feed(1).key("poll").key("linger")), Some(7));
    }

    #[test]
    fn a_value_behind_an_alias_has_the_line_of_the_alias() {
        let lines = Lines::of(FILE);
        let poll = Path::default().key("feeds").index(0).key("poll");
        assert_eq!(lines.line(&poll.key("interval")), Some(5));
        assert_eq!(lines.line(&Path::default().key("missing")), None);
    }

    #[test]
    fn a_path_reads_as_one_would_write_it() {
        let path = Path::default().key("upstreams").key("a b").key("url");
        assert_eq!(path.to_string(), "upstreams[\"a b\"].url");
        assert_eq!(
            Path::default().key("feeds").index(1).to_string(),
            "feeds[1]"
        );
    }
}
