//! What pollcast promises, seen from outside: the real binary, real sockets, a scripted upstream.
//!
//! One module for each promise. Servers listen on loopback at free ports and end with their test.

mod support;

mod admin;
mod broken;
mod certificates;
mod cold;
mod command_line;
mod compression;
mod delivery;
mod end;
mod evolution;
mod hostile_clients;
mod http2;
mod limits;
mod listeners;
mod modes;
mod negotiation;
mod noise;
mod pass_through;
mod poll_exchange;
mod polling;
mod resume;
mod schedule;
mod shutdown;
mod slow_subscriber;
mod streaming;
mod tail;
mod tls;
mod upstream_failure;
mod upstream_limits;
mod web_socket;
