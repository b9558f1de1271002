//! Whether the store holds all that was ever written: what decides if epochs go on.
//!
//! A small file beside the store says which life of the machine wrote to it last, and how many
//! events were written. What a process that was killed has written, the system still has; what was
//! not synced before a power loss is gone, and the machine's next life has another name. Where it
//! cannot be told, epochs do not go on.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rand::random;

const NAME: &str = "life";
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
/// Nothing was written that is not on the disk itself.
const CLOSED: &str = "closed";
const ALWAYS: &str = "always";

/// The open file.
#[derive(Debug)]
pub(super) struct Life {
    file: File,
    folder: PathBuf,
}

impl Life {
    /// Whether a store in which `count` events are found holds everything that was written to it.
    pub(super) fn goes_on(folder: &Path, count: u64) -> bool {
        let Ok(text) = std::fs::read_to_string(folder.join(NAME)) else {
            return false;
        };
        let mut words = text.split_ascii_whitespace();
        let written = words.next().and_then(|it| u64::from_str_radix(it, 16).ok());
        let is_whole = written.is_some_and(|written| written <= count);
        let is_known = words
            .next()
            .is_some_and(|word| [CLOSED, ALWAYS].contains(&word) || word == boot());
        is_whole && is_known
    }

    /// From now on events are written, each to the disk itself `always` or only some time later.
    pub(super) fn begin(folder: &Path, count: u64, always: bool) -> std::io::Result<Self> {
        let word = if always { ALWAYS.to_owned() } else { boot() };
        Ok(Self {
            file: write(folder, count, &word)?,
            folder: folder.to_owned(),
        })
    }

    /// So many events are written.
    pub(super) fn counts(&self, count: u64) -> std::io::Result<()> {
        self.file
            .write_all_at(format!("{count:016x}").as_bytes(), 0)
    }

    /// What was written may be lost.
    pub(super) fn doubt(&self) {
        // Where the disk does not even do this, the count says it.
        let _ = std::fs::remove_file(self.folder.join(NAME));
    }

    /// Everything is on the disk itself, and nothing is written any more.
    pub(super) fn end(self) -> std::io::Result<()> {
        write(&self.folder, 0, CLOSED).map(drop)
    }
}

/// Replaces the file; it is on the disk itself before this returns.
fn write(folder: &Path, count: u64, word: &str) -> std::io::Result<File> {
    let new = folder.join("life.new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    writeln!(file, "{count:016x} {word}")?;
    file.sync_all()?;
    std::fs::rename(&new, folder.join(NAME))?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

/// The name of the machine's life; one that never comes again where it has none.
fn boot() -> String {
    std::fs::read_to_string(BOOT)
        .ok()
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty() && !text.contains(char::is_whitespace))
        .unwrap_or_else(|| format!("unknown-{:016x}", random::<u64>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_go_on_only_where_nothing_can_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert!(!Life::goes_on(path, 0), "nobody said so");
        let life = Life::begin(path, 5, false).unwrap();
        assert!(Life::goes_on(path, 5));
        life.counts(7).unwrap();
        assert!(Life::goes_on(path, 7) && Life::goes_on(path, 8));
        assert!(!Life::goes_on(path, 6), "an event was written and is gone");
        life.end().unwrap();
        assert!(Life::goes_on(path, 0));
        let life = Life::begin(path, 1, true).unwrap();
        assert!(Life::goes_on(path, 1));
        life.doubt();
        assert!(!Life::goes_on(path, 1));
        for text in ["", "0", "0 another-boot", "x closed", "closed"] {
            std::fs::write(path.join(NAME), text).unwrap();
            assert!(!Life::goes_on(path, 1), "{text}");
        }
    }
}
