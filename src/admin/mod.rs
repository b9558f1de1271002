//! The private listener: metrics, health, what is known of the feeds.
//!
//! Promises that readiness says whether this process serves, and nothing about any upstream: a
//! broken upstream must not take pollcast out of a load balancer together with its last good
//! documents.

mod feeds;
mod poke;
mod upstreams;

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderValue, Method, Response, StatusCode, Version, header};
use pingora::apps::http_app::ServeHttp;
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use tokio::sync::watch;
use tokio::task::block_in_place;

use crate::clock::Clock;
use crate::core::accept;
use crate::core::sse::{Coding, gzip};
use crate::hub::Hub;
use crate::listen::Connection;
use crate::metrics::Registry;
use crate::peers::Peers;
use crate::upstream::Gates;

/// The Prometheus text format's media type.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT_TYPE: &str = "text/plain; charset=utf-8";
const JSON_TYPE: &str = "application/json";

fn text(status: StatusCode, body: &str) -> (StatusCode, &'static str, String) {
    (status, TEXT_TYPE, format!("{body}\n"))
}

/// Answers on the private listener.
pub struct Admin {
    registry: Registry,
    hub: Arc<Hub>,
    peers: Arc<Peers>,
    gates: Arc<Gates>,
    clock: Clock,
    draining: watch::Receiver<bool>,
}

impl Admin {
    /// An admin service that reports `registry`, the topics of `hub`, the servers of `peers` and what
    /// `gates` let through, and is ready until `draining` turns true.
    pub fn new(
        registry: Registry,
        hub: Arc<Hub>,
        peers: Arc<Peers>,
        gates: Arc<Gates>,
        clock: Clock,
        draining: watch::Receiver<bool>,
    ) -> Self {
        Self {
            registry,
            hub,
            peers,
            gates,
            clock,
            draining,
        }
    }

    fn answer(&self, request: &RequestHeader) -> (StatusCode, &'static str, String) {
        if request.uri.path() == poke::PATH {
            return match poke::answer(&self.hub, request) {
                poke::Outcome::Poked(body) => (StatusCode::ACCEPTED, JSON_TYPE, body),
                poke::Outcome::Refused(status, why) => text(status, why),
            };
        }
        let method = &request.method;
        if method != Method::GET && method != Method::HEAD {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        }
        match request.uri.path() {
            "/metrics" => (StatusCode::OK, METRICS_TYPE, self.registry.render()),
            "/api/feeds" => (
                StatusCode::OK,
                JSON_TYPE,
                feeds::list(&self.hub, self.clock.now()),
            ),
            "/api/upstreams" => {
                let list = upstreams::list(&self.peers, &self.gates);
                (StatusCode::OK, JSON_TYPE, list)
            }
            "/healthz" => text(StatusCode::OK, "ok"),
            "/readyz" if *self.draining.borrow() => {
                text(StatusCode::SERVICE_UNAVAILABLE, "draining")
            }
            "/readyz" => text(StatusCode::OK, "ready"),
            _ => text(
                StatusCode::NOT_FOUND,
                "try /metrics, /api/feeds, /api/upstreams, /api/poll, /healthz or /readyz",
            ),
        }
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let connection = Connection::of(session.digest());
        let _request = connection.map(|connection| connection.request());
        if !stays(session.req_header()) {
            session.set_keepalive(None);
        }
        let request = session.req_header();
        let (status, media_type, body) = self.answer(request);
        let allowed = match request.uri.path() {
            poke::PATH => "POST",
            _ => "GET, HEAD",
        };
        let is_metrics = media_type == METRICS_TYPE;
        let coding = match is_metrics {
            true => accept::coding(&request.headers),
            false => Coding::Identity,
        };
        let body = match coding {
            Coding::Identity => body.into_bytes(),
            Coding::Gzip => block_in_place(|| gzip::file(body.as_bytes())),
        };
        let length = HeaderValue::from(body.len());
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(header::CONTENT_LENGTH, length);
        if is_metrics {
            let accept = HeaderValue::from_static("accept-encoding");
            headers.insert(header::VARY, accept);
        }
        if coding != Coding::Identity {
            let name = HeaderValue::from_static(coding.name());
            headers.insert(header::CONTENT_ENCODING, name);
        }
        if media_type == JSON_TYPE {
            // It is true for this moment only.
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
        }
        response
    }
}

/// Whether the client means to ask again on this connection (RFC 9112 section 9.3); Pingora's
/// small server assumes so.
fn stays(request: &RequestHeader) -> bool {
    let options = request.headers.get(header::CONNECTION);
    let option =
        |name: &[u8]| options.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(name));
    match request.version {
        Version::HTTP_11 => !option(b"close"),
        _ => option(b"keep-alive"),
    }
}
