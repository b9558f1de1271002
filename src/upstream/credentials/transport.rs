//! Requests to a token endpoint, and why one brought no token.

use std::error::Error as _;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{StatusCode, header};
use oauth2::basic::BasicErrorResponse;
use oauth2::{AsyncHttpClient, HttpRequest, HttpResponse, RequestTokenError};
use url::Url;

use crate::config::Upstream;
use crate::peers::{BesideError, beside, rehearse, root_cause};
use crate::upstream::client::read_body;

/// The longest answer of a token endpoint, in bytes.
const MAX_BYTES: usize = 256 << 10;

/// Why there is no token. Holds no secret: of an answer only its status or its error code.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    /// Nobody asked yet.
    #[default]
    #[error("it was not asked yet")]
    NotAsked,
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// No connection, or one that broke.
    #[error("{0}")]
    Connection(String),
    /// A status without a reason.
    #[error("it answered {0}")]
    Status(StatusCode),
    /// An error code of RFC 6749 section 5.2, or of an extension.
    #[error("it answered {0}")]
    Code(String),
    /// What it answered is no token.
    #[error("its answer is no bearer token")]
    Unreadable,
    /// The upstream answered 401 to the token that it gave out again.
    #[error("it gives out the token that the upstream refuses")]
    Again,
}

/// The client of a token endpoint could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the client of a token endpoint")]
pub struct ClientError(#[from] BesideError);

/// The HTTP client of the `oauth2` crate: ours, without redirects, with a limit of size. Tokens are
/// asked for so rarely that each request has a client, and a connection, of its own.
#[derive(Debug)]
pub(super) struct Transport {
    upstream: Arc<Upstream>,
    endpoint: Url,
}

impl Transport {
    /// For this endpoint, which stands beside that upstream.
    ///
    /// # Errors
    /// [`ClientError`] if TLS cannot be set up.
    pub(super) fn new(upstream: &Arc<Upstream>, endpoint: &Url) -> Result<Self, ClientError> {
        rehearse(upstream)?;
        Ok(Self {
            upstream: Arc::clone(upstream),
            endpoint: endpoint.clone(),
        })
    }

    async fn send(&self, mut request: HttpRequest) -> Result<HttpResponse, NoToken> {
        if let Some(value) = request.headers_mut().get_mut(header::AUTHORIZATION) {
            value.set_sensitive(true);
        }
        let nowhere = |error: BesideError| NoToken::Connection(told(&error));
        let http = beside(&self.upstream, &self.endpoint)
            .await
            .map_err(nowhere)?;
        let broken = |error: &reqwest::Error| NoToken::Connection(root_cause(error));
        let request = reqwest::Request::try_from(request).map_err(|error| broken(&error))?;
        let sent = http.execute(request).await;
        let mut response = sent.map_err(|error| broken(&error))?;
        let status = response.status();
        let body = match read_body(&mut response, MAX_BYTES).await {
            Ok(Some(body)) => Vec::from(body),
            Ok(None) => return Err(NoToken::Unreadable),
            Err(error) => return Err(NoToken::Connection(error.to_string())),
        };
        let tells_why = serde_json::from_slice::<BasicErrorResponse>(&body).is_ok();
        if status != StatusCode::OK && !tells_why {
            return Err(NoToken::Status(status));
        }
        let mut answer = HttpResponse::new(body);
        *answer.status_mut() = status;
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }
}

impl<'c> AsyncHttpClient<'c> for Transport {
    type Error = NoToken;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, NoToken>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

impl From<RequestTokenError<NoToken, BasicErrorResponse>> for NoToken {
    fn from(error: RequestTokenError<NoToken, BasicErrorResponse>) -> Self {
        match error {
            RequestTokenError::Request(error) => error,
            RequestTokenError::ServerResponse(answer) => code(answer.error().as_ref()),
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => Self::Unreadable,
        }
    }
}

/// What is said of a client that cannot be made, with what caused it.
fn told(error: &BesideError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// An error code is a short word; anything else might be a secret that came back.
fn code(code: &str) -> NoToken {
    let is_word = code
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    match is_word && (1..=40).contains(&code.len()) {
        true => NoToken::Code(code.to_owned()),
        false => NoToken::Code("an error of its own".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_only_by_a_code_that_is_a_word() {
        let told = |text: &str| code(text).to_string();
        assert_eq!(told("invalid_client"), "it answered invalid_client");
        for odd in ["", "Bearer s3cret", "s3cret", &"a".repeat(41)] {
            assert_eq!(told(odd), "it answered an error of its own", "{odd}");
        }
    }
}
