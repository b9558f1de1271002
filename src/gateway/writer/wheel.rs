//! One timer for all subscribers of a shard.
//!
//! A hashed wheel (Varghese and Lauck, 1987): setting a timer is a push, and none is ever
//! cancelled; whoever set one looks for itself whether it still matters.

use std::time::Duration;

/// A moment, in ticks since the shard began.
pub type Tick = u32;

/// How exact timers are.
pub const TICK: Duration = Duration::from_millis(100);
/// One turn takes 51.2 s; a timer for later than that goes round.
const SLOTS: usize = 512;

/// Timers by the moment at which they are due.
#[derive(Debug)]
pub struct Wheel {
    slots: Vec<Vec<Timer>>,
    /// The next tick to be looked at.
    next: Tick,
    set: usize,
}

#[derive(Clone, Copy, Debug)]
struct Timer {
    due: Tick,
    index: u32,
}

impl Default for Wheel {
    fn default() -> Self {
        Self {
            slots: vec![Vec::new(); SLOTS],
            next: 0,
            set: 0,
        }
    }
}

impl Wheel {
    /// Sets a timer for `index`; one that is overdue comes at the next look. Returns its moment.
    pub fn set(&mut self, index: u32, due: Tick) -> Tick {
        let due = due.max(self.next);
        self.slots[due as usize % SLOTS].push(Timer { due, index });
        self.set += 1;
        due
    }

    /// Takes the timers that are due by `now`, as index and moment.
    pub fn take_due(&mut self, now: Tick, mut take: impl FnMut(u32, Tick)) {
        if now < self.next {
            return;
        }
        // After a long pause every slot is looked at once.
        let slots = SLOTS.min((now - self.next) as usize + 1);
        for tick in 0..slots {
            let slot = &mut self.slots[(self.next as usize + tick) % SLOTS];
            // What a slot once needed is not kept, or all would in time need as much as any.
            for timer in std::mem::take(slot) {
                if timer.due > now {
                    slot.push(timer);
                } else {
                    self.set -= 1;
                    take(timer.index, timer.due);
                }
            }
        }
        self.next = now + 1;
    }

    /// When to look again: not after the next timer is due.
    pub fn next_look(&self) -> Option<Tick> {
        if self.set == 0 {
            return None;
        }
        let ahead = (0..SLOTS as Tick).find(|ahead| {
            let slot = &self.slots[(self.next + ahead) as usize % SLOTS];
            !slot.is_empty()
        });
        ahead.map(|ahead| self.next + ahead)
    }
}

/// A duration in ticks, rounded up.
pub fn ticks(duration: Duration) -> Tick {
    let ticks = duration.as_millis().div_ceil(TICK.as_millis());
    // Far enough: thirteen years.
    Tick::try_from(ticks).unwrap_or(Tick::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(wheel: &mut Wheel, now: Tick) -> Vec<u32> {
        let mut due = Vec::new();
        wheel.take_due(now, |index, _| due.push(index));
        due
    }

    #[test]
    fn a_timer_comes_once_when_it_is_due() {
        let mut wheel = Wheel::default();
        wheel.set(1, 5);
        wheel.set(2, 5 + SLOTS as Tick);
        wheel.set(3, 7);
        assert_eq!(wheel.next_look(), Some(5));
        assert!(due(&mut wheel, 4).is_empty());
        assert_eq!(due(&mut wheel, 5), [1]);
        assert!(due(&mut wheel, 6).is_empty());
        assert_eq!(due(&mut wheel, 400), [3]);
        assert_eq!(due(&mut wheel, 5 + SLOTS as Tick), [2]);
        assert_eq!(wheel.next_look(), None);
    }

    #[test]
    fn after_a_long_pause_all_are_due() {
        let mut wheel = Wheel::default();
        for index in 0..2000 {
            wheel.set(index, index * 3);
        }
        assert_eq!(due(&mut wheel, 6000).len(), 2000);
        wheel.set(7, 1);
        assert_eq!(due(&mut wheel, 6001), [7]);
    }

    #[test]
    fn durations_are_rounded_up() {
        assert_eq!(ticks(Duration::ZERO), 0);
        assert_eq!(ticks(Duration::from_millis(1)), 1);
        assert_eq!(ticks(Duration::from_secs(15)), 150);
        assert_eq!(ticks(Duration::MAX), Tick::MAX);
    }
}
