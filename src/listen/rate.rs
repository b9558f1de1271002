//! How many connections are accepted in a second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// What may come at once after a pause: the share of so much time.
const BURST: Duration = Duration::from_millis(100);

/// A rate that all listeners share. Who must wait stays in the system's backlog.
#[derive(Debug)]
pub struct Rate {
    each: Duration,
    /// When the next connection would come if all came evenly.
    next: Mutex<Instant>,
}

impl Rate {
    /// A rate of so many connections a second.
    pub fn per_second(connections: u32) -> Self {
        Self {
            each: Duration::from_secs(1) / connections.max(1),
            next: Mutex::new(Instant::now()),
        }
    }

    /// Waits until one more connection may be accepted.
    pub(super) async fn admit(&self) {
        sleep_until(self.turn(Instant::now())).await;
    }

    /// The turn of whoever asks `now`.
    fn turn(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = (*next).max(now.checked_sub(BURST).unwrap_or(now));
        *next = turn + self.each;
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_takes_as_many_as_it_may_and_a_burst_after_a_pause() {
        let rate = Rate::per_second(100);
        let now = Instant::now() + Duration::from_secs(60);
        let turns: Vec<_> = (0..111).map(|_| rate.turn(now)).collect();
        assert!(turns[..11].iter().all(|turn| *turn <= now));
        assert_eq!(turns[110], now + Duration::from_secs(1));
    }
}
