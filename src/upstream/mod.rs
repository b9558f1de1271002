//! Asking upstreams: the polling client and the task that polls for one topic.
//!
//! Owns every request that pollcast makes of its own accord. Promises one poll at a time for each
//! topic, however many subscribers it has, and that a failed poll changes nothing but the health.
//! Must never talk to a subscriber: what it finds goes through the backplane into the topic's log.

mod client;
mod gate;
mod gate_metrics;
mod gates;
mod hints;
mod interest;
mod metrics;
mod poller;
mod supervise;

pub use client::{Client, ClientError};
pub(crate) use client::{UNTRUSTED, root_cause};
pub use gate::{Gate, GateReport};
pub use gates::Gates;
pub use metrics::{Metrics, PollMetrics};
pub use poller::Poller;
pub use supervise::supervise;
