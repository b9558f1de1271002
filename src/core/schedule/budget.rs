//! How a budget is shared: by subscribers, and something for everybody.
//!
//! Feeds with an interval of their own take their part first. Of the rest, each topic that wants
//! freshness gets a floor, a tenth of an equal share, and above it in proportion to its
//! subscribers, but never more than its freshness needs; what one does not need goes to the others
//! (water-filling).

use std::collections::HashMap;

use super::DAY;
use super::rate::Allowance;
use crate::core::event::Timestamp;

/// The shares are found anew at most so often, in milliseconds.
const EVERY: u64 = 1000;
/// What topics of fixed intervals leave to the others, at the least.
const LEAST_REST: f64 = 0.1;
/// Of an equal share, what everybody gets.
const FLOOR: f64 = 0.1;

/// One topic that is polled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Member {
    /// Milliseconds from poll to poll that it wants; at least 1.
    pub every: u64,
    /// Whether it takes what it wants, or what there is for it.
    pub fixed: bool,
    /// Who listens.
    pub subscribers: usize,
}

/// The topics that share a budget.
#[derive(Debug)]
pub struct Shares {
    budget: Option<Allowance>,
    members: HashMap<u64, Member>,
    next_id: u64,
    /// What everybody gets, and what each subscriber adds to it, in polls per millisecond.
    floor: f64,
    level: f64,
    found_at: Option<Timestamp>,
    stale: bool,
}

impl Shares {
    /// Nobody's yet.
    pub fn new(budget: Option<Allowance>) -> Self {
        Self {
            budget,
            members: HashMap::new(),
            next_id: 0,
            floor: 0.0,
            level: f64::INFINITY,
            found_at: None,
            stale: true,
        }
    }

    /// Shares this budget from now on.
    pub fn follow(&mut self, budget: Option<Allowance>) {
        self.budget = budget;
        self.change();
    }

    /// A topic is polled from now on; the result names it.
    pub fn join(&mut self, member: Member) -> u64 {
        self.next_id += 1;
        self.members.insert(self.next_id, member);
        self.change();
        self.next_id
    }

    /// A topic is polled no more.
    pub fn leave(&mut self, id: u64) {
        self.members.remove(&id);
        self.change();
    }

    /// Others listen.
    pub fn heard_by(&mut self, id: u64, subscribers: usize) {
        if let Some(member) = self.members.get_mut(&id)
            && member.subscribers != subscribers
        {
            member.subscribers = subscribers;
            self.stale = true;
        }
    }

    /// Milliseconds from poll to poll that this topic may have; a day at most.
    #[allow(clippy::cast_sign_loss)]
    pub fn interval(&mut self, id: u64, now: Timestamp) -> u64 {
        let Some(member) = self.members.get(&id).copied() else {
            return 1;
        };
        let (Some(budget), false) = (self.budget, member.fixed) else {
            return member.every;
        };
        let is_due = self.found_at.is_none_or(|at| now.since(at) >= EVERY);
        if self.stale && is_due {
            self.find(budget);
            (self.found_at, self.stale) = (Some(now), false);
        }
        ((1.0 / self.share(&member)).ceil() as u64).min(DAY)
    }

    /// Polls in a millisecond.
    fn share(&self, member: &Member) -> f64 {
        let wanted = wanted(member);
        // Nobody's subscribers times a level without a bound is no number.
        if self.level.is_infinite() {
            return wanted;
        }
        wanted.min(self.floor + self.level * weight(member))
    }

    fn change(&mut self) {
        self.stale = true;
        // Who comes or goes is no mere shift of weights.
        if self.members.len() < 100 {
            self.found_at = None;
        }
    }

    /// Finds the level at which the shares add up to the budget.
    #[allow(clippy::cast_precision_loss)]
    fn find(&mut self, budget: Allowance) {
        let (fixed, fresh): (Vec<&Member>, Vec<&Member>) =
            self.members.values().partition(|member| member.fixed);
        let whole = budget.per_milli();
        let taken: f64 = fixed.into_iter().map(wanted).sum();
        let rest = (whole - taken).max(whole * LEAST_REST);
        self.level = f64::INFINITY;
        if fresh.iter().copied().map(wanted).sum::<f64>() <= rest {
            return;
        }
        self.floor = FLOOR * rest / fresh.len() as f64;
        // Topics by the level at which they have all they want.
        let full_at = |member: &Member| (wanted(member) - self.floor) / weight(member);
        let mut fresh = fresh;
        fresh.sort_by(|a, b| full_at(a).total_cmp(&full_at(b)));
        let mut left = rest - self.floor * fresh.len() as f64;
        let mut weights: f64 = fresh.iter().copied().map(weight).sum();
        for member in fresh {
            let level = left / weights;
            if level <= full_at(member) {
                self.level = level;
                return;
            }
            left -= wanted(member) - self.floor;
            weights -= weight(member);
        }
    }
}

#[allow(clippy::cast_precision_loss)]
fn wanted(member: &Member) -> f64 {
    1.0 / member.every.max(1) as f64
}

/// A topic that is kept for nobody counts as one that somebody listens to.
#[allow(clippy::cast_precision_loss)]
fn weight(member: &Member) -> f64 {
    member.subscribers.max(1) as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3_600_000;

    fn per_hour(polls: u64) -> Option<Allowance> {
        let period = Duration::from_secs(3600);
        Some(Allowance { polls, period })
    }

    fn fresh(every: u64, subscribers: usize) -> Member {
        Member {
            every,
            fixed: false,
            subscribers,
        }
    }

    /// Polls an hour that each of these gets.
    fn shares(budget: u64, members: &[Member]) -> Vec<u64> {
        let mut shares = Shares::new(per_hour(budget));
        let ids: Vec<u64> = members.iter().map(|member| shares.join(*member)).collect();
        let polls = |id: &u64| {
            let interval = shares.interval(*id, Timestamp(1));
            (HOUR + interval / 2) / interval
        };
        ids.iter().map(polls).collect()
    }

    #[test]
    fn who_can_have_all_has_it() {
        assert_eq!(
            shares(720, &[fresh(10_000, 1), fresh(10_000, 999)]),
            [360, 360]
        );
    }

    #[test]
    fn scarcity_is_shared_by_subscribers_and_nobody_starves() {
        let found = shares(600, &[fresh(1000, 1), fresh(1000, 3), fresh(1000, 100_000)]);
        // A floor of 20 each, the other 540 by subscribers.
        assert!(
            (20..=21).contains(&found[0]) && (20..=21).contains(&found[1]),
            "{found:?}"
        );
        assert!(found[2] >= 555, "{found:?}");
        assert_eq!(shares(600, &[fresh(1000, 1), fresh(1000, 2)]), [210, 390]);
    }

    #[test]
    fn what_one_does_not_need_goes_to_the_others() {
        let members = [fresh(HOUR / 10, 1000), fresh(1000, 1), fresh(1000, 1)];
        let found = shares(600, &members);
        assert_eq!(found[0], 10);
        assert!(found[1] >= 293 && found[2] >= 293, "{found:?}");
    }

    #[test]
    fn intervals_come_first_and_leave_a_tenth() {
        let fixed = Member {
            fixed: true,
            ..fresh(HOUR / 400, 1)
        };
        assert_eq!(shares(600, &[fixed, fresh(1000, 1)]), [400, 200]);
        assert_eq!(shares(300, &[fixed, fresh(1000, 1)]), [400, 30]);
    }

    #[test]
    fn shares_follow_the_audience() {
        let mut shares = Shares::new(per_hour(600));
        let [a, b] = [1, 1].map(|listeners| shares.join(fresh(1000, listeners)));
        assert_eq!(shares.interval(a, Timestamp(0)), HOUR / 300);
        shares.heard_by(b, 9);
        assert_eq!(shares.interval(a, Timestamp(10)), HOUR / 300, "not yet");
        let (few, many) = (
            shares.interval(a, Timestamp(EVERY)),
            shares.interval(b, Timestamp(EVERY)),
        );
        assert!(few > 4 * many, "{few} {many}");
        shares.leave(b);
        assert_eq!(shares.interval(a, Timestamp(EVERY + 1)), HOUR / 600);
    }

    proptest! {
        #[test]
        fn the_shares_never_exceed_the_budget_nor_anybodys_wish(
            budget in 60_u64..10_000,
            wishes in proptest::collection::vec((100_u64..HOUR, 0_usize..10_000), 1..50),
        ) {
            let members: Vec<_> = wishes.iter().map(|(every, n)| fresh(*every, *n)).collect();
            let mut shares = Shares::new(per_hour(budget));
            let ids: Vec<u64> = members.iter().map(|member| shares.join(*member)).collect();
            let mut sum = 0.0;
            for (id, member) in ids.iter().zip(&members) {
                let interval = shares.interval(*id, Timestamp(1));
                prop_assert!(interval >= member.every);
                sum += HOUR as f64 / interval as f64;
            }
            prop_assert!(sum <= budget as f64 * 1.000_001, "{} of {}", sum, budget);
            let wanted: f64 = members.iter().map(|m| HOUR as f64 / m.every as f64).sum();
            prop_assert!(sum >= wanted.min(budget as f64) * 0.99, "{} of {}", sum, budget);
        }
    }
}
