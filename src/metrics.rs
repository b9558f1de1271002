//! Where components register what they count.
//!
//! Owns the registry and the rule for names: `pollcast_` in front, the unit behind, labels bounded
//! by configuration and never by clients. Each component keeps its own struct of metrics beside
//! its code; there is no global.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::Collector;
use prometheus::proto::{LabelPair, Metric, MetricFamily};
use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, TextEncoder, histogram_opts,
};

/// Upper bounds for what takes milliseconds to seconds.
const MOMENTS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// All metrics of one process.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    registry: prometheus::Registry,
    families: Arc<Mutex<Vec<Family>>>,
}

/// Series of one name, which come and go with the configuration.
#[derive(Clone, Debug)]
enum Family {
    Counters(IntCounterVec),
    Gauges(IntGaugeVec),
    Histograms(HistogramVec),
}

/// The labels of one series.
pub struct Labels<'a>(&'a [LabelPair]);

impl Labels<'_> {
    /// The value of this label, if the series has it.
    pub fn get(&self, name: &str) -> Option<&str> {
        let label = self.0.iter().find(|label| label.name() == name);
        label.map(LabelPair::value)
    }
}

impl Family {
    fn retain(&self, is_kept: &impl Fn(&Labels<'_>) -> bool) {
        for family in self.collect() {
            let unkept = family.get_metric().iter().map(Metric::get_label);
            for labels in unkept.filter(|labels| !is_kept(&Labels(labels))) {
                let values = labels.iter().map(|label| (label.name(), label.value()));
                let values: HashMap<_, _> = values.collect();
                // Another may have been faster.
                let _ = match self {
                    Family::Counters(family) => family.remove(&values),
                    Family::Gauges(family) => family.remove(&values),
                    Family::Histograms(family) => family.remove(&values),
                };
            }
        }
    }

    fn collect(&self) -> Vec<MetricFamily> {
        match self {
            Family::Counters(family) => family.collect(),
            Family::Gauges(family) => family.collect(),
            Family::Histograms(family) => family.collect(),
        }
    }
}

impl Registry {
    /// A registry that also reports the process (CPU, memory, open files) and the build.
    pub fn with_process() -> Self {
        let registry = Self::default();
        registry.register(prometheus::process_collector::ProcessCollector::for_self());
        let build = registry.gauges(
            "build_info",
            "Always 1; the label says which build this is.",
            &["version"],
        );
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry
    }

    /// Counters, one for each combination of label values. `name` without the namespace.
    pub fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        let opts = Opts::new(name, help).namespace("pollcast");
        let family =
            IntCounterVec::new(opts, labels).expect("invariant: names in the source are valid");
        self.register(family.clone());
        self.lock().push(Family::Counters(family.clone()));
        family
    }

    /// Gauges, one for each combination of label values. `name` without the namespace.
    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        let opts = Opts::new(name, help).namespace("pollcast");
        let family =
            IntGaugeVec::new(opts, labels).expect("invariant: names in the source are valid");
        self.register(family.clone());
        self.lock().push(Family::Gauges(family.clone()));
        family
    }

    /// Histograms of what takes milliseconds to seconds, in seconds, one for each combination of
    /// label values.
    pub fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        self.seconds_in(&MOMENTS, name, help, labels)
    }

    /// Histograms of seconds with buckets of these upper bounds, one for each combination of label
    /// values.
    pub fn seconds_in(
        &self,
        buckets: &[f64],
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> HistogramVec {
        let opts: HistogramOpts =
            histogram_opts!(name, help, buckets.to_vec()).namespace("pollcast");
        let family =
            HistogramVec::new(opts, labels).expect("invariant: names in the source are valid");
        self.register(family.clone());
        self.lock().push(Family::Histograms(family.clone()));
        family
    }

    /// Forgets the series that are not to be kept: those of what the configuration has no more.
    /// Whoever still counts in one counts in vain; who looks it up again makes it anew.
    pub fn retain(&self, is_kept: impl Fn(&Labels<'_>) -> bool) {
        for family in &*self.lock() {
            family.retain(&is_kept);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Family>> {
        // It is only ever added to.
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The Prometheus text exposition format, version 0.0.4.
    pub fn render(&self) -> String {
        let mut text = String::new();
        TextEncoder::new()
            .encode_utf8(&self.registry.gather(), &mut text)
            .expect("invariant: what was registered can be written");
        text
    }

    /// Adds metrics that are collected in another way, whose names begin with `pollcast_` or come
    /// from the configuration.
    pub fn register(&self, collector: impl Collector + 'static) {
        self.registry
            .register(Box::new(collector))
            .expect("invariant: each metric is registered once");
    }
}
