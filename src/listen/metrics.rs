//! What the listeners count.

use std::net::SocketAddr;

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::shortage::REASONS;
use crate::metrics::Registry;

/// The families. An address is one that the configuration names.
#[derive(Clone, Debug)]
pub struct Metrics {
    accepted: IntCounterVec,
    refused: IntCounterVec,
    failed: IntCounterVec,
    expiry: IntGaugeVec,
    reloads: IntCounterVec,
}

/// What is counted at one listener.
#[derive(Clone, Debug)]
pub(super) struct Counters {
    at: SocketAddr,
    address: String,
    pub(super) accepted: IntCounter,
    refused: IntCounterVec,
    failed: IntCounterVec,
}

/// What is counted of one pair of certificate and key.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    pub(super) expiry: IntGauge,
    pub(super) taken: IntCounter,
    pub(super) refused: IntCounter,
}

/// Why a connection was closed before its first request, or without another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The TLS handshake failed.
    Handshake,
    /// What came is no PROXY protocol header, or one that makes no sense.
    ProxyHeader,
    /// No whole request head came in time.
    HeaderTimeout,
    /// It broke or was closed before the first request.
    Left,
}

impl Refused {
    const ALL: [Self; 4] = [
        Refused::Handshake,
        Refused::ProxyHeader,
        Refused::HeaderTimeout,
        Refused::Left,
    ];

    const fn word(self) -> &'static str {
        match self {
            Refused::Handshake => "tls_handshake",
            Refused::ProxyHeader => "proxy_header",
            Refused::HeaderTimeout => "header_timeout",
            Refused::Left => "client_left",
        }
    }
}

impl Metrics {
    /// Registers the families.
    pub fn new(registry: &Registry) -> Self {
        Self {
            accepted: registry.counters(
                "accepted_connections_total",
                "Connections accepted.",
                &["address"],
            ),
            refused: registry.counters(
                "refused_connections_total",
                "Connections closed before their first request, by reason.",
                &["address", "reason"],
            ),
            failed: registry.counters(
                "accept_failures_total",
                "Attempts to accept that failed, by reason.",
                &["address", "reason"],
            ),
            expiry: registry.gauges(
                "certificate_expiry_timestamp_seconds",
                "When the certificate in use ends to be valid.",
                &["address"],
            ),
            reloads: registry.counters(
                "certificate_reloads_total",
                "Changes of a certificate's files, by what came of them.",
                &["address", "result"],
            ),
        }
    }

    pub(super) fn at(&self, at: SocketAddr) -> Counters {
        let address = at.to_string();
        // From zero, so that the first of each is an increase.
        for why in Refused::ALL {
            self.refused.with_label_values(&[&*address, why.word()]);
        }
        for reason in REASONS {
            self.failed.with_label_values(&[&*address, reason]);
        }
        Counters {
            accepted: self.accepted.with_label_values(&[&address]),
            refused: self.refused.clone(),
            failed: self.failed.clone(),
            at,
            address,
        }
    }

    pub(super) fn certificate(&self, address: SocketAddr) -> Certificate {
        let address = address.to_string();
        let reloads = |result| self.reloads.with_label_values(&[address.as_str(), result]);
        Certificate {
            expiry: self.expiry.with_label_values(&[&address]),
            taken: reloads("taken"),
            refused: reloads("refused"),
        }
    }
}

impl Counters {
    /// Which listener it is.
    pub(super) fn address(&self) -> SocketAddr {
        self.at
    }

    pub(super) fn refused(&self, why: Refused) {
        let labels = &[self.address.as_str(), why.word()];
        self.refused.with_label_values(labels).inc();
    }

    pub(super) fn failed(&self, reason: &str) {
        let labels = &[self.address.as_str(), reason];
        self.failed.with_label_values(labels).inc();
    }
}
