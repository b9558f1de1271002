//! The file of a recording: never one that holds something else.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::RecordError;
use crate::cli::recording::HEAD;
use crate::cli::terminal::to_stdout;

/// What keeps lines.
pub enum Out {
    /// A file, at its end.
    File(File),
    /// Standard output.
    Standard,
}

impl Out {
    /// Writes whole lines. To a file that is done at once, so that it has no half of one.
    ///
    /// # Errors
    /// If there is no room, or nobody reads it.
    pub async fn write(&mut self, lines: Vec<u8>) -> io::Result<()> {
        match self {
            Out::File(file) => file.write_all(&lines),
            Out::Standard => to_stdout(lines).await,
        }
    }
}

/// Where lines are written.
pub struct Opened {
    /// What keeps them.
    pub out: Out,
    /// Whether it holds nothing yet.
    pub is_new: bool,
    /// How many bytes of a line without an end were cut off.
    pub torn: u64,
}

/// Makes the file, or with `append` goes on with it; `-` is standard output.
///
/// # Errors
/// [`RecordError::Exists`], [`RecordError::Foreign`] and [`RecordError::Write`].
pub fn open(path: &Path, append: bool) -> Result<Opened, RecordError> {
    if path == Path::new("-") {
        return Ok(Opened {
            out: Out::Standard,
            is_new: true,
            torn: 0,
        });
    }
    let mut options = OpenOptions::new();
    match append {
        true => options.read(true).write(true).create(true).truncate(false),
        false => options.write(true).create_new(true),
    };
    let failed = |source: io::Error| match source.kind() {
        ErrorKind::AlreadyExists => RecordError::Exists(path.to_owned()),
        _ => RecordError::Write {
            path: path.to_owned(),
            source,
        },
    };
    let mut file = options.open(path).map_err(failed)?;
    if append && !is_ours(&mut file).map_err(failed)? {
        return Err(RecordError::Foreign(path.to_owned()));
    }
    let (length, torn) = match append {
        true => mended(&mut file).map_err(failed)?,
        false => (0, 0),
    };
    Ok(Opened {
        out: Out::File(file),
        is_new: length == 0,
        torn,
    })
}

/// Whether the file begins as a recording does, as far as it goes. A pipe has no length, and reading
/// it would not end.
fn is_ours(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut beginning = Vec::new();
    let most = HEAD.len() as u64;
    file.take(most).read_to_end(&mut beginning)?;
    Ok(HEAD.as_bytes().starts_with(&beginning))
}

/// Cuts off what stands behind the last line's end; how much is left and how much went.
fn mended(file: &mut File) -> io::Result<(u64, u64)> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut whole = length;
    let mut piece = [0; 4096];
    while whole > 0 {
        let start = whole.saturating_sub(piece.len() as u64);
        let held = usize::try_from(whole - start).unwrap_or(piece.len());
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut piece[..held])?;
        match piece[..held].iter().rposition(|byte| *byte == b'\n') {
            Some(at) => {
                whole = start + at as u64 + 1;
                break;
            }
            None => whole = start,
        }
    }
    if whole < length {
        file.set_len(whole)?;
    }
    file.seek(SeekFrom::Start(whole))?;
    Ok((whole, length - whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_cut_off_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let long = "x".repeat(10_000);
        for (held, left) in [
            (String::new(), String::new()),
            (HEAD[..7].to_owned(), String::new()),
            (format!("{HEAD}1}}\n"), format!("{HEAD}1}}\n")),
            (format!("{HEAD}1}}\nb"), format!("{HEAD}1}}\n")),
            (format!("{HEAD}{long}\n{long}"), format!("{HEAD}{long}\n")),
            (format!("{HEAD}{long}"), String::new()),
        ] {
            std::fs::write(&path, &held).unwrap();
            let opened = open(&path, true).unwrap();
            assert_eq!(opened.is_new, left.is_empty());
            assert_eq!(opened.torn as usize, held.len() - left.len());
            let Out::File(mut file) = opened.out else {
                panic!("a file");
            };
            file.write_all(b"c\n").unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), left + "c\n");
        }
        assert!(matches!(open(&path, false), Err(RecordError::Exists(_))));
    }

    #[test]
    fn what_is_no_recording_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for held in [r#"{"all":"that there is"}"#, "one\ntwo", "{}\n"] {
            std::fs::write(&path, held).unwrap();
            assert!(matches!(open(&path, true), Err(RecordError::Foreign(_))));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), held);
        }
    }
}
