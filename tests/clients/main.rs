//! Clients, servers and a browser that are not ours, against the real binary.
//!
//! `tests/setup all` installs them; without them these tests fail and say so.

#[path = "../promises/support/mod.rs"]
#[allow(dead_code)] // each of the two test programs uses its own part
mod support;

#[path = "../evolving/mod.rs"]
mod evolving;

mod foreign;
mod history;

mod client;
mod compressed;
mod dashboards;
mod demo_page;
mod deployment;
mod fetch_event_source;
mod graphql;
mod hour;
mod http2;
mod json_server;
mod json_server_pages;
mod made_up_patches;
mod nginx;
mod prometheus;
mod readme;
mod recorded_polls;
mod status_page;
