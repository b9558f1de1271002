//! What happens where all topics together hold more than they may.
//!
//! Owns the order: history goes first, that of the topics which hold most of it; then nobody gets
//! a topic that does not exist yet. Promises that the newest document of a topic is never counted
//! among what can go.

/// What a topic holds, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// The newest document in all of its forms, what is being sent, and what its poller needs.
    pub kept: usize,
    /// Past changes, with which clients that come back are served.
    pub history: usize,
}

impl Weight {
    /// All of it.
    pub fn total(self) -> usize {
        self.kept.saturating_add(self.history)
    }
}

/// How much history there may be once some of it is shed: so much less than the budget that it is
/// not shed anew at each change.
pub fn allowed_history(budget: usize, kept: usize) -> usize {
    (budget - budget / 8).saturating_sub(kept)
}

/// What a topic may hold of history so that all together hold at most `allowed` bytes. Whoever has
/// less keeps it all: so those lose who have most, and most of what they had is far in the past.
pub fn level(mut histories: Vec<usize>, allowed: usize) -> usize {
    histories.sort_unstable();
    let mut rest = allowed;
    let mut others = histories.len();
    for history in histories {
        let each = rest / others;
        if history > each {
            return each;
        }
        rest -= history;
        others -= 1;
    }
    usize::MAX
}

/// From how many bytes on it is looked anew for what can be shed, where it was looked just now and
/// so many are left.
pub fn next_look(budget: usize, held: usize) -> usize {
    match held <= budget {
        true => budget,
        false => held.saturating_add(budget / 32),
    }
}

/// What a topic is assumed to keep before its first document is known: what the others do on
/// average.
pub fn expected(kept: usize, topics: usize) -> usize {
    /// A poller and a topic without a document.
    const LEAST: usize = 16 << 10;
    kept.checked_div(topics).unwrap_or(0).max(LEAST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn those_lose_who_hold_most() {
        for (histories, allowed, expected) in [
            (vec![], 10, usize::MAX),
            (vec![3, 4, 3], 10, usize::MAX),
            (vec![1, 100, 2], 13, 10),
            (vec![50, 50, 1], 21, 10),
            (vec![5, 5], 0, 0),
            (vec![0, 9], 4, 4),
        ] {
            assert_eq!(level(histories.clone(), allowed), expected, "{histories:?}");
        }
    }

    #[test]
    fn it_is_not_looked_again_for_what_cannot_be_shed() {
        assert_eq!(next_look(3200, 2800), 3200);
        assert_eq!(next_look(3200, 5000), 5100);
        assert_eq!(allowed_history(800, 300), 400);
        assert_eq!(allowed_history(800, 900), 0);
    }

    #[test]
    fn a_newcomer_is_taken_to_be_as_large_as_the_others() {
        assert_eq!(expected(0, 0), 16 << 10);
        assert_eq!(expected(100, 10), 16 << 10);
        assert_eq!(expected(10 << 20, 10), 1 << 20);
    }

    proptest! {
        #[test]
        fn what_is_left_is_allowed_and_nearly_all_of_it_is_used(
            histories in prop::collection::vec(0_usize..1000, 0..50),
            allowed in 0_usize..20_000,
        ) {
            let most = level(histories.clone(), allowed);
            let left: usize = histories.iter().map(|history| (*history).min(most)).sum();
            prop_assert!(left <= allowed);
            let all: usize = histories.iter().sum();
            if all > allowed {
                prop_assert!(left + histories.len() > allowed);
            } else {
                prop_assert_eq!(left, all);
            }
        }
    }
}
