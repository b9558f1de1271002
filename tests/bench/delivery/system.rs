//! What is measured: servers that deliver events, each in processes of its own.

use std::net::SocketAddr;
use std::time::Duration;

use crate::crowd::{AT_ONCE, Subscription, Transport};
use crate::floor::Floor;
use crate::nchan::{self, Nchan};
use crate::pollcast::Pollcast;
use crate::pushpin::{self, Pushpin};

/// What a run is about.
#[derive(Clone, Debug)]
pub struct Job {
    pub subscribers: usize,
    /// How they are served.
    pub transport: Transport,
    /// Bytes of an event, about.
    pub size: usize,
    /// From one event to the next, where there is time between them.
    pub pace: Duration,
    /// How often pollcast polls, in ms.
    pub interval: u32,
    /// Bytes of the polled document that never change.
    pub ballast: usize,
}

/// A server under test, ended when dropped.
pub trait System {
    /// What a subscriber sends, and what it may expect first.
    fn subscription(&self) -> Subscription;

    /// Every process that serves.
    fn processes(&self) -> Vec<u32>;

    /// Sends the next event on its way.
    fn publish(&mut self, number: u32);

    /// When each event that was published since the last call had been handed in, in nanoseconds.
    fn published(&mut self) -> Vec<(u32, u64)>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Floor,
    Pollcast,
    Nchan,
    Pushpin,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Floor, Self::Pollcast, Self::Nchan, Self::Pushpin];

    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Pollcast => "pollcast",
            Self::Nchan => "nchan",
            Self::Pushpin => "Pushpin",
        }
    }

    /// Starts one.
    ///
    /// # Errors
    /// Why it cannot be measured here.
    pub fn start(self, job: &Job) -> Result<Box<dyn System>, String> {
        let missing = || "not installed (tests/setup bench-delivery)".to_owned();
        Ok(match self {
            Self::Floor => Box::new(Floor::start(job)),
            Self::Pollcast => Box::new(Pollcast::start(job)?),
            Self::Nchan => Box::new(Nchan::start(&nchan::installed().ok_or_else(missing)?, job)),
            Self::Pushpin => Box::new(Pushpin::start(
                &pushpin::installed().ok_or_else(missing)?,
                job,
            )),
        })
    }
}

/// A subscription to `/feed`, for a job.
pub fn subscription(to: SocketAddr, job: &Job, greeting: Option<u32>) -> Subscription {
    Subscription {
        to,
        path: "/feed".to_owned(),
        at_once: AT_ONCE,
        transport: job.transport,
        headers: String::new(),
        greeting,
        after: 0,
    }
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}
