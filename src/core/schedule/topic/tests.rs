//! Every rule by which one topic is polled, by tables.

use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const SECOND: u64 = 1000;

fn plan(interval: u64) -> Plan {
    Plan {
        interval: Duration::from_millis(interval),
        cadence: Cadence::Fixed,
        align: true,
        respect: Respect::ALL,
        revalidate: Duration::from_secs(60),
    }
}

fn schedule() -> Schedule {
    Schedule::new(plan(SECOND), "/orders")
}

fn polled(started: Timestamp, took: u64, hints: Hints) -> Polled {
    Polled {
        started,
        ended: started.after(took),
        changed: false,
        hints,
        share: 1,
    }
}

#[test]
fn a_poll_on_demand_joins_the_grid_without_a_burst() {
    let mut schedule = schedule();
    let tick = schedule.first(NOW).at;
    for started in 1..SECOND {
        let started = tick.after(started);
        let next = schedule.answered(&polled(started, 5, Hints::default()));
        assert!((500..1500).contains(&next.at.since(started)), "{started}");
        assert_eq!(next.at.since(tick) % SECOND, 0);
        assert_eq!((next.why, next.wake), (Why::Interval, next.at));
    }
}

#[test]
fn a_slow_answer_is_never_overlapped() {
    let mut schedule = schedule();
    let next = schedule.answered(&polled(NOW, 9001, Hints::default()));
    assert!((9001..10_001).contains(&next.at.since(NOW)));
}

#[test]
fn what_an_upstream_asks_for_only_ever_slows_and_a_day_at_most() {
    for (wish, at_least) in [(0, 0), (1, 0), (5000, 5000), (u64::MAX, DAY)] {
        let (interval, age) = (
            Hints {
                poll_interval: Some(wish),
                ..Hints::default()
            },
            Hints {
                fresh_for: Some(wish),
                ..Hints::default()
            },
        );
        for (hints, why) in [(interval, Why::PollInterval), (age, Why::MaxAge)] {
            let plain = schedule().answered(&polled(NOW, 5, Hints::default()));
            let next = schedule().answered(&polled(NOW, 5, hints));
            assert!(next.at >= plain.at);
            assert!(next.at.since(NOW) >= at_least && next.at.since(NOW) <= DAY + 5);
            let expected = if at_least == 0 { plain.why } else { why };
            assert_eq!(next.why, expected);
        }
    }
}

#[test]
fn a_longest_interval_bounds_how_long_an_answer_counts_as_fresh() {
    let cadence = Cadence::Adaptive {
        least: Duration::from_secs(1),
        most: Duration::from_secs(4),
    };
    let bounded = Plan {
        cadence,
        ..plan(SECOND)
    };
    let hints = Hints {
        fresh_for: Some(3_600_000),
        ..Hints::default()
    };
    let next = Schedule::new(bounded, "/a").answered(&polled(NOW, 5, hints));
    assert_eq!((next.at, next.why), (NOW.after(4005), Why::MaxAge));
}

#[test]
fn a_wish_that_the_feed_does_not_heed_changes_nothing() {
    let heedless = Plan {
        respect: Respect::NONE,
        ..plan(SECOND)
    };
    let hints = Hints {
        retry_after: Some(DAY),
        fresh_for: Some(DAY),
        poll_interval: Some(DAY),
        quota: None,
    };
    let mut schedule = Schedule::new(heedless, "/a");
    assert_eq!(schedule.answered(&polled(NOW, 5, hints)).why, Why::Interval);
    assert_eq!(schedule.failed(1, hints, NOW, 0).at, NOW.after(SECOND));
    assert_eq!(schedule.pause(NOW), None);
}

#[test]
fn a_pause_after_a_failure_is_kept_while_failures_are_counted() {
    let mut schedule = schedule();
    let hints = Hints {
        retry_after: Some(u64::MAX),
        ..Hints::default()
    };
    let next = schedule.failed(1, hints, NOW, u64::MAX);
    assert_eq!(next.why, Why::Held(Hold::RetryAfter));
    assert!(next.at.since(NOW) >= DAY && next.at.since(NOW) < DAY + SECOND);
    assert_eq!(next.wake, NOW.after(1999));
    let refusal = schedule.pause(next.wake).expect("a pause");
    let again = schedule.refused(refusal, 2, next.wake, 0);
    assert_eq!((again.at, again.wake), (next.at, next.wake.after(SECOND)));
    assert_eq!(schedule.pause(NOW.after(DAY)), None);
}

#[test]
fn a_share_of_the_budget_sets_the_interval() {
    let fresh = Plan {
        cadence: Cadence::Fresh,
        ..plan(SECOND)
    };
    let mut schedule = Schedule::new(fresh, "/a");
    let with = |share| Polled {
        share,
        ..polled(NOW, 5, Hints::default())
    };
    let next = schedule.answered(&with(30_000));
    assert_eq!((next.at, next.why), (NOW.after(30_000), Why::Budget));
    assert_eq!(schedule.answered(&with(SECOND)).why, Why::Interval);
    assert_eq!(schedule.interval(), SECOND);
}

#[test]
fn validators_are_trusted_for_a_while() {
    let mut schedule = schedule();
    assert!(!schedule.trusts_validators(NOW));
    schedule.was_whole(NOW);
    assert!(schedule.trusts_validators(NOW.after(59_999)));
    assert!(!schedule.trusts_validators(NOW.after(60_000)));
}
