//! What is wrong with a configuration, told so that it can be put right.
//!
//! Owns the wording's shape: place, line, what is wrong, remedy. Promises that a text that came
//! from `${...}` never enters a message, because nothing here ever sees one.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// One thing that is wrong, or worth a second look.
///
/// Displays as `feeds[0].poll.interval (line 9): what is wrong; remedy`, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: a path such as `feeds[0].poll.interval`, an argument such as `--upstream`, or empty
    /// for the file as a whole.
    pub place: String,
    /// The line in the file, from 1, where it can be found.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// What to do about it; empty where `what` says it all.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.place.as_str(), self.line) {
            ("", None) => {}
            ("", Some(line)) => write!(f, "line {line}: ")?,
            (place, None) => write!(f, "{place}: ")?,
            (place, Some(line)) => write!(f, "{place} (line {line}): ")?,
        }
        f.write_str(&self.what)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

/// Every problem of one configuration, at least one, in the file's order.
///
/// Displays one problem a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
        Self(problems)
    }

    pub(super) fn one(problem: Problem) -> Self {
        Self(vec![problem])
    }

    /// The problems, those with a known line first.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// How many there are; at least one.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Something that works and may still surprise. Displays like a [`Problem`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(pub Problem);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a configuration file gave no [`Config`](super::Config).
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read. The message holds its cause, so there is no `source()`.
    #[error("cannot read the configuration {}: {cause}; {remedy}", path.display())]
    Read {
        /// The file as it was named.
        path: PathBuf,
        /// The system's answer.
        cause: io::Error,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The file was read and is wrong. Displays a heading, then one problem a line.
    #[error("{}: {} problem{}\n{problems}", path.display(), problems.count(), if problems.count() == 1 { "" } else { "s" })]
    Problems {
        /// The file as it was named.
        path: PathBuf,
        /// Everything that is wrong with it.
        problems: Problems,
    },
}

impl LoadError {
    pub(super) fn read(path: PathBuf, cause: io::Error) -> Self {
        let remedy = match cause.kind() {
            io::ErrorKind::NotFound => {
                "check the path, or start without a file: --upstream URL --feed PATH"
            }
            io::ErrorKind::PermissionDenied => "let the user that runs pollcast read it",
            io::ErrorKind::InvalidData => "save it as UTF-8",
            _ => "name a YAML file",
        };
        Self::Read {
            path,
            cause,
            remedy,
        }
    }
}
