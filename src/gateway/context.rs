//! One request's way through the gateway.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::task::task_tracker::TaskTrackerToken;

use super::access::Outcome;
use super::routes::Destination;
use super::scope::Scope;
use crate::core::trace::Parent;
use crate::listen::Request;
use crate::peers::Server;
use crate::traces::Span;

/// What is kept of a request from its head to its end.
pub struct Context {
    /// What the configuration of its moment says.
    pub(super) scope: Arc<Scope>,
    /// Where it is passed through to, once that is known.
    pub(super) destination: Option<Destination>,
    /// The servers that were asked, the last of them in use.
    pub(super) asked: Vec<Server>,
    /// When its head was there.
    pub(super) began: Instant,
    /// The trace it belongs to.
    pub(super) trace: Option<Parent>,
    /// What traces are told of it.
    pub(super) span: Span,
    /// What became of it, if it is not passed through.
    pub(super) outcome: Outcome,
    /// Keeps the connection from being closed as one on which nothing is asked.
    pub(super) request: Option<Request>,
    /// Keeps the process from leaving before the request is done.
    _in_flight: TaskTrackerToken,
}

impl Context {
    /// A request whose head is there.
    pub(super) fn new(scope: Arc<Scope>, in_flight: TaskTrackerToken) -> Self {
        Self {
            scope,
            destination: None,
            asked: Vec::new(),
            began: Instant::now(),
            trace: None,
            span: Span::default(),
            outcome: Outcome::default(),
            request: None,
            _in_flight: in_flight,
        }
    }
}
