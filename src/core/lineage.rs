//! The epochs in which a log's events were made.
//!
//! Promises that an event keeps its id for as long as it is in the log, whatever epoch follows, and
//! that an id which was made in an epoch after the last event that we know of it is never taken for
//! one of ours.

use super::id::{Epoch, EventId};

/// Earlier epochs of which no event is left, and which are kept so that their ids read as expired.
const REMEMBERED: usize = 16;

/// The epochs of one log: sequences go on from one to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// Those before, oldest first, each with the sequence of its last event, which only grows.
    earlier: Vec<(Epoch, u64)>,
    /// That of the next event.
    current: Epoch,
}

impl Lineage {
    /// The first epoch of a log.
    pub fn new(epoch: Epoch) -> Self {
        Self {
            earlier: Vec::new(),
            current: epoch,
        }
    }

    /// What [`Self::earlier`] and [`Self::current`] told; `None` where sequences do not grow, which
    /// no log has.
    pub fn from_parts(earlier: Vec<(Epoch, u64)>, current: Epoch) -> Option<Self> {
        let grows = earlier.windows(2).all(|pair| pair[0].1 < pair[1].1);
        let begins = earlier.first().is_none_or(|(_, last)| *last > 0);
        (grows && begins).then_some(Self { earlier, current })
    }

    /// The epochs before, oldest first, each with the sequence of its last event.
    pub fn earlier(&self) -> &[(Epoch, u64)] {
        &self.earlier
    }

    /// The epoch of the next event.
    pub fn current(&self) -> Epoch {
        self.current
    }

    /// From the event after `newest` on there is another epoch.
    pub fn go_on(&mut self, newest: u64, fresh: Epoch) {
        let last = self.earlier.last().map_or(0, |(_, last)| *last);
        // An epoch without an event has no id.
        if newest > last {
            self.earlier.push((self.current, newest));
        }
        self.current = fresh;
    }

    /// Forgets the oldest epochs whose ids no longer lead anywhere: the log goes back to `oldest`.
    pub fn trim(&mut self, oldest: u64) {
        let past = |(_, last): &&(Epoch, u64)| *last + 1 < oldest;
        let gone = self.earlier.iter().take_while(past).count();
        self.earlier.drain(..gone.saturating_sub(REMEMBERED));
    }

    /// The id of the event with this sequence.
    pub fn id(&self, sequence: u64) -> EventId {
        let before = |(_, last): &(Epoch, u64)| *last < sequence;
        let made = self.earlier.get(self.earlier.partition_point(before));
        EventId {
            epoch: made.map_or(self.current, |(epoch, _)| *epoch),
            sequence,
        }
    }

    /// Whether this is the id of the event with its sequence, if there is one.
    pub fn holds(&self, id: EventId) -> bool {
        self.id(id.sequence) == id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(bits: u64) -> Epoch {
        Epoch::from_random(bits)
    }

    fn id(bits: u64, sequence: u64) -> EventId {
        EventId {
            epoch: epoch(bits),
            sequence,
        }
    }

    #[test]
    fn events_keep_their_ids_whatever_epoch_follows() {
        let mut lineage = Lineage::new(epoch(1));
        assert!(lineage.holds(id(1, 1)) && lineage.holds(id(1, 9)));
        lineage.go_on(3, epoch(2));
        assert_eq!((lineage.id(3), lineage.id(4)), (id(1, 3), id(2, 4)));
        // What the disk did not have was another event, and is nobody's.
        assert!(!lineage.holds(id(1, 4)) && !lineage.holds(id(2, 3)));
        // Nothing was made in epoch 2.
        lineage.go_on(3, epoch(3));
        assert_eq!(lineage.earlier(), [(epoch(1), 3)]);
        lineage.go_on(5, epoch(4));
        assert_eq!((lineage.id(5), lineage.id(6)), (id(3, 5), id(4, 6)));
        let again = Lineage::from_parts(lineage.earlier().to_vec(), lineage.current());
        assert_eq!(again, Some(lineage));
    }

    #[test]
    fn epochs_that_still_have_an_event_are_never_forgotten() {
        let mut lineage = Lineage::new(epoch(0));
        for n in 1..=100 {
            lineage.go_on(n, epoch(n));
            lineage.trim(1);
        }
        assert_eq!(lineage.earlier().len(), 100);
        assert_eq!(lineage.id(1), id(0, 1));
        lineage.trim(100);
        // The reader who has event 99 gets event 100 next.
        assert_eq!(lineage.id(99), id(98, 99));
        assert_eq!(lineage.earlier().len(), 100 - (98 - REMEMBERED));
    }

    #[test]
    fn what_no_log_has_is_refused() {
        for earlier in [vec![(epoch(1), 0)], vec![(epoch(1), 5), (epoch(2), 5)]] {
            assert_eq!(Lineage::from_parts(earlier, epoch(3)), None);
        }
    }
}
