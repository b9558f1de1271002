//! One conditional GET with limits on everything.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::config::PollRequest;
use crate::core::health::Denial;
use crate::peers::{Group, Server, root_cause};

/// What a poll asks for; a legacy API that only knows another type may still answer.
const ACCEPTED: HeaderValue = HeaderValue::from_static("application/json, */*;q=0.5");

/// What one topic's poller asks with: the servers of its upstream.
#[derive(Clone)]
pub struct Client {
    group: Arc<Group>,
    /// Who polls, for a balance that is consistent.
    topic: String,
}

/// What makes a later poll conditional (RFC 9110 section 13.1).
#[derive(Clone, Debug, Default)]
pub struct Validators {
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

/// What came of a poll.
#[derive(Debug)]
pub struct Reply {
    /// The header section of the last response; empty if there was none.
    #[allow(dead_code)]
    pub head: HeaderMap,
    /// The answer, or why there is none.
    pub outcome: Result<Answer, PollError>,
}

impl From<PollError> for Reply {
    /// Nothing was answered.
    fn from(error: PollError) -> Self {
        Self {
            head: HeaderMap::new(),
            outcome: Err(error),
        }
    }
}

/// A poll that the upstream answered.
#[derive(Debug)]
pub enum Answer {
    /// 304: what was accepted last is still so.
    NotModified,
    /// A whole body, decoded.
    Body {
        /// The bytes after content decoding.
        body: Bytes,
        /// To be kept if the body is accepted.
        validators: Validators,
    },
}

/// A poll that brought no body.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// A status that brings no document: not 2xx, or a part only, or a 304 that nobody asked for.
    #[error("the upstream answered {0}")]
    Status(StatusCode),
    /// A redirect that leaves the upstream's origin, or goes in circles.
    #[error("the upstream redirects elsewhere ({0})")]
    Redirect(StatusCode),
    /// No complete answer in time.
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
    /// No connection: refused, unresolvable, untrusted.
    #[error("no connection: {0}")]
    Connect(String),
    /// The answer is longer than `document.max_bytes` after decoding.
    #[error("the answer is longer than {0} bytes (document.max_bytes)")]
    TooLarge(usize),
    /// The connection broke, or the body contradicts its framing or its encoding.
    #[error("the answer broke off or cannot be decoded: {0}")]
    Body(String),
}

impl PollError {
    /// The refusal it is, if it is one.
    pub fn denial(&self) -> Option<Denial> {
        match self {
            PollError::Status(status) => Denial::from_status(status.as_u16()),
            _ => None,
        }
    }

    /// The outcome in metrics; a bounded set.
    pub fn outcome(&self) -> &'static str {
        match self {
            PollError::Status(status) if status.is_server_error() => "status_5xx",
            PollError::Status(status) if status.is_client_error() => "status_4xx",
            PollError::Status(_) => "status_other",
            PollError::Redirect(_) => "redirect",
            PollError::Timeout(_) => "timeout",
            PollError::Connect(_) => "connect",
            PollError::TooLarge(_) => "too_large",
            PollError::Body(_) => "body",
        }
    }
}

impl Client {
    /// A client that polls the servers of this upstream for this topic.
    pub fn new(group: Arc<Group>, topic: &str) -> Self {
        let topic = topic.to_owned();
        Self { group, topic }
    }

    /// Polls once. `timeout` covers everything from the connection to the last byte; `max_bytes`
    /// bounds the decoded body. The reply's outcome is a [`PollError`] for whatever is not a whole
    /// body or an expected 304.
    pub(super) async fn poll(
        &self,
        request: &PollRequest,
        known: &Validators,
        timeout: Duration,
        max_bytes: usize,
    ) -> Reply {
        tokio::time::timeout(timeout, self.exchange(request, known, max_bytes))
            .await
            .unwrap_or_else(|_| PollError::Timeout(timeout).into())
    }

    async fn exchange(&self, request: &PollRequest, known: &Validators, max_bytes: usize) -> Reply {
        let mut headers = HeaderMap::from_iter([(ACCEPT, ACCEPTED)]);
        for (name, value) in &request.headers {
            headers.insert(name, value.clone());
        }
        known.condition(&mut headers);
        let conditional =
            headers.contains_key(IF_NONE_MATCH) || headers.contains_key(IF_MODIFIED_SINCE);
        let mut response = match self.send(request, headers).await {
            Ok(response) => response,
            Err(error) => return error.into(),
        };
        let outcome = read(&mut response, conditional, max_bytes).await;
        Reply {
            head: std::mem::take(response.headers_mut()),
            outcome,
        }
    }
}

impl Client {
    /// Asks a server, and another one if there is no connection to the first.
    async fn send(
        &self,
        request: &PollRequest,
        headers: HeaderMap,
    ) -> Result<reqwest::Response, PollError> {
        let key = self.topic.as_bytes();
        let picked = self.group.pick(key).await;
        let mut server = picked.map_err(|error| PollError::Connect(error.to_string()))?;
        let mut another = true;
        loop {
            let attempt = Attempt(Some(&server));
            let asked = server.http().get(server.url(&request.url));
            let outcome = asked.headers(headers.clone()).send().await;
            attempt.end();
            let error = match outcome {
                Ok(response) => {
                    server.succeeded();
                    return Ok(response);
                }
                Err(error) => error,
            };
            let cause = root_cause(&error);
            if !error.is_connect() {
                return Err(PollError::Body(cause));
            }
            server.failed(&cause);
            match self.group.other(key, std::slice::from_ref(&server)) {
                Some(other) if another => server = other,
                _ => return Err(PollError::Connect(cause)),
            }
            another = false;
        }
    }
}

/// A request under way. Dropped before it is over, because the poll's time is, it tells that the
/// server did not even begin to answer.
struct Attempt<'a>(Option<&'a Server>);

impl Attempt<'_> {
    fn end(mut self) {
        self.0 = None;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(server) = self.0 {
            server.failed("no answer in time");
        }
    }
}

/// Reads a response to its end.
async fn read(
    response: &mut reqwest::Response,
    conditional: bool,
    max_bytes: usize,
) -> Result<Answer, PollError> {
    match response.status() {
        StatusCode::NOT_MODIFIED if conditional => return Ok(Answer::NotModified),
        StatusCode::PARTIAL_CONTENT => return Err(PollError::Status(response.status())),
        status if status.is_success() => {}
        status if is_redirect(response) => return Err(PollError::Redirect(status)),
        status => return Err(PollError::Status(status)),
    }
    let validators = Validators::of(response.headers());
    let mut body = BytesMut::new();
    while let Some(part) = response
        .chunk()
        .await
        .map_err(|error| PollError::Body(root_cause(&error)))?
    {
        if body.len() + part.len() > max_bytes {
            return Err(PollError::TooLarge(max_bytes));
        }
        body.extend_from_slice(&part);
    }
    Ok(Answer::Body {
        body: body.freeze(),
        validators,
    })
}

impl Validators {
    fn of(headers: &HeaderMap) -> Self {
        Self {
            etag: headers.get(ETAG).cloned(),
            last_modified: headers.get(LAST_MODIFIED).cloned(),
        }
    }

    fn condition(&self, headers: &mut HeaderMap) {
        let mut add = |name: HeaderName, value: &Option<HeaderValue>| {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        };
        add(IF_NONE_MATCH, &self.etag);
        add(IF_MODIFIED_SINCE, &self.last_modified);
    }
}

/// Whether the answer points elsewhere (RFC 9110 section 15.4).
fn is_redirect(response: &reqwest::Response) -> bool {
    response.status().is_redirection() && response.headers().contains_key(LOCATION)
}
