//! The configuration that the rest of pollcast runs on: always valid, every default filled in.
//!
//! Owns the road `file` (as written) -> `resolve` -> [`Config`]. Promises that a [`Config`] needs
//! no further checking, and that a file with mistakes yields all of them at once as [`Problem`]s.
//! Must never open a socket or start anything.
//!
//! | room | what it knows |
//! |---|---|
//! | `load` | the door: a file, a text or two arguments |
//! | `resolve`, `listen`, `limits`, `upstream`, `servers`, `health_check`, `trust`, `egress`, `addresses`, `credentials`, `oauth2`, `pace`, `feed`, `request`, `pages`, `parameters`, `poll`, `document`, `events`, `deliver`, `headers` | one section of the file each |
//! | `keys` | every key there is |
//! | `sheet`, `section`, `scalar`, `value`, `expand` | reading a value at its place, noting what is wrong |
//! | `template` | paths with captures, and where these are put in |
//! | `pem` | a certificate and its key |
//! | `secret` | a text that is never shown |
//! | `place`, `problem`, `endpoint` | where it stands, and how it is told |
//! | `ignore` | a line to be added to the file |

mod addresses;
mod credentials;
mod deliver;
mod document;
mod egress;
mod endpoint;
mod events;
mod expand;
mod feed;
mod headers;
mod health_check;
mod ignore;
mod keys;
mod limits;
mod listen;
mod load;
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
mod scalar;
mod secret;
mod section;
mod servers;
mod sheet;
mod template;
#[cfg(test)]
mod tests;
mod trust;
mod upstream;
mod value;

pub use addresses::{Addresses, Forbidden};
pub use credentials::Credentials;
pub use egress::EgressProxy;
pub use endpoint::{Endpoint, below};
pub use expand::{Surroundings, System};
pub use health_check::HealthCheck;
pub use ignore::ignore_line;
pub use oauth2::{Authentication, OAuth2};
pub use pages::{Pages, Paging, Size};
pub use pem::{KeyPair, PemError, read_chain};
pub use problem::{LoadError, Problem, Problems, Warning};
pub use secret::{Secret, basic, bearer, plain};
pub use servers::{Balance, ServerAddress, Servers};
pub use template::Template;
pub use trust::UpstreamTls;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use ipnet::IpNet;

use crate::core::document::View;
use crate::core::event::{EventName, Mode, Names};
use crate::core::json::Path;
use crate::core::log::Bounds;
use crate::core::schedule::{Cadence, PaceRules, Plan, Respect};
use crate::formats::Format;

/// Everything a running pollcast was told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The public side.
    pub server: Server,
    /// The private side.
    pub admin: Admin,
    /// The named backends, in the file's order.
    pub upstreams: Vec<Arc<Upstream>>,
    /// The event streams, in the file's order; paths are distinct.
    pub feeds: Vec<Arc<Feed>>,
    /// Where everything else goes, longest path first; paths are distinct.
    pub routes: Vec<Arc<Route>>,
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
}

impl Default for Limits {
    /// What holds where nothing is said.
    fn default() -> Self {
        Self {
            subscribers: None,
            subscribers_per_client: None,
            accepts_per_second: None,
            topics: 10_000,
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

/// One configured event stream.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Public path, exact but for its captures, each a whole segment `{name}`.
    pub path: String,
    /// What is polled.
    pub upstream: Arc<Upstream>,
    /// How it is asked.
    pub request: PollRequest,
    /// What of a client's request makes a topic of its own; `None` if all clients share one.
    pub parameters: Option<Parameters>,
    /// How often it is asked.
    pub poll: Poll,
    /// What of the answer counts.
    pub document: Document,
    /// How changes are named and kept.
    pub events: Events,
    /// How they are sent.
    pub deliver: Deliver,
    /// Who answers those who do not ask for events.
    pub json: Json,
}

impl Feed {
    /// Whether each of its documents is meant for those with certain credentials.
    pub fn is_private(&self) -> bool {
        let parameters = self.parameters.as_ref();
        parameters.is_some_and(|parameters| !parameters.credentials.is_empty())
    }

    /// Whether it is polled with the bodies of its clients.
    pub fn takes_body(&self) -> bool {
        let parameters = self.parameters.as_ref();
        parameters.is_some_and(|parameters| parameters.client_body.is_some())
    }
}

/// Who answers plain GETs to a feed's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Json {
    /// The upstream: they pass through.
    Pass,
    /// pollcast, with the newest document.
    Latest,
}

/// One poll's request, below its upstream's URL.
#[derive(Clone)]
pub struct PollRequest {
    /// GET or POST.
    pub method: Method,
    /// Percent-encoded, begins with `/`, below the upstream's.
    pub path: Template,
    /// Names and values, not encoded, in the order in which they are sent.
    pub query: Vec<(String, Template)>,
    /// The upstream's headers overlaid with the feed's. Values are marked sensitive.
    pub headers: HeaderMap,
    /// With POST only.
    pub body: Option<Bytes>,
    /// If the document comes in pages.
    pub pages: Option<Arc<Pages>>,
    /// Where it goes, as it may be shown.
    pub shown: String,
}

/// What of a client's request makes a topic of its own.
#[derive(Clone, Debug)]
pub struct Parameters {
    /// The feed's own path.
    pub path: Template,
    /// The names of the captures in it, in order; distinct.
    pub captures: Vec<String>,
    /// Query parameters that go upstream, after the configured ones; distinct.
    pub forward_query: Vec<String>,
    /// The longest JSON body that a client may POST to have polls sent with it, in bytes; none may
    /// if `None`.
    pub client_body: Option<usize>,
    /// Headers that polls take from the clients they are made for, and from them alone; distinct.
    pub credentials: Vec<HeaderName>,
    /// How many topics there may be at once; at least one.
    pub topics: usize,
}

/// The schedule of one feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// From the start of one poll to the start of the next, at least 10 ms; where adaptive polls
    /// begin; the freshness that is wanted.
    pub interval: Duration,
    /// How it varies.
    pub cadence: Cadence,
    /// Whether polls are moved to just after changes that come on a steady beat.
    pub align: bool,
    /// Which wishes of the upstream count.
    pub respect: Respect,
    /// At least so often a poll is sent without validators.
    pub revalidate: Duration,
    /// For a whole poll: connection, redirects, and the answer to its last byte.
    pub timeout: Duration,
    /// Whether to poll while nobody listens.
    pub idle: Idle,
    /// How long polling goes on after the last subscriber left, with [`Idle::Pause`].
    pub linger: Duration,
}

impl Poll {
    /// What a topic's schedule follows.
    pub fn plan(&self) -> Plan {
        Plan {
            interval: self.interval,
            cadence: self.cadence,
            align: self.align,
            respect: self.respect,
            revalidate: self.revalidate,
        }
    }
}

/// What to do while nobody listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Stop polling after `linger`.
    Pause,
    /// Poll on.
    Keep,
}

/// What of an answer counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What answers are written in.
    pub format: Format,
    /// What is made of an answer before anything is selected.
    pub transform: Option<Transform>,
    /// What is cut out of it before `view` looks at it.
    pub path: Option<Path>,
    /// Which part of it, and how its arrays are matched.
    pub view: View,
    /// The longest answer, after decoding, and the longest JSON text made of it, in bytes.
    pub max_bytes: usize,
}

/// What a `jq` filter makes of an answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Transform {
    /// The filter's text, which compiles.
    pub filter: String,
    /// How long one run may take; at least 10 ms.
    pub timeout: Duration,
    /// The longest result, in bytes.
    pub max_bytes: usize,
}

/// Without the filter, which may hold what came from outside the file.
impl fmt::Debug for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transform")
            .field("timeout", &self.timeout)
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}

/// How changes are named and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// For clients that do not choose; one of `modes`.
    pub mode: Mode,
    /// What clients may choose.
    pub modes: Vec<Mode>,
    /// Names on the wire.
    pub names: Names,
    /// What is kept for resume.
    pub history: Bounds,
}

/// How events are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deliver {
    /// The reconnection time told to clients, before jitter.
    pub retry: Duration,
    /// The sign of life on a quiet stream.
    pub heartbeat: Heartbeat,
    /// How long one small write may take; plus one second per 16 KiB.
    pub write_timeout: Duration,
    /// How long a stream may last before its client is asked to come back, before jitter; for ever
    /// if none.
    pub max_lifetime: Option<Duration>,
    /// How many may subscribe at once; any number if none.
    pub max_subscribers: Option<usize>,
    /// How long 401, 403 or 404 must last before a running stream ends.
    pub end_after: Duration,
    /// How a stream is compressed for clients that take it so.
    pub compression: Compression,
    /// Which other origins may read the stream.
    pub cors: Cors,
}

/// How streams are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Off,
    /// With gzip, each event once for all its subscribers.
    Gzip,
}

/// The sign of life on a quiet stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Silence after which it is sent.
    pub every: Duration,
    /// A visible event of this name; a comment if none.
    pub event: Option<EventName>,
}

/// Cross-origin readers of a feed (WHATWG Fetch, section 3.3).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Cors {
    /// Exact serialised origins, such as `https://app.example`; none turns CORS off.
    pub origins: Vec<String>,
    /// Whether cookies and HTTP authentication may come along.
    pub credentials: bool,
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
