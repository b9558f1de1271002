//! What is shown of pollcast itself: the rooms that it is read from.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::watch;

use super::live::Subject;
use super::{InForce, json, status, topic};
use crate::clock::Clock;
use crate::core::event::Timestamp;
use crate::hub::Hub;
use crate::upstream::{self, Gates};

/// Where everything is looked up.
pub(super) struct View {
    pub(super) hub: Arc<Hub>,
    pub(super) gates: Arc<Gates>,
    pub(super) polls: upstream::Metrics,
    pub(super) clock: Clock,
    pub(super) started: Timestamp,
    pub(super) in_force: ArcSwap<InForce>,
    pub(super) file: Option<PathBuf>,
    pub(super) draining: watch::Receiver<bool>,
}

/// The configuration in force.
#[derive(Serialize)]
struct Configuration<'a> {
    config: &'a RawValue,
    file: Option<String>,
}

impl View {
    /// What can be watched, as it is now; none if there is no such thing, or no more.
    pub(super) fn text(&self, subject: Subject) -> Option<String> {
        match subject {
            Subject::Status => Some(status::text(self)),
            Subject::Topic(id) => {
                let topic = self.hub.find(id)?;
                Some(topic::text(&topic, self.clock.now()))
            }
        }
    }

    /// The configuration in force, without what is secret in it.
    pub(super) fn configuration(&self) -> String {
        json(&Configuration {
            config: &self.in_force.load().config,
            file: self.file.as_ref().map(|file| file.display().to_string()),
        })
    }

    /// Whether newcomers are served.
    pub(super) fn is_ready(&self) -> bool {
        !*self.draining.borrow()
    }
}
