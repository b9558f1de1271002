//! `jq` filters, run by jaq: one JSON text in, one out.
//!
//! A filter sees the document and nothing else: neither environment nor files nor other inputs.
//! It may run for ever and take any amount of memory, and jaq cannot be interrupted; so whoever
//! runs one does it in a process that can be killed. Errors tell nothing of the document: it may
//! hold what a filter is there to take out.

use std::fmt::Display;
use std::io::{self, Write};

use bytes::Bytes;
use jaq_core::data::JustLut;
use jaq_core::load::{self, Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, compile};
use jaq_json::{Val, read, write};

use crate::core::json::{ParseError, Tape};

/// The longest filter, in bytes: compiling one descends as deep as it nests.
pub const LONGEST: usize = 8 << 10;

/// A compiled filter.
pub struct Filter {
    text: String,
    compiled: jaq_core::Filter<JustLut<Val>>,
}

/// Why a text is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at line {line} column {column}")]
pub struct FilterError {
    /// What is wrong.
    pub problem: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl FilterError {
    /// About all of it.
    pub fn of_all(problem: String) -> Self {
        Self {
            problem,
            line: 1,
            column: 1,
        }
    }
}

/// Why a filter made no document. Reads on after "document.transform".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// What it was given is no JSON.
    #[error("was given no JSON")]
    Input,
    /// It gave nothing, as `empty` does.
    #[error("gave no value; it must give exactly one")]
    None,
    /// It gave more than one.
    #[error("gave more than one value; write [ ] around it for an array of them")]
    Several,
    /// An error that nothing caught.
    #[error("failed: {0}")]
    Failed(String),
    /// A value that JSON has no text for, or that is nested too deeply.
    #[error("gave what is no JSON, such as NaN or an object with names that are no strings: {0}")]
    NotJson(ParseError),
    /// The value would be too long as JSON.
    #[error("gave more than {limit} bytes (document.transform.max_bytes)")]
    TooLong {
        /// The bound, in bytes.
        limit: usize,
    },
}

impl Filter {
    /// Compiles a filter. That may take 8 KiB of stack and more for each of its bytes.
    ///
    /// # Errors
    /// The first [`FilterError`].
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > LONGEST {
            return Err(FilterError::of_all(format!(
                "a filter may have {LONGEST} bytes, and this one has {}",
                text.len()
            )));
        }
        let arena = Arena::default();
        let defs = jaq_core::defs()
            .chain(jaq_std::defs())
            .chain(jaq_json::defs());
        let file = File {
            code: text,
            path: (),
        };
        let modules = Loader::new(defs)
            .load(&arena, file)
            .map_err(|errors| unloaded(text, errors))?;
        load::import(&modules, |_| Err(NO_FILES.to_owned()))
            .map_err(|errors| unloaded(text, errors))?;
        let funs = jaq_core::funs()
            .chain(jaq_std::funs())
            .chain(jaq_json::funs());
        let compiled = Compiler::default()
            .with_funs(funs.filter(|(name, ..)| *name != "env"))
            .compile(modules)
            .map_err(|errors| uncompiled(text, errors))?;
        Ok(Self {
            text: text.to_owned(),
            compiled,
        })
    }

    /// The one value that the filter makes of `input`, as JSON text of at most `limit` bytes.
    /// Numbers that it only passes on keep their writing.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn run(&self, input: &[u8], limit: usize) -> Result<Bytes, RunError> {
        let input = read::parse_single(input).map_err(|_| RunError::Input)?;
        let context = Ctx::<JustLut<Val>>::new(&self.compiled.lut, Vars::new([]));
        let mut values = self.compiled.id.run((context, input)).map(|value| {
            value.map_err(|exception| match exception.get_err() {
                Ok(error) => RunError::Failed(self.told(&error.to_string())),
                Err(_) => RunError::Failed("it halted".to_owned()),
            })
        });
        let value = values.next().ok_or(RunError::None)??;
        if let Some(next) = values.next() {
            next?;
            return Err(RunError::Several);
        }
        let mut out = Bounded {
            bytes: Vec::new(),
            limit,
        };
        write::write(&mut out, &write::Pp::default(), 0, &value)
            .map_err(|_| RunError::TooLong { limit })?;
        let json = Bytes::from(out.bytes);
        Tape::read(json.clone()).map_err(RunError::NotJson)?;
        Ok(json)
    }

    /// An error's text without anything of the document.
    fn told(&self, error: &str) -> String {
        if let Some(rest) = error.strip_prefix("cannot index ") {
            // Either of the two may hold the word between them itself.
            let with = rest.rsplit(" with ").next().unwrap_or_default();
            return format!("cannot index {} with {}", kind(rest), kind(with));
        }
        if let Some((value, wanted)) = error
            .strip_prefix("cannot use ")
            .and_then(|rest| rest.rsplit_once(" as "))
        {
            return format!("cannot use {} as {wanted}", kind(value));
        }
        if let Some(rest) = error.strip_prefix("cannot calculate ") {
            return format!("cannot calculate with {}", kind(rest));
        }
        // What the filter itself says is no secret.
        match error.starts_with('"') && self.text.contains(error) {
            true => error.to_owned(),
            false => "an error whose text may hold parts of the document".to_owned(),
        }
    }
}

const NO_FILES: &str = "files cannot be loaded here";

/// What a JSON text is, by how it begins.
fn kind(json: &str) -> &'static str {
    match json.bytes().next() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b'n') => "null",
        Some(b't' | b'f') => "a boolean",
        Some(_) => "a number",
        None => "nothing",
    }
}

fn unloaded(text: &str, errors: load::Errors<&str, ()>) -> FilterError {
    let first = errors.into_iter().next().map(|(_, error)| error);
    let expected = |expected: &dyn Display, found: &str| match found.chars().next() {
        Some(c) => format!("expected {expected}, found {c:?}"),
        None => format!("expected {expected}, found the end"),
    };
    let (problem, place) = match first {
        Some(load::Error::Io(errors)) => match errors.into_iter().next() {
            Some((place, _)) => (NO_FILES.to_owned(), place),
            None => (NO_FILES.to_owned(), ""),
        },
        Some(load::Error::Lex(errors)) => match errors.into_iter().next() {
            Some((wanted, found)) => (expected(&wanted.as_str(), found), found),
            None => ("no filter".to_owned(), ""),
        },
        Some(load::Error::Parse(errors)) => match errors.into_iter().next() {
            Some((wanted, found)) => (expected(&wanted.as_str(), found), found),
            None => ("no filter".to_owned(), ""),
        },
        None => ("no filter".to_owned(), ""),
    };
    at(text, place, problem)
}

fn uncompiled(text: &str, errors: compile::Errors<&str, ()>) -> FilterError {
    let mut errors = errors.into_iter().flat_map(|(_, errors)| errors);
    match errors.next() {
        Some((found, undefined)) => {
            let problem = format!("there is no {} `{found}` here", undefined.as_str());
            at(text, found, problem)
        }
        None => at(text, "", "no filter".to_owned()),
    }
}

/// The error at the place of `part`, which is a part of `text`; at its beginning if it is none.
fn at(text: &str, part: &str, problem: String) -> FilterError {
    let distance = (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
    let before = text.get(..distance).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    FilterError {
        problem,
        line: 1 + before.matches('\n').count(),
        column: 1 + line.chars().count(),
    }
}

/// Bytes up to a limit.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
}

impl Write for Bounded {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if piece.len() > self.limit - self.bytes.len() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(filter: &str, input: &str) -> Result<String, RunError> {
        let made = Filter::parse(filter).unwrap().run(input.as_bytes(), 1000)?;
        Ok(String::from_utf8(made.to_vec()).unwrap())
    }

    #[test]
    fn one_value_becomes_one_value() {
        let input = r#"{"b":[{"id":1,"x":"é\n"},{"id":2,"x":null}],"a":{}}"#;
        for (filter, output) in [
            (".", input),
            (".b | map({id})", r#"[{"id":1},{"id":2}]"#),
            ("[.b[] | select(.id > 1)]", r#"[{"id":2,"x":null}]"#),
            ("del(.b[].x) | .b", r#"[{"id":1},{"id":2}]"#),
            (". as $all | $all.b | length", "2"),
            ("# a comment\n  .a", "{}"),
        ] {
            assert_eq!(run(filter, input).as_deref(), Ok(output), "{filter}");
        }
    }

    #[test]
    fn numbers_that_are_passed_on_keep_their_writing() {
        let input =
            "[1.50,123456789012345678901234567890.10,1e400,-0.0,12345678901234567890123,1E5]";
        assert_eq!(run("{a: .}", input).unwrap(), format!("{{\"a\":{input}}}"));
    }

    #[test]
    fn what_gives_no_single_value_is_told() {
        for (filter, told) in [
            ("empty", "gave no value; it must give exactly one"),
            (
                ".[]",
                "gave more than one value; write [ ] around it for an array of them",
            ),
            (
                "range(1e12)",
                "gave more than one value; write [ ] around it for an array of them",
            ),
            (".a", "failed: cannot index an array with a string"),
            (".[0].x", "failed: cannot index a string with a string"),
            (
                ".[0] | keys",
                "failed: cannot use a string as iterable (array or object)",
            ),
            (".[0] - 1", "failed: cannot calculate with a string"),
            ("error(\"no rows today\")", "failed: \"no rows today\""),
            (
                "error",
                "failed: an error whose text may hold parts of the document",
            ),
            (
                "error(.[0])",
                "failed: an error whose text may hold parts of the document",
            ),
            ("halt", "failed: it halted"),
            (
                "[nan]",
                "gave what is no JSON, such as NaN or an object with names that are no strings: invalid JSON at line 1 column 2: expected value",
            ),
            (
                "[.[0] * 2000]",
                "gave more than 1000 bytes (document.transform.max_bytes)",
            ),
        ] {
            let input = r#"["s3cret with s3cret as x",{"a":"s3cret"}]"#;
            assert_eq!(
                run(filter, input).unwrap_err().to_string(),
                told,
                "{filter}"
            );
        }
    }

    #[test]
    fn nothing_outside_of_the_document_is_seen() {
        for filter in [
            "env",
            "$ENV",
            "input",
            "inputs",
            "input_filename",
            "import \"x\" as x; .",
            "include \"x\"; .",
            "import \"x\" as $x; $x",
            "$__prog_args",
            "input_line_number",
            "get_search_list",
        ] {
            assert!(Filter::parse(filter).is_err(), "{filter}");
        }
    }

    #[test]
    fn a_text_that_is_no_filter_is_refused_with_its_place() {
        for (filter, told) in [
            (".a |", "expected term, found the end at line 1 column 5"),
            (
                ".a\n  | map(",
                "expected closing parenthesis, found the end at line 2 column 9",
            ),
            (
                ".a | mpa(.b)",
                "there is no filter `mpa` here at line 1 column 6",
            ),
            (
                ".a | $x",
                "there is no variable `$x` here at line 1 column 6",
            ),
            (".a ]", "expected token, found ']' at line 1 column 4"),
            (
                "import \"x\" as x; .",
                "files cannot be loaded here at line 1 column 9",
            ),
        ] {
            let error = Filter::parse(filter).err().unwrap();
            assert_eq!(error.to_string(), told, "{filter}");
        }
    }
}
