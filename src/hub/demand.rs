//! Who listens to a topic, and in which mode: the announcement that pollers follow.

use std::sync::Arc;

use super::topic::Topic;
use crate::core::event::Mode;

/// The listeners of a topic, by mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    modes: [Listeners; Mode::ALL.len()],
}

/// Those who want changes in one form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listeners {
    /// How many listen now.
    pub listening: usize,
    /// How many ever came.
    pub arrived: u64,
}

impl Audience {
    /// Another one came.
    pub fn come(&mut self, mode: Mode) {
        let listeners = &mut self.modes[mode as usize];
        listeners.listening += 1;
        listeners.arrived += 1;
    }

    /// One of those who came left.
    pub fn leave(&mut self, mode: Mode) {
        self.modes[mode as usize].listening -= 1;
    }

    /// Those who listen in one mode.
    pub fn in_mode(&self, mode: Mode) -> Listeners {
        self.modes[mode as usize]
    }

    /// How many listen now, in whatever mode.
    pub fn listening(&self) -> usize {
        self.modes.iter().map(|mode| mode.listening).sum()
    }

    /// How many ever came, in whatever mode.
    pub fn arrived(&self) -> u64 {
        self.modes.iter().map(|mode| mode.arrived).sum()
    }
}

/// Keeps a topic polled, and its changes encoded in one mode, while it lives.
#[derive(Debug)]
pub struct Demand {
    topic: Arc<Topic>,
    mode: Mode,
}

impl Demand {
    pub(super) fn new(topic: Arc<Topic>, mode: Mode) -> Self {
        topic.announce(|audience| audience.come(mode));
        Self { topic, mode }
    }

    /// What is demanded.
    pub fn topic(&self) -> &Arc<Topic> {
        &self.topic
    }

    /// In which form.
    pub fn mode(&self) -> Mode {
        self.mode
    }
}

impl Drop for Demand {
    fn drop(&mut self) {
        self.topic.announce(|audience| audience.leave(self.mode));
    }
}
