//! What is sent: one poll's request, below an upstream's base URL.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method};
use url::Url;

use crate::config::{Feed, Pages, below};
use crate::hub::Target;

/// One poll's request, below an upstream's base URL.
#[derive(Clone)]
pub struct Ask {
    /// GET or POST.
    pub method: Method,
    /// Percent-encoded, begins with `/`.
    pub path: String,
    /// Names and values, not encoded.
    pub query: Vec<(String, String)>,
    /// Everything that is sent but credentials; values that may be secret are marked sensitive.
    pub headers: HeaderMap,
    /// With POST only.
    pub body: Option<Bytes>,
    /// If the document comes in pages.
    pub pages: Option<Arc<Pages>>,
}

impl Ask {
    /// What is asked for this topic of `feed`.
    pub fn of(feed: &Feed, target: &Target) -> Self {
        let Target {
            method,
            path,
            query,
            headers: own,
            body,
        } = target.clone();
        let accept = HeaderValue::from_static(feed.document.format.accept());
        let mut headers = HeaderMap::from_iter([(ACCEPT, accept)]);
        headers.extend(own);
        Self {
            method,
            path,
            query,
            headers,
            body,
            pages: feed.request.pages.clone(),
        }
    }

    /// What polls that should reach the same server have in common.
    pub fn key(&self) -> &[u8] {
        self.path.as_bytes()
    }

    /// Where it goes, below this URL.
    pub fn url(&self, base: &Url) -> Url {
        below(base, &self.path, &self.query)
    }
}

/// Path, query and body may hold secrets.
impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask")
            .field("method", &self.method)
            .field("headers", &self.headers)
            .field("body_bytes", &self.body.as_ref().map(Bytes::len))
            .finish_non_exhaustive()
    }
}
