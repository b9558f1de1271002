//! What is measured on: successive bodies of one endpoint.

use bytes::Bytes;

/// Pairs of a recorded file that the quick look takes, and the figures that others published.
pub const FIRST: usize = 40;

/// Successive bodies, all of them JSON, at least two.
pub struct Case {
    pub name: String,
    /// The member that identifies the elements of its arrays.
    pub key: Option<String>,
    pub bodies: Vec<Bytes>,
    /// Whether a real endpoint answered so.
    pub recorded: bool,
}

impl Case {
    pub fn pairs(&self) -> usize {
        self.bodies.len() - 1
    }

    /// The same with no more than so many pairs.
    pub fn shortened(mut self, pairs: usize) -> Self {
        self.bodies.truncate(pairs + 1);
        self
    }

    /// The bytes of the new bodies of the first `pairs` pairs.
    pub fn bytes(&self, pairs: usize) -> usize {
        self.bodies[1..=pairs].iter().map(Bytes::len).sum()
    }
}
