//! What is counted of servers.

use prometheus::{IntCounterVec, IntGaugeVec};

use crate::config::Upstream;
use crate::metrics::Registry;

/// The families, labelled by the upstream's name and the server as the configuration has it.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    healthy: IntGaugeVec,
    changes: IntCounterVec,
    unresolved: IntCounterVec,
}

/// Those of one upstream.
#[derive(Clone, Debug)]
pub(super) struct GroupMetrics {
    upstream: String,
    servers: Vec<String>,
    healthy: IntGaugeVec,
    changes: IntCounterVec,
    unresolved: IntCounterVec,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            healthy: registry.gauges(
                "upstream_server_healthy",
                "1 if the server is at a known address and no health check says otherwise, else 0.",
                &["upstream", "server"],
            ),
            changes: registry.counters(
                "upstream_health_changes_total",
                "Times that health checks found a server to be healthy again, or unhealthy.",
                &["upstream", "server", "to"],
            ),
            unresolved: registry.counters(
                "upstream_lookups_failed_total",
                "Look-ups of servers' names that brought no address that may be reached.",
                &["upstream"],
            ),
        }
    }

    pub(super) fn group(&self, upstream: &Upstream) -> GroupMetrics {
        let servers: Vec<_> = upstream
            .servers
            .list
            .iter()
            .map(|it| it.at.to_string())
            .collect();
        GroupMetrics {
            upstream: upstream.name.clone(),
            servers,
            healthy: self.healthy.clone(),
            changes: self.changes.clone(),
            unresolved: self.unresolved.clone(),
        }
    }
}

impl GroupMetrics {
    /// From now on it is counted; everything is there from the start.
    pub(super) fn begin(&self) {
        let name = &self.upstream;
        self.unresolved.with_label_values(&[name]);
        for server in &self.servers {
            self.healthy.with_label_values(&[name, server]).set(0);
            for to in ["healthy", "unhealthy"] {
                self.changes.with_label_values(&[name, server, to]);
            }
        }
    }

    pub(super) fn unresolved(&self) {
        self.unresolved.with_label_values(&[&self.upstream]).inc();
    }

    /// How many of the addresses of each server are healthy decides; one is enough.
    pub(super) fn healthy(&self, is_healthy: &[bool]) {
        for (server, healthy) in self.servers.iter().zip(is_healthy) {
            let gauge = self.healthy.with_label_values(&[&self.upstream, server]);
            gauge.set((*healthy).into());
        }
    }

    pub(super) fn changed(&self, server: usize, healthy: bool) {
        let to = if healthy { "healthy" } else { "unhealthy" };
        let server = &self.servers[server];
        self.changes
            .with_label_values(&[&self.upstream, server, to])
            .inc();
    }
}
