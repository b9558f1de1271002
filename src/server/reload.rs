//! Reading the configuration anew, and telling what became of it.

use std::path::{Path, PathBuf};

use prometheus::{IntCounterVec, IntGauge};
use tracing::{info, warn};

use crate::admin::Reloaded;
use crate::clock::Clock;
use crate::config::{Change, Changes, Config, Entries, LoadError, Warning};
use crate::metrics::Registry;

/// What can become of it.
const OUTCOMES: [&str; 3] = ["reloaded", "unchanged", "refused"];

/// Reads the file, and what is different in it from this configuration.
///
/// # Errors
/// Everything that is wrong with it, a line each.
pub(super) async fn read(
    file: PathBuf,
    current: &Config,
) -> Result<(Config, Changes), Vec<String>> {
    let current = current.clone();
    let read = move || {
        let (config, warnings) = Config::load(&file).map_err(|error| problems(&file, &error))?;
        let changes = Changes::between(&current, &config);
        Ok((config, changes, warnings))
    };
    // Files may be slow, and a large configuration takes a while to be read.
    let read = tokio::task::spawn_blocking(read).await;
    let read = read.unwrap_or_else(|_| Err(vec!["the configuration cannot be read".to_owned()]));
    let (config, changes, warnings) = read?;
    for Warning(problem) in warnings.iter().filter(|_| !changes.is_empty()) {
        warn!(
            place = problem.place,
            remedy = problem.remedy,
            "{}",
            problem.what
        );
    }
    Ok((config, changes))
}

fn problems(file: &Path, error: &LoadError) -> Vec<String> {
    match error {
        LoadError::Read { .. } => vec![error.to_string()],
        LoadError::Problems { problems, .. } => {
            let file = file.display();
            let problems = problems.iter();
            problems
                .map(|problem| format!("{file}: {problem}"))
                .collect()
        }
    }
}

/// An error and what caused it, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}

/// What is counted and logged of it.
pub(super) struct Metrics {
    outcomes: IntCounterVec,
    successful: IntGauge,
    succeeded_at: IntGauge,
    clock: Clock,
}

impl Metrics {
    /// Registers the families. The configuration of the start is one that was read.
    pub(super) fn new(registry: &Registry, clock: Clock) -> Self {
        let outcomes = registry.counters(
            "reloads_total",
            "Times that the configuration was to be read anew, by outcome.",
            &["outcome"],
        );
        for outcome in OUTCOMES {
            outcomes.with_label_values(&[outcome]);
        }
        let none: &[&str] = &[];
        let metrics = Self {
            outcomes,
            successful: registry
                .gauges(
                    "config_last_reload_successful",
                    "1 if the configuration in force is that of the file as it was last read, 0 if \
                     that was refused.",
                    none,
                )
                .with_label_values(none),
            succeeded_at: registry
                .gauges(
                    "config_last_reload_success_timestamp_seconds",
                    "When the configuration was last read and not refused, in Unix time.",
                    none,
                )
                .with_label_values(none),
            clock,
        };
        metrics.succeeded();
        metrics
    }

    fn succeeded(&self) {
        let seconds = self.clock.now().0 / 1000;
        self.successful.set(1);
        self.succeeded_at
            .set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }

    /// Counts and logs what became of it.
    pub(super) fn told(&self, outcome: &Reloaded) {
        let word = match outcome {
            Reloaded::Reloaded { changes } => {
                self.succeeded();
                log(changes);
                OUTCOMES[0]
            }
            Reloaded::Unchanged => {
                self.succeeded();
                info!("the configuration was read anew and is the same");
                OUTCOMES[1]
            }
            Reloaded::Refused { problems } => {
                self.successful.set(0);
                for problem in problems {
                    warn!(
                        problem,
                        "the new configuration is refused, the old one stays"
                    );
                }
                OUTCOMES[2]
            }
            Reloaded::Impossible { why } => {
                warn!(why, "the configuration is not read anew");
                OUTCOMES[2]
            }
        };
        self.outcomes.with_label_values(&[word]).inc();
    }
}

fn log(changes: &Changes) {
    info!(restart = ?changes.restart, "a new configuration is in force");
    for change in &changes.settings {
        info!(%change, "a setting changed");
    }
    for (what, entries) in [
        ("feed", &changes.feeds),
        ("route", &changes.routes),
        ("upstream", &changes.upstreams),
    ] {
        log_entries(what, entries);
    }
    if !changes.restart.is_empty() {
        let keys = changes.restart.join(", ");
        warn!(keys, "only a restart puts these in force");
    }
}

fn log_entries(what: &'static str, entries: &Entries) {
    for name in &entries.added {
        info!(what, name, "added");
    }
    for name in &entries.removed {
        info!(what, name, "removed");
    }
    for entry in &entries.changed {
        let changes = entry.keys.iter().map(Change::to_string);
        let changes = changes.collect::<Vec<_>>().join("; ");
        info!(what, name = entry.name, changes, "changed");
    }
}
