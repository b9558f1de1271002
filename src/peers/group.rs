//! The servers of one upstream, and whose turn it is.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pingora::connectors::TransportConnector;
use pingora::lb::Backends;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{error, info};

use super::balancer::Balancer;
use super::check::Check;
use super::material::{self, Material};
use super::metrics::GroupMetrics;
use super::names::{Discovery, Names};
use super::resolve::{NoServer, Resolve};
use super::server::Server;
use crate::config::Upstream;

/// At least this long between two look-ups.
const LOOK_UP_PAUSE: Duration = Duration::from_secs(1);
/// How often files are looked at; a change counts once two looks agree on it.
const LOOK: Duration = Duration::from_secs(1);

/// The servers of one upstream.
pub struct Group {
    upstream: Arc<Upstream>,
    names: Arc<Names>,
    balancer: Balancer,
    metrics: GroupMetrics,
    /// When the names were last looked up; held while they are.
    looked_up: Mutex<Option<Instant>>,
}

/// What is known of a server, for those who look from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerReport {
    /// As the configuration has it.
    pub server: String,
    /// Where it is; none if that is not known, or if an egress proxy knows.
    pub address: Option<String>,
    /// Its share of the work.
    pub weight: usize,
    /// Whether there is an address, and no health check says otherwise.
    pub healthy: bool,
    /// Since when.
    pub since: Option<SystemTime>,
    /// What last went wrong.
    pub last_error: Option<String>,
}

impl Group {
    pub(super) fn new(
        upstream: Arc<Upstream>,
        resolver: Arc<dyn Resolve>,
        material: Material,
        metrics: GroupMetrics,
    ) -> Self {
        let names = Names::new(Arc::clone(&upstream), resolver, material, metrics.clone());
        let names = Arc::new(names);
        let mut backends = Backends::new(Box::new(Discovery(Arc::clone(&names))));
        if let Some(rule) = &upstream.servers.health_check {
            backends.set_health_check(Box::new(Check {
                upstream: Arc::clone(&upstream),
                rule: rule.clone(),
                names: Arc::clone(&names),
                metrics: metrics.clone(),
                connector: rule.path.is_none().then(|| TransportConnector::new(None)),
            }));
        }
        Self {
            balancer: Balancer::new(upstream.servers.balance, backends),
            upstream,
            names,
            metrics,
            looked_up: Mutex::default(),
        }
    }

    pub(super) fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    pub(super) fn metrics(&self) -> &GroupMetrics {
        &self.metrics
    }

    /// The server to ask, by `key` where the balance is consistent: a healthy one to which there was
    /// a connection if possible, else any. Waits only while no address is known yet.
    ///
    /// # Errors
    /// [`NoServer`] if there is none.
    pub async fn pick(&self, key: &[u8]) -> Result<Server, NoServer> {
        if let Some(server) = self.other(key, &[]) {
            return Ok(server);
        }
        self.look_up().await;
        self.other(key, &[]).ok_or_else(|| self.names.why_none())
    }

    /// The same, but none of those that were `tried`, nor at their address.
    pub fn other(&self, key: &[u8], tried: &[Server]) -> Option<Server> {
        let is_new = |server: &Server| {
            let address = server.spot().address;
            tried.iter().all(|tried| tried.spot().address != address)
        };
        if let Some(only) = self.names.only() {
            return Some(only).filter(is_new);
        }
        let choice = |at_best: bool, at_rest: bool| {
            let backend = self.balancer.select(key, |backend, healthy| {
                let server = self.names.server(&backend.addr);
                let fits = |server: Server| is_new(&server) && (at_rest || !server.rests());
                (healthy || !at_best) && server.is_some_and(fits)
            });
            self.names.server(&backend?.addr)
        };
        choice(true, false)
            .or_else(|| choice(true, true))
            .or_else(|| choice(false, true))
    }

    /// What is known of each server.
    pub fn report(&self) -> Vec<ServerReport> {
        let servers = self.names.servers();
        let through_proxy = self.upstream.servers.egress_proxy.is_some();
        let mut report = Vec::new();
        for (index, configured) in self.upstream.servers.list.iter().enumerate() {
            let trouble = self.names.trouble(index).map(|trouble| trouble.to_string());
            let (server, weight) = (configured.at.to_string(), configured.weight);
            let here = servers.iter().filter(|it| it.spot().index == index);
            let found: Vec<_> = here
                .map(|it| {
                    let condition = it.spot().condition().clone();
                    ServerReport {
                        server: server.clone(),
                        address: (!through_proxy).then(|| it.spot().address.to_string()),
                        weight,
                        healthy: condition.healthy,
                        since: Some(condition.since),
                        last_error: condition.last_error.or_else(|| trouble.clone()),
                    }
                })
                .collect();
            if found.is_empty() {
                report.push(ServerReport {
                    server,
                    address: None,
                    weight,
                    healthy: false,
                    since: None,
                    last_error: trouble,
                });
            }
            report.extend(found);
        }
        report
    }

    /// Looks the names up, unless that was done a moment ago.
    async fn look_up(&self) {
        let mut last = self.looked_up.lock().await;
        if last.is_some_and(|last| last.elapsed() < LOOK_UP_PAUSE) {
            return;
        }
        self.balancer.update().await;
        *last = Some(Instant::now());
        drop(last);
        self.measure();
    }

    /// Looks the names up for ever: now, every so often, and when a connection failed.
    pub(super) async fn keep_looking_up(self: Arc<Self>) {
        loop {
            self.look_up().await;
            let earliest = Instant::now() + LOOK_UP_PAUSE;
            tokio::select! {
                () = sleep(self.upstream.servers.resolve_every) => {}
                () = self.names.wanted() => {}
            }
            sleep_until(earliest).await;
        }
    }

    /// Checks the servers for ever.
    pub(super) async fn keep_checking(self: Arc<Self>) {
        let Some(rule) = &self.upstream.servers.health_check else {
            return;
        };
        self.look_up().await;
        loop {
            let next = Instant::now() + rule.interval;
            self.balancer.check().await;
            self.measure();
            sleep_until(next).await;
        }
    }

    /// Looks after the files of TLS for ever: what is new is used for new connections, what is of no
    /// use is told once and the old stays. `first` is what the files were before they were read.
    pub(super) async fn keep_fresh(self: Arc<Self>, first: material::Stamp) {
        let (mut used, mut seen) = (first, first);
        loop {
            sleep(LOOK).await;
            let (group, last_used, last_seen) = (Arc::clone(&self), used, seen);
            let look = move || {
                let servers = &group.upstream.servers;
                let now = material::stamp(&servers.tls);
                let is_new = now == last_seen && now != last_used;
                let read = is_new.then(|| Material::read(servers));
                let outcome = read.map(|read| read.map(|material| group.names.renew(material)));
                (now, outcome)
            };
            // The process is leaving.
            let Ok((now, outcome)) = tokio::task::spawn_blocking(look).await else {
                return;
            };
            seen = now;
            let upstream = &self.upstream.name;
            match outcome {
                None => continue,
                Some(Ok(())) => info!(upstream, "new TLS files are in use"),
                Some(Err(cause)) => {
                    let cause = &cause as &dyn std::error::Error;
                    error!(
                        upstream,
                        cause, "new TLS files are of no use, the old ones stay"
                    );
                }
            }
            used = now;
        }
    }

    fn measure(&self) {
        let mut healthy = vec![false; self.upstream.servers.list.len()];
        for server in self.names.servers() {
            healthy[server.spot().index] |= server.spot().condition().healthy;
        }
        self.metrics.healthy(&healthy);
    }
}
