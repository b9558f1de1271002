//! What was seen, and whether it is good.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::OWN_FILES;
use crate::process::{Process, sum};

/// How much larger the last third of the run may be than the middle one, and still be flat: some
/// part of it, and what a document more or less makes.
const FLAT: f64 = 0.10;
const SLACK: f64 = 4.0 * 1024.0 * 1024.0;

/// One look at the process.
#[derive(Clone, Debug)]
pub struct Sample {
    pub at: Duration,
    pub resident: f64,
    files: usize,
    cpu: Duration,
    connections: f64,
    lagged: f64,
    cut_off: f64,
    refused: f64,
    events: u64,
    wrong: u64,
}

impl Sample {
    pub const HEAD: &str = "    time  resident   files  connections   events    lagged  cut off   \
                            refused  wrong      cpu";

    pub async fn take(
        process: &Process,
        at: Duration,
        tally: BTreeMap<&'static str, u64>,
    ) -> std::io::Result<Self> {
        let usage = process.usage()?;
        let metrics = process.metrics().await?;
        let closed = "pollcast_connections_closed_total";
        let refused = "pollcast_subscriptions_refused_total";
        Ok(Self {
            at,
            resident: usage.resident,
            files: usage.files,
            cpu: usage.cpu,
            connections: sum(&metrics, "pollcast_connections", ""),
            lagged: sum(&metrics, "pollcast_subscribers_lagged_total", ""),
            cut_off: sum(&metrics, closed, "reason=\"write_timeout\""),
            refused: sum(&metrics, refused, "reason=\"limit_"),
            events: tally.get("events").copied().unwrap_or(0),
            wrong: tally.get("wrong").copied().unwrap_or(0),
        })
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>6.0} s {:>5.1} MiB {:>7} {:>12} {:>8} {:>9} {:>8} {:>9} {:>6} {:>6.1} s",
            self.at.as_secs_f64(),
            self.resident / 1024.0 / 1024.0,
            self.files,
            self.connections,
            self.events,
            self.lagged,
            self.cut_off,
            self.refused,
            self.wrong,
            self.cpu.as_secs_f64(),
        )
    }
}

/// The whole run.
pub struct Verdict {
    pub samples: Vec<Sample>,
    pub tally: BTreeMap<&'static str, u64>,
    pub wrong: Vec<String>,
    /// Open subscriptions after everybody had left.
    pub connections: f64,
    /// Open descriptors before anybody came, and after everybody had left.
    pub files: (usize, usize),
    pub skipped: f64,
    pub panics: usize,
    pub left_properly: bool,
}

impl Verdict {
    pub fn is_good(&self) -> bool {
        self.checks().iter().all(|(_, _, good)| *good)
    }

    /// What is checked, what was seen, and whether that is good.
    fn checks(&self) -> Vec<(&'static str, String, bool)> {
        let mib = |bytes: f64| bytes / 1024.0 / 1024.0;
        let (middle, last) = (self.third(1), self.third(2));
        let events = self.tally.get("events").copied().unwrap_or(0);
        let (files_before, files_after) = self.files;
        vec![
            (
                "every state was true",
                format!("{} wrong of {events} events", self.wrong.len()),
                self.wrong.is_empty() && events > 0,
            ),
            (
                "memory is flat",
                format!(
                    "{:.1} MiB in the middle third, {:.1} in the last; {:+.2} MiB an hour over both",
                    mib(middle),
                    mib(last),
                    mib(self.slope()) * 3600.0
                ),
                last <= middle * (1.0 + FLAT) + SLACK && middle > 0.0,
            ),
            (
                "nobody is left",
                format!("{} subscriptions", self.connections),
                self.connections < 0.5,
            ),
            (
                "descriptors are given back",
                format!("{files_before} before, {files_after} after"),
                files_after <= files_before + OWN_FILES,
            ),
            (
                "nothing panicked",
                format!("{} times", self.panics),
                self.panics == 0,
            ),
            (
                "it left when asked",
                self.left_properly.to_string(),
                self.left_properly,
            ),
        ]
    }

    /// Mean resident memory in one third of the run.
    fn third(&self, which: usize) -> f64 {
        let length = self.samples.len() / 3;
        let third = &self.samples[which * length..(which + 1) * length];
        third.iter().map(|sample| sample.resident).sum::<f64>() / third.len().max(1) as f64
    }

    /// Bytes a second by which memory grew after the first third, by least squares.
    fn slope(&self) -> f64 {
        let settled = &self.samples[self.samples.len() / 3..];
        let count = settled.len().max(1) as f64;
        let mean = |of: &dyn Fn(&Sample) -> f64| settled.iter().map(of).sum::<f64>() / count;
        let (time, size) = (
            mean(&|sample| sample.at.as_secs_f64()),
            mean(&|sample| sample.resident),
        );
        let both = mean(&|sample| (sample.at.as_secs_f64() - time) * (sample.resident - size));
        let spread = mean(&|sample| (sample.at.as_secs_f64() - time).powi(2));
        if spread > 0.0 { both / spread } else { 0.0 }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nwhat clients did and met:")?;
        for (what, times) in &self.tally {
            writeln!(f, "{times:>9}  {what}")?;
        }
        writeln!(
            f,
            "{:>9}  events skipped, by pollcast's count\n",
            self.skipped
        )?;
        for (what, seen, good) in self.checks() {
            let word = if good { "ok" } else { "FAILED" };
            writeln!(f, "{word:>9}  {what}: {seen}")?;
        }
        for wrong in self.wrong.iter().take(20) {
            writeln!(f, "           {wrong}")?;
        }
        Ok(())
    }
}
