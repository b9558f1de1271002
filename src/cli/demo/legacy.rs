//! The bundled legacy API: it knows JSON and how to be asked, and nothing of events.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;

use super::Desk;
use crate::cli::beside;
use crate::listen::Connection;

/// Between two happenings at the desk, in milliseconds; always under two seconds.
const PAUSE: std::ops::Range<u64> = 900..1700;

/// The page lives on one origin and needs nothing else.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'self'");

/// An HTTP server around a [`Desk`].
pub struct Legacy {
    /// A std mutex: held for one step or one rendering, never across an await.
    desk: Arc<Mutex<Desk>>,
    polls: AtomicU64,
    started: Instant,
}

impl Legacy {
    /// Serves on `listener` and keeps the desk busy, on a thread of its own, until the process
    /// ends.
    ///
    /// # Errors
    /// If there is no thread or no runtime to be had.
    pub fn start(listener: TcpListener) -> std::io::Result<()> {
        let desk = Arc::new(Mutex::new(Desk::new(SystemTime::now(), &mut rand::rng())));
        let legacy = Self {
            desk: Arc::clone(&desk),
            polls: AtomicU64::new(0),
            started: Instant::now(),
        };
        beside::serve("legacy-api", listener, legacy, async move {
            keep_busy(&desk).await;
        })
    }

    fn answer(&self, path: &str) -> (StatusCode, &'static str, Vec<u8>) {
        let page = |media_type, text: &str| (StatusCode::OK, media_type, text.as_bytes().to_vec());
        match path {
            "/" => page("text/html; charset=utf-8", include_str!("page/index.html")),
            "/page.css" => page("text/css; charset=utf-8", include_str!("page/page.css")),
            "/page.js" => page(
                "text/javascript; charset=utf-8",
                include_str!("page/page.js"),
            ),
            "/icon.svg" => page("image/svg+xml", include_str!("page/icon.svg")),
            "/orders" => {
                self.polls.fetch_add(1, Ordering::Relaxed);
                let desk = self.desk.lock().expect("invariant: the desk never panics");
                (
                    StatusCode::OK,
                    "application/json",
                    desk.to_json(SystemTime::now()),
                )
            }
            "/desk/stats" => {
                let polls = self.polls.load(Ordering::Relaxed);
                let since = self.started.elapsed().as_secs_f64();
                let body = format!(r#"{{"polls":{polls},"since_seconds":{since:.1}}}"#);
                (StatusCode::OK, "application/json", body.into_bytes())
            }
            _ => {
                let body = br#"{"error":"the order desk knows /orders and /desk/stats"}"#;
                (StatusCode::NOT_FOUND, "application/json", body.to_vec())
            }
        }
    }
}

#[async_trait]
impl ServeHttp for Legacy {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let connection = Connection::of(session.digest());
        let _request = connection.map(|connection| connection.request());
        let (status, media_type, body) = self.answer(session.req_header().uri.path());
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static(media_type)),
            (CONTENT_LENGTH, HeaderValue::from(body.len())),
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (CONTENT_SECURITY_POLICY, POLICY),
        ]);
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

async fn keep_busy(desk: &Mutex<Desk>) {
    loop {
        let pause = Duration::from_millis(rand::random_range(PAUSE));
        tokio::time::sleep(pause).await;
        desk.lock()
            .expect("invariant: the desk never panics")
            .step(SystemTime::now(), &mut rand::rng());
    }
}
