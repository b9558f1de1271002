//! What was seen of one system, from the upstream's side and from the kernel's.

use std::fmt;
use std::str::FromStr;

/// A tenth of a second, in nanoseconds.
pub const BIN: u64 = 100_000_000;

/// What the upstream saw. Printed and read as words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub polls: u64,
    pub nanoseconds: u64,
    /// How many topics were asked for at all.
    pub topics: u64,
    /// Polls in the emptiest and the fullest tenth of a second.
    pub least: u64,
    pub most: u64,
    /// By how much the time between two polls of a topic differed from the interval, in
    /// microseconds: median, 99th percentile, largest.
    pub late: [u64; 3],
    /// How many topics were first asked for in each tenth of the interval.
    pub phases: [u64; 10],
}

/// One measurement.
#[derive(Clone, Debug)]
pub struct Figures {
    pub seen: Seen,
    /// Nanoseconds of processor time.
    pub processor: u64,
    /// Of it what was spent in the kernel, from 0 to 1.
    pub kernel: f64,
    /// Resident bytes at the end.
    pub resident: usize,
}

impl Figures {
    pub fn polls_per_second(&self) -> f64 {
        self.seen.polls as f64 * 1e9 / self.seen.nanoseconds as f64
    }

    /// Microseconds of processor time.
    pub fn per_poll(&self) -> f64 {
        self.processor as f64 / 1000.0 / self.seen.polls as f64
    }
}

impl Seen {
    /// How far the phases are from an even spread: chi-square with nine degrees of freedom, which is
    /// below 21.7 in 99 of 100 spreads by chance.
    pub fn chi_square(&self) -> f64 {
        let expected = self.phases.iter().sum::<u64>() as f64 / self.phases.len() as f64;
        let term = |seen: &u64| (*seen as f64 - expected).powi(2) / expected;
        self.phases.iter().map(term).sum()
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.polls, self.nanoseconds, self.topics)?;
        write!(f, " {} {}", self.least, self.most)?;
        let mut rest = self.late.iter().chain(&self.phases);
        rest.try_for_each(|number| write!(f, " {number}"))
    }
}

impl FromStr for Seen {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let numbers = line
            .split(' ')
            .map(str::parse)
            .collect::<Result<Vec<_>, _>>();
        let numbers: [u64; 18] = numbers
            .ok()
            .and_then(|numbers| numbers.try_into().ok())
            .ok_or_else(|| format!("the upstream said: {line}"))?;
        let [
            polls,
            nanoseconds,
            topics,
            least,
            most,
            a,
            b,
            c,
            phases @ ..,
        ] = numbers;
        Ok(Self {
            polls,
            nanoseconds,
            topics,
            least,
            most,
            late: [a, b, c],
            phases,
        })
    }
}
