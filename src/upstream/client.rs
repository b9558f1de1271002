//! One exchange with an upstream, with limits on everything.
//!
//! Owns the request on the wire: its redirects, its conditions, the size of its answer. Promises
//! that nothing is sent to another origin than the one that was asked, credentials least of all.

use bytes::{Bytes, BytesMut};
use http::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use url::Url;

use super::ask::Ask;
use super::error::PollError;
use super::poll::BeforeRequest;
use crate::core::trace::Parent;
use crate::peers::{Server, root_cause};

/// Redirects that a poll follows, all within the origin it asked.
const MAX_REDIRECTS: usize = 5;

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

/// What one request of a poll says, whichever page it asks for.
pub(super) struct Exchange<'a> {
    pub(super) server: &'a Server,
    pub(super) ask: &'a Ask,
    /// Laid over the ask's headers.
    pub(super) credentials: &'a HeaderMap,
    pub(super) known: &'a Validators,
    pub(super) before: &'a dyn BeforeRequest,
    /// The operation that it is a part of.
    pub(super) trace: Option<Parent>,
}

impl Exchange<'_> {
    /// Asks at `url`, which becomes where the answer came from, and reads at most `max_bytes` of it,
    /// decoded. `known` makes a GET conditional.
    pub(super) async fn run(&self, url: &mut Url, max_bytes: usize) -> Reply {
        let conditional = self.ask.method == Method::GET && self.known.are_some();
        let mut redirects = 0;
        loop {
            if let Err(error) = self.before.request().await {
                return error.into();
            }
            let mut response = match self.send(url.clone(), conditional).await {
                Ok(response) => response,
                Err(error) => return error.into(),
            };
            let outcome = match self.redirected(&response, url) {
                Some(Ok(_)) if redirects == MAX_REDIRECTS => {
                    Err(PollError::Redirect(response.status()))
                }
                Some(Ok(target)) => {
                    redirects += 1;
                    *url = target;
                    continue;
                }
                Some(Err(error)) => Err(error),
                None => read(&mut response, conditional, max_bytes).await,
            };
            return Reply {
                head: std::mem::take(response.headers_mut()),
                outcome,
            };
        }
    }

    async fn send(&self, url: Url, conditional: bool) -> Result<reqwest::Response, PollError> {
        let mut request = reqwest::Request::new(self.ask.method.clone(), url);
        *request.headers_mut() = self.headers(conditional);
        *request.body_mut() = self.ask.body.clone().map(Into::into);
        let attempt = Attempt(Some(self.server));
        let outcome = self.server.http().execute(request).await;
        attempt.end();
        let error = match outcome {
            Ok(response) => {
                self.server.succeeded();
                return Ok(response);
            }
            Err(error) => error,
        };
        let cause = root_cause(&error);
        if !error.is_connect() {
            return Err(PollError::Body(cause));
        }
        self.server.failed(&cause);
        Err(PollError::Connect(cause))
    }

    fn headers(&self, conditional: bool) -> HeaderMap {
        let mut headers = self.ask.headers.clone();
        for (name, value) in self.credentials {
            headers.insert(name, value.clone());
        }
        if let Some(trace) = self.trace
            && let Ok(value) = trace.to_string().try_into()
        {
            headers.insert("traceparent", value);
        }
        if conditional {
            self.known.condition(&mut headers);
        }
        headers
    }

    /// Where the answer points to instead (RFC 9110 section 15.4), if that is to be followed.
    fn redirected(
        &self,
        response: &reqwest::Response,
        from: &Url,
    ) -> Option<Result<Url, PollError>> {
        let status = response.status();
        let location = response.headers().get(LOCATION)?;
        let keeps_method = match status.as_u16() {
            301..=303 => self.ask.method == Method::GET,
            307 | 308 => true,
            300..400 => return Some(Err(PollError::Redirect(status))),
            _ => return None,
        };
        if !keeps_method {
            return Some(Err(PollError::MethodLost(status)));
        }
        let target = location.to_str().ok().and_then(|to| from.join(to).ok());
        Some(
            target
                .filter(|target| target.origin() == from.origin() && is_anonymous(target))
                .ok_or(PollError::Redirect(status)),
        )
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

/// Whether a URL brings no credentials of its own, which would take the place of ours.
pub(super) fn is_anonymous(url: &Url) -> bool {
    url.username().is_empty() && url.password().is_none()
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
        status => return Err(PollError::Status(status)),
    }
    let validators = Validators::of(response.headers());
    let body = read_body(response, max_bytes)
        .await?
        .ok_or(PollError::TooLarge(max_bytes))?;
    Ok(Answer::Body { body, validators })
}

/// The decoded body; `None` if it is longer than `max_bytes`.
pub(super) async fn read_body(
    response: &mut reqwest::Response,
    max_bytes: usize,
) -> Result<Option<Bytes>, PollError> {
    let mut body = BytesMut::new();
    while let Some(part) = response
        .chunk()
        .await
        .map_err(|error| PollError::Body(root_cause(&error)))?
    {
        if body.len() + part.len() > max_bytes {
            return Ok(None);
        }
        body.extend_from_slice(&part);
    }
    Ok(Some(body.freeze()))
}

impl Validators {
    fn of(headers: &HeaderMap) -> Self {
        Self {
            etag: headers.get(ETAG).cloned(),
            last_modified: headers.get(LAST_MODIFIED).cloned(),
        }
    }

    /// Whether a request with them is conditional.
    fn are_some(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some()
    }

    /// Puts them into a request.
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
