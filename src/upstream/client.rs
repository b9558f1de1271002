//! One exchange with an upstream, with limits on everything.
//!
//! Owns the request on the wire: its redirects, its conditions, the size of its answer. Promises
//! that nothing is sent to another origin than the one that was asked, credentials least of all.

use bytes::{Bytes, BytesMut};
use http::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqwest::redirect;
use url::Url;

use super::ask::Ask;
use super::error::PollError;
use super::poll::BeforeRequest;

/// Redirects that a poll follows, all within the origin it asked.
const MAX_REDIRECTS: usize = 5;

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

/// An HTTP client that ignores proxies of the environment and follows no redirect by itself.
pub(super) fn http() -> Result<reqwest::Client, ClientError> {
    let http = reqwest::Client::builder()
        .user_agent(concat!("pollcast/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .build()?;
    Ok(http)
}

/// What one request of a poll says, whichever page it asks for.
pub(super) struct Exchange<'a> {
    pub(super) http: &'a reqwest::Client,
    pub(super) ask: &'a Ask,
    /// Laid over the ask's headers.
    pub(super) credentials: &'a HeaderMap,
    pub(super) known: &'a Validators,
    pub(super) before: &'a dyn BeforeRequest,
}

impl Exchange<'_> {
    /// Asks at `url`, which becomes where the answer came from, and reads at most `max_bytes` of it,
    /// decoded. `known` makes a GET conditional.
    pub(super) async fn run(&self, url: &mut Url, max_bytes: usize) -> Reply {
        let mut headers = self.ask.headers.clone();
        for (name, value) in self.credentials {
            headers.insert(name, value.clone());
        }
        let conditional = self.ask.method == Method::GET && self.known.condition(&mut headers);
        let mut redirects = 0;
        loop {
            self.before.request().await;
            let mut response = match self.send(url.clone(), headers.clone()).await {
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

    async fn send(&self, url: Url, headers: HeaderMap) -> Result<reqwest::Response, PollError> {
        let mut asked = self
            .http
            .request(self.ask.method.clone(), url)
            .headers(headers);
        if let Some(body) = &self.ask.body {
            asked = asked.body(body.clone());
        }
        asked.send().await.map_err(|error| {
            let cause = root_cause(&error);
            match error.is_connect() {
                true => PollError::Connect(cause),
                false => PollError::Body(cause),
            }
        })
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

    /// Puts them into a request. True if the request is conditional then.
    fn condition(&self, headers: &mut HeaderMap) -> bool {
        let mut add = |name: HeaderName, value: &Option<HeaderValue>| {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        };
        add(IF_NONE_MATCH, &self.etag);
        add(IF_MODIFIED_SINCE, &self.last_modified);
        self.etag.is_some() || self.last_modified.is_some()
    }
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
