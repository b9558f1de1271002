//! Sends batches of spans with the HTTP client that polls use.
//!
//! Promises that a collector which is away is told of once, and once when it is back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;
use tracing::{info, warn};

use crate::config::Traces;
use crate::peers::root_cause;

/// The longest answer of a collector that is read, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// A client of one collector.
#[derive(Clone, Debug)]
pub struct Sender {
    http: reqwest::Client,
    /// Where requests are made: the thread that asks for it has no runtime.
    runtime: Handle,
    endpoint: Arc<str>,
    is_away: Arc<AtomicBool>,
}

impl Sender {
    /// To be called inside a runtime.
    ///
    /// # Errors
    /// If the system has no TLS.
    pub fn new(config: &Traces, timeout: Duration) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(timeout)
            .default_headers(HeaderMap::from_iter(config.headers.iter().cloned()))
            .build()?;
        Ok(Self {
            http,
            runtime: Handle::current(),
            endpoint: config.endpoint.to_string().into(),
            is_away: Arc::default(),
        })
    }

    async fn send(self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let outcome = self.exchange(request).await;
        let endpoint = &*self.endpoint;
        let refusal = match &outcome {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("it answers {}", response.status().as_u16())),
            Err(cause) => Some(cause.clone()),
        };
        let was_away = self.is_away.swap(refusal.is_some(), Ordering::Relaxed);
        match refusal {
            Some(cause) if !was_away => {
                warn!(
                    endpoint,
                    cause, "traces are not taken; spans are dropped until they are"
                );
            }
            None if was_away => info!(endpoint, "traces are taken again"),
            _ => {}
        }
        outcome
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let told = |error: reqwest::Error| root_cause(&error.without_url());
        let request = reqwest::Request::try_from(request).map_err(told)?;
        let mut response = self.http.execute(request).await.map_err(told)?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(None) => break,
                Ok(Some(part)) if body.len() + part.len() <= MAX_ANSWER => {
                    body.extend_from_slice(&part);
                }
                // The spans were taken, whatever it says besides: they must not be sent again.
                _ if status.is_success() => {
                    body.clear();
                    break;
                }
                Ok(Some(_)) => return Err("its answer is too long".to_owned()),
                Err(error) => return Err(told(error)),
            }
        }
        let mut response = Response::new(body.into());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.runtime.spawn(self.clone().send(request)).await;
        // A runtime that is gone sends nothing.
        Ok(sent??)
    }
}
