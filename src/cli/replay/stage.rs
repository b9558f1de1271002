//! The recorded API: it answers as the one that was recorded did.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use tokio::sync::watch;

use super::show::Show;
use crate::cli::beside;
use crate::cli::recording::Answer;
use crate::listen::Connection;

/// Between two polls of the pollcast in front: the shortest time that two answers can be apart.
pub const INTERVAL: Duration = Duration::from_millis(20);
/// The header by which that pollcast's polls are told from requests that only pass through it.
pub const POLL: &str = "x-pollcast-replay";

/// How often it looks whether the next answer is due.
const TICK: Duration = Duration::from_millis(5);
/// From the last answer's way out to the end of the process.
const GRACE: Duration = Duration::from_millis(500);

/// An HTTP server around a [`Show`].
pub struct Stage {
    path: String,
    /// A std mutex: held for one step or one answer, never across an await.
    show: Arc<Mutex<Show>>,
    started: Instant,
}

impl Stage {
    /// Serves `show` at `path` on `listener`, on a thread of its own, until the process ends.
    /// `over` turns true when everything was told and the feed is to end.
    ///
    /// # Errors
    /// If there is no thread or no runtime to be had.
    pub fn start(
        listener: TcpListener,
        path: String,
        show: Show,
        over: watch::Sender<bool>,
    ) -> std::io::Result<()> {
        let stage = Self {
            path,
            show: Arc::new(Mutex::new(show)),
            started: Instant::now(),
        };
        let (show, started) = (Arc::clone(&stage.show), stage.started);
        beside::serve("recorded-api", listener, stage, async move {
            go_on(&show, started, &over).await;
        })
    }

    fn answer(
        &self,
        is_poll: bool,
        held: Option<&HeaderValue>,
    ) -> (StatusCode, HeaderMap, Vec<u8>) {
        let mut show = self.show.lock().expect("invariant: a show never panics");
        let (answer, number) = show.ask(is_poll, elapsed(self.started));
        drop(show);
        let tag = HeaderValue::from_str(&format!("\"{number}\""));
        let tag = tag.expect("invariant: digits and quotes are a header's value");
        let mut headers = HeaderMap::new();
        let (status, body) = match answer {
            Answer::Body(body) => {
                let known = held == Some(&tag);
                headers.insert(ETAG, tag);
                match known {
                    true => (StatusCode::NOT_MODIFIED, Vec::new()),
                    false => (StatusCode::OK, body.to_vec()),
                }
            }
            Answer::Failure(why) => (StatusCode::SERVICE_UNAVAILABLE, problem(&why)),
            Answer::Gone(why) => (StatusCode::GONE, problem(&why)),
        };
        (status, headers, body)
    }
}

fn problem(why: &str) -> Vec<u8> {
    serde_json::json!({ "error": why }).to_string().into_bytes()
}

#[async_trait]
impl ServeHttp for Stage {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let connection = Connection::of(session.digest());
        let _request = connection.map(|connection| connection.request());
        let request = session.req_header();
        let (status, mut headers, body) = match request.uri.path() == self.path {
            true => {
                let held = request.headers.get(IF_NONE_MATCH);
                self.answer(request.headers.contains_key(POLL), held)
            }
            false => {
                let why = format!("this recording is at {}", self.path);
                (StatusCode::NOT_FOUND, HeaderMap::new(), problem(&why))
            }
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if status != StatusCode::NOT_MODIFIED {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

/// Lets time pass on the stage.
async fn go_on(show: &Mutex<Show>, started: Instant, over: &watch::Sender<bool>) {
    loop {
        tokio::time::sleep(TICK).await;
        let ended = {
            let mut show = show.lock().expect("invariant: a show never panics");
            show.tick(elapsed(started));
            show.is_told() && show.ends()
        };
        if ended {
            // The pollcast in front has read that it is over, and tells its subscribers.
            tokio::time::sleep(GRACE).await;
            over.send_replace(true);
            return;
        }
    }
}

/// Milliseconds.
fn elapsed(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}
