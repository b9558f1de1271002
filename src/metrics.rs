//! Where components register what they count.
//!
//! Owns the registry and the rule for names: `pollcast_` in front, the unit behind, labels bounded
//! by configuration and never by clients. Each component keeps its own struct of metrics beside
//! its code; there is no global.

use prometheus::core::Collector;
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
        family
    }

    /// Gauges, one for each combination of label values. `name` without the namespace.
    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        let opts = Opts::new(name, help).namespace("pollcast");
        let family =
            IntGaugeVec::new(opts, labels).expect("invariant: names in the source are valid");
        self.register(family.clone());
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
        family
    }

    /// The Prometheus text exposition format, version 0.0.4.
    pub fn render(&self) -> String {
        let mut text = String::new();
        TextEncoder::new()
            .encode_utf8(&self.registry.gather(), &mut text)
            .expect("invariant: what was registered can be written");
        text
    }

    fn register(&self, collector: impl Collector + 'static) {
        self.registry
            .register(Box::new(collector))
            .expect("invariant: each metric is registered once");
    }
}
