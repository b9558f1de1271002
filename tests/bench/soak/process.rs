//! The real binary, and what the system and itself say of it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A running pollcast; killed when dropped.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
    admin: SocketAddr,
    folder: tempfile::TempDir,
}

/// What it takes at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Resident memory in bytes.
    pub resident: f64,
    pub files: usize,
    /// User and system time since the start.
    pub cpu: Duration,
}

impl Process {
    /// Starts it with this configuration, whose listeners are on port 0.
    pub fn start(config: &str) -> std::io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("pollcast.yaml");
        std::fs::write(&file, config)?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_pollcast"))
            .args(["run", "-c"])
            .arg(&file)
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("log"))?)
            .spawn()?;
        let told = child.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(told).lines().map_while(Result::ok);
        let mut address = |prefix: &str| {
            let line = lines.find_map(|line| line.strip_prefix(prefix).map(str::to_owned));
            let line = line.unwrap_or_default();
            line.split('/').next().unwrap_or_default().parse().ok()
        };
        let found = (address("listening on http://"), address("admin on http://"));
        let (Some(address), Some(admin)) = found else {
            let log = std::fs::read_to_string(folder.path().join("log"))?;
            return Err(std::io::Error::other(format!("it did not start: {log}")));
        };
        Ok(Self {
            child,
            address,
            admin,
            folder,
        })
    }

    /// Whether it would start with this configuration.
    pub fn accepts(config: &str) -> std::io::Result<bool> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), config)?;
        let mut check = Command::new(env!("CARGO_BIN_EXE_pollcast"));
        check.args(["check", "-c"]).arg(file.path());
        Ok(check
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?
            .success())
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub fn usage(&self) -> std::io::Result<Usage> {
        let of = |name: &str| format!("/proc/{}/{name}", self.child.id());
        let status = std::fs::read_to_string(of("status"))?;
        let size = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = size.and_then(|size| size.split_whitespace().next()?.parse::<f64>().ok());
        let stat = std::fs::read_to_string(of("stat"))?;
        // Behind the name, which may hold anything: state is field 3, utime 14, stime 15.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(Usage {
            resident: kib.unwrap_or(0.0) * 1024.0,
            files: std::fs::read_dir(of("fd"))?.count(),
            // A tick is 10 ms on every Linux that there is.
            cpu: Duration::from_millis(ticks * 10),
        })
    }

    /// The text of all metrics.
    pub async fn metrics(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.admin).await?;
        let request = b"GET /metrics HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok(text)
    }

    /// Asks it to leave, and waits for that.
    pub fn leave(&mut self, patience: Duration) -> std::io::Result<Option<ExitStatus>> {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        let until = std::time::Instant::now() + patience;
        while std::time::Instant::now() < until {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(None)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have left already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The sum of the samples of a metric whose labels contain `label`.
pub fn sum(metrics: &str, name: &str, label: &str) -> f64 {
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        let (family, labels) = series.split_once('{').unwrap_or((series, ""));
        (family == name && labels.contains(label)).then(|| value.parse::<f64>().ok())?
    };
    metrics
        .lines()
        .filter_map(sample)
        .fold(0.0, |sum, value| sum + value)
}
