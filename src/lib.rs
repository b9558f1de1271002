//! pollcast: poll once, push to everyone.
pub mod config;
pub mod core;
