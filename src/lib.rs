//! pollcast: poll once, push to everyone.
pub mod admin;
pub mod backplane;
pub mod cli;
pub mod clock;
pub mod config;
pub mod core;
pub mod gateway;
pub mod hub;
pub mod metrics;
pub mod server;
pub mod upstream;
