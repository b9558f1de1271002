//! Access tokens by the client credentials grant (RFC 6749 section 4.4).
//!
//! Promises one request at a time to the token endpoint, for all pollers together; that a token is
//! renewed before it ends, while the old one is still in use; and pauses after failures. A request
//! goes on when the poll that wanted it has given up.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use oauth2::basic::{BasicClient, BasicTokenResponse, BasicTokenType};
use oauth2::{AuthType, ClientId, ClientSecret, Scope, TokenResponse, TokenUrl};
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::token::{Holding, Want};
use super::transport::ClientError;
use super::transport::{NoToken, Transport};
use super::watched::Watched;
use crate::config::{Authentication, OAuth2, Upstream, bearer};
use crate::upstream::error::PollError;

/// How long the token endpoint may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The access token of one upstream.
pub(super) struct Tokens {
    /// For the log.
    upstream: String,
    grant: Arc<OAuth2>,
    client_secret: Arc<Watched<String>>,
    transport: Transport,
    /// Never held while waiting.
    holding: Mutex<Holding>,
    /// Held while the token endpoint is asked; why there was no token when it was asked last.
    flight: Arc<tokio::sync::Mutex<NoToken>>,
}

impl Tokens {
    /// No token yet.
    ///
    /// # Errors
    /// [`ClientError`] if TLS cannot be set up.
    pub(super) fn new(
        upstream: &Arc<Upstream>,
        grant: Arc<OAuth2>,
    ) -> Result<Arc<Self>, ClientError> {
        let keep = |secret: &str| Some(secret.to_owned());
        let client_secret = Watched::new(&upstream.name, &grant.client_secret, keep)
            .expect("invariant: any text is kept");
        Ok(Arc::new(Self {
            upstream: upstream.name.clone(),
            client_secret,
            transport: Transport::new(upstream, &grant.token_url)?,
            grant,
            holding: Mutex::default(),
            flight: Arc::default(),
        }))
    }

    /// A token that has not ended, as it is sent.
    pub(super) async fn current(self: &Arc<Self>) -> Result<HeaderValue, PollError> {
        let now = Instant::now();
        let valid = self.holding().token(&Want::Valid, now);
        let Some(token) = valid else {
            return self.obtain(Want::Valid).await;
        };
        let is_due = {
            let holding = self.holding();
            holding.token(&Want::Fresh, now).is_none() && holding.may_ask(now)
        };
        if is_due && let Ok(flight) = Arc::clone(&self.flight).try_lock_owned() {
            let this = Arc::clone(self);
            tokio::spawn(async move { this.renew(flight, &Want::Fresh).await });
        }
        Ok(token)
    }

    /// Another token than this one, which the upstream refused; none if it is too early to ask for
    /// one.
    pub(super) async fn other_than(
        self: &Arc<Self>,
        refused: &HeaderValue,
    ) -> Result<Option<HeaderValue>, PollError> {
        let want = Want::Other(refused.clone());
        let now = Instant::now();
        let (held, may_replace) = {
            let mut holding = self.holding();
            let held = holding.token(&want, now);
            let may_replace = held.is_none() && holding.may_replace(refused, now, rand::random());
            (held, may_replace)
        };
        match may_replace {
            true => self.obtain(want).await.map(Some),
            false => Ok(held),
        }
    }

    /// Notes that the upstream took the token.
    pub(super) fn accepted(&self) {
        self.holding().accepted();
    }

    /// Waits for a token as wanted. Giving up does not stop the request for it.
    async fn obtain(self: &Arc<Self>, want: Want) -> Result<HeaderValue, PollError> {
        let this = Arc::clone(self);
        let task = tokio::spawn(async move {
            let flight = Arc::clone(&this.flight).lock_owned().await;
            this.renew(flight, &want).await
        });
        match task.await {
            Ok(outcome) => outcome.map_err(PollError::NoToken),
            // It crashed, or the process is leaving.
            Err(_) => Err(PollError::NoToken(NoToken::Unreadable)),
        }
    }

    /// Asks the token endpoint, unless somebody else has done so meanwhile.
    async fn renew(
        &self,
        mut last: tokio::sync::OwnedMutexGuard<NoToken>,
        want: &Want,
    ) -> Result<HeaderValue, NoToken> {
        let now = Instant::now();
        if let Some(token) = self.holding().token(want, now) {
            return Ok(token);
        }
        if !self.holding().may_ask(now) {
            return Err(last.clone());
        }
        let asked = timeout(PATIENCE, self.ask()).await;
        let now = Instant::now();
        let taken = match asked.unwrap_or(Err(NoToken::Timeout(PATIENCE))) {
            Ok((token, life)) => match self.holding().take(token.clone(), life, now) {
                true => Ok(token),
                false => Err(NoToken::Again),
            },
            Err(error) => Err(error),
        };
        let upstream = &self.upstream;
        match &taken {
            Ok(_) => {
                if std::mem::take(&mut *last) != NoToken::NotAsked {
                    info!(upstream, "there is an access token again");
                }
            }
            Err(reason) => {
                let failures = self.holding().failed(now, rand::random());
                if failures == 1 || *last != *reason {
                    warn!(upstream, %reason, "no access token from the token endpoint");
                }
                *last = reason.clone();
            }
        }
        taken
    }

    /// One request for a token: as it is sent, and how long it lasts.
    async fn ask(&self) -> Result<(HeaderValue, Option<Duration>), NoToken> {
        let grant = &self.grant;
        let secret = self.client_secret.current().await;
        let authentication = match grant.authentication {
            Authentication::Basic => AuthType::BasicAuth,
            Authentication::Body => AuthType::RequestBody,
        };
        let client = BasicClient::new(ClientId::new(grant.client_id.clone()))
            .set_client_secret(ClientSecret::new(secret))
            .set_auth_type(authentication)
            .set_token_uri(TokenUrl::from_url(url::Url::clone(&grant.token_url)));
        let mut request = client.exchange_client_credentials();
        for scope in &grant.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        for (name, value) in &grant.parameters {
            request = request.add_extra_param(name.as_str(), value.as_str());
        }
        let answer: BasicTokenResponse = request.request_async(&self.transport).await?;
        if *answer.token_type() != BasicTokenType::Bearer {
            return Err(NoToken::Unreadable);
        }
        let token = bearer(answer.access_token().secret()).ok_or(NoToken::Unreadable)?;
        Ok((token, answer.expires_in()))
    }

    fn holding(&self) -> MutexGuard<'_, Holding> {
        self.holding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("grant", &self.grant)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Credentials, System};

    /// Tokens of an endpoint where nobody listens.
    fn tokens() -> Arc<Tokens> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let nobody = listener.local_addr().unwrap();
        let text = format!(
            "upstreams: {{a: {{url: 'http://a', credentials: {{oauth2: {{\
             token_url: 'http://{nobody}', client_id: a, client_secret: b}}}}}}}}\n\
             feeds: [{{path: /f, upstream: a}}]"
        );
        let (config, _) = Config::parse(&text, &System::new("")).unwrap();
        let Some(Credentials::OAuth2(grant)) = config.upstreams[0].credentials.clone() else {
            panic!("{config:?}");
        };
        Tokens::new(&config.upstreams[0], grant).unwrap()
    }

    #[tokio::test]
    async fn a_renewal_that_fails_leaves_a_token_that_has_not_ended() {
        let tokens = tokens();
        let old = HeaderValue::from_static("Bearer old");
        let (life, age) = (Duration::from_secs(150), Duration::from_secs(121));
        let given = Instant::now() - age;
        assert!(tokens.holding().take(old.clone(), Some(life), given));
        assert_eq!(tokens.current().await.unwrap(), old);
        while tokens.holding().may_ask(Instant::now()) {
            tokio::task::yield_now().await;
        }
        assert_eq!(tokens.current().await.unwrap(), old);
        assert_eq!(
            tokens.other_than(&old).await.unwrap_err().outcome(),
            "no_token"
        );
    }

    #[tokio::test]
    async fn without_a_token_there_is_a_reason_and_no_second_request_at_once() {
        let tokens = tokens();
        let first = tokens.current().await.unwrap_err().to_string();
        assert!(first.contains("refused"), "{first}");
        assert!(!tokens.holding().may_ask(Instant::now()));
        assert_eq!(tokens.current().await.unwrap_err().to_string(), first);
    }
}
