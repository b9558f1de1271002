//! Finding out whether a server is well.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use pingora::connectors::TransportConnector;
use pingora::lb::Backend;
use pingora::{Error, ErrorType, Result};
use tokio::time::timeout;
use tracing::{info, warn};

use super::cause::root_cause;
use super::metrics::GroupMetrics;
use super::names::Names;
use super::server::Server;
use crate::config::{HealthCheck, Upstream};

/// Asks servers how they are, with the clients that polls and passed-through requests have.
pub(super) struct Check {
    pub(super) upstream: Arc<Upstream>,
    pub(super) rule: HealthCheck,
    pub(super) names: Arc<Names>,
    pub(super) metrics: GroupMetrics,
    /// Present where a connection is enough.
    pub(super) connector: Option<TransportConnector>,
}

impl Check {
    async fn ask(&self, server: &Server) -> Result<(), String> {
        if let Some(connector) = &self.connector {
            // With TLS, if the server speaks it.
            let connected = connector.new_stream(&server.peer(false)).await;
            return connected
                .map(drop)
                .map_err(|error| error.etype().as_str().to_owned());
        }
        let path = self.rule.path.as_deref().unwrap_or_default();
        let mut url = server.base().clone();
        url.set_path(&format!("{}{path}", self.upstream.prefix()));
        let asked = server.http().get(url).send().await;
        let status = asked.map_err(|error| root_cause(&error))?.status().as_u16();
        match status == self.rule.status {
            true => Ok(()),
            false => Err(format!("the health check was answered {status}")),
        }
    }
}

#[async_trait]
impl pingora::lb::health_check::HealthCheck for Check {
    async fn check(&self, target: &Backend) -> Result<()> {
        let Some(server) = self.names.server(&target.addr) else {
            return Ok(());
        };
        let late = |_| Err(format!("no answer within {:?}", self.rule.timeout));
        let outcome = timeout(self.rule.timeout, self.ask(&server)).await;
        outcome.unwrap_or_else(late).map_err(|cause| {
            server.spot().condition().last_error = Some(cause);
            Error::new(ErrorType::new("unhealthy"))
        })
    }

    async fn health_status_change(&self, target: &Backend, healthy: bool) {
        let Some(server) = self.names.server(&target.addr) else {
            return;
        };
        let index = server.spot().index;
        let cause = {
            let mut condition = server.spot().condition();
            condition.healthy = healthy;
            condition.since = SystemTime::now();
            condition.last_error.clone()
        };
        self.metrics.changed(index, healthy);
        let (upstream, at) = (&self.upstream.name, &self.upstream.servers.list[index].at);
        let address = server.spot().address;
        match healthy {
            true => info!(upstream, server = %at, %address, "a server is healthy again"),
            false => warn!(upstream, server = %at, %address, cause, "a server is unhealthy"),
        }
    }

    fn backend_summary(&self, _: &Backend) -> String {
        format!("a server of upstream {}", self.upstream.name)
    }

    fn health_threshold(&self, success: bool) -> usize {
        match success {
            true => self.rule.healthy_after,
            false => self.rule.unhealthy_after,
        }
    }
}
