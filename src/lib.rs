//! pollcast: poll once, push to everyone.
pub mod cli;
pub mod config;
pub mod core;
