//! One conditional GET with limits on everything.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reqwest::{Url, redirect};

use crate::config::PollRequest;
use crate::core::health::Denial;

/// Redirects that a poll follows, all within the origin it asked.
const MAX_REDIRECTS: usize = 5;
/// What a poll asks for; a legacy API that only knows another type may still answer.
const ACCEPTED: HeaderValue = HeaderValue::from_static("application/json, */*;q=0.5");

/// The HTTP client that all pollers share: one connection pool, one TLS stack.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
}

/// The client could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the polling client (is the system's TLS store readable?)")]
pub struct ClientError(#[from] reqwest::Error);

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
    /// A client that ignores proxies of the environment and never leaves an origin.
    ///
    /// # Errors
    /// [`ClientError`] if TLS cannot be set up.
    pub fn new() -> Result<Self, ClientError> {
        let within_origin = redirect::Policy::custom(|attempt| {
            let asked = attempt.previous().first().map(Url::origin);
            if attempt.previous().len() <= MAX_REDIRECTS && asked == Some(attempt.url().origin()) {
                attempt.follow()
            } else {
                attempt.stop()
            }
        });
        let http = reqwest::Client::builder()
            .user_agent(concat!("pollcast/", env!("CARGO_PKG_VERSION")))
            .redirect(within_origin)
            .no_proxy()
            .build()?;
        Ok(Self { http })
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
        let asked = self.http.get(Url::clone(&request.url)).headers(headers);
        let mut response = match asked.send().await {
            Ok(response) => response,
            Err(error) => {
                let cause = root_cause(&error);
                return match error.is_connect() {
                    true => PollError::Connect(cause).into(),
                    false => PollError::Body(cause).into(),
                };
            }
        };
        let outcome = read(&mut response, conditional, max_bytes).await;
        Reply {
            head: std::mem::take(response.headers_mut()),
            outcome,
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

/// How [`root_cause`] begins where nobody who is trusted vouches for a certificate.
pub(crate) const UNTRUSTED: &str = "the certificate is not trusted";

/// What happened, in few words. The outer causes repeat the URL, which may hold a secret; the
/// innermost one says it, except that OpenSSL's is a list of its own source lines.
pub(crate) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    let mut untrusted = None;
    while let Some(inner) = cause.source() {
        cause = inner;
        // OpenSSL's words on a certificate stand in parentheses behind its list.
        let text = cause.to_string();
        let words = text
            .starts_with("error:")
            .then(|| text.strip_suffix(')')?.rsplit_once('('))
            .flatten();
        untrusted = words.map(|(_, why)| why.to_owned()).or(untrusted);
    }
    match (cause.downcast_ref::<reqwest::Error>(), untrusted) {
        (Some(_), _) => "request failed".to_owned(),
        (None, Some(why)) if cause.to_string().starts_with("error:") => {
            format!("{UNTRUSTED}: {why}")
        }
        (None, _) if cause.to_string().starts_with("error:") => {
            "TLS failed; is https spoken there?".to_owned()
        }
        (None, _) => cause.to_string(),
    }
}
