//! What is started: the file that is now where this one was when it was started.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Tells a process that its standard input leads to its predecessor.
pub(super) const VARIABLE: &str = "POLLCAST_UPGRADE";

/// How this process was started, to be started so again.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    name: OsString,
    arguments: Vec<OsString>,
    folder: PathBuf,
}

/// Why it cannot be found out.
#[derive(Debug, thiserror::Error)]
#[error("cannot tell which file this program is; it cannot be replaced while it runs")]
pub struct ProgramError(#[source] io::Error);

impl Program {
    /// This one. To be asked early: afterwards the file may be another.
    ///
    /// The path is the one by which it was called, links and all, since it is a link that many
    /// point to the next version; only where that leads elsewhere, the file itself.
    ///
    /// # Errors
    /// [`ProgramError`] if the system does not tell.
    pub fn of_this_process() -> Result<Self, ProgramError> {
        let mut arguments = env::args_os();
        let name = arguments.next().unwrap_or_default();
        let folder = env::current_dir().map_err(ProgramError)?;
        let file = env::current_exe().map_err(ProgramError)?;
        let called = called(Path::new(&name), &folder);
        let path = called.into_iter().find(|path| is_same(path, &file));
        Ok(Self {
            path: path.unwrap_or(file),
            name,
            arguments: arguments.collect(),
            folder,
        })
    }

    #[cfg(test)]
    pub(super) fn at(path: &str, arguments: &[&str]) -> Self {
        Self {
            path: path.into(),
            name: path.into(),
            arguments: arguments.iter().map(Into::into).collect(),
            folder: env::temp_dir(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Starts it in the same folder with the same arguments and environment; `input` is its
    /// standard input, whatever else it must know it is told there.
    pub(super) fn start(&self, input: OwnedFd) -> io::Result<Child> {
        Command::new(&self.path)
            .arg0(&self.name)
            .args(&self.arguments)
            .current_dir(&self.folder)
            .env(VARIABLE, "stdin")
            // Names the process that was started first, for which systemd's watchdog is not any more.
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::from(input))
            .spawn()
    }
}

/// The places that a program called by this name may be at.
fn called(name: &Path, folder: &Path) -> Vec<PathBuf> {
    if name.components().count() > 1 {
        return vec![folder.join(name)];
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).map(|place| folder.join(place).join(name));
    places.collect()
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_folder_starts_where_the_process_did() {
        let folder = Path::new("/srv");
        assert_eq!(
            called(Path::new("./pollcast"), folder),
            [Path::new("/srv/./pollcast")]
        );
        assert_eq!(
            called(Path::new("/opt/pollcast"), folder),
            [Path::new("/opt/pollcast")]
        );
        let searched = called(Path::new("sh"), folder);
        assert!(searched.iter().any(|path| path.exists()), "{searched:?}");
    }

    #[test]
    fn a_link_is_followed_anew_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("1.0"), folder.path().join("pollcast"));
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(is_same(&link, &file));
        assert!(!is_same(&link, folder.path()));
        assert!(!is_same(&folder.path().join("none"), &file));
    }
}
