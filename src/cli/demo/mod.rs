//! `pollcast demo`: a bundled legacy API, the proxy in front of it, and a page that watches.
mod desk;

pub use desk::Desk;
