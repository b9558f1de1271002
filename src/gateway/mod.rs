//! The public listeners: Pingora's `ProxyHttp`.
//!
//! Owns what becomes of a request: a subscription, a preflight, or pass-through. Promises that
//! whatever is no subscription reaches an upstream as if pollcast were not there. Must never poll,
//! and never keeps a subscriber's request alive: the response is detached and the writers own it.

mod access;
mod admission;
mod answers;
mod asked;
mod client;
mod context;
mod cors;
mod denied;
mod detach;
mod fence;
mod forward;
#[doc(hidden)]
pub mod fuzz;
mod guarded;
mod identity;
mod latest;
mod metrics;
mod module;
mod negotiate;
mod origin;
mod overload;
mod preconditions;
mod prefer;
mod preflight;
mod problem;
mod routes;
mod scope;
mod seats;
mod spans;
mod strict;
mod subscribe;
mod tickets;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::{StatusCode, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::protocols::http::v1::server::HttpSession;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result};
use tracing::{error, warn};

pub use admission::Admission;
use context::Context;
pub use metrics::Metrics;
use routes::{Destination, Routes};
pub use scope::Scope;
use scope::peer;
use seats::Seats;
use writer::Writers;

use crate::auth::Guard;
use crate::clock::Clock;
use crate::config::Config;
use crate::hub::{Hub, Place};
use crate::listen::Connection;
use crate::traces::Tracer;

/// How long a client may take to read one piece of a passed-through body.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(300);

/// Wherever requests may go that are passed through: by which path of the configuration, to which
/// upstream.
pub fn destinations(config: &Config) -> impl Iterator<Item = (String, String)> {
    let all: Vec<_> = Routes::new(config.routes.clone())
        .destinations(&config.feeds)
        .collect();
    let pair = |to: Destination| (to.name().to_owned(), to.upstream().name.clone());
    all.into_iter().map(pair)
}

/// The proxy: one for all public listeners, whatever the configuration. Its clones are the same one.
#[derive(Clone)]
pub struct Gateway {
    scope: Arc<ArcSwap<Scope>>,
    hub: Arc<Hub>,
    writers: Arc<Writers>,
    guard: Arc<Guard>,
    metrics: Metrics,
    admission: Arc<Admission>,
    seats: Arc<Seats>,
    clock: Clock,
    tracer: Tracer,
}

impl Gateway {
    /// A gateway to these topics, behind this door, that serves what comes as `scope` says. To be
    /// called inside a runtime.
    pub fn new(
        hub: Arc<Hub>,
        config: &Config,
        scope: Scope,
        metrics: Metrics,
        (admission, guard): (Arc<Admission>, Arc<Guard>),
        clock: Clock,
        tracer: Tracer,
    ) -> Self {
        metrics.begin(config);
        let writers = Writers::new(config.server.threads, admission.tracker(), clock);
        let writers = Arc::new(writers);
        tokio::spawn(guarded::keep_rechecking(&guard, &writers));
        Self {
            scope: Arc::new(ArcSwap::from_pointee(scope)),
            seats: Seats::new(config.server.limits.clone()),
            writers,
            guard,
            hub,
            metrics,
            admission,
            clock,
            tracer,
        }
    }

    /// What wakes every writer and says how far each had come: a number that moves by the next call
    /// if the writer is alive.
    pub fn pulse(&self) -> impl Fn() -> Vec<u64> + Send + 'static {
        self.writers.pulse()
    }

    /// Serves what comes from now on as this configuration says.
    pub fn follow(&self, config: &Config, scope: Scope) {
        self.metrics.begin(config);
        self.seats.follow(config.server.limits.clone());
        self.scope.store(Arc::new(scope));
    }
}

/// Whether the connection is one of TLS.
fn is_secure(session: &Session) -> bool {
    let digest = session.digest();
    digest.is_some_and(|digest| digest.ssl_digest.is_some())
}

/// Refuses what is not one request to everybody, and closes the connection; whether it did.
async fn refused(session: &mut Session) -> Result<bool> {
    let connection = session.downstream_session.as_http1();
    let raw = connection.map(HttpSession::get_headers_raw_bytes);
    let Err(unfit) = strict::check(session.req_header(), raw.as_deref()) else {
        return Ok(false);
    };
    session.set_keepalive(None);
    problem::answer(session, unfit.status, unfit.detail, &[]).await?;
    Ok(true)
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(self.scope.load_full(), self.admission.token())
    }

    /// No modules: Pingora's compression does not flush and would hold events back.
    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    /// Answers what is pollcast's to answer and finds the destination of the rest.
    async fn request_filter(&self, session: &mut Session, ctx: &mut Context) -> Result<bool> {
        ctx.request = Connection::of(session.digest()).map(|connection| connection.request());
        self.identify(session.req_header_mut(), ctx)?;
        if refused(session).await? {
            return Ok(true);
        }
        guarded::disclaim(session.req_header_mut(), &ctx.scope.claims);
        if self.admission.is_shut() {
            return Error::e_explain(ErrorType::ConnectionClosed, "leaving")
                .map_err(Error::into_down);
        }
        let place = ctx.scope.table.at(session.req_header().uri.path());
        if !self.is_plain(place.as_ref(), session, ctx).await? {
            return Ok(true);
        }
        if self.answered(place.as_ref(), session, ctx).await? {
            return Ok(true);
        }
        let path = session.req_header().uri.path();
        ctx.destination = ctx
            .scope
            .routes
            .destination(path, place.as_ref().map(Place::feed));
        if ctx.destination.is_none() {
            let detail = "no feed and no proxy entry has this path";
            problem::answer(session, 404, detail, &[]).await?;
            return Ok(true);
        }
        if !self.may_pass(session, ctx).await? {
            return Ok(true);
        }
        session.set_write_timeout(Some(FORWARD_TIMEOUT));
        if session.is_upgrade_req() {
            // Both ends of another protocol may be silent; keepalive finds out who is gone.
            session.set_read_timeout(None);
        }
        Ok(false)
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut Context,
    ) -> Result<Box<HttpPeer>> {
        let destination = ctx
            .destination
            .as_ref()
            .ok_or_else(|| Error::new(ErrorType::HTTPStatus(404)))?;
        let group = ctx.scope.peers.of(&destination.upstream().name);
        let key = ctx.scope.balance_key(session);
        let server = match group.other(&key, &ctx.asked) {
            Some(server) => server,
            None => group
                .pick(&key)
                .await
                .map_err(|error| forward::unreachable(&error))?,
        };
        let peer = server.peer(forward::is_open_ended(session.req_header()));
        ctx.asked.push(server);
        Ok(Box::new(peer))
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        _reused: bool,
        _peer: &HttpPeer,
        #[cfg(unix)] _fd: std::os::unix::io::RawFd,
        _digest: Option<&pingora::protocols::Digest>,
        ctx: &mut Context,
    ) -> Result<()> {
        if let Some(server) = ctx.asked.last() {
            server.succeeded();
        }
        Ok(())
    }

    /// Another server, or another address of the same one, may answer.
    fn fail_to_connect(
        &self,
        session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        if let Some(server) = ctx.asked.last() {
            server.failed(error.etype().as_str());
        }
        let others = ctx.destination.as_ref().and_then(|destination| {
            let group = ctx.scope.peers.of(&destination.upstream().name);
            group.other(&ctx.scope.balance_key(session), &ctx.asked)
        });
        error.set_retry(others.is_some());
        error
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        identity::carry(session.req_header(), request, ctx.span.operation())?;
        if !session.is_body_empty() {
            forward::goes_alone(request)?;
        }
        guarded::carry(session.req_header(), request, &ctx.scope.claims)?;
        let client = peer(session);
        if client.is_some_and(|client| ctx.scope.trusted.disbelieves(client.ip())) {
            forward::forget_hops(request);
        }
        let scheme = if is_secure(session) { "https" } else { "http" };
        match (&ctx.destination, ctx.asked.last()) {
            (Some(destination), Some(server)) => {
                forward::rewrite(request, destination, server, client, scheme)
            }
            _ => Ok(()),
        }
    }

    /// A feed's path has two representations, whichever of them this one is. A client of HTTP/1.0
    /// knows no transfer coding (RFC 9112 section 6.1), so its answer ends with the connection.
    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            forward::was_asked_to_switch(session.req_header())?;
        }
        if ctx.destination.as_ref().is_some_and(Destination::is_feed) {
            response.append_header(header::VARY, "accept")?;
        }
        let id = identity::request_id(session.req_header());
        if let (Some(id), false) = (id, response.headers.contains_key(identity::REQUEST_ID))
            && !response.status.is_informational()
        {
            response.insert_header(identity::REQUEST_ID, id.clone())?;
        }
        if session.req_header().version < Version::HTTP_11
            && response.remove_header(&header::TRANSFER_ENCODING).is_some()
        {
            session.set_keepalive(None);
        }
        Ok(())
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Context,
    ) -> FailToProxy {
        let upstream = ctx.destination.as_ref().map(Destination::upstream);
        let (status, detail) = forward::explain(error, upstream.map(|upstream| &*upstream.name));
        if let (Some(upstream), ErrorSource::Upstream) = (upstream, error.esource()) {
            let cause = error.root_cause().to_string();
            let request_id = identity::request_id(session.req_header());
            warn!(
                upstream = upstream.name,
                status,
                cause,
                request_id = request_id.and_then(|id| id.to_str().ok()),
                "a request could not be passed through"
            );
        }
        if status > 0 && session.response_written().is_none() {
            session.set_keepalive(None);
            // A client that is gone cannot be told.
            let _ = problem::answer(session, status, &detail, &[]).await;
        }
        FailToProxy {
            error_code: status,
            can_reuse_downstream: false,
        }
    }

    /// Clients that leave are no news, an upstream's failure is counted, the rest is logged below.
    fn suppress_error_log(&self, _: &Session, _: &Context, _: &Error) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, failure: Option<&Error>, ctx: &mut Context) {
        if let Some(error) = failure.filter(|error| error.esource() == &ErrorSource::Internal) {
            error!(%error, "a request failed");
        }
        if let Some(destination) = &ctx.destination {
            let answer = session.response_written();
            let status = answer.map_or(0, |head| head.status.as_u16());
            let has_end = |head: &&ResponseHeader| !forward::is_stream(head);
            let took = answer
                .filter(|head| !session.was_upgraded() && has_end(head))
                .map(|_| ctx.began.elapsed());
            self.metrics.forwarded(destination, status, took);
        }
        self.report(session, failure, ctx);
    }
}
