//! The gates of all upstreams.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::gate::{Gate, GateReport};
use super::gate_metrics::GatesMetrics;
use crate::clock::Clock;
use crate::config::Upstream;
use crate::metrics::Registry;

/// One gate for each upstream, by name.
#[derive(Debug)]
pub struct Gates {
    clock: Clock,
    metrics: GatesMetrics,
    gates: Mutex<BTreeMap<String, Arc<Gate>>>,
}

impl Gates {
    /// None yet.
    pub fn new(clock: Clock, registry: &Registry) -> Self {
        Self {
            clock,
            metrics: GatesMetrics::new(registry),
            gates: Mutex::new(BTreeMap::new()),
        }
    }

    /// The gate of this upstream, which follows its limits as they are told here.
    pub fn of(&self, upstream: &Upstream) -> Arc<Gate> {
        let mut gates = self.lock();
        if let Some(gate) = gates.get(&upstream.name) {
            gate.follow(upstream.pace);
            return Arc::clone(gate);
        }
        let (name, rules) = (&upstream.name, upstream.pace);
        let gate = Gate::new(name, rules, self.clock, self.metrics.upstream(name));
        let gate = Arc::new(gate);
        gates.insert(name.clone(), Arc::clone(&gate));
        gate
    }

    /// Forgets the gates of upstreams that are not named, or not the same any more.
    pub fn retain(&self, is_kept: impl Fn(&str) -> bool) {
        self.lock().retain(|name, _| is_kept(name));
    }

    /// What is known of each upstream, by name.
    pub fn reports(&self) -> Vec<GateReport> {
        self.lock().values().map(|gate| gate.report()).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Gate>>> {
        self.gates
            .lock()
            .expect("invariant: nobody panics while holding the gates")
    }
}
