//! What pollcast promises, seen from outside: the real binary, real sockets, a scripted upstream.
//!
//! One module for each promise. Servers listen on loopback at free ports and end with their test.

mod support;

mod admin;
mod broken;
mod command_line;
mod delivery;
mod negotiation;
mod pass_through;
mod shutdown;
mod streaming;
mod tail;
mod web_socket;
