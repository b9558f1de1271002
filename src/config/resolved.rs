//! What a feed is, resolved: how it is asked, what counts, how it is told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method};

use super::{Fingerprint, Pages, Template, Upstream};
use crate::core::document::View;
use crate::core::event::{EventName, Mode, Names};
use crate::core::export::Rule;
use crate::core::json::Path;
use crate::core::log::Bounds;
use crate::core::schedule::{Cadence, Plan, Respect};
use crate::formats::Format;

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
    /// Which numbers of the document become metrics; none with parameters.
    pub export: Vec<Rule>,
    /// Who answers those who do not ask for events.
    pub json: Json,
    /// What makes its document.
    pub fingerprint: Fingerprint,
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

    /// Whether nothing of its documents may be shown to anybody else: they are for those with certain
    /// credentials, or for those who know what body to send.
    pub fn is_confidential(&self) -> bool {
        self.is_private() || self.takes_body()
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
