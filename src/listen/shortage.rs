//! Episodes in which the system has no room for another connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::Errno;
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// How long accepting pauses: the first time, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Room that comes and goes is still the same episode.
const SAME_EPISODE: Duration = Duration::from_secs(5);

/// The episode under way at one listener, if there is one. Told once when it begins and once when
/// it is over.
#[derive(Debug)]
pub(super) struct Shortage {
    address: SocketAddr,
    /// The first and the last failure.
    episode: Option<(Instant, Instant)>,
    pause: Duration,
}

impl Shortage {
    pub(super) fn at(address: SocketAddr) -> Self {
        Self {
            address,
            episode: None,
            pause: FIRST_PAUSE,
        }
    }

    /// Notes a failure that will come again at once; gives how long to pause.
    pub(super) fn failed(&mut self, error: &io::Error) -> Duration {
        let now = Instant::now();
        match &mut self.episode {
            Some((_, last)) => *last = now,
            None => {
                let (address, reason) = (self.address, reason(error));
                warn!(%address, reason, %error, "no room for another connection; those there are go on");
                self.episode = Some((now, now));
            }
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        pause
    }

    /// Notes that a connection was accepted.
    pub(super) fn accepted(&mut self) {
        self.pause = FIRST_PAUSE;
        let Some((first, last)) = self.episode else {
            return;
        };
        if last.elapsed() >= SAME_EPISODE {
            self.episode = None;
            let (address, lasted) = (self.address, last - first);
            info!(%address, ?lasted, "there is room for connections again");
        }
    }
}

/// Whether `accept` will fail again at once: what is wrong is not this one connection's.
pub(super) fn is_lasting(error: &io::Error) -> bool {
    reason(error) != "aborted"
}

/// Every word of [`reason`].
pub(super) const REASONS: [&str; 4] = ["file_descriptors", "memory", "aborted", "other"];

/// accept(2), in the words of the metrics.
pub(super) fn reason(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE) => "file_descriptors",
        Some(Errno::NOBUFS | Errno::NOMEM) => "memory",
        // The client left while it waited, or its network reports an error of its own.
        Some(
            Errno::CONNABORTED
            | Errno::INTR
            | Errno::PROTO
            | Errno::NETDOWN
            | Errno::NOPROTOOPT
            | Errno::HOSTDOWN
            | Errno::NONET
            | Errno::HOSTUNREACH
            | Errno::OPNOTSUPP
            | Errno::NETUNREACH
            | Errno::PERM,
        ) => "aborted",
        _ => "other",
    }
}

/// Raises this process's soft limit of open files to the hard one.
pub fn use_all_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => debug!(?before, now = ?limit.maximum, "the limit of open files"),
        Err(error) => debug!(?before, %error, "the limit of open files cannot be raised"),
    }
}
