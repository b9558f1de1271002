//! pollcast: poll once, push to everyone.
//!
//! A reverse proxy on Pingora. It polls JSON endpoints that only know how to be asked, works out
//! what changed, and pushes the change to any number of clients as Server-Sent Events. Everything
//! else passes through.
//!
//! # The road of one change
//!
//! | step | what happens | where |
//! |---|---|---|
//! | 1 | the schedule says *now* | [`core::schedule`], asked by `upstream::poller` |
//! | 2 | its upstream's gate lets it pass, and the client fetches from a server whose turn it is, conditionally, perhaps page by page | `upstream::gate`, `upstream::poll`, `upstream::client`, `upstream::pages`, [`peers`] |
//! | 3 | the answer becomes JSON, is transformed, read, selected, compared and diffed | `upstream::reading`, [`formats`], [`core::document`], [`core::json`], [`core::diff`] |
//! | 4 | the change is given its id | [`backplane`] |
//! | 5 | it enters the topic's log, and the topic wakes each shard of the writer once | [`hub::Topic`], [`core::log`] |
//! | 6 | a cursor says which frame is next, the same for all who stand there | [`core::cursor`], `gateway::writer::crowd` |
//! | 7 | the frame is encoded in their mode and compressed, once, on first need | `core::entry`, `core::chain`, [`core::sse`] |
//! | 8 | the shard writes the shared bytes to one socket after the other | `gateway::writer::shard`, `gateway::writer::client` |
//!
//! The other way, [`listen`] accepts a connection, and a request on it becomes a subscriber in
//! [`gateway`]: `answers` leads to what is not passed through, `negotiate` decides whether it is a
//! subscription, `subscribe` answers it, `detach` takes the connection out of Pingora, `latest`
//! answers plain requests from memory where the feed says so, `forward` passes everything else
//! through. `identity` says who a request is, `access` writes down what became of it, and
//! [`traces`] tells whoever puts traces together. A poll that fails goes to [`core::health`]
//! instead of the log. [`core::export`] reads numbers out of the same answer, which
//! `upstream::export` has ready for whoever scrapes.
//!
//! # Words
//!
//! An *upstream* is a named backend, behind which stands one *server* or a group of them. A *feed*
//! is one configured entry; its live document is a *topic*, for which one *poller* polls; a feed
//! with *parameters* has a topic for each of their values that clients ask for. A *document* is what
//! a poll returned, a *snapshot* the whole of it as an event, a *patch* the difference between two.
//! What is made of one configuration is a *generation*; its feeds stand in *slots*, which the next
//! generation takes over where nothing that concerns them changed. A *mode* is the form in which a subscriber wants changes; a change is encoded in the modes of
//! those who listen, and of those who left a moment ago. An *event id* is an *epoch*, one life of a
//! topic, and a *sequence*. A *subscriber* is one response; it owns a *cursor* into the topic's log,
//! never a queue. A topic's *trail* is what became of its latest polls and changes. An exported
//! number is a *sample*, which a *rule* of the feed makes a *series* of a metric.
//!
//! # Layers
//!
//! Arrows point one way: [`core`] <- [`formats`] <- [`config`], [`metrics`], [`clock`] <- [`hub`] <-
//! [`backplane`] <- [`upstream`]; [`config`], [`metrics`] <- [`listen`]; [`config`],
//! [`metrics`] <- [`peers`] <- [`upstream`], [`gateway`], [`admin`], [`auth`]; [`auth`] <- [`gateway`], [`admin`]; [`hub`], [`listen`] <-
//! [`gateway`], [`admin`]; [`upstream`] <- [`admin`]; [`peers`]
//! <- [`traces`] <- [`upstream`], [`gateway`]; [`systemd`] and [`upgrade`] know nobody and are
//! known to [`server`] alone; everything <- [`server`] <- [`cli`]. The hub
//! announces demand and pollers listen to it, so nothing below calls up. `tests/architecture.rs`
//! holds this.

#![warn(clippy::unwrap_used)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod admin;
pub mod auth;
pub mod backplane;
pub mod cli;
pub mod clock;
pub mod config;
pub mod core;
pub mod formats;
pub mod gateway;
pub mod hub;
pub mod listen;
pub mod metrics;
pub mod peers;
pub mod server;
pub mod systemd;
pub mod traces;
pub mod upgrade;
pub mod upstream;
