//! How often a feed is polled, as it is written in a configuration.

use std::time::Duration;

use super::keys::POLL;
use super::section::Section;
use super::{Idle, Poll};
use crate::core::schedule::{Cadence, Respect};

/// Upstreams are not asked more often.
const LEAST: Duration = Duration::from_millis(10);
/// From poll to poll unless the file says otherwise.
const INTERVAL: Duration = Duration::from_secs(2);
const WISHES: &str = "retry_after, max_age, poll_interval, rate_limit";

/// Reads the section `poll` of a feed.
pub(super) fn poll(feed: &Section<'_>) -> Poll {
    let section = &feed.section("poll", &POLL);
    let duration = |key, least| section.find(key).and_then(|node| node.duration(least));
    let (interval, cadence) = cadence(section);
    Poll {
        interval,
        cadence,
        align: section
            .find("align")
            .and_then(|node| node.flag())
            .unwrap_or(true),
        respect: respect(section),
        revalidate: duration("revalidate", Duration::ZERO).unwrap_or(Duration::from_secs(600)),
        timeout: duration("timeout", Duration::from_millis(1)).unwrap_or(Duration::from_secs(5)),
        idle: idle(section),
        linger: duration("linger", Duration::ZERO).unwrap_or(Duration::from_secs(30)),
    }
}

/// The interval, and how it varies.
fn cadence(section: &Section<'_>) -> (Duration, Cadence) {
    let duration = |key| section.find(key).and_then(|node| node.duration(LEAST));
    let (interval, freshness) = (duration("interval"), duration("freshness"));
    let (least, most) = (duration("min_interval"), duration("max_interval"));
    if let Some(node) = section.find("freshness") {
        for key in ["interval", "min_interval", "max_interval"] {
            if section.find(key).is_some() {
                node.problem(
                    format!("`freshness` takes the place of an interval, and there is `{key}`"),
                    "keep one of them",
                );
            }
        }
        return (freshness.unwrap_or(INTERVAL), Cadence::Fresh);
    }
    if least.is_none() && most.is_none() {
        return (interval.unwrap_or(INTERVAL), Cadence::Fixed);
    }
    let at_least = |bound: Duration| least.map_or(bound, |least| bound.max(least));
    let at_most = |bound: Duration| most.map_or(bound, |most| bound.min(most));
    let start = interval.unwrap_or_else(|| at_most(at_least(INTERVAL)));
    refuse_disorder(section, start, least, most);
    let cadence = Cadence::Adaptive {
        least: least.unwrap_or(start),
        most: most.unwrap_or(start),
    };
    (start, cadence)
}

/// `min_interval` <= `interval` <= `max_interval`.
fn refuse_disorder(
    section: &Section<'_>,
    start: Duration,
    least: Option<Duration>,
    most: Option<Duration>,
) {
    let told = |key, what| {
        if let Some(node) = section.find(key) {
            node.problem(what, "write min_interval <= interval <= max_interval");
        }
    };
    if least.is_some_and(|least| least > start) {
        told("min_interval", "it is longer than the interval");
    }
    if most.is_some_and(|most| most < start) {
        told("max_interval", "it is shorter than the interval");
    }
}

/// Which wishes of the upstream the feed heeds: a list of them, every one by default.
fn respect(section: &Section<'_>) -> Respect {
    let Some(node) = section.find("respect") else {
        return Respect::ALL;
    };
    let mut respect = Respect::NONE;
    for item in node.items() {
        let Some(scalar) = item.text() else {
            continue;
        };
        match scalar.text.as_str() {
            "retry_after" => respect.retry_after = true,
            "max_age" => respect.max_age = true,
            "poll_interval" => respect.poll_interval = true,
            "rate_limit" => respect.rate_limit = true,
            _ => item.problem(
                format!("{} is no wish of an upstream", scalar.shown()),
                format!("write some of {WISHES}"),
            ),
        }
    }
    respect
}

fn idle(section: &Section<'_>) -> Idle {
    let Some(node) = section.find("idle") else {
        return Idle::Pause;
    };
    let Some(scalar) = node.text() else {
        return Idle::Pause;
    };
    match scalar.text.as_str() {
        "pause" => Idle::Pause,
        "keep" => Idle::Keep,
        _ => {
            node.problem(
                format!("{} is no idle policy", scalar.shown()),
                "write `pause` or `keep`",
            );
            Idle::Pause
        }
    }
}
