//! `${VAR}`, `${VAR:-default}`, `${file:PATH}` and `$$` in scalars.
//!
//! Promises that what was put in stays apart from what was written: a problem shows the latter, so
//! that a secret never reaches a terminal or a log.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use rustix::process::{Resource, getrlimit};

use super::memory;

/// What a configuration may ask of the machine that it is read on.
pub trait Surroundings {
    /// The value of an environment variable, if it is set.
    fn variable(&self, name: &str) -> Option<OsString>;

    /// The whole text of a file; a relative path starts at the configuration file's folder.
    ///
    /// # Errors
    /// Whatever keeps the file from being read as UTF-8 text of at most 1 MiB.
    fn file(&self, path: &str) -> io::Result<String>;

    /// Where that file is, to be read again later.
    fn locate(&self, path: &str) -> PathBuf;

    /// How many threads can run at once; the meaning of `threads: auto`.
    fn parallelism(&self) -> usize;

    /// How many files and sockets this process may have open, at the most; `None` if any number.
    fn open_files(&self) -> Option<u64>;

    /// How much memory this process may take, in bytes: that of the machine, or of its control
    /// group if that is less; `None` if nobody says.
    fn memory(&self) -> Option<usize>;
}

/// The surroundings of this process.
#[derive(Clone, Debug)]
pub struct System {
    folder: PathBuf,
}

/// The longest secret that is read from a file, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

impl System {
    /// Surroundings in which relative paths start at `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }
}

impl Surroundings for System {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn file(&self, path: &str) -> io::Result<String> {
        let mut text = String::new();
        File::open(self.folder.join(path))?
            .take(FILE_LIMIT + 1)
            .read_to_string(&mut text)?;
        if text.len() as u64 > FILE_LIMIT {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "more than 1 MiB",
            ));
        }
        Ok(text)
    }

    fn locate(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    fn parallelism(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    fn open_files(&self) -> Option<u64> {
        getrlimit(Resource::Nofile).maximum
    }

    fn memory(&self) -> Option<usize> {
        memory::given()
    }
}

/// Surroundings in which a file says the same however often it is read.
pub(super) struct Remembering<'a> {
    around: &'a dyn Surroundings,
    files: RefCell<HashMap<String, String>>,
}

impl<'a> Remembering<'a> {
    pub(super) fn new(around: &'a dyn Surroundings) -> Self {
        Self {
            around,
            files: RefCell::default(),
        }
    }
}

impl Surroundings for Remembering<'_> {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.around.variable(name)
    }

    fn file(&self, path: &str) -> io::Result<String> {
        if let Some(text) = self.files.borrow().get(path) {
            return Ok(text.clone());
        }
        let text = self.around.file(path)?;
        self.files
            .borrow_mut()
            .insert(path.to_owned(), text.clone());
        Ok(text)
    }

    fn locate(&self, path: &str) -> PathBuf {
        self.around.locate(path)
    }

    fn parallelism(&self) -> usize {
        self.around.parallelism()
    }

    fn open_files(&self) -> Option<u64> {
        self.around.open_files()
    }

    fn memory(&self) -> Option<usize> {
        self.around.memory()
    }
}

/// Why a text could not be expanded. Names what was written, never a value.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExpandError {
    #[error("the variable {0} is not set; set it, or give a default: ${{{0}:-...}}")]
    Unset(String),
    #[error("the variable {0} is not UTF-8; set it to UTF-8 text")]
    NotUnicode(String),
    #[error(
        "cannot read {path:?} of ${{file:...}}: {cause}; a relative path starts at the folder of the configuration file"
    )]
    File { path: String, cause: io::Error },
    #[error("`${{` has no closing `}}`; close it, or write `$$` for a plain `$`")]
    Unterminated,
    #[error(
        "${{{0}}} names no variable; write ${{NAME}}, ${{NAME:-default}} or ${{file:PATH}}, or `$$` for a plain `$`"
    )]
    Name(String),
}

/// A text with everything put in.
#[derive(Debug)]
pub(super) struct Expanded {
    pub(super) text: String,
    /// Whether any of it came from outside the file.
    pub(super) foreign: bool,
}

/// Puts in what `written` refers to.
pub(super) fn expand(written: &str, around: &dyn Surroundings) -> Result<Expanded, ExpandError> {
    let mut text = String::with_capacity(written.len());
    let mut foreign = false;
    let mut rest = written;
    while let Some(dollar) = rest.find('$') {
        text.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('{') {
            let (reference, after) = after.split_once('}').ok_or(ExpandError::Unterminated)?;
            text.push_str(&look_up(reference, around)?);
            foreign = true;
            rest = after;
        } else {
            text.push('$');
            rest = rest.strip_prefix('$').unwrap_or(rest);
        }
    }
    text.push_str(rest);
    Ok(Expanded { text, foreign })
}

/// The value of what stands between `${` and `}`.
fn look_up(reference: &str, around: &dyn Surroundings) -> Result<String, ExpandError> {
    if let Some(path) = reference.strip_prefix("file:") {
        return read(path, around);
    }
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    if !is_name(name) || default.is_some_and(|default| default.contains("${")) {
        return Err(ExpandError::Name(reference.to_owned()));
    }
    let default = default.map(|default| default.replace("$$", "$"));
    let value = match around.variable(name) {
        Some(value) => Some(
            value
                .into_string()
                .map_err(|_| ExpandError::NotUnicode(name.to_owned()))?,
        ),
        None => None,
    };
    match (value, default) {
        // As in a shell, `:-` also stands in for an empty value.
        (Some(value), Some(default)) if value.is_empty() => Ok(default),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default),
        (None, None) => Err(ExpandError::Unset(name.to_owned())),
    }
}

fn read(path: &str, around: &dyn Surroundings) -> Result<String, ExpandError> {
    let text = around.file(path).map_err(|cause| ExpandError::File {
        path: path.to_owned(),
        cause,
    })?;
    Ok(without_newline(&text).to_owned())
}

/// The text of a file without one newline at its end.
pub(super) fn without_newline(text: &str) -> &str {
    let line = text.strip_suffix('\n');
    line.map_or(text, |line| line.strip_suffix('\r').unwrap_or(line))
}

fn is_name(name: &str) -> bool {
    let rest = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(rest) && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A machine on which only `HOST=shop`, `EMPTY=`, `TOKEN=s3cret` and the file `token` exist.
    pub(crate) struct Fixed;

    impl Surroundings for Fixed {
        fn variable(&self, name: &str) -> Option<OsString> {
            match name {
                "HOST" => Some("shop".into()),
                "EMPTY" => Some("".into()),
                "TOKEN" => Some("s3cret".into()),
                "NUMBER" => Some("7".into()),
                _ => None,
            }
        }

        fn file(&self, path: &str) -> io::Result<String> {
            match path {
                "token" => Ok("from a file\n\n".to_owned()),
                "dos" => Ok("from a file\r\n".to_owned()),
                "example.secret" => Ok(include_str!("../../config/example.secret").to_owned()),
                "example-shared.secret" => {
                    Ok(include_str!("../../config/example-shared.secret").to_owned())
                }
                "example.jwks.json" => {
                    Ok(include_str!("../../config/example.jwks.json").to_owned())
                }
                "example.pub.pem" => Ok(include_str!("../../config/example.pub.pem").to_owned()),
                "localhost.crt" => Ok(include_str!("../../config/localhost.crt").to_owned()),
                "localhost.key" => Ok(include_str!("../../config/localhost.key").to_owned()),
                _ => Err(io::ErrorKind::NotFound.into()),
            }
        }

        fn locate(&self, path: &str) -> PathBuf {
            path.into()
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

    fn expanded(text: &str) -> Result<String, String> {
        expand(text, &Fixed)
            .map(|it| it.text)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn references_are_replaced_by_what_they_name() {
        assert_eq!(
            expanded("http://${HOST}:${PORT:-80}/${EMPTY}"),
            Ok("http://shop:80/".into())
        );
        assert_eq!(expanded("${EMPTY:-x}${NONE:-}"), Ok("x".into()));
        assert_eq!(expanded("${NONE:-a$$b}"), Ok("a$b".into()));
    }

    #[test]
    fn a_file_loses_one_newline_at_its_end() {
        assert_eq!(expanded("${file:token}"), Ok("from a file\n".into()));
        assert_eq!(expanded("${file:dos}"), Ok("from a file".into()));
    }

    #[test]
    fn a_dollar_stands_for_itself_doubled_or_before_anything_but_a_brace() {
        assert_eq!(expanded("$${HOST} $5 a$"), Ok("${HOST} $5 a$".into()));
        assert!(!expand("$$", &Fixed).unwrap().foreign);
    }

    #[test]
    fn what_cannot_be_expanded_is_named() {
        assert!(expanded("${NONE}").unwrap_err().contains("NONE is not set"));
        assert!(expanded("${file:gone}").unwrap_err().contains("\"gone\""));
        assert!(expanded("a ${HOST").unwrap_err().contains("no closing"));
        assert!(expanded("${}").unwrap_err().contains("names no variable"));
        assert!(
            expanded("${A:-${B}}")
                .unwrap_err()
                .contains("names no variable")
        );
    }
}
