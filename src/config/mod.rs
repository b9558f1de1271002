//! The configuration that the rest of pollcast runs on: always valid, every default filled in.
//!
//! Owns the road `file` (as written) -> `resolve` -> [`Config`]. Promises that a [`Config`] needs
//! no further checking, and that a file with mistakes yields all of them at once as [`Problem`]s.
//! Must never open a socket or start anything.
//!
//! | room | what it knows |
//! |---|---|
//! | `load` | the door: a file, a text or two arguments |
//! | `resolve`, `listen`, `limits`, `upstream`, `servers`, `health_check`, `trust`, `egress`, `addresses`, `credentials`, `oauth2`, `pace`, `feed`, `request`, `pages`, `parameters`, `poll`, `document`, `events`, `deliver`, `export`, `headers`, `logs`, `traces` | one section of the file each |
//! | `resolved` | what a feed is in the end |
//! | `keys` | every key there is |
//! | `sheet`, `section`, `scalar`, `value`, `expand` | reading a value at its place, noting what is wrong |
//! | `template` | paths with captures, and where these are put in |
//! | `filter` | compiling a filter where there is stack for it |
//! | `pem` | a certificate and its key |
//! | `secret` | a text that is never shown |
//! | `place`, `problem`, `endpoint` | where it stands, and how it is told |
//! | `ignore` | a line to be added to the file |
//! | `shown` | the whole of it for an operator's eyes, secrets hidden |
//! | `fingerprint`, `changes` | which document a feed has; what is different between two configurations |

mod addresses;
mod changes;
mod credentials;
mod deliver;
mod document;
mod egress;
mod endpoint;
mod events;
mod expand;
mod export;
mod feed;
mod filter;
mod fingerprint;
mod headers;
mod health_check;
mod ignore;
mod keys;
mod limits;
mod listen;
mod load;
mod logs;
mod memory;
mod oauth2;
mod pace;
mod pages;
mod parameters;
mod pem;
mod place;
mod poll;
mod problem;
mod request;
mod resolve;
mod resolved;
mod scalar;
mod secret;
mod section;
mod servers;
mod sheet;
mod shown;
mod template;
#[cfg(test)]
mod tests;
mod traces;
mod trust;
mod upstream;
mod value;

pub use addresses::{Addresses, Forbidden};
pub use changes::{Change, Changed, Changes, Entries};
pub use credentials::Credentials;
pub use egress::EgressProxy;
pub use endpoint::{Endpoint, below};
pub use expand::{Surroundings, System};
pub use filter::compile;
pub use fingerprint::Fingerprint;
pub use health_check::HealthCheck;
pub use ignore::ignore_line;
pub use logs::{Access, LogFormat, Logs};
pub use oauth2::{Authentication, OAuth2};
pub use pages::{Pages, Paging, Size};
pub use pem::{KeyPair, PemError, read_chain};
pub use problem::{LoadError, Problem, Problems, Warning};
pub use resolved::{
    Compression, Cors, Deliver, Document, Events, Feed, Heartbeat, Idle, Json, Parameters, Poll,
    PollRequest, Transform,
};
pub use secret::{Secret, basic, bearer, plain};
pub use servers::{Balance, ServerAddress, Servers};
pub use template::Template;
pub use traces::Traces;
pub use trust::UpstreamTls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use serde_json::value::RawValue;

use crate::core::schedule::PaceRules;
use shown::Veils;

/// Everything a running pollcast was told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The public side.
    pub server: Server,
    /// The private side.
    pub admin: Admin,
    /// What is logged.
    pub logs: Logs,
    /// Where spans are sent, if they are.
    pub traces: Option<Traces>,
    /// The named backends, in the file's order.
    pub upstreams: Vec<Arc<Upstream>>,
    /// The event streams, in the file's order; paths are distinct.
    pub feeds: Vec<Arc<Feed>>,
    /// Where everything else goes, longest path first; paths are distinct.
    pub routes: Vec<Arc<Route>>,
    /// All of it, for [`Config::shown`]: as text, since as trees ten thousand feeds take some 80 MB more.
    shown: Box<RawValue>,
    /// Where that is not what is meant.
    veils: Veils,
}

impl Config {
    /// The configuration in force as it may be shown: the file's own structure, every default
    /// filled in, secrets `***`, and references such as `${TOKEN}` as they were written.
    pub fn shown(&self) -> &RawValue {
        &self.shown
    }

    /// The same as a tree in which each value that is not shown as it is meant is marked.
    fn marked(&self) -> serde_json::Value {
        let mut tree = serde_json::from_str(self.shown.get())
            .expect("invariant: what is shown was written as JSON");
        self.veils.mark(&mut tree);
        tree
    }
}

/// The public listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where clients are accepted; at least one.
    pub listen: Vec<Listener>,
    /// Worker threads; at least one.
    pub threads: usize,
    /// Time to end streams and finish pass-through after SIGTERM or SIGINT.
    pub drain: Duration,
    /// How long a new connection may take to send its first whole request head.
    pub header_timeout: Duration,
    /// How many may be served at once, and come in a second.
    pub limits: Limits,
    /// Whose word is taken for where a request comes from, in `X-Forwarded-For`. No network of
    /// version 6 covers mapped addresses of version 4: those are written as version 4.
    pub trusted_proxies: Vec<IpNet>,
    /// The path of the client module, if it is served.
    pub client: Option<String>,
}

/// One public listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where it accepts.
    pub address: SocketAddr,
    /// Its certificate and key; plain TCP without.
    pub tls: Option<Tls>,
    /// Whether HTTP/2 is spoken beside HTTP/1.1: with TLS if ALPN chooses it (RFC 7301), else by
    /// prior knowledge (RFC 9113 section 3.3).
    pub http2: bool,
    /// Whether each connection begins with a PROXY protocol header.
    pub proxy_protocol: bool,
}

impl Listener {
    /// A listener for HTTP/1.1 on plain TCP.
    pub fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            tls: None,
            http2: false,
            proxy_protocol: false,
        }
    }
}

/// The files of a TLS listener, which may change while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM: the certificate, then those that vouch for it.
    pub certificate: PathBuf,
    /// PEM: the private key, without a passphrase.
    pub key: PathBuf,
}

/// How many may be served at once, and come in a second; any number where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Subscribers of all feeds together; at least one.
    pub subscribers: Option<usize>,
    /// Subscribers of one client address, of all feeds together; at least one.
    pub subscribers_per_client: Option<usize>,
    /// New connections accepted in a second, all listeners together; the others wait in the
    /// system's backlog.
    pub accepts_per_second: Option<u32>,
    /// Topics on demand, of all feeds together; at least one.
    pub topics: usize,
    /// What topics may hold, all together.
    pub memory: Memory,
}

/// An amount of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// At least 1 MiB.
    pub bytes: usize,
    /// Whether it was taken from what the machine has.
    pub is_auto: bool,
}

impl Default for Limits {
    /// What holds where nothing is said.
    fn default() -> Self {
        Self {
            subscribers: None,
            subscribers_per_client: None,
            accepts_per_second: None,
            topics: 10_000,
            memory: Memory {
                bytes: usize::MAX,
                is_auto: true,
            },
        }
    }
}

/// The private listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Address of metrics and health.
    pub listen: SocketAddr,
}

/// A named backend.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its name in the file.
    pub name: String,
    /// Where its first server is, as requests call it.
    /// `http` or `https`, with a host; no user, query or fragment. The path is a prefix of every
    /// request to it and never ends in `/` (so `http://host` has the path `/` in [`url::Url`] terms and
    /// the prefix [`Upstream::prefix`] `""`).
    pub url: Endpoint,
    /// Who answers for it.
    pub servers: Servers,
    /// Sent with polls only, never with pass-through. Values are marked sensitive.
    pub headers: HeaderMap,
    /// Put on polls, and on nothing else.
    pub credentials: Option<Credentials>,
    /// What it bears of our polls.
    pub pace: PaceRules,
}

impl Upstream {
    /// The base path that precedes every path sent to this upstream: empty or `/x/y`.
    pub fn prefix(&self) -> &str {
        self.url.path().trim_end_matches('/')
    }
}

/// Where requests below a path go that are no subscriptions.
#[derive(Clone, Debug)]
pub struct Route {
    /// Path prefix, matched at `/` boundaries.
    pub path: String,
    /// Where they go.
    pub upstream: Arc<Upstream>,
    /// Set on the request on its way up.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Send the client's `Host` instead of the upstream's.
    pub preserve_host: bool,
}
