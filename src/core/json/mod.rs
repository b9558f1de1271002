//! JSON as the upstream wrote it.
mod pointer;

pub use pointer::{Pattern, Pointer, PointerError};
