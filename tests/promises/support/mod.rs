//! What every promise needs: an upstream that does as it is told, the real binary in front of it,
//! and a client that reads event streams by its own understanding of the standard.

pub mod access_log;
pub mod certificate;
pub mod client;
pub mod contract;
pub mod dashboards;
pub mod everything;
pub mod http2;
pub mod proxy;
pub mod recorder;
pub mod replica;
pub mod running;
pub mod secure;
pub mod socket;
pub mod stage;
pub mod tail;
pub mod tokens;
pub mod upstream;

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up; never an expectation about speed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `ready` says so.
///
/// # Panics
/// With `what` after [`PATIENCE`].
pub fn eventually(what: &str, mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits for the end of a process.
pub fn ended(child: &mut Child) -> ExitStatus {
    let mut status = None;
    eventually("the process ends", || {
        status = child.try_wait().expect("a child");
        status.is_some()
    });
    status.expect("it ended")
}

/// A small generator, so that a failure repeats.
pub struct Dice(pub u64);

impl Dice {
    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % n
    }
}
