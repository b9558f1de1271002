//! Whose turn it is.

use pingora::lb::selection::{Consistent, Random, RoundRobin};
use pingora::lb::{Backend, Backends, LoadBalancer};

use crate::config::Balance;

/// How far a selection may look for a server that will do.
const MAX_STEPS: usize = 1000;

/// Pingora's load balancer with one of its ways to select.
pub(super) enum Balancer {
    RoundRobin(LoadBalancer<RoundRobin>),
    Random(LoadBalancer<Random>),
    Consistent(LoadBalancer<Consistent>),
}

macro_rules! with {
    ($self:ident, $balancer:ident => $what:expr) => {
        match $self {
            Self::RoundRobin($balancer) => $what,
            Self::Random($balancer) => $what,
            Self::Consistent($balancer) => $what,
        }
    };
}

impl Balancer {
    pub(super) fn new(balance: Balance, backends: Backends) -> Self {
        match balance {
            Balance::RoundRobin => Self::RoundRobin(LoadBalancer::from_backends(backends)),
            Balance::Random => Self::Random(LoadBalancer::from_backends(backends)),
            Balance::Consistent => Self::Consistent(LoadBalancer::from_backends(backends)),
        }
    }

    /// Asks who is there. Not to be called while it runs.
    pub(super) async fn update(&self) {
        // The discovery never fails, it keeps what it knew.
        let _ = with!(self, balancer => balancer.update().await);
    }

    /// Runs every health check once.
    pub(super) async fn check(&self) {
        with!(self, balancer => balancer.backends().run_health_check(true).await);
    }

    /// The first that `accept`s of those that are to be asked by `key`; it is told whether the one it
    /// judges is healthy.
    pub(super) fn select(
        &self,
        key: &[u8],
        accept: impl Fn(&Backend, bool) -> bool,
    ) -> Option<Backend> {
        with!(self, balancer => balancer.select_with(key, MAX_STEPS, accept))
    }
}
