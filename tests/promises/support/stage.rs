//! An upstream whose behaviour a test changes while it runs.

use std::sync::{Arc, Mutex};

use super::upstream::{Reply, Request, Upstream};

type Act = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// One upstream and what it does at present.
pub struct Stage {
    pub upstream: Upstream,
    act: Arc<Mutex<Act>>,
}

impl Stage {
    /// Answers like this until told otherwise.
    pub fn new(act: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let act: Arc<Mutex<Act>> = Arc::new(Mutex::new(Arc::new(act)));
        let current = Arc::clone(&act);
        let upstream = Upstream::start(move |request| {
            let act = Arc::clone(&*current.lock().unwrap());
            act(request)
        });
        Self { upstream, act }
    }

    /// Serves this JSON text until told otherwise.
    pub fn serving(document: impl Into<String>) -> Self {
        let document = document.into();
        Self::new(move |_| Reply::json(document.clone()))
    }

    pub fn becomes(&self, act: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        *self.act.lock().unwrap() = Arc::new(act);
    }

    pub fn serves(&self, document: impl Into<String>) {
        let document = document.into();
        self.becomes(move |_| Reply::json(document.clone()));
    }

    pub fn url(&self) -> String {
        self.upstream.url()
    }
}

/// A document of about 400 bytes, of which one number changes: patches always pay.
pub fn numbered(n: u64) -> String {
    format!(r#"{{"n":{n},"text":"{}"}}"#, "unchanged ".repeat(40))
}

/// Waits until nobody is polled for any more.
pub fn paused(proxy: &super::proxy::Proxy) {
    super::eventually("the feed pauses", || {
        proxy.metric("pollcast_feed_state", &["state=\"paused\""]) > 0.5
            && proxy.metric("pollcast_connections", &[]) < 0.5
    });
}
