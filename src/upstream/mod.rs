//! Asking upstreams: the polling client, the task that polls for one topic, and the workers that
//! run its filter.
//!
//! Owns every request that pollcast makes of its own accord. Promises one poll at a time for each
//! topic, however many subscribers it has, and that a failed poll changes nothing but the health.
//! Must never talk to a subscriber: what it finds goes through the backplane into the topic's log.

mod ask;
mod client;
mod credentials;
mod error;
mod export;
mod gate;
mod gate_metrics;
mod gates;
mod hints;
mod inquiry;
mod interest;
mod metrics;
mod pages;
mod poll;
mod poller;
mod reading;
mod requests;
mod supervise;
pub mod transform;

pub use credentials::ClientError;
pub use gate::{Gate, GateReport};
pub use gates::Gates;
pub use metrics::{Metrics, PollMetrics};
pub use poll::Client;
pub use poller::Poller;
pub use supervise::{supervise, supervise_all};
pub use transform::Workers;
