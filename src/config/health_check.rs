//! Health checks of servers as they are written.

use std::time::Duration;

use super::section::Section;

/// How a server's health is found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked for, below the server's own path; without, a connection is enough.
    pub path: Option<String>,
    /// From the start of one check to the start of the next.
    pub interval: Duration,
    /// For one check.
    pub timeout: Duration,
    /// So many checks in a row make an unhealthy server healthy.
    pub healthy_after: usize,
    /// So many failed checks in a row make a healthy server unhealthy.
    pub unhealthy_after: usize,
    /// The wanted status.
    pub status: u16,
}

/// Reads the section `health_check`.
pub(super) fn health_check(section: &Section<'_>) -> HealthCheck {
    let duration = |key, otherwise| {
        let node = section.find(key);
        node.and_then(|node| node.duration(Duration::from_millis(10)))
            .unwrap_or(otherwise)
    };
    let number = |key, range, otherwise: u64| {
        let node = section.find(key);
        node.and_then(|node| node.integer(range))
            .unwrap_or(otherwise)
    };
    let path = section.find("path");
    if let (None, Some(status)) = (&path, section.find("status")) {
        status.problem(
            "without `path` nothing is asked for that could have a status",
            "write `path`, or remove it",
        );
    }
    HealthCheck {
        path: path.and_then(|node| node.path()).map(|(path, _)| path),
        interval: duration("interval", Duration::from_secs(5)),
        timeout: duration("timeout", Duration::from_secs(2)),
        healthy_after: number("healthy_after", 1..=100, 1) as usize,
        unhealthy_after: number("unhealthy_after", 1..=100, 3) as usize,
        status: u16::try_from(number("status", 100..=599, 200)).unwrap_or(200),
    }
}
