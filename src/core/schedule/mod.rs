//! When to poll next.
//!
//! Owns every rule of it. For one topic that is [`Schedule`]: its interval, fixed or adaptive, the
//! beat of its changes, what the upstream asked for, backoff. For one upstream it is [`Pace`], which
//! decides who of those that are due may start, and [`Shares`], which divides a budget. Time and
//! randomness are arguments. Promises that whatever an upstream says slows polls by a day at most.

mod adaptive;
mod backoff;
mod beat;
mod blame;
mod breaker;
mod budget;
mod grid;
mod hints;
mod hold;
mod next;
mod pace;
mod rate;
mod topic;

pub use backoff::{backoff, poked};
pub use blame::{Sign, Witness};
pub use breaker::{BreakerRules, Turn};
pub use budget::{Member, Shares};
pub use hints::{Hints, Quota, Respect};
pub use hold::Hold;
pub use next::{Next, Why};
pub use pace::{Ending, Entry, Grant, Pace, PaceRules, Refusal, Served};
pub use rate::Allowance;
pub use topic::{Cadence, Plan, Polled, Schedule};

/// A day in milliseconds: no wish of an upstream holds for longer.
pub const DAY: u64 = 24 * 60 * 60 * 1000;

/// Whole milliseconds, at least one.
fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis())
        .unwrap_or(u64::MAX)
        .max(1)
}

#[cfg(test)]
mod simulation;
