//! The private listener: metrics, health, what is known of the feeds, and a page that shows it.
//!
//! Promises that readiness says whether this process serves, and nothing about any upstream: a
//! broken upstream must not take pollcast out of a load balancer together with its last good
//! documents. Promises that looking changes nothing: it causes no poll and encodes no event.
//!
//! | room | what it owns |
//! |---|---|
//! | `door` | who may ask at all |
//! | `asked` | what a request asks for |
//! | `answer`, `stream` | how whole answers are sent, and those that go on |
//! | `live` | documents that somebody watches: made anew, diffed, kept for a while |
//! | `view` | where everything is looked up |
//! | `status`, `topics`, `topic`, `feeds`, `upstreams` | what is said of each, as JSON |
//! | `parts` | what several of these say alike |
//! | `poke`, `reload` | polls on request; the configuration read anew |
//! | `revoke` | whom to let in no more |
//! | `assets` | the page's files |

mod answer;
mod asked;
mod assets;
mod door;
mod feeds;
mod live;
mod parts;
mod poke;
mod reload;
mod revoke;
mod status;
mod stream;
mod topic;
mod topics;
mod upstreams;
mod view;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::{HeaderValue, Method, StatusCode, header};
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream};
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use pingora::{ErrorType, Result};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::auth::Guard;
use crate::clock::Clock;
use crate::config;
use crate::core::accept;
use crate::hub::Hub;
use crate::listen::Connection;
use crate::metrics::Registry;
use crate::peers::Peers;
use crate::upstream::{self, Gates};
use answer::{Answer, PATIENCE};
use asked::GONE;
use assets::Assets;
use door::Door;
use live::{Gallery, Subject, Unwatched};
pub use reload::Reloaded;
use view::View;

const READ: &str = "GET, HEAD";
const WRITE: &str = "POST";
/// What is said of any other path.
const PATHS: &str = "try /, /metrics, /api/status, /api/topics, /api/topic, /api/feeds, \
                     /api/upstreams, /api/config, /api/poll, /api/reload, /api/revoke, \
                     /api/openapi.json, /healthz or /readyz";
/// Seconds for which a connection is kept for another request.
const KEEPALIVE: u64 = 60;
/// How long a body that nobody wants may take.
const BODY: Duration = Duration::from_secs(5);

/// What the private listener tells of.
pub struct Sources {
    /// What is counted.
    pub registry: Registry,
    /// Who lets in.
    pub guard: Arc<Guard>,
    /// The topics.
    pub hub: Arc<Hub>,
    /// What is let through to them.
    pub gates: Arc<Gates>,
    /// What polls came to.
    pub polls: upstream::Metrics,
    /// The time.
    pub clock: Clock,
    /// What is in force.
    pub in_force: InForce,
    /// The file that the configuration is read from.
    pub file: Option<PathBuf>,
    /// Whom to ask that it is read anew.
    pub reloads: mpsc::Sender<oneshot::Sender<Reloaded>>,
    /// Turns true when the process is about to leave.
    pub draining: watch::Receiver<bool>,
    /// Counts the streams that must be ended before it does.
    pub unfinished: TaskTracker,
}

/// What one configuration brings with it.
pub struct InForce {
    /// The servers of each upstream.
    pub peers: Arc<Peers>,
    /// Where clients are accepted, as beginnings of URLs.
    pub listeners: Vec<String>,
    /// The configuration, without what is secret in it.
    pub config: Box<RawValue>,
    /// Who may ask.
    pub rules: config::Admin,
}

/// Answers on the private listener.
pub struct Admin {
    registry: Registry,
    guard: Arc<Guard>,
    view: Arc<View>,
    gallery: Arc<Gallery>,
    assets: Assets,
    door: ArcSwap<Door>,
    reloads: mpsc::Sender<oneshot::Sender<Reloaded>>,
    unfinished: TaskTracker,
}

/// What a request gets.
enum Reply {
    Whole(Answer),
    Live(Subject),
}

impl Admin {
    /// An admin service that is ready until `sources.draining` turns true.
    pub fn new(sources: Sources) -> Arc<Self> {
        let door = ArcSwap::from_pointee(Door::new(
            &sources.in_force.rules,
            Arc::clone(&sources.guard),
        ));
        let view = Arc::new(View {
            hub: sources.hub,
            gates: sources.gates,
            polls: sources.polls,
            clock: sources.clock,
            started: sources.clock.now(),
            in_force: ArcSwap::from_pointee(sources.in_force),
            file: sources.file,
            draining: sources.draining,
        });
        Arc::new(Self {
            registry: sources.registry,
            guard: Arc::clone(&sources.guard),
            gallery: Gallery::new(Arc::clone(&view)),
            view,
            assets: Assets::load(),
            door,
            reloads: sources.reloads,
            unfinished: sources.unfinished,
        })
    }

    /// Tells of another configuration from now on.
    pub fn follow(&self, in_force: InForce) {
        self.door.store(Arc::new(Door::new(
            &in_force.rules,
            Arc::clone(&self.guard),
        )));
        self.view.in_force.store(Arc::new(in_force));
    }

    fn reply(&self, request: &RequestHeader) -> Reply {
        let path = request.uri.path();
        if path == poke::PATH {
            return Reply::Whole(poke::answer(&self.view.hub, request));
        }
        if request.method != Method::GET && request.method != Method::HEAD {
            return Reply::Whole(Answer::not_allowed(READ));
        }
        let subject = match path {
            "/api/status" => Ok(Subject::Status),
            "/api/topic" => asked::topic(request).map(Subject::Topic),
            _ => return Reply::Whole(self.answer(request)),
        };
        match subject {
            Err(refusal) => Reply::Whole(refusal.into()),
            Ok(subject) if accept::names_events(&request.headers) => Reply::Live(subject),
            Ok(subject) => Reply::Whole(match self.view.text(subject) {
                Some(text) => Answer::json(StatusCode::OK, text)
                    .with(header::VARY, HeaderValue::from_static("accept")),
                None => GONE.into(),
            }),
        }
    }

    fn answer(&self, request: &RequestHeader) -> Answer {
        let path = request.uri.path();
        if let Some(asset) = self.assets.at(path) {
            return Answer::asset(asset, &request.headers);
        }
        let view = &self.view;
        match path {
            "/metrics" => {
                let coding = accept::coding(&request.headers);
                Answer::metrics(&self.registry.render(), coding)
            }
            "/api/topics" => topics::answer(&view.hub, request),
            "/api/feeds" => {
                let list = feeds::list(&view.hub, view.clock.now());
                Answer::json(StatusCode::OK, list)
            }
            "/api/upstreams" => {
                let in_force = view.in_force.load();
                let list = upstreams::list(&in_force.peers, &view.gates);
                Answer::json(StatusCode::OK, json(&list))
            }
            "/api/config" => Answer::json(StatusCode::OK, view.configuration()),
            "/healthz" => Answer::text(StatusCode::OK, "ok"),
            "/readyz" if view.is_ready() => Answer::text(StatusCode::OK, "ready"),
            "/readyz" => Answer::text(StatusCode::SERVICE_UNAVAILABLE, "draining"),
            _ => Answer::text(StatusCode::NOT_FOUND, PATHS),
        }
    }

    async fn serve(&self, session: &mut ServerSession) -> Result<()> {
        let door = self.door.load_full();
        let entered = match door.admit(session).await {
            Ok(entered) => entered,
            Err(refusal) => return refusal.send(session).await,
        };
        if session.req_header().uri.path() == reload::PATH {
            let answer = reload::answer(&self.reloads, session.req_header()).await;
            return answer.send(session).await;
        }
        if session.req_header().uri.path() == revoke::PATH {
            let answer = revoke::answer(&self.guard, self.view.clock, session).await?;
            return answer.send(session).await;
        }
        let subject = match self.reply(session.req_header()) {
            Reply::Whole(answer) => return answer.send(session).await,
            Reply::Live(subject) => subject,
        };
        let _token = self.unfinished.token();
        let last_id = asked::last_id(session.req_header());
        let watcher = match self.gallery.watch(subject, last_id.as_deref()) {
            Ok(watcher) => watcher,
            Err(unwatched) => return refusal(unwatched, last_id.is_some()).send(session).await,
        };
        stream::open(session).await?;
        if session.req_header().method == Method::HEAD {
            return Ok(());
        }
        let over = door.over(entered, self.view.clock);
        stream::send(session, watcher, self.view.draining.clone(), over).await
    }
}

#[async_trait]
impl HttpServerApp for Admin {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        match session.read_request().await {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => {
                debug!(%error, "an admin request cannot be read");
                if matches!(error.etype(), ErrorType::InvalidHTTPHeader) {
                    // Whoever is gone cannot be told.
                    let _ = answer::malformed(&mut session).await;
                }
                return None;
            }
        }
        let connection = Connection::of(session.digest());
        let _request = connection.map(|connection| connection.request());
        let stays = asked::stays(session.req_header()) && !*shutdown.borrow();
        session.set_keepalive(stays.then_some(KEEPALIVE));
        session.set_pipelining_enabled(true);
        session.set_read_timeout(Some(BODY));
        session.set_total_drain_timeout(Some(BODY));
        session.set_write_timeout(Some(PATIENCE));
        if let Err(error) = self.serve(&mut session).await {
            // A stalled client must not be waited for again.
            debug!(%error, "an admin answer was not taken");
            return None;
        }
        let settings = HttpPersistentSettings::for_session(&session);
        let reusable = session.finish().await.ok()??;
        Some(ReusedHttpStream::from_reusable_stream(reusable, settings))
    }
}

/// A document as one line of JSON.
fn json(value: &impl Serialize) -> String {
    let mut text =
        serde_json::to_string(value).expect("invariant: names and numbers can be written");
    text.push('\n');
    text
}

/// Whoever comes back to what is over stops coming by 204 (WHATWG HTML section 9.2.3).
fn refusal(unwatched: Unwatched, comes_back: bool) -> Answer {
    match unwatched {
        Unwatched::Full => Answer::text(
            StatusCode::SERVICE_UNAVAILABLE,
            "as many watch as may at once; close some pages, or try again later",
        )
        .with(header::RETRY_AFTER, HeaderValue::from_static("10")),
        Unwatched::Gone if comes_back => Answer::empty(StatusCode::NO_CONTENT),
        Unwatched::Gone => GONE.into(),
    }
}
