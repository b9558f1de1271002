//! Spans: what pollcast took part in, for whoever puts traces together.
//!
//! Owns the seam to OpenTelemetry. Promises that a span which nobody wants costs nothing, that no
//! request waits for one to be sent, and that what cannot be sent is dropped. Built without the
//! feature `otlp`, a span is nothing at all. Must never hold what a client sent, but for a method and
//! a path.

#[cfg(not(feature = "otlp"))]
mod off;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "otlp")]
mod sender;

#[cfg(not(feature = "otlp"))]
pub use off::{Span, Tracer};
#[cfg(feature = "otlp")]
pub use otlp::{Span, Tracer};

/// Whose side of a request a span tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It was asked.
    Server,
    /// It asks.
    Client,
}

/// Why no span can be sent, though the configuration wants it.
#[derive(Debug, thiserror::Error)]
#[error("cannot send traces to {endpoint}: {cause}")]
pub struct TracesError {
    endpoint: String,
    cause: String,
}
