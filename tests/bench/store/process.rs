//! The real binary, and the time that it takes.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// A running pollcast; killed when dropped.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Process {
    /// Starts it with this configuration.
    pub fn start(config: &str) -> std::io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("pollcast.yaml");
        std::fs::write(&file, config)?;
        let built = || PathBuf::from(env!("CARGO_BIN_EXE_pollcast"));
        let binary = std::env::var_os("POLLCAST_BINARY").map_or_else(built, PathBuf::from);
        let mut child = Command::new(binary)
            .args(["run", "-c"])
            .arg(&file)
            .stdout(Stdio::piped())
            .spawn()?;
        let told = child.stdout.take().map(BufReader::new);
        let mut lines = told
            .into_iter()
            .flat_map(BufRead::lines)
            .map_while(Result::ok);
        let address = lines.find_map(|line| {
            let rest = line.strip_prefix("listening on http://")?;
            rest.split('/').next()?.parse().ok()
        });
        let address = address.ok_or_else(|| std::io::Error::other("it did not start"))?;
        Ok(Self {
            child,
            address,
            _folder: folder,
        })
    }

    /// User and system time since the start, of all threads that there ever were.
    pub fn cpu(&self) -> std::io::Result<Duration> {
        let id = Pid::from_raw(self.child.id().cast_signed());
        Ok(clock_getcpuclockid(id)?.now()?.into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
