//! What pollcast promises, seen from outside: the real binary, real sockets, a scripted upstream.
//!
//! One module for each promise. Servers listen on loopback at free ports and end with their test.

mod support;

mod cold;
mod end;
mod poll_exchange;
mod polling;
mod resume;
mod slow_subscriber;
mod streaming;
mod upstream_failure;
