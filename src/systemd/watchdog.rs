//! The beat by which systemd is told that this process is alive (`WatchdogSec=`).
//!
//! A thread of its own looks at what must go on and speaks only if all of it moved since the last
//! look: every worker of the runtime, a task that the runtime is given, and whatever else gives
//! signs. So a runtime that is stuck, in whole or in part, cannot have it said that it is not.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};

use sd_notify::NotifyState;
use tokio::runtime::{Handle, RuntimeMetrics};
use tracing::warn;

use super::Systemd;
use super::pulse::{Pulse, Sign};

/// Looks for each time that systemd allows: half of it is the rule, and whoever is only slow gets
/// another chance.
const LOOKS: u32 = 4;

/// Keeps the beat until it is dropped.
#[derive(Debug)]
pub struct Watchdog(
    #[expect(dead_code, reason = "its end is what the thread waits for")] Sender<()>,
);

/// Begins the beat, if systemd wants one (`WATCHDOG_USEC`); `signs` are those of what must go on
/// beside the runtime. To be called within it.
///
/// # Errors
/// If there is no thread to be had.
pub fn watch(
    systemd: &Systemd,
    signs: impl Fn() -> Vec<Sign> + Send + 'static,
) -> io::Result<Option<Watchdog>> {
    let Some(allowed) = sd_notify::watchdog_enabled().filter(|time| !time.is_zero()) else {
        return Ok(None);
    };
    let (systemd, runtime) = (systemd.clone(), Handle::current());
    let (watchdog, ended) = channel();
    let beat = move || {
        let (mut pulse, mut is_late) = (Pulse::default(), false);
        let rounds = Arc::new(AtomicU64::new(0));
        while ended.recv_timeout(allowed / LOOKS) == Err(RecvTimeoutError::Timeout) {
            let mut all = workers(&runtime.metrics());
            all.push(Sign::At(rounds.load(Ordering::Relaxed)));
            all.extend(signs());
            let turn = Arc::clone(&rounds);
            runtime.spawn(async move { turn.fetch_add(1, Ordering::Relaxed) });
            let goes_on = pulse.goes_on(all);
            if goes_on {
                systemd.tell(&[NotifyState::Watchdog]);
            } else if !is_late {
                warn!(
                    ?allowed,
                    "something stands still; the service manager is not told that all is well until it goes on"
                );
            }
            is_late = !goes_on;
        }
    };
    std::thread::Builder::new()
        .name("watchdog".to_owned())
        .spawn(beat)?;
    Ok(Some(Watchdog(watchdog)))
}

/// The signs of the runtime's threads: the time that each was busy, unless it is parked.
fn workers(runtime: &RuntimeMetrics) -> Vec<Sign> {
    let sign = |worker| match runtime.worker_park_unpark_count(worker) % 2 {
        1 => Sign::AtRest,
        _ => {
            let busy = runtime.worker_total_busy_duration(worker).as_nanos();
            let turns = runtime.worker_park_unpark_count(worker);
            Sign::At(u64::try_from(busy).unwrap_or(u64::MAX).wrapping_add(turns))
        }
    };
    (0..runtime.num_workers()).map(sign).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    }

    #[test]
    fn a_worker_that_is_held_up_is_found_though_the_others_go_on() {
        let runtime = runtime();
        let (release, held) = channel::<()>();
        let (begun, begins) = channel();
        runtime.spawn(async move {
            begun.send(()).unwrap();
            let _ = held.recv();
        });
        begins.recv().unwrap();
        let mut pulse = Pulse::default();
        // What the other worker was doing may be over by the next look.
        let stuck = (0..100).find(|_| {
            std::thread::sleep(Duration::from_millis(5));
            !pulse.goes_on(workers(&runtime.metrics()))
        });
        assert!(stuck.is_some());
        drop(release);
        let mut pulse = Pulse::default();
        let alive = (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(5));
            pulse.goes_on(workers(&runtime.metrics())) && pulse.goes_on(workers(&runtime.metrics()))
        });
        assert!(alive);
    }

    #[test]
    fn workers_that_are_busy_all_the_time_are_alive() {
        let runtime = runtime();
        for _ in 0..4 {
            runtime.spawn(async {
                loop {
                    tokio::task::yield_now().await;
                }
            });
        }
        let mut pulse = Pulse::default();
        pulse.goes_on(workers(&runtime.metrics()));
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(200));
            assert!(pulse.goes_on(workers(&runtime.metrics())));
        }
        runtime.shutdown_background();
    }
}
