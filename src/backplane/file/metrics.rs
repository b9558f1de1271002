//! What the file backplane counts.

use prometheus::{Histogram, IntCounter, IntGauge};

use crate::metrics::Registry;

/// Metrics of the one store.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) writes: IntCounter,
    pub(super) failures: IntCounter,
    pub(super) bytes: IntGauge,
    pub(super) degraded: IntGauge,
    pub(super) sync: Histogram,
}

impl Metrics {
    /// Registers them.
    pub fn new(registry: &Registry) -> Self {
        let one = &[] as &[&str];
        Self {
            writes: registry
                .counters(
                    "backplane_writes_total",
                    "Events that were written to the store.",
                    one,
                )
                .with_label_values(one),
            failures: registry
                .counters(
                    "backplane_failures_total",
                    "Attempts to write or sync the store that failed.",
                    one,
                )
                .with_label_values(one),
            bytes: registry
                .gauges("backplane_bytes", "Bytes that the store takes.", one)
                .with_label_values(one),
            degraded: registry
                .gauges(
                    "backplane_degraded",
                    "1 while the store cannot be written and events are kept in memory only.",
                    one,
                )
                .with_label_values(one),
            sync: registry
                .seconds(
                    "backplane_sync_seconds",
                    "How long it took until what was written was on the disk itself.",
                    one,
                )
                .with_label_values(one),
        }
    }
}
