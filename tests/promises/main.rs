//! What pollcast promises, seen from outside: the real binary, real sockets, a scripted upstream.
//!
//! One module for each promise. Servers listen on loopback at free ports and end with their test.

mod support;

mod admin;
mod broken;
mod captures;
mod cardinality;
mod certificates;
mod cold;
mod command_line;
mod compression;
mod credentials;
mod delivery;
mod end;
mod evolution;
mod formats;
mod hostile_clients;
mod http2;
mod latest;
mod limits;
mod listeners;
mod metrics;
mod modes;
mod negotiation;
mod noise;
mod pages;
mod pass_through;
mod per_credential;
mod poke;
mod poll_exchange;
mod polling;
mod requests;
mod resume;
mod schedule;
mod select;
mod shutdown;
mod slow_subscriber;
mod status;
mod streaming;
mod tail;
mod tls;
mod topics;
mod transform;
mod upstream_addresses;
mod upstream_egress;
mod upstream_failure;
mod upstream_groups;
mod upstream_limits;
mod upstream_tls;
mod watching;
mod web_socket;
