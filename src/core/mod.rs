//! The pure centre: what an answer means, what changed, which frames a client gets.
//!
//! Owns every decision that needs no outside world. Promises to be deterministic: time and
//! randomness are arguments. Must never import tokio, Pingora, a clock, a random generator or a
//! logger; `tests/architecture.rs` refuses such an import. (Hash tables are seeded by std; no result
//! depends on it.)
pub mod accept;
mod chain;
pub mod change;
pub mod cursor;
pub mod diff;
pub mod document;
mod entry;
pub mod event;
pub mod export;
pub mod health;
pub mod id;
pub mod json;
pub mod latest;
pub mod lineage;
pub mod log;
pub mod memory;
pub mod noise;
pub mod past;
pub mod quiet;
pub mod schedule;
pub mod sse;
pub mod tags;
#[cfg(test)]
mod tests;
pub mod trace;
pub mod trail;
