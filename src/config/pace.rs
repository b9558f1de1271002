//! What an upstream bears of our polls, as it is written in a configuration.

use std::sync::Arc;
use std::time::Duration;

use serde_yaml::Value;

use super::Feed;
use super::keys::BREAKER;
use super::section::Section;
use super::sheet::Node;
use crate::core::schedule::{Allowance, BreakerRules, Cadence, PaceRules};

const MOST: u64 = 1_000_000;

/// Reads the limits of an upstream.
pub(super) fn pace(upstream: &Section<'_>) -> PaceRules {
    let standard = PaceRules::default();
    let number = |key| {
        let node = upstream.find(key);
        node.and_then(|node| node.integer(1..=MOST))
            .map(|number| number as u32)
    };
    PaceRules {
        max_in_flight: number("max_in_flight").unwrap_or(standard.max_in_flight),
        max_requests_per_second: number("max_requests_per_second"),
        budget: upstream.find("budget").and_then(|node| allowance(&node)),
        circuit_breaker: circuit_breaker(upstream),
    }
}

/// Reads `600/h`, and the like for `s`, `m` and `d`.
fn allowance(node: &Node<'_>) -> Option<Allowance> {
    let example = "write polls in a time, as in \"600/h\", \"10/m\", \"5/s\" or \"1000/d\"";
    if let Value::Number(_) = node.value() {
        node.problem("a number alone is no budget", example);
        return None;
    }
    let scalar = node.text()?;
    let read = |text: &str| {
        let (polls, unit) = text.split_once('/')?;
        let seconds = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            _ => return None,
        };
        let polls = polls.trim().parse().ok()?;
        (1..=MOST).contains(&polls).then_some(Allowance {
            polls,
            period: Duration::from_secs(seconds),
        })
    };
    let found = read(scalar.text.trim());
    if found.is_none() {
        node.problem(format!("{} is no budget", scalar.shown()), example);
    }
    found
}

fn circuit_breaker(upstream: &Section<'_>) -> Option<BreakerRules> {
    let Some(node) = upstream.find("circuit_breaker") else {
        return Some(BreakerRules::default());
    };
    if let Value::String(_) = node.value() {
        let scalar = node.text()?;
        if scalar.text != "off" {
            node.problem(
                format!("{} is no circuit breaker", scalar.shown()),
                "write `off`, or a mapping such as {failures: 10, open: 1s}",
            );
        }
        return None;
    }
    let standard = BreakerRules::default();
    let section = node.section(&BREAKER);
    let failures = section.find("failures");
    let open = section.find("open");
    let open = open.and_then(|node| node.duration(Duration::from_millis(10)));
    Some(BreakerRules {
        failures: failures
            .and_then(|node| node.integer(1..=MOST))
            .map_or(standard.failures, |number| number as u32),
        open: open.map_or(standard.open, |open| open.as_millis() as u64),
    })
}

/// Warns of a budget that feeds with intervals of their own use up, or that no feed is shared by.
pub(super) fn warn_of_want(node: &Node<'_>, pace: &PaceRules, feeds: &[&Arc<Feed>]) {
    let Some(budget) = pace.budget else {
        return;
    };
    let fixed = feeds
        .iter()
        .filter(|feed| feed.poll.cadence != Cadence::Fresh);
    let wanted: f64 = fixed
        .map(|feed| 1.0 / (feed.poll.interval.as_secs_f64() * 1000.0))
        .sum();
    if wanted > budget.per_milli() {
        node.warning(
            "the feeds with an interval of their own want more polls than the `budget` has, so \
             that they come late",
            "lengthen intervals, or write `freshness` in their place",
        );
    }
}
