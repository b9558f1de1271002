//! Turns, pauses and what an upstream leaves us, poll by poll.

use std::time::Duration;

use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn pace(rules: PaceRules) -> Pace<&'static str> {
    Pace::new(rules, NOW)
}

fn only(in_flight: u32) -> PaceRules {
    PaceRules {
        max_in_flight: in_flight,
        ..PaceRules::default()
    }
}

fn granted(entry: Entry) -> Grant {
    match entry {
        Entry::Granted(grant) => grant,
        other => panic!("{other:?}"),
    }
}

/// Who starts when polls end one after the other.
fn order(pace: &mut Pace<&'static str>, mut grant: Grant) -> Vec<&'static str> {
    let mut order = Vec::new();
    loop {
        pace.ended(grant, Ending::Answered, NOW, 0);
        let mut served = pace.serve(NOW, |who| *who != "gone").waiters;
        assert!(served.len() <= 1, "one at a time");
        let Some((who, Ok(next))) = served.pop() else {
            return order;
        };
        order.push(who);
        grant = next;
    }
}

#[test]
fn first_come_first_served_and_whoever_left_costs_no_turn() {
    let mut pace = pace(only(1));
    let grant = granted(pace.enter(false, NOW));
    for who in ["a", "gone", "b", "c", "gone"] {
        assert_eq!(pace.enter(false, NOW), Entry::Held(Hold::InFlight));
        pace.wait(who, false);
    }
    assert_eq!(order(&mut pace, grant), ["a", "b", "c"]);
    assert_eq!((pace.waiting(), pace.in_flight()), (0, 0));
}

#[test]
fn who_waits_for_a_first_answer_goes_first_and_starves_nobody() {
    let mut pace = pace(only(1));
    let grant = granted(pace.enter(false, NOW));
    for who in ["a", "b", "c"] {
        pace.wait(who, false);
    }
    for who in ["1", "2", "3", "4", "5", "6", "7"] {
        pace.wait(who, true);
    }
    let expected = ["1", "2", "3", "a", "4", "5", "6", "b", "7", "c"];
    assert_eq!(order(&mut pace, grant), expected);
}

#[test]
fn a_newcomer_does_not_pass_those_who_wait() {
    let mut pace = pace(PaceRules {
        max_requests_per_second: Some(1),
        ..only(9)
    });
    let _first = granted(pace.enter(false, NOW));
    assert_eq!(pace.enter(false, NOW), Entry::Held(Hold::Rate));
    pace.wait("a", false);
    let later = NOW.after(1000);
    // The timer has not come yet.
    assert!(matches!(pace.enter(false, later), Entry::Held(_)));
    pace.wait("b", false);
    let served = pace.serve(later, |_| true);
    assert_eq!(served.waiters.len(), 1);
    assert_eq!(
        (served.waiters[0].0, served.again),
        ("a", Some(NOW.after(2000)))
    );
}

#[test]
fn a_pause_turns_everybody_away_until_it_is_over() {
    let mut pace = pace(only(1));
    let _grant = granted(pace.enter(false, NOW));
    pace.wait("a", false);
    let until = NOW.after(5000);
    pace.pause(until);
    pace.pause(NOW.after(10));
    let refusal = Refusal {
        hold: Hold::RetryAfter,
        until: Some(until),
    };
    let served = pace.serve(NOW, |_| true);
    assert_eq!(served.waiters, [("a", Err(refusal))]);
    assert_eq!(pace.enter(true, NOW), Entry::Refused(refusal));
    assert_eq!(pace.paused_until(NOW), Some(until));
    assert_eq!(pace.enter(true, until), Entry::Held(Hold::InFlight));
}

#[test]
fn what_the_upstream_leaves_us_is_spread_until_its_reset() {
    let mut pace = pace(only(100));
    pace.note(
        Quota {
            remaining: 4,
            resets_in: 10_000,
        },
        NOW,
    );
    let mut starts = Vec::new();
    for at in 0..10_000 {
        if let Entry::Granted(_) = pace.enter(false, NOW.after(at)) {
            starts.push(at);
        }
    }
    assert_eq!(starts, [2000, 4000, 6000, 8000]);
    let reset = Some(NOW.after(10_000));
    let refusal = Refusal {
        hold: Hold::Quota,
        until: reset,
    };
    assert_eq!(pace.enter(true, NOW.after(9999)), Entry::Refused(refusal));
    let _fresh = granted(pace.enter(false, NOW.after(10_000)));
}

#[test]
fn an_old_answer_does_not_give_back_what_was_used_since() {
    let mut pace = pace(only(100));
    let quota = |remaining, resets_in| Quota {
        remaining,
        resets_in,
    };
    pace.note(quota(5, 60_000), NOW);
    pace.note(quota(9, 59_000), NOW.after(1000));
    assert_eq!(pace.quota(NOW.after(1000)).unwrap().0, 5);
    // Another window begins.
    pace.note(quota(100, 3_600_000), NOW.after(2000));
    assert_eq!(pace.quota(NOW.after(2000)).unwrap().0, 100);
}

#[test]
fn what_is_left_of_a_second_is_not_carried_into_the_next() {
    let mut pace = pace(only(64));
    // A limit of ten a second, of which we use four; the reset is always a second away.
    for poll in 0..100_u64 {
        let now = NOW.after(poll * 250);
        let grant = granted(pace.enter(true, now));
        pace.note(
            Quota {
                remaining: 9 - poll % 4,
                resets_in: 1000,
            },
            now,
        );
        pace.ended(grant, Ending::Answered, now, 0);
    }
}

#[test]
fn whoever_waits_for_an_answer_need_not_wait_for_the_spread() {
    let mut pace = pace(only(100));
    let quota = Quota {
        remaining: 1,
        resets_in: 3_600_000,
    };
    pace.note(quota, NOW);
    assert_eq!(pace.enter(false, NOW), Entry::Held(Hold::Quota));
    let _grant = granted(pace.enter(true, NOW));
    assert!(matches!(pace.enter(true, NOW), Entry::Refused(_)));
}

#[test]
fn other_limits_hold_from_now_on() {
    let mut pace = pace(only(1));
    let _grant = granted(pace.enter(false, NOW));
    pace.wait("a", false);
    let budget = Allowance {
        polls: 1,
        period: Duration::from_secs(60),
    };
    let rules = PaceRules {
        budget: Some(budget),
        ..only(2)
    };
    assert_eq!(pace.follow(rules, NOW), Turn::Same);
    assert_eq!(pace.serve(NOW, |_| true).waiters.len(), 1);
    assert_eq!(pace.budget_left(NOW), Some(0));
}

#[test]
fn what_cannot_be_asked_in_time_takes_nothing() {
    let allowance = Allowance {
        polls: 60,
        period: Duration::from_secs(3600),
    };
    let mut pace = pace(PaceRules {
        max_requests_per_second: Some(10),
        budget: Some(allowance),
        ..PaceRules::default()
    });
    let _grant = granted(pace.enter(true, NOW));
    assert_eq!(pace.further(NOW, NOW.after(59_999)), None);
    assert_eq!(
        pace.further(NOW, NOW.after(60_000)),
        Some(NOW.after(60_000))
    );
}

#[test]
fn who_was_held_up_takes_its_place_in_another_second_and_pays_no_more() {
    let allowance = Allowance {
        polls: 60,
        period: Duration::from_secs(3600),
    };
    let mut pace = pace(PaceRules {
        max_requests_per_second: Some(10),
        budget: Some(allowance),
        ..PaceRules::default()
    });
    let _grant = granted(pace.enter(true, NOW));
    let late = NOW.after(5000);
    let by = late.after(1000);
    assert_eq!(pace.afresh(late, by), Some(late));
    assert_eq!(pace.afresh(late, by), Some(late.after(100)));
    assert_eq!(
        pace.further(late, by.after(54_000)),
        Some(NOW.after(60_000))
    );
}
