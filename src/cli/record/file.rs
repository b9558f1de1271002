//! The file of a recording: never one that holds something else.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::RecordError;

/// Where lines are written.
pub struct Opened {
    /// At its end.
    pub out: Box<dyn Write>,
    /// Whether it holds nothing yet.
    pub is_new: bool,
    /// How many bytes of a line without an end were cut off.
    pub torn: u64,
}

/// Makes the file, or with `append` goes on with it; `-` is standard output.
///
/// # Errors
/// [`RecordError::Exists`] and [`RecordError::Write`].
pub fn open(path: &Path, append: bool) -> Result<Opened, RecordError> {
    if path == Path::new("-") {
        return Ok(Opened {
            out: Box::new(io::stdout()),
            is_new: true,
            torn: 0,
        });
    }
    let mut options = OpenOptions::new();
    match append {
        true => options.read(true).write(true).create(true).truncate(false),
        false => options.write(true).create_new(true),
    };
    let opened = options.open(path).and_then(|mut file| {
        let (length, torn) = match append {
            true => mended(&mut file)?,
            false => (0, 0),
        };
        Ok(Opened {
            out: Box::new(file),
            is_new: length == 0,
            torn,
        })
    });
    opened.map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists => RecordError::Exists(path.to_owned()),
        _ => RecordError::Write {
            path: path.to_owned(),
            source,
        },
    })
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
            ("a\n".into(), "a\n".into()),
            ("a\nb".into(), "a\n".into()),
            (format!("{long}\n{long}"), format!("{long}\n")),
            (long.clone(), String::new()),
        ] {
            std::fs::write(&path, &held).unwrap();
            let mut opened = open(&path, true).unwrap();
            assert_eq!(opened.is_new, left.is_empty());
            assert_eq!(opened.torn as usize, held.len() - left.len());
            opened.out.write_all(b"c\n").unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), left + "c\n");
        }
        assert!(matches!(open(&path, false), Err(RecordError::Exists(_))));
    }
}
