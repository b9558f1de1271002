//! Why a store cannot be opened.

use std::path::PathBuf;

/// Why a store cannot be opened. Nothing was changed in it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder, or a file in it, cannot be made or read.
    #[error(
        "cannot use {} for the store (backplane.file.path); give pollcast a folder that it may write",
        path.display()
    )]
    Folder {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process uses it.
    #[error(
        "another process uses the store {}; stop that, or give each a folder of its own \
         (backplane.file.path)",
        path.display()
    )]
    Taken {
        /// Which one.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error(
        "the store {} is read-only; let pollcast write it, or remove `backplane` to keep events in \
         memory",
        path.display()
    )]
    ReadOnly {
        /// Which one.
        path: PathBuf,
    },
    /// Somebody else's file.
    #[error(
        "{} is no store of pollcast's; move it aside, or choose another folder \
         (backplane.file.path)",
        path.display()
    )]
    Foreign {
        /// Which one.
        path: PathBuf,
    },
    /// Made by a later pollcast.
    #[error(
        "the store {} has format {version}, which this pollcast does not know; use the newer one, or \
         move the folder aside: all feeds then begin anew",
        path.display()
    )]
    Version {
        /// Which one.
        path: PathBuf,
        /// Its format.
        version: i32,
    },
    /// It was written, and reads as something else.
    #[error(
        "the store {} is damaged; move the folder aside and start again: all feeds then begin anew, \
         and clients get a snapshot",
        path.display()
    )]
    Damaged {
        /// Which one.
        path: PathBuf,
    },
    /// SQLite refuses for another reason.
    #[error("cannot open the store {}; see the cause", path.display())]
    Sqlite {
        /// Which one.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
}
