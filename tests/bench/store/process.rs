//! The real binary, and the time that it takes.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The unit of /proc/PID/stat: USER_HZ is 100 on every Linux that this runs on.
const TICK: Duration = Duration::from_millis(10);

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
        let mut child = Command::new(env!("CARGO_BIN_EXE_pollcast"))
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

    /// User and system time since the start.
    pub fn cpu(&self) -> std::io::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name in parentheses may hold anything (proc(5)).
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks = fields.split_ascii_whitespace().skip(11).take(2);
        let ticks: u32 = ticks.filter_map(|field| field.parse::<u32>().ok()).sum();
        Ok(TICK * ticks)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
